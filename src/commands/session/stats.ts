// lunctl session stats: what sessions have counted, once or again and again.
import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { sameOf, sidArg, sidFlag } from '../../cli/flags.js';
import { statsText } from '../../cli/render/iscsiadm.js';
import { defaultColumns, listText } from '../../cli/render/listing.js';
import { LOADS } from '../../cli/render/load.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { sessionStats } from '../../cli/schemas/session-stats.js';
import { commandCounts, type LoadRates, type SessionSample } from '../../services/session/load.js';
import { AppError } from '../../util/errors.js';

type StatsJson = Result<typeof sessionStats>;

export default class SessionStats extends BaseCommand {
  static override summary = 'Show what sessions count: PDUs, octets, errors, commands, how fast they are';
  static override description =
    'Without --watch the counters since the login, as iscsiadm -s writes them. With --watch a line for each session, again and again until it is interrupted or nobody reads any more; with --json as well one object a line. Latencies are from the start of a SCSI command to its status.';
  static override examples = [
    '<%= config.bin %> session stats',
    '<%= config.bin %> session stats 1 --json',
    '<%= config.bin %> session stats --watch 5 --json',
  ];
  static override args = { sid: sidArg({ name: 'SID' }) };
  static override flags = {
    sid: sidFlag(),
    watch: Flags.integer({ summary: 'Look again every so many seconds.', min: 1, max: 86_400, helpValue: 'SEC' }),
  };

  async run(): Promise<StatsJson | undefined> {
    const { args, flags } = await this.parse(SessionStats);
    const sid = sameOf(args.sid, flags.sid, '-r');
    if (flags.watch !== undefined) return this.#watch(sid, flags.watch);
    const { loadRates, sampleSessions } = await import('../../services/session/load.js');
    const { samples, warnings } = await this.waiting('asking the sessions', () =>
      sampleSessions(this.paths, sid, { signal: this.abortSignal }),
    );
    for (const text of warnings) this.warning(text);
    if (samples.length === 0 && warnings.length > 0) throw new AppError('ERR_TIMEOUT', 'no session answers');
    if (samples.length === 0) throw new AppError('ERR_NOT_FOUND', 'No active sessions.');
    this.render(
      samples.map(({ session, counters }) => statsText({ ...session, ...session.portal }, counters)).join(''),
    );
    const rates = samples.map(({ session, load }) => {
      const since = (Date.now() - Date.parse(session.loggedInAt)) / 1000;
      return loadRates(null, load, Math.max(0, since));
    });
    return statsJson(samples, rates);
  }

  /** Until a signal, or until whoever reads has gone. The first look only says what there is; nothing is shown of it. */
  async #watch(sid: number | undefined, seconds: number): Promise<undefined> {
    const { LoadWatch, sampleSessions } = await import('../../services/session/load.js');
    const { delay } = await import('../../transport/timers.js');
    const watch = new LoadWatch();
    let isRead = true;
    process.stdout.once('error', () => {
      isRead = false;
    });
    const look = async () => {
      const { samples, warnings } = await sampleSessions(this.paths, sid, { signal: this.abortSignal });
      for (const text of warnings) this.warning(text);
      return samples;
    };
    watch.rates(await look());
    for (let first = true; isRead; first = false) {
      await delay(seconds * 1000, this.abortSignal);
      const samples = await look();
      this.#show(samples, watch.rates(samples), first);
    }
    return undefined;
  }

  #show(samples: readonly SessionSample[], rates: readonly (LoadRates | null)[], first: boolean): void {
    if (this.jsonEnabled()) {
      process.stdout.write(`${JSON.stringify(this.toSuccessJson(statsJson(samples, rates)))}\n`);
      return;
    }
    const rows = samples.map((sample, i) => ({ sample, rates: rates[i] ?? null }));
    if (rows.length === 0) return;
    const text = listText(defaultColumns(LOADS), rows);
    this.render(first ? text : text.slice(text.indexOf('\n') + 1));
  }
}

function statsJson(samples: readonly SessionSample[], rates: readonly (LoadRates | null)[]): StatsJson {
  return {
    at: new Date().toISOString(),
    sessions: samples.map(({ session: { sid, targetName, portal }, counters, load }, i) => {
      const { state, recovery, failed, readBytes, writtenBytes, inFlight, mostInFlight, waiting } = load;
      return {
        ...{ sid, targetName, portal, state, recovery, counters, commands: commandCounts(load), failed },
        ...{ readBytes, writtenBytes, inFlight, mostInFlight, waiting, rates: rates[i] ?? null },
      };
    }),
  };
}
