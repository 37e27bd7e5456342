// What the parts of one connection in full feature phase share.
import type { OperationalParams } from '../iscsi/params.js';
import { type CommandWindow, StatusTracker } from '../iscsi/windows.js';
import type { PduWriter } from '../iscsi/wire/pdu-writer.js';
import type { TransmitSink } from '../util/stream.js';
import type { Counters } from './counters.js';
import type { TaskTable } from './tasks.js';

export class Link {
  /** When the bytes came that are being read now, on the session's clock: what they answer was answered then. */
  receivedAt = 0;
  #status: StatusTracker;
  constructor(
    readonly sink: TransmitSink,
    readonly writer: PduWriter,
    readonly tasks: TaskTable,
    readonly counters: Counters,
    readonly window: CommandWindow,
    readonly params: OperationalParams,
    /** StatSN of the last Login Response. */
    statSn: number,
    /** Milliseconds on the session's clock. */
    readonly now: () => number,
    /** The most commands in flight, however open the target's window is. */
    readonly mostCommands: number,
  ) {
    this.#status = new StatusTracker(statSn);
  }
  get expStatSn(): number {
    return this.#status.expStatSn;
  }
  /**
   * A PDU that uses up a StatSN. TCP loses nothing and a bad header digest has ended the connection already, so a gap is
   * the target's miscount: we follow it. A status that is really missing is found by its command's deadline.
   */
  acknowledge(statSn: number): void {
    if (this.#status.receive(statSn) === 'gap') this.#status = new StatusTracker(statSn);
  }
}
