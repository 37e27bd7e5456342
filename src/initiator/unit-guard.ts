// Keeps commands from a unit whose identity is in doubt: after a login and after some unit attentions it is examined, and its
// gate is opened, or closed for good, by what comes out.
import { messageOf } from '../util/errors.js';
import type { Gate } from './gate.js';
import type { DiskInfo, LunInfo } from './probe.js';
import { Questioner } from './questioner.js';
import type { InitiatorSession } from './session.js';
import { examine, type Finding } from './unit-check.js';

/** Bound of each command of an examination. */
const COMMAND_MS = 15_000;
/** A target that has been started again names its units before it has given them their serial numbers and sizes. */
const GRACE_MS = 3000;
const GRACE_STEP_MS = 100;
/** Between two questions to a unit that is not ready, first and at most, and to one that is not the right one. */
const NOT_READY_MS = 250;
const NOT_READY_MOST_MS = 2000;
const WRONG_MS = 10_000;
const MAD_MS = 1000;
/** Examinations in a row that a unit may upset. */
const MOST_AGAIN = 8;
const RESTLESS: Finding = { kind: 'mad', why: 'it reports a change each time it is asked who it is' };
const DONE = -1;

/** What a guard tells its unit. */
export interface GuardHost {
  /** The unit is the right one, and says this of itself now. */
  adopt(disk: DiskInfo): void;
  /** Another unit stands in its place: even if it comes back it has been away. */
  replaced(): void;
}

type Known = LunInfo & { readonly disk: DiskInfo };

export class UnitGuard {
  readonly #session: InitiatorSession;
  readonly #gate: Gate;
  readonly #patienceMs: number;
  readonly #host: GuardHost;
  #known: Known;
  /** Each login begins a new round: what an examination of an older one finds is void. */
  #round = 0;
  #running = false;
  #stopped = false;
  /** How often the identity has come into doubt, and how often by what the unit itself has said. */
  #doubts = 0;
  #ownDoubts = 0;
  #problem: string | null = null;

  constructor(session: InitiatorSession, gate: Gate, known: LunInfo, patienceMs: number, host: GuardHost) {
    if (known.disk === null) throw new Error(`LUN ${known.lun} is no disk`);
    this.#session = session;
    this.#gate = gate;
    this.#known = { ...known, disk: known.disk };
    this.#patienceMs = patienceMs;
    this.#host = host;
  }
  /** Why nothing is served, or null. */
  get problem(): string | null {
    return this.#problem;
  }
  /** A new login: the gate is closed. */
  reconnected(): void {
    void this.#run(++this.#round, this.#session.environment.now() + GRACE_MS);
  }
  /** The unit is not used any more. */
  stop(): void {
    this.#round++;
    this.#running = false;
    this.#stopped = true;
  }
  /** Something says that the unit may be another one. What is sent goes on, what is not waits for the answer. */
  doubt(): void {
    this.#ownDoubts++;
    this.hearsay();
  }
  /** The same, said by another unit. A target tells one change at each of its units: however many they are, this one is not mad. */
  hearsay(): void {
    this.#doubts++;
    if (this.#session.state !== 'LOGGED_IN') return;
    if (this.#stopped) {
      // Nobody will examine it: what is still under way may not be sent again.
      this.#session.condemn(this.#gate);
      return;
    }
    this.#session.hold(this.#gate);
    if (!this.#running) void this.#run(this.#round, 0);
  }

  /** Examines the unit until it is found to be the right one, or the session is lost, or a new round has begun. */
  async #run(round: number, graceUntil: number): Promise<void> {
    this.#running = true;
    const { now } = this.#session.environment;
    const since = now();
    try {
      for (let pauseMs = 0, again = 0; pauseMs !== DONE; ) {
        let doubts = this.#doubts;
        let own = this.#ownDoubts;
        const unit = new Questioner(this.#session, this.#known.address, COMMAND_MS, pauseMs);
        const finding = await examine(unit, this.#known, () => {
          doubts = this.#doubts;
          own = this.#ownDoubts;
        });
        if (round !== this.#round) return;
        // What came before the unit was ready is what is being looked into; a later unit attention is news.
        const isAnswer = finding.kind !== 'not-ready' && finding.kind !== 'mad';
        if (!isAnswer || this.#doubts === doubts) pauseMs = this.#act(finding, now() - since, now() < graceUntil);
        else if (this.#ownDoubts === own || ++again < MOST_AGAIN) pauseMs = 0;
        else pauseMs = this.#act(RESTLESS, 0, false);
      }
    } catch (error) {
      if (round === this.#round)
        this.#session.note('info', `LUN ${this.#known.lun} was not examined: ${messageOf(error)}`);
    } finally {
      if (round === this.#round) this.#running = false;
    }
  }
  /** Acts on a finding; returns how long to wait before the next question, or DONE. */
  #act(finding: Finding, tookMs: number, inGrace: boolean): number {
    switch (finding.kind) {
      case 'same':
      case 'grown':
      case 'shrunk':
        this.#accept(finding);
        return DONE;
      case 'not-ready':
        if (tookMs >= this.#patienceMs) this.#condemn('is not ready', finding.why);
        return Math.min(NOT_READY_MOST_MS, Math.max(NOT_READY_MS, tookMs));
      case 'mad':
        this.#condemn('cannot be used', finding.why);
        return MAD_MS;
      case 'gone':
      case 'other':
        if (inGrace) return GRACE_STEP_MS;
        if (finding.kind === 'other') this.#host.replaced();
        this.#condemn(
          finding.kind === 'gone' ? 'is gone' : 'is another unit now, nothing is written to it',
          finding.why,
        );
        return WRONG_MS;
    }
  }
  #accept(finding: Extract<Finding, { disk: DiskInfo }>): void {
    const { lun, disk } = this.#known;
    // A cache or a FUA bit that comes and goes is taken for the worse.
    const writeCache = disk.writeCache || finding.disk.writeCache;
    const dpofua = disk.dpofua && finding.disk.dpofua;
    const adopted = { ...disk, blocks: finding.disk.blocks, writeCache, dpofua };
    this.#known = { ...this.#known, disk: adopted };
    if (this.#problem !== null) this.#session.note('info', `LUN ${lun} can be used again`);
    if (finding.kind !== 'same') {
      const rest = finding.kind === 'shrunk' ? ': what lies beyond its end cannot be read or written' : '';
      this.#session.note(
        finding.kind === 'shrunk' ? 'warn' : 'info',
        `LUN ${lun} has ${finding.kind}, ${finding.why}${rest}`,
      );
    }
    this.#problem = null;
    this.#host.adopt(adopted);
    this.#session.resume(this.#gate);
  }
  #condemn(what: string, why: string): void {
    const problem = `${what}: ${why}`;
    if (this.#problem !== problem)
      this.#session.note('warn', `LUN ${this.#known.lun} ${problem}; its requests end with errors`);
    this.#problem = problem;
    this.#session.condemn(this.#gate);
  }
}
