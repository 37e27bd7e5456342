// Takes out of the database what is of no use any more.
import { BaseCommand } from '../../cli/base-command.js';
import { didText } from '../../cli/render/edits.js';
import type { nodePrune } from '../../cli/schemas/node.js';
import type { Result } from '../../cli/schemas/parts.js';
import { dryRunFlag } from '../../cli/settings.js';

export default class NodePrune extends BaseCommand {
  static override summary = 'Remove records that are of no use any more';
  static override description =
    'These are records that their portal named once but not at its last discovery, or whose portal is no longer asked; records that cannot be read; links to records that are gone; and empty folders. Records made by hand stay, and so do those that a session uses. No portal is asked.';
  static override examples = ['<%= config.bin %> <%= command.id %> --dry-run', '<%= config.bin %> <%= command.id %>'];
  static override flags = dryRunFlag;

  async run(): Promise<Result<typeof nodePrune>> {
    const { flags } = await this.parse(NodePrune);
    const dryRun = flags['dry-run'];
    const { pruneRecords } = await import('../../services/records/prune.js');
    const { recordsInUse } = await import('../../services/records/in-use.js');
    const inUse = await recordsInUse(this.paths);
    const { removed, kept } = await pruneRecords(this.paths, { inUse, dryRun }, this.abortSignal);
    const did = didText('removed', dryRun);
    this.render(removed.map(({ path, reason }) => `${did}: ${path}: ${reason}\n`).join(''));
    this.render(kept.map(({ path, reason }) => `kept: ${path}: ${reason}, but a session uses it\n`).join(''));
    if (removed.length === 0 && kept.length === 0) this.remark('nothing is to be removed');
    const json = removed.map(({ kind, path, reason }) => ({ kind, path, reason }));
    return { dryRun, removed: json, kept: kept.map(({ path, reason }) => ({ path, reason })) };
  }
}
