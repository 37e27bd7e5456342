// Settings of one node.
import { Args } from '@oclif/core';
import type { Result } from '../../cli/schemas/parts.js';
import type { targetGet } from '../../cli/schemas/target-tree.js';
import { controlFlag, pathArgument, TargetCommand } from '../../cli/target-command.js';

export default class TargetGet extends TargetCommand {
  static override summary = 'Show attributes, parameters and credentials of a node';
  static override description =
    'Without a group: which groups the node has; with --json, all of them. Secrets are shown as ********.';
  static override usage = '<%= command.id %> PATH [GROUP [NAME]...]';
  static override examples = [
    '<%= config.bin %> <%= command.id %> /iscsi/iqn.2022-08.com.test:dlp.target01/tpg1 attribute authentication',
  ];
  static override strict = false;
  static override args = {
    ...pathArgument,
    group: Args.string({ name: 'GROUP', description: 'attribute, parameter, auth, alua, discovery_auth or global.' }),
  };
  static override flags = controlFlag;

  async run(): Promise<Result<typeof targetGet>> {
    const { argv, flags } = await this.parse(TargetGet);
    const [, group, ...names] = argv.map(String);
    const { path } = this.jsonEnabled() ? { path: String(argv[0]) } : await this.runOn('get', argv, flags.control);
    return await this.withShell(flags.control, async (shell) => {
      const { settingsOf } = await import('../../cli/targetcli/node-settings.js');
      return settingsOf(await shell.look(), shell.preferences, { path, group, names });
    });
  }
}
