// What `node logout` and `session logout` share: ending sessions and telling how each ended.
import type { SessionChoice } from '../services/records/sessions.js';
import { AppError } from '../util/errors.js';
import { NodeCommand } from './node-command.js';
import { logoutDoneLine, logoutStartLine, sessionName } from './render/iscsiadm.js';
import { wayJson } from './render/json.js';
import type { Ended } from './schemas/node.js';

export abstract class LogoutCommand extends NodeCommand {
  /** Ends the sessions that are meant: all are tried, and the first error gives the exit code. */
  protected async logOut(choice: Omit<SessionChoice, 'signal'>): Promise<Ended> {
    const { chooseSessions } = await import('../services/records/sessions.js');
    const chosen = await chooseSessions(this.paths, { ...choice, signal: this.abortSignal });
    for (const text of chosen.warnings) this.warning(text);
    for (const session of chosen.items) this.render(logoutStartLine(session));
    const { logout } = await import('../services/logout.js');
    const names = new Map(chosen.items.map((session) => [session.sid, session]));
    const many = names.size === 1 ? '' : ` of ${names.size} sessions`;
    const results = await this.waiting(`logging out${many}`, () =>
      logout([...names.keys()], { paths: this.paths, signal: this.abortSignal }),
    );
    const ended: Ended['sessions'][number][] = [];
    const failed: Ended['failed'][number][] = [];
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
