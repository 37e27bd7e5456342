// Commands to one logical unit while it is questioned: unit attentions are drained, refusals become errors with a text.
import { putTestUnitReady } from '../scsi/cdb-primary.js';
import { parseSense } from '../scsi/sense.js';
import { classifySense, type SenseKind } from '../scsi/sense-class.js';
import { senseToText } from '../scsi/sense-text.js';
import { ScsiStatus, statusName } from '../scsi/status.js';
import { AppError, ProtocolError } from '../util/errors.js';
import type { ScsiResult } from './execute.js';
import type { Gate } from './gate.js';
import { pauseMs } from './retry.js';
import type { InitiatorSession } from './session.js';

/** The unit answered, but not with what was asked for. */
export class Refusal extends AppError {
  /** The SAM status, or null where an answer was refused by us; and with CHECK CONDITION what its sense data means. */
  readonly status: number | null;
  readonly kind: SenseKind | null;
  constructor(message: string, status: number | null = null, kind: SenseKind | null = null) {
    super('ERR_NOT_SUPPORTED', message);
    this.status = status;
    this.kind = kind;
  }
}

/** Unit attentions that one round of questions may meet: a unit can queue several, and each is told once. */
const MOST_ATTENTIONS = 98;

export class Questioner {
  readonly #session: InitiatorSession;
  readonly #lun: Buffer;
  readonly #timeoutMs: number;
  readonly #gate: Gate | null;
  #delayMs: number;
  #attentions = 0;

  /**
   * Each command is bounded by `timeoutMs`; the first one starts after `delayMs`. With a gate commands wait while that is
   * closed, and over a lost connection, as reads do; without one they are sent at once or end.
   */
  constructor(session: InitiatorSession, lun: Buffer, timeoutMs: number, delayMs = 0, gate: Gate | null = null) {
    this.#gate = gate;
    this.#session = session;
    this.#lun = lun;
    this.#timeoutMs = timeoutMs;
    this.#delayMs = delayMs;
  }
  /** Whether the unit has reported more unit attentions than can be believed. */
  get exhausted(): boolean {
    return this.#attentions >= MOST_ATTENTIONS;
  }
  /** The data of one command, at most `length` bytes. Rejects with Refusal for any status but GOOD. */
  async read(put: (cdb: Buffer) => void, length: number): Promise<Buffer> {
    const cdb = Buffer.alloc(16);
    put(cdb);
    const waiting = this.#gate === null ? {} : { gate: this.#gate, waits: true };
    for (;;) {
      const delayMs = this.#delayMs;
      this.#delayMs = 0;
      const command = { lun: this.#lun, cdb, timeoutMs: this.#timeoutMs, delayMs, dataInLength: length, ...waiting };
      const result = await this.#session.execute(command);
      if (result.status === ScsiStatus.Good) return result.data;
      this.#passOver(result);
    }
  }
  /** TEST UNIT READY until it says GOOD. A unit that others have reserved is ready as well. */
  async ready(): Promise<void> {
    try {
      await this.read((b) => putTestUnitReady(b, 0), 0);
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== ScsiStatus.ReservationConflict) throw error;
    }
  }
  /** What `parse` makes of an answer; null where the unit refuses the command or its answer makes no sense. */
  async optional<T>(ask: () => Promise<Buffer>, parse: (data: Buffer) => T): Promise<T | null> {
    try {
      return parse(await ask());
    } catch (error) {
      if (!this.exhausted && (error instanceof Refusal || error instanceof ProtocolError)) return null;
      throw error;
    }
  }
  /** Returns if the same command may be sent again, after a pause if it has been often; throws otherwise. */
  #passOver(result: ScsiResult): void {
    const { status, sense } = result;
    const isCheck = status === ScsiStatus.CheckCondition;
    const found = isCheck ? classifySense(sense === null ? null : parseSense(sense)) : null;
    const passes = status === ScsiStatus.TaskAborted || found?.retry === 'now';
    if (!passes || this.exhausted) throw new Refusal(refusalText(result), status, found?.kind ?? null);
    this.#delayMs = pauseMs(this.#attentions++);
  }
}

/** The status, or what the sense data says, in the standard's words. */
export function refusalText({ status, sense }: Pick<ScsiResult, 'status' | 'sense'>): string {
  const parsed = sense === null ? null : parseSense(sense);
  return parsed === null ? statusName(status) : senseToText(parsed);
}
