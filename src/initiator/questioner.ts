// Commands to one logical unit while it is questioned: unit attentions are drained, refusals become errors with a text.
import { parseSense } from '../scsi/sense.js';
import { classifySense } from '../scsi/sense-class.js';
import { senseToText } from '../scsi/sense-text.js';
import { ScsiStatus, statusName } from '../scsi/status.js';
import { AppError, ProtocolError } from '../util/errors.js';
import type { ScsiResult } from './execute.js';
import type { InitiatorSession } from './session.js';

/** The unit answered, but not with what was asked for. */
export class Refusal extends AppError {
  /** The SAM status, or null where an answer was refused by us. */
  readonly status: number | null;
  constructor(message: string, status: number | null = null) {
    super('ERR_NOT_SUPPORTED', message);
    this.status = status;
  }
}

/** Unit attentions that one command may meet: a unit can queue several, and each is told once. */
const MOST_ATTENTIONS = 16;

export class Questioner {
  readonly #session: InitiatorSession;
  readonly #lun: Buffer;
  readonly #timeoutMs: number;

  constructor(session: InitiatorSession, lun: Buffer, timeoutMs: number) {
    this.#session = session;
    this.#lun = lun;
    this.#timeoutMs = timeoutMs;
  }
  /** The data of one command, at most `length` bytes. Rejects with Refusal for any status but GOOD. */
  async read(put: (cdb: Buffer) => void, length: number): Promise<Buffer> {
    const cdb = Buffer.alloc(16);
    put(cdb);
    for (let attentions = 0; ; attentions++) {
      const command = { lun: this.#lun, cdb, timeoutMs: this.#timeoutMs };
      const result = await this.#session.execute(length > 0 ? { ...command, dataInLength: length } : command);
      if (result.status === ScsiStatus.Good) return result.data;
      const again = attentions < MOST_ATTENTIONS && this.#passes(result);
      if (!again) throw new Refusal(refusalText(result), result.status);
    }
  }
  /** TEST UNIT READY until it says GOOD. */
  async ready(put: (cdb: Buffer) => void): Promise<void> {
    await this.read(put, 0);
  }
  /** What `parse` makes of an answer; null where the unit refuses the command or its answer makes no sense. */
  async optional<T>(ask: () => Promise<Buffer>, parse: (data: Buffer) => T): Promise<T | null> {
    try {
      return parse(await ask());
    } catch (error) {
      if (error instanceof Refusal || error instanceof ProtocolError) return null;
      throw error;
    }
  }
  #passes(result: ScsiResult): boolean {
    if (result.status === ScsiStatus.TaskAborted) return true;
    if (result.status !== ScsiStatus.CheckCondition || result.sense === null) return false;
    const sense = parseSense(result.sense);
    if (sense === null) return false;
    const { kind, retry } = classifySense(sense);
    if (kind === 'unit-attention') this.#session.noteUnitAttention(this.#lun, sense);
    return retry === 'now';
  }
}

/** The status, or what the sense data says, in the standard's words. */
export function refusalText({ status, sense }: Pick<ScsiResult, 'status' | 'sense'>): string {
  const parsed = sense === null ? null : parseSense(sense);
  return parsed === null ? statusName(status) : senseToText(parsed);
}
