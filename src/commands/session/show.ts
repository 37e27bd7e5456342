// `session show`: the sessions that are up; a table on a terminal, iscsiadm's lines in a pipe.
import { BaseCommand } from '../../cli/base-command.js';
import { columnFlags } from '../../cli/columns.js';
import { printLevelFlag, sidFlag } from '../../cli/flags.js';
import { ageSeconds, SESSIONS } from '../../cli/render/devices.js';
import { sessionLine } from '../../cli/render/iscsiadm.js';
import { defaultColumns, listText } from '../../cli/render/listing.js';
import { sessionBlocks } from '../../cli/render/session-blocks.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { sessionShow } from '../../cli/schemas/session.js';
import type { SessionInfo } from '../../services/session/info.js';
import { AppError } from '../../util/errors.js';

export default class SessionShow extends BaseCommand {
  static override summary = 'Show the sessions that are up, and their devices';
  static override description =
    'On a terminal a table; in a pipe one line for each session, as iscsiadm writes it. -P 1 to 3 show more of each.';
  static override hiddenAliases = ['session:list'];
  static override examples = [
    '<%= config.bin %> session show',
    '<%= config.bin %> session show -r 1 -P 3',
    '<%= config.bin %> session show -n -b -o SID,TARGET,READ',
    '<%= config.bin %> session show --json',
  ];
  static override flags = { sid: sidFlag(), print: printLevelFlag(3), ...columnFlags };

  async run(): Promise<Result<typeof sessionShow>> {
    const { flags } = await this.parse(SessionShow);
    const asked = this.tableAskedFor(SESSIONS, flags);
    const { listSessions } = await import('../../services/session/registry.js');
    const { registryWarnings } = await import('../../services/records/sessions.js');
    const list = await this.waiting('asking the sessions', () =>
      listSessions(this.paths, { signal: this.abortSignal }),
    );
    for (const text of registryWarnings(list)) this.warning(text);
    const sessions = list.sessions.filter(({ sid }) => flags.sid === undefined || sid === flags.sid);
    if (sessions.length === 0) {
      if (flags.sid !== undefined) throw new AppError('ERR_SESSION_NOT_FOUND', `no session ${flags.sid}`);
      throw new AppError('ERR_NOT_FOUND', 'No active sessions.');
    }
    const now = Date.now();
    const rows = sessions.map((session) => ({ ...session, ageSeconds: ageSeconds(session, now) }));
    for (const session of sessions) this.#tellTrouble(session);
    if (asked !== null) this.render(asked(rows));
    else if (flags.print === undefined && this.toTerminal) this.render(listText(defaultColumns(SESSIONS), rows));
    else await this.#print(sessions, flags.print ?? 0);
    return { sessions: rows };
  }

  #tellTrouble({ sid, recovery, lostSince, lastError, devices }: SessionInfo): void {
    for (const { path, note } of devices) if (path !== null && note !== null) this.warning(`session ${sid}: ${note}`);
    if (lostSince === null) return;
    this.warning(`session ${sid} lost its connection at ${lostSince} (${recovery}): ${lastError ?? 'no reason known'}`);
  }

  async #print(sessions: readonly SessionInfo[], level: number): Promise<void> {
    if (level === 0) {
      this.render(sessions.map((session) => sessionLine({ ...session, ...session.portal })).join(''));
    } else {
      const { sessionTimeouts } = await import('../../services/records/login.js');
      const timeouts = await sessionTimeouts(this.paths, sessions);
      const blocks = sessions.map((session, i) => ({
        ...session,
        host: session.sid,
        timeouts: timeouts[i] ?? { recovery: 0, targetReset: 0, lunReset: 0, abort: 0 },
      }));
      this.render(sessionBlocks(blocks, level as 1 | 2 | 3, `version ${this.config.version}\n`));
    }
  }
}
