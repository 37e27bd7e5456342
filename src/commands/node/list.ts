// The node records, one line each.
import { printLevelFlag } from '../../cli/flags.js';
import { NodeCommand, nodeArgs, nodeFlags } from '../../cli/node-command.js';
import { nodeLine, nodeTree } from '../../cli/render/iscsiadm.js';
import { nodeJson } from '../../cli/render/json.js';
import { table } from '../../cli/render/table.js';
import type { nodeList } from '../../cli/schemas/node.js';
import type { Result } from '../../cli/schemas/parts.js';
import { formatPortal } from '../../iscsi/portal.js';

export default class NodeList extends NodeCommand {
  static override summary = 'List the known targets';
  static override examples = ['<%= config.bin %> node list', '<%= config.bin %> node list -P 1'];
  static override args = nodeArgs;
  static override flags = { ...nodeFlags, print: printLevelFlag(1) };

  async run(): Promise<Result<typeof nodeList>> {
    const { args, flags } = await this.parse(NodeList);
    const items = await this.chosenNodes({ args, flags });
    const refs = items.map(({ ref }) => ref);
    if (flags.print === 1) this.render(nodeTree(refs));
    else if (flags.print === 0 || !this.toTerminal) this.render(refs.map(nodeLine).join(''));
    else {
      const rows = items.map(({ ref, values }) => [
        formatPortal({ ...ref, tpgt: null }),
        ref.tpgt === -1 ? '-' : String(ref.tpgt),
        ref.targetName,
        ref.iface,
        values.text('node.startup'),
      ]);
      const heads = [{ head: 'PORTAL' }, { head: 'TPGT', align: 'right' }, { head: 'TARGET' }] as const;
      this.render(table([...heads, { head: 'IFACE' }, { head: 'STARTUP' }], rows));
    }
    return { nodes: items.map(({ ref, values }) => ({ ...nodeJson(ref), startup: values.text('node.startup') })) };
  }
}
