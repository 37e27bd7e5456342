// Removes node records.
import { Flags } from '@oclif/core';
import { refuseAllOf } from '../../cli/flags.js';
import { NodeCommand, nodeArgs, nodeFlags } from '../../cli/node-command.js';
import { didText, nodeDone } from '../../cli/render/edits.js';
import { nodeJson } from '../../cli/render/json.js';
import type { nodeDelete } from '../../cli/schemas/node.js';
import type { Result } from '../../cli/schemas/parts.js';
import { dryRunFlag } from '../../cli/settings.js';

type DeleteJson = Result<typeof nodeDelete>;

export default class NodeDelete extends NodeCommand {
  static override summary = 'Remove records, with the secrets that are in them';
  static override description =
    'A record that a session uses stays: log out first (15). Without a name the only known target is meant.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01',
    '<%= config.bin %> <%= command.id %> -p 192.168.219.101 --dry-run',
  ];
  static override args = nodeArgs;
  static override flags = {
    ...nodeFlags,
    all: Flags.boolean({ summary: 'Remove every record.', exclusive: ['targetname'], default: false }),
    ...dryRunFlag,
  };

  async run(): Promise<DeleteJson> {
    const { args, flags } = await this.parse(NodeDelete);
    refuseAllOf(flags.all, args.target);
    const dryRun = flags['dry-run'];
    const items = await this.chosenNodes({ args, flags }, { all: flags.all });
    const { deleteNodes } = await import('../../services/records/edit-nodes.js');
    const { recordsInUse } = await import('../../services/records/in-use.js');
    const inUse = await recordsInUse(this.paths);
    const refs = items.map(({ ref }) => ref);
    const records: DeleteJson['records'][number][] = [];
    const failed: DeleteJson['failed'][number][] = [];
    for (const { ref, error } of await deleteNodes(this.paths, refs, { inUse, dryRun }, this.abortSignal)) {
      if (error === null) {
        this.render(nodeDone(didText('removed', dryRun), ref));
        records.push(nodeJson(ref));
      } else failed.push({ ...nodeJson(ref), error: this.failed(error) });
    }
    return { dryRun, records, failed };
  }
}
