// The read data of one command as Data-In PDUs (RFC 7143 §11.7). The last one waits for the status, to go with it.
import { DataInFlag, putDataIn } from '../iscsi/wire/data-in.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import type { Resumable } from './scsi-task.js';
import type { TransferSession } from './transfer-session.js';

/** The command whose data this is. */
interface ReadingTask {
  readonly itt: number;
  readonly dataInLength: number;
  readonly aborted: boolean;
}

export class DataInSide {
  readonly #session: TransferSession;
  readonly #task: ReadingTask;
  #total = 0;
  #accepted = 0;
  #sent = 0;
  #burst = 0;
  #dataSn = 0;
  #tail: Buffer | null = null;
  #tailOwner: RefBuffer | null = null;
  #fetching = 0;
  #fetcher: Resumable | null = null;

  constructor(session: TransferSession, task: ReadingTask) {
    this.#session = session;
    this.#task = task;
  }

  /** Bytes that the command moves, in either direction. */
  get total(): number {
    return this.#total;
  }
  get sent(): number {
    return this.#sent;
  }
  get dataSn(): number {
    return this.#dataSn;
  }
  /** Whether the last PDU waits for the status. */
  get hasTail(): boolean {
    return this.#tail !== null;
  }

  /** A new command. */
  begin(): void {
    this.#total = this.#accepted = this.#sent = this.#burst = this.#dataSn = this.#fetching = 0;
  }

  /** See ScsiTask. */
  expectData(total: number): void {
    this.#total = total;
  }

  /** See ScsiTask. */
  mayFetch(bytes: number, waiter: Resumable): number {
    const granted = this.#session.mayFetch(bytes, waiter);
    this.#fetcher = granted === 0 ? waiter : null;
    this.#fetching += granted;
    return granted;
  }

  /** See ScsiTask. */
  sendData(piece: Buffer, owner: RefBuffer | null): void {
    const counted = Math.min(piece.length, this.#fetching);
    this.#fetching -= counted;
    this.#session.fetched(counted);
    if (this.#task.aborted || this.#session.over) return;
    const limit = Math.min(this.#total, this.#task.dataInLength);
    const end = Math.min(piece.length, limit - this.#accepted);
    const { maxXmitDataSegmentLength, maxBurstLength } = this.#session.params;
    for (let from = 0; from < end; ) {
      const size = Math.min(maxXmitDataSegmentLength, maxBurstLength - this.#burst, end - from);
      const part = size === piece.length ? piece : piece.subarray(from, from + size);
      from += size;
      this.#accepted += size;
      if (this.#accepted === limit) this.#keepTail(part, owner);
      else this.#sendPdu(part, owner, 0, 0, 0);
    }
  }

  #keepTail(part: Buffer, owner: RefBuffer | null): void {
    if (owner === null) {
      const copy = this.#session.context.pool.take(part.length);
      part.copy(copy.buffer);
      this.#tail = copy.buffer.subarray(0, part.length);
      this.#tailOwner = copy;
    } else {
      owner.retain();
      this.#tail = part;
      this.#tailOwner = owner;
    }
  }

  /** Sends the last PDU; `flags` with Status makes it end the command. */
  flushTail(flags: number, status: number, residual: number): void {
    const tail = this.#tail;
    const owner = this.#tailOwner;
    if (tail === null || owner === null) return;
    this.#tail = this.#tailOwner = null;
    this.#sendPdu(tail, owner, flags, status, residual);
    owner.release();
  }

  #sendPdu(data: Buffer, owner: RefBuffer | null, flags: number, status: number, residual: number): void {
    const session = this.#session;
    const { writer, params } = session;
    this.#burst += data.length;
    const last =
      this.#burst === params.maxBurstLength || this.#accepted === Math.min(this.#total, this.#task.dataInLength);
    if (last) this.#burst = 0;
    const at = writer.begin(data.length);
    const withStatus = (flags & DataInFlag.Status) !== 0;
    const statSn = withStatus ? session.statSn.take() : 0;
    const bits = flags | (last ? DataInFlag.Final : 0);
    const { expCmdSn } = session.window;
    const maxCmdSn = session.maxCmdSn();
    putDataIn(
      writer.slab,
      at,
      bits,
      withStatus ? status : 0,
      this.#task.itt,
      statSn,
      expCmdSn,
      maxCmdSn,
      this.#dataSn++,
      this.#sent,
      residual,
    );
    this.#sent += data.length;
    writer.end(data, owner);
  }

  dropTail(): void {
    this.#tailOwner?.release();
    this.#tail = this.#tailOwner = null;
  }

  /** Lets a read that waits for the network end; false if none waits. */
  abort(): boolean {
    const fetcher = this.#fetcher;
    if (fetcher === null || !this.#session.dropFetcher(fetcher)) return false;
    this.#fetcher = null;
    fetcher.resume();
    return true;
  }

  /** The command is over: what it has fetched and not sent is not on its way any more. */
  finish(): void {
    this.#session.fetched(this.#fetching);
    this.#fetching = 0;
  }
}
