// lunctl session rescan: LUNs that have appeared, vanished or changed their size behind sessions that are up.
import { sameOf, sidArg, sidFlag } from '../../cli/flags.js';
import { LunCommand } from '../../cli/lun-command.js';
import { changesText } from '../../cli/render/lun.js';
import type { sessionRescan } from '../../cli/schemas/lun.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { RescanReport } from '../../services/lun/info.js';
import type { SessionInfo } from '../../services/session/info.js';
import { AppError } from '../../util/errors.js';

type Rescanned = Result<typeof sessionRescan>['sessions'][number];

export default class SessionRescan extends LunCommand {
  static override summary = 'Look for LUNs that have appeared, vanished or changed their size';
  static override description =
    'A LUN that has appeared gets an NBD export, and a device as the login asked for; one that has vanished is withdrawn, ' +
    'unless it is attached or NBD clients have it open. A kernel device grows with its LUN where koffi works, other devices ' +
    'when they are attached again; NBD clients see a new size when they connect again. Sessions do the ' +
    'same by themselves when a unit reports such a change. All sessions are asked at once; each ends within 30 seconds ' +
    'and what attaching takes.';
  static override aliases = ['lun:rescan'];
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> -r 1 --json'];
  static override args = { sid: sidArg({ name: 'SID' }) };
  static override flags = { sid: sidFlag() };

  async run(): Promise<Result<typeof sessionRescan>> {
    const { args, flags } = await this.parse(SessionRescan);
    const sid = sameOf(args.sid, flags.sid, '-r');
    const sessions = await this.sessions(sid);
    if (sessions.length === 0) throw new AppError('ERR_NOT_FOUND', 'No active sessions.');
    const { rescanSession } = await import('../../services/lun/control.js');
    const ask = ({ sid: number }: SessionInfo) => rescanSession(this.paths, number, { signal: this.abortSignal });
    const asked = await this.waiting('looking for changes', () => Promise.allSettled(sessions.map(ask)));
    return { sessions: asked.flatMap((outcome, i) => this.#told(sessions[i] as SessionInfo, outcome)) };
  }

  #told(session: SessionInfo, outcome: PromiseSettledResult<RescanReport>): Rescanned[] {
    if (outcome.status === 'rejected') {
      this.failed(outcome.reason);
      return [];
    }
    const { sid, targetName } = session;
    this.render(changesText(session, outcome.value.changes));
    for (const { change, lun, note } of outcome.value.changes) {
      if (change === 'shrunk' || change === 'replaced') this.warning(`session ${sid} LUN ${lun} ${change}: ${note}`);
    }
    return [{ sid, targetName, ...outcome.value }];
  }
}
