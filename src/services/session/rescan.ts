// LUNs that appear, vanish, grow or shrink while a session is up: looked for on request, and when a unit says that
// something has changed (UNIT ATTENTION 3Fh/0Eh, 2Ah/09h; SPC-4 §6.33, SBC-3 §4.7).
import { Lun } from '../../initiator/lun.js';
import { type LunInfo, probeLun, reportLuns } from '../../initiator/probe.js';
import type { InitiatorSession } from '../../initiator/session.js';
import { unlikeness } from '../../initiator/unit-check.js';
import type { ReportedLun } from '../../scsi/lun.js';
import type { Sense } from '../../scsi/sense.js';
import { classifySense, type UnitAttentionReason } from '../../scsi/sense-class.js';
import { now } from '../../transport/clock.js';
import { bounded, delay } from '../../transport/timers.js';
import { AppError, messageOf } from '../../util/errors.js';
import type { LunChange, RescanReport } from '../lun/info.js';
import type { SessionAttachments } from './attachments.js';
import type { SessionClients } from './clients.js';
import { deviceInfo, type ExportedLun, type SessionExports } from './exports.js';
import type { DeviceInfo } from './info.js';
import type { SessionLog } from './log.js';

/** Bound of one command, and of all questions of one rescan, whatever the target does: milliseconds. */
const COMMAND_MS = 15_000;
const RESCAN_MS = 30_000;
/** For a session that has just lost its connection to come back; then it is said that it has none. */
const RECOVERY_MS = 5000;
/** For LUNs to take up what their units have just said; then for all partition tables. */
const SETTLE_MS = 3000;
const TABLES_MS = 15_000;
const LOOK_MS = 20;
/** A change is told by every LUN in turn: the first wait, and the longest where a target never stops telling. */
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 60_000;

const UNLISTED = 'the target does not list it any more';

const CHANGES: ReadonlySet<UnitAttentionReason | undefined> = new Set<UnitAttentionReason>([
  'luns-changed',
  'capacity-changed',
]);

export interface SessionRescanOptions {
  readonly session: InitiatorSession;
  readonly exports: SessionExports;
  readonly attachments: SessionAttachments;
  readonly clients: SessionClients;
  readonly log: SessionLog;
  readonly readOnly: boolean;
  /** How new LUNs become devices, and what to note of it. */
  readonly attach: { readonly mode: DeviceInfo['attach']; readonly notice: string | null };
  /** Path of the NBD socket. */
  readonly socket: string;
  /** One change of devices at a time. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
}

export class SessionRescan {
  readonly #options: SessionRescanOptions;
  readonly #stopped = new AbortController();
  #running: Promise<RescanReport> | null = null;
  #watching = false;
  #again = false;
  #tablesBy = 0;

  constructor(options: SessionRescanOptions) {
    this.#options = options;
  }

  /** Nothing is looked for any more. */
  stop(): void {
    this.#stopped.abort();
  }

