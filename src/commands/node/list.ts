// The node records, one line each.
import { columnFlags } from '../../cli/columns.js';
import { printLevelFlag } from '../../cli/flags.js';
import { NodeCommand, nodeArgs, nodeFlags } from '../../cli/node-command.js';
import { nodeLine, nodeTree } from '../../cli/render/iscsiadm.js';
import { nodeJson } from '../../cli/render/json.js';
import { defaultColumns, listText } from '../../cli/render/listing.js';
import { NODES } from '../../cli/render/records.js';
import type { nodeList } from '../../cli/schemas/node.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class NodeList extends NodeCommand {
  static override summary = 'List the known targets';
  static override examples = [
    '<%= config.bin %> node list',
    '<%= config.bin %> node list -P 1',
    '<%= config.bin %> node list -n -o TARGET,STARTUP',
  ];
  static override args = nodeArgs;
  static override flags = { ...nodeFlags, print: printLevelFlag(1), ...columnFlags };

  async run(): Promise<Result<typeof nodeList>> {
    const { args, flags } = await this.parse(NodeList);
    const asked = this.tableAskedFor(NODES, flags);
    const items = await this.chosenNodes({ args, flags });
    const refs = items.map(({ ref }) => ref);
    if (asked !== null) this.render(asked(items));
    else if (flags.print === 1) this.render(nodeTree(refs));
    else if (flags.print === 0 || !this.toTerminal) this.render(refs.map(nodeLine).join(''));
    else this.render(listText(defaultColumns(NODES), items));
    return { nodes: items.map(({ ref, values }) => ({ ...nodeJson(ref), startup: values.text('node.startup') })) };
  }
}
