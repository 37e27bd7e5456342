// `node logout`: ends sessions, chosen by target, portal or number.
import { Flags } from '@oclif/core';
import { refuseAllOf, sidFlag } from '../../cli/flags.js';
import { LogoutCommand } from '../../cli/logout-command.js';
import { nodeArgs, nodeFlags } from '../../cli/node-command.js';
import type { nodeLogout } from '../../cli/schemas/node.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class NodeLogout extends LogoutCommand {
  static override summary = 'Log out: take the devices away and end the session';
  static override description =
    'Refused while a device is mounted or held. Without a name the only target that is logged in is meant.';
  static override aliases = ['logout'];
  static override examples = [
    '<%= config.bin %> logout iqn.2022-08.com.test:dlp.target01',
    '<%= config.bin %> node logout --all',
  ];
  static override args = nodeArgs;
  static override flags = {
    ...nodeFlags,
    sid: sidFlag({ exclusive: ['targetname', 'portal', 'all'] }),
    all: Flags.boolean({ summary: 'End every session.', exclusive: ['targetname'] }),
  };

  async run(): Promise<Result<typeof nodeLogout>> {
    const { args, flags } = await this.parse(NodeLogout);
    refuseAllOf(flags.all, args.target);
    return this.logOut({ ...this.choice({ args, flags }), sid: flags.sid, all: flags.all });
  }
}
