// Changes an interface record, and the node records that are bound to it.
import { BaseCommand } from '../../cli/base-command.js';
import { ifaceArgs } from '../../cli/flags.js';
import { didText, nodeDone, valueJson, valueLines } from '../../cli/render/edits.js';
import { nodeJson } from '../../cli/render/json.js';
import type { ifaceSet } from '../../cli/schemas/iface.js';
import type { Result } from '../../cli/schemas/parts.js';
import { dryRunFlag, requireSettings } from '../../cli/settings.js';

export default class IfaceSet extends BaseCommand {
  static override summary = 'Change an interface record, and the node records that are bound to it';
  static override description =
    'An empty value takes a text away. An interface that is bound by a network device cannot be given a hardware address, nor the reverse, before the other is taken away. Sessions that are up stay as they are.';
  static override usage = '<%= command.id %> NAME KEY=VALUE...';
  static override examples = ['<%= config.bin %> <%= command.id %> storage0 iface.ipaddress=192.168.219.7'];
  static override strict = false;
  static override args = ifaceArgs;
  static override flags = dryRunFlag;

  async run(): Promise<Result<typeof ifaceSet>> {
    const { argv, flags } = await this.parse(IfaceSet);
    const { name = '', changes } = requireSettings(argv, 'iface.net_ifacename=eth1');
    const dryRun = flags['dry-run'];
    const { updateIface } = await import('../../services/records/edit-ifaces.js');
    const { changed, nodes } = await updateIface(this.paths, name, changes, this.abortSignal, { strict: true, dryRun });
    const did = changed.length === 0 ? 'unchanged' : didText('changed', dryRun);
    this.render(`${did}: interface ${name}\n${valueLines(changed)}`);
    if (changed.length > 0) this.render(nodes.map((node) => nodeDone(did, node)).join(''));
    return { dryRun, name, changed: valueJson(changed), nodes: nodes.map(nodeJson) };
  }
}
