// The tree of the target's configuration.
import { Args } from '@oclif/core';
import type { Result } from '../../cli/schemas/parts.js';
import type { targetLs } from '../../cli/schemas/target-tree.js';
import { controlFlag, notAbsolute, TargetCommand } from '../../cli/target-command.js';

export default class TargetLs extends TargetCommand {
  static override summary = 'Show the tree: backstores, targets, LUNs, ACLs, portals';
  static override description =
    'Drawn as targetcli draws it. Of a running serve it is what is served, otherwise what is saved.';
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> /iscsi 1'];
  static override args = {
    path: Args.string({ name: 'PATH', description: 'Node to begin with. Default: /.' }),
    depth: Args.integer({ name: 'DEPTH', min: 0, description: 'Levels below it; 0, the default: all.' }),
  };
  static override flags = controlFlag;

  async run(): Promise<Result<typeof targetLs>> {
    const { args, flags } = await this.parse(TargetLs);
    const { path = '/', depth = 0 } = args;
    if (!path.startsWith('/')) throw notAbsolute();
    return await this.withShell(flags.control, async (shell) => {
      const { nodeList } = await import('../../cli/targetcli/node-list.js');
      const { resolvePath } = await import('../../cli/targetcli/path.js');
      const node = resolvePath((await shell.look()).root, path);
      if (!this.jsonEnabled())
        await shell.run({ path: '/', command: 'ls', positional: [path, String(depth)], keywords: new Map() });
      return { path: node.path, nodes: nodeList(node, depth) };
    });
  }
}
