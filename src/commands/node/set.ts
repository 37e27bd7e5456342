// Changes settings of node records.
import { Flags } from '@oclif/core';
import { refuseAllOf } from '../../cli/flags.js';
import { NodeCommand, nodeArgs, nodeFlags } from '../../cli/node-command.js';
import { didText, nodeDone, valueJson, valueLines } from '../../cli/render/edits.js';
import { nodeJson } from '../../cli/render/json.js';
import type { nodeSet } from '../../cli/schemas/node.js';
import type { Result } from '../../cli/schemas/parts.js';
import { dryRunFlag, requireSettings } from '../../cli/settings.js';

type SetJson = Result<typeof nodeSet>;

export default class NodeSet extends NodeCommand {
  static override summary = 'Change settings of records';
  static override description =
    'Keys are those that node show prints. An empty value takes a text away. All the settings are made in each record that is meant, or none where one of them cannot be. A login follows its record: sessions that are up stay as they are. Secrets are set by chap setup.';
  static override usage = '<%= command.id %> [TARGET] KEY=VALUE...';
  static override examples = [
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01 node.startup=automatic',
    "<%= config.bin %> <%= command.id %> --all 'node.conn[0].timeo.noop_out_interval=10' --dry-run",
  ];
  static override strict = false;
  static override args = nodeArgs;
  static override flags = {
    ...nodeFlags,
    all: Flags.boolean({ summary: 'Change every record.', exclusive: ['targetname'], default: false }),
    ...dryRunFlag,
  };

  async run(): Promise<SetJson> {
    const { argv, flags } = await this.parse(NodeSet);
    const { name: target, changes } = requireSettings(argv, 'node.startup=automatic');
    refuseAllOf(flags.all, target);
    const dryRun = flags['dry-run'];
    const items = await this.chosenNodes({ args: { target }, flags }, { all: flags.all });
    const { updateNodes } = await import('../../services/records/edit-nodes.js');
    const refs = items.map(({ ref }) => ref);
    const { results } = await updateNodes(this.paths, refs, changes, this.abortSignal, { strict: true, dryRun });
    const records: SetJson['records'][number][] = [];
    const failed: SetJson['failed'][number][] = [];
    for (const { ref, changed, error } of results) {
      if (error !== null) {
        failed.push({ ...nodeJson(ref), error: this.failed(error) });
        continue;
      }
      this.render(nodeDone(changed.length === 0 ? 'unchanged' : didText('changed', dryRun), ref) + valueLines(changed));
      records.push({ ...nodeJson(ref), changed: valueJson(changed) });
    }
    return { dryRun, records, failed };
  }
}
