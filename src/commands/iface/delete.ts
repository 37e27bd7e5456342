// Removes an interface record with the node records that are bound to it.
import { BaseCommand } from '../../cli/base-command.js';
import { ifaceArgs } from '../../cli/flags.js';
import { didText, nodeDone } from '../../cli/render/edits.js';
import { nodeJson } from '../../cli/render/json.js';
import type { ifaceDelete } from '../../cli/schemas/iface.js';
import type { Result } from '../../cli/schemas/parts.js';
import { dryRunFlag } from '../../cli/settings.js';

export default class IfaceDelete extends BaseCommand {
  static override summary = 'Remove an interface record with the node records that are bound to it';
  static override description = 'Refused while a session uses one of them (15). default and iser cannot be removed.';
  static override examples = ['<%= config.bin %> <%= command.id %> storage0 --dry-run'];
  static override args = ifaceArgs;
  static override flags = dryRunFlag;

  async run(): Promise<Result<typeof ifaceDelete>> {
    const { args, flags } = await this.parse(IfaceDelete);
    const { name } = args;
    const dryRun = flags['dry-run'];
    const { deleteIface } = await import('../../services/records/edit-ifaces.js');
    const { recordsInUse } = await import('../../services/records/in-use.js');
    const inUse = await recordsInUse(this.paths);
    const nodes = await deleteIface(this.paths, name, { inUse, dryRun }, this.abortSignal);
    const did = didText('removed', dryRun);
    this.render(`${did}: interface ${name}\n${nodes.map((node) => nodeDone(did, node)).join('')}`);
    return { dryRun, name, nodes: nodes.map(nodeJson) };
  }
}