  /** A unit attention of some LUN of the session: a rescan follows if it tells of a change that one would find. */
  noteAttention(sense: Sense): void {
    if (!CHANGES.has(classifySense(sense).reason) || this.#stopped.signal.aborted) return;
    this.#again = true;
    if (!this.#watching) void this.#watch();
  }

  /**
   * Asks for all LUNs and compares. Ends within 30 s, and attaching. Whoever comes while one runs gets its report.
   * @throws AppError ERR_TIMEOUT, ERR_NOT_CONNECTED
   */
  run(): Promise<RescanReport> {
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Rescans until nothing asks for one any more, ever more slowly: the questions themselves meet unit attentions. */
  async #watch(): Promise<void> {
    this.#watching = true;
    try {
      for (let pauseMs = FIRST_PAUSE_MS; this.#again; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
        await delay(pauseMs, this.#stopped.signal);
        this.#again = false;
        const { changes } = await this.run().catch((error: unknown) => {
          this.#options.log.warn(`rescan: ${messageOf(error)}`);
          return NOTHING;
        });
        // A target that is just being set up lists some of its LUNs later, and not each of them says so.
        if (changes.some(isWithdrawn)) this.#again = true;
      }
    } catch {
      // Stopped.
    } finally {
      this.#watching = false;
    }
  }

  async #run(): Promise<RescanReport> {
    const { exports, socket, log } = this.#options;
    const onTimeout = () => new AppError('ERR_TIMEOUT', `not all LUNs have answered within ${RESCAN_MS / 1000} s`);
    const found = await bounded(this.#askOnceUp(), { timeoutMs: RESCAN_MS, signal: this.#stopped.signal, onTimeout });
    const changes = await this.#options.exclusive(() => this.#apply(found));
    for (const change of changes) log[isLoud(change) ? 'warn' : 'info'](`rescan: ${changeLine(change)}`);
    return { changes, devices: exports.luns.map((entry) => deviceInfo(entry, socket)) };
  }

  /** A target that has been restarted is asked once the session is back: often that is why somebody rescans. */
  async #askOnceUp(): Promise<Found> {
    for (const until = now() + RECOVERY_MS; ; await delay(LOOK_MS, this.#stopped.signal)) {
      try {
        return await this.#ask();
      } catch (error) {
        const isLost = error instanceof AppError && error.code === 'ERR_NOT_CONNECTED';
        if (!isLost || now() > until) throw error;
      }
    }
  }

  /** What the target has now. */
  async #ask(): Promise<Found> {
    const { session, exports } = this.#options;
    const reported = await reportLuns(session, COMMAND_MS);
    // A target that does not list its LUNs: those that are known are asked.
    const list: readonly ReportedLun[] =
      reported ?? exports.luns.map(({ lun: { info } }) => ({ lun: info.lun, address: info.address }));
    const units = new Map<number, LunInfo>();
    for (const unit of list) units.set(unit.lun, await probeLun(session, unit, COMMAND_MS));
    return { units };
  }

  async #apply({ units }: Found): Promise<LunChange[]> {
    if (this.#stopped.signal.aborted) throw new AppError('ERR_NOT_CONNECTED', 'the session is ending');
    const before = this.#options.exports.luns;
    for (const { lun } of before) if (isAmiss(lun, units)) lun.recheck();
    const settledBy = now() + SETTLE_MS;
    this.#tablesBy = settledBy + TABLES_MS;
    const changes: LunChange[] = [];
    const add = (change: LunChange | null) => change !== null && changes.push(change);
    for (const entry of before) {
      const unit = units.get(entry.lun.info.lun);
      if (unit !== undefined) await this.#settled(entry, unit, settledBy);
      add(unit === undefined ? await this.#vanished(entry) : await this.#compared(entry, unit));
    }
    for (const unit of units.values()) {
      if (this.#options.exports.find(unit.lun) === undefined && unit.disk !== null) add(await this.#appeared(unit));
    }
    return changes.sort((a, b) => a.lun - b.lun);
  }

  async #appeared(unit: LunInfo): Promise<LunChange> {
    const { session, exports, readOnly, attachments, attach } = this.#options;
    const lun = new Lun(session, unit, { readOnly });
    await this.#readTable(`lun${unit.lun}`, exports.add(lun));
    const entry = exports.find(unit.lun);
    if (entry === undefined) throw new Error('a LUN that was added is not there');
    entry.note = attach.notice;
    if (attach.mode !== 'none') {
      await attachments.attach(entry, attach.mode, this.#stopped.signal).catch((error: unknown) => {
        entry.note = messageOf(error);
      });
    }
    return change(entry, 'appeared', null, entry.attach === 'none' ? entry.note : null);
  }

  /** Not among the target's LUNs any more. */
  async #vanished(entry: ExportedLun): Promise<LunChange> {
    const user = this.#userOf(entry);
    const before = entry.toldBytes;
    if (user === null) {
      await this.#withdraw(entry);
      return change(entry, 'vanished', before, null);
    }
    const note = `still there because ${user}: its I/O ends with errors; free it and rescan again`;
    entry.note = `${UNLISTED}: ${note}`;
    return change(entry, 'vanished', before, note);
  }

  /** Still listed. The LUN itself makes sure that it is the same unit, before anything more is sent to it. */
  async #compared(entry: ExportedLun, unit: LunInfo): Promise<LunChange | null> {
    const { lun } = entry;
    const before = entry.toldBytes;
    const { problem } = lun;
    if (problem !== null) return this.#unusable(entry, unit, problem);
    if (entry.note?.startsWith(UNLISTED)) entry.note = null;
    entry.toldBytes = lun.sizeBytes;
    if (lun.sizeBytes === before) return null;
    await this.#readTable(entry.name, this.#options.exports.rescan(entry));
    if (lun.sizeBytes < before) return change(entry, 'shrunk', before, shrunkNote(entry));
    const { path } = entry;
    const device = path === null ? '' : `${await this.#grown(entry, path)}; `;
    return change(entry, 'grown', before, `${device}NBD clients see the new size when they connect again`);
  }

