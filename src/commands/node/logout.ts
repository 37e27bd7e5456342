// `node logout`: ends sessions, chosen by target, portal or number.
import { Flags } from '@oclif/core';
import { refuseAllOf, sidFlag } from '../../cli/flags.js';
import { NodeCommand, nodeArgs, nodeFlags } from '../../cli/node-command.js';
import { logoutDoneLine, logoutStartLine, sessionName } from '../../cli/render/iscsiadm.js';
import { wayJson } from '../../cli/render/json.js';
import type { nodeLogout } from '../../cli/schemas/node.js';
import type { Result } from '../../cli/schemas/parts.js';
import { AppError } from '../../util/errors.js';

type LogoutJson = Result<typeof nodeLogout>;

export default class NodeLogout extends NodeCommand {
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

  async run(): Promise<LogoutJson> {
    const { args, flags } = await this.parse(NodeLogout);
    refuseAllOf(flags.all, args.target);
    const { chooseSessions } = await import('../../services/records/sessions.js');
    const chosen = await chooseSessions(this.paths, {
      ...this.choice({ args, flags }),
      sid: flags.sid,
      all: flags.all,
      signal: this.abortSignal,
    });
    for (const text of chosen.warnings) this.warning(text);
    for (const session of chosen.items) this.render(logoutStartLine(session));
    const { logout } = await import('../../services/logout.js');
    const names = new Map(chosen.items.map((session) => [session.sid, session]));
    const many = names.size === 1 ? '' : ` of ${names.size} sessions`;
    const results = await this.waiting(`logging out${many}`, () =>
      logout([...names.keys()], { paths: this.paths, signal: this.abortSignal }),
    );
    const ended: LogoutJson['sessions'][number][] = [];
    const failed: LogoutJson['failed'][number][] = [];
    for (const { sid, error } of results) {
      const session = names.get(sid);
      if (session === undefined) continue;
      if (error === null) {
        ended.push({ sid, ...wayJson(session) });
        this.render(logoutDoneLine(session));
      } else {
        const hint = error.hint === undefined ? {} : { hint: error.hint };
        const message = `Could not logout of ${sessionName(session)}: ${error.message}`;
        const failure = this.failed(new AppError(error.code, message, { cause: error, ...hint }));
        failed.push({ sid, ...wayJson(session), error: failure });
      }
    }
    return { sessions: ended, failed };
  }
}
