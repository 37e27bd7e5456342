// `session logout`: ends sessions by their number, or all of them.
import { Flags } from '@oclif/core';
import { sameOf, sidArg, sidFlag } from '../../cli/flags.js';
import { LogoutCommand } from '../../cli/logout-command.js';
import type { sessionLogout } from '../../cli/schemas/node.js';
import type { Result } from '../../cli/schemas/parts.js';
import { AppError } from '../../util/errors.js';

export default class SessionLogout extends LogoutCommand {
  static override summary = 'End a session by its number, or all of them';
  static override description =
    'Refused while a device is mounted or held. Without a number the only target that is logged in is meant.';
  static override examples = ['<%= config.bin %> session logout 1', '<%= config.bin %> session logout --all'];
  static override args = { sid: sidArg({ name: 'SID' }) };
  static override flags = {
    sid: sidFlag({ exclusive: ['all'] }),
    all: Flags.boolean({ summary: 'End every session.' }),
  };

  async run(): Promise<Result<typeof sessionLogout>> {
    const { args, flags } = await this.parse(SessionLogout);
    if (flags.all && args.sid !== undefined) {
      throw new AppError('ERR_USAGE', '--all cannot also be given with a session');
    }
    return this.logOut({ sid: sameOf(args.sid, flags.sid, '-r'), all: flags.all, suffix: false });
  }
}
