// `node logout`: ends sessions, chosen by target, portal or number.
import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { portalFlag, sameOf, sidFlag, targetArg, targetFlag } from '../../cli/flags.js';
import type { ErrorJson } from '../../cli/render/error.js';
import { logoutDoneLine, logoutStartLine, sessionName } from '../../cli/render/iscsiadm.js';
import { AppError } from '../../util/errors.js';

export default class NodeLogout extends BaseCommand {
  static override summary = 'Log out: take the devices away and end the session';
  static override description =
    'Refused while a device is mounted or held. Without a name the only target that is logged in is meant.';
  static override aliases = ['logout'];
  static override examples = [
    '<%= config.bin %> logout iqn.2022-08.com.test:dlp.target01',
    '<%= config.bin %> node logout --all',
  ];
  static override args = { target: targetArg() };
  static override flags = {
    targetname: targetFlag(),
    portal: portalFlag(),
    sid: sidFlag({ exclusive: ['targetname', 'portal', 'all'] }),
    all: Flags.boolean({ summary: 'End every session.', exclusive: ['targetname'] }),
  };

  async run() {
    const { args, flags } = await this.parse(NodeLogout);
    const { chooseSessions } = await import('../../services/records-sessions.js');
    const chosen = await chooseSessions(this.paths, {
      target: sameOf(args.target, flags.targetname, '--targetname'),
      portal: flags.portal && { address: flags.portal.address, port: flags.portal.explicitPort },
      sid: flags.sid,
      all: flags.all,
      suffix: this.toTerminal,
      signal: this.abortSignal,
    });
    for (const text of chosen.warnings) this.warning(text);
    for (const session of chosen.items) this.render(logoutStartLine(session));
    const { logout } = await import('../../services/logout.js');
    const names = new Map(chosen.items.map((session) => [session.sid, session]));
    const results = await logout([...names.keys()], { paths: this.paths, signal: this.abortSignal });
    const ended: number[] = [];
    const failed: { sid: number; error: ErrorJson }[] = [];
    for (const { sid, error } of results) {
      const session = names.get(sid);
      if (session === undefined) continue;
      if (error === null) {
        ended.push(sid);
        this.render(logoutDoneLine(session));
      } else {
        const hint = error.hint === undefined ? {} : { hint: error.hint };
        const message = `Could not logout of ${sessionName(session)}: ${error.message}`;
        failed.push({ sid, error: this.failed(new AppError(error.code, message, { cause: error, ...hint })) });
      }
    }
    return { sessions: chosen.items.filter(({ sid }) => ended.includes(sid)), failed };
  }
}