  /** What has become of the device of a LUN that has grown. */
  async #grown(entry: ExportedLun, path: string): Promise<string> {
    const old = `${path} has its old size`;
    try {
      await this.#options.attachments.grow(entry);
      if (entry.note?.startsWith(old)) entry.note = null;
      return `${path} has grown with it`;
    } catch (error) {
      const isUnable = error instanceof AppError && error.code === 'ERR_NOT_SUPPORTED';
      entry.note = `${old}${isUnable ? '' : ` (${messageOf(error)})`}: detach and attach it to use all of it`;
      return entry.note;
    }
  }

  /** It is another unit, or does not answer. A new one takes its place if nobody uses the old one. */
  async #unusable(entry: ExportedLun, unit: LunInfo, problem: string): Promise<LunChange> {
    const before = entry.toldBytes;
    const user = this.#userOf(entry);
    if (unit.disk === null || !isOther(entry.lun, unit)) return change(entry, 'not-ready', before, problem);
    if (user !== null) {
      return change(
        entry,
        'replaced',
        before,
        `${problem}; nothing is written to it; ${user}: free it and rescan again`,
      );
    }
    await this.#withdraw(entry);
    const { note } = await this.#appeared(unit);
    const successor = this.#options.exports.find(unit.lun) ?? entry;
    return change(successor, 'replaced', before, note);
  }

  /** Until the LUN says of itself what its unit has told us, for a while. */
  async #settled({ lun }: ExportedLun, unit: LunInfo, end: number): Promise<void> {
    while (now() < end && lun.problem === null && differs(lun, unit)) await delay(LOOK_MS, this.#stopped.signal);
  }

  async #withdraw(entry: ExportedLun): Promise<void> {
    const { exports, session } = this.#options;
    exports.remove(entry);
    session.leave(entry.lun);
    await entry.lun.close();
  }

  /** A unit that is slow to be read must not keep others waiting: its partitions come with the next rescan. */
  async #readTable(name: string, work: Promise<unknown>): Promise<void> {
    const onTimeout = () => new AppError('ERR_TIMEOUT', `${name}: partition table not read in time`);
    const timeoutMs = this.#tablesBy - now();
    await bounded(work, { timeoutMs, signal: this.#stopped.signal, onTimeout }).catch((error: unknown) => {
      this.#options.log.warn(messageOf(error));
    });
  }

  #userOf(entry: ExportedLun): string | null {
    if (entry.attach !== 'none') return `it is attached as ${entry.path ?? entry.attach}`;
    const count = this.#options.clients.connections(entry.name);
    return count === 0 ? null : `NBD clients have ${count} ${count === 1 ? 'connection' : 'connections'} to it`;
  }
}

const NOTHING: RescanReport = { changes: [], devices: [] };

function isWithdrawn({ change: what, note }: LunChange): boolean {
  return what === 'vanished' && note === null;
}

interface Found {
  /** By LUN number. */
  readonly units: ReadonlyMap<number, LunInfo>;
}

function isAmiss(lun: Lun, units: Found['units']): boolean {
  const unit = units.get(lun.info.lun);
  return unit === undefined || differs(lun, unit);
}

function differs(lun: Lun, unit: LunInfo): boolean {
  return unit.disk === null || isOther(lun, unit) || unit.disk.blocks * unit.disk.blockSize !== lun.sizeBytes;
}

function isOther({ info }: Lun, unit: LunInfo): boolean {
  return unlikeness(info, unit) !== null;
}

function shrunkNote({ path }: ExportedLun): string {
  const device = path === null ? '' : `${path} keeps its old size until it is detached and attached; `;
  return `${device}DATA BEYOND THE NEW END IS GONE: what reaches over it ends with errors`;
}

function change(
  { lun, name, path }: ExportedLun,
  what: LunChange['change'],
  oldSizeBytes: number | null,
  note: string | null,
): LunChange {
  return { lun: lun.info.lun, exportName: name, change: what, sizeBytes: lun.sizeBytes, oldSizeBytes, path, note };
}

function isLoud({ change: what }: LunChange): boolean {
  return what !== 'appeared' && what !== 'grown';
}

function changeLine({ lun, change: what, sizeBytes, oldSizeBytes, note }: LunChange): string {
  const sizes =
    oldSizeBytes === null || oldSizeBytes === sizeBytes ? '' : ` from ${oldSizeBytes} to ${sizeBytes} bytes`;
  return `LUN ${lun} ${what}${sizes}${note === null ? '' : `: ${note}`}`;
}
