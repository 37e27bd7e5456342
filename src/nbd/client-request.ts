// One request of a client from its header to its reply: a pooled BlockRequest that answers by itself.
import { BlockFlag, BlockOp, type BlockRequest, BlockStatus, type Extent } from '../block/block-device.js';
import type { BufferPool, RefBuffer } from '../util/ref-buffer.js';
import { isZeros } from '../util/zeros.js';
import type { ReplyWriter } from './reply-writer.js';
import { Command } from './wire/constants.js';

/** A shorter piece of zeros goes out as it is: its hole would save little. Bytes. */
const HOLE_LEAST = 4096;

/** Who is told that a request has been answered. */
export interface RequestOwner {
  readonly replies: ReplyWriter;
  readonly pool: BufferPool;
  /** The connection has ended: nothing may be sent any more. */
  readonly ended: boolean;
  /** How a FLUSH ends that the device has ended with `status`: the client may have to hear of writes lost before. */
  flushed(status: BlockStatus): BlockStatus;
  onAnswered(request: ClientRequest, status: BlockStatus): void;
}

/**
 * READ replies go out in one of two ways. Streamed: each piece becomes a chunk as it comes, and only the last one is held
 * back until the status is known, because it carries NBD_REPLY_FLAG_DONE. Pieces of zeros are not sent: once other bytes come,
 * or the end, one hole stands for all of them. Whole (simple replies, NBD_CMD_FLAG_DF): nothing is sent before the status; a
 * single piece is held by reference, several are collected in a buffer.
 */
export class ClientRequest implements BlockRequest {
  /** What the client asks for; `op` means something for commands that go to the device as a request. */
  command: number = Command.Read;
  op: BlockOp = BlockOp.Read;
  offset = 0;
  length = 0;
  flags = 0;
  payload: Buffer | null = null;
  payloadOwner: RefBuffer | null = null;
  cookieHigh = 0;
  cookieLow = 0;
  /** Whether a READ must be answered in one piece. */
  whole = false;
  /** Whether a BLOCK_STATUS must be answered with one extent. */
  one = false;
  readonly #owner: RequestOwner;
  /** Bytes of a READ that have arrived, and that have been sent. Streamed and with nothing held, zeros lie between them. */
  #arrived = 0;
  #sent = 0;
  /** The piece held back, where it belongs, and its memory. */
  #held: Buffer | null = null;
  #heldAt = 0;
  #heldOwner: RefBuffer | null = null;
  /** Where the pieces of a whole READ are collected. */
  #collected: RefBuffer | null = null;

  constructor(owner: RequestOwner) {
    this.#owner = owner;
  }

  onData(piece: Buffer, at: number, owner: RefBuffer | null): void {
    if (this.#owner.ended) return;
    // Parts come in order. A device that breaks this must not break the reply's framing too: the READ fails in the end.
    if (at !== this.#arrived || at + piece.length > this.length) {
      this.#arrived = Number.NaN;
      return;
    }
    this.#arrived += piece.length;
    if (!this.whole) {
      if (piece.length >= HOLE_LEAST && isZeros(piece)) return;
      if (at > this.#sent) this.#sendHole(at, false);
    }
    const last = this.#arrived === this.length;
    if (owner !== null && last && (!this.whole || at === 0)) {
      owner.retain();
      this.#held = piece;
      this.#heldAt = at;
      this.#heldOwner = owner;
    } else if (this.whole) {
      this.#collected ??= this.#owner.pool.take(this.length);
      piece.copy(this.#collected.buffer, at);
    } else {
      this.#owner.replies.data(this, piece, at, owner, false);
      this.#sent = this.#arrived;
    }
  }
  #sendHole(end: number, last: boolean): void {
    this.#owner.replies.hole(this, this.#sent, end - this.#sent, last);
    this.#sent = end;
  }
  onRewind(at: number): boolean {
    if (this.#owner.ended || this.#sent > at) return this.#owner.ended;
    this.#heldOwner?.release();
    this.#held = this.#heldOwner = null;
    this.#arrived = at;
    return true;
  }

  /** BLOCK_STATUS succeeds. */
  onExtents(extents: readonly Extent[]): void {
    if (!this.#owner.ended) this.#owner.replies.extents(this, extents);
    this.#owner.onAnswered(this, BlockStatus.Ok);
  }

  onDone(outcome: BlockStatus): void {
    const status = this.command === Command.Flush ? this.#owner.flushed(outcome) : this.#told(outcome);
    if (!this.#owner.ended) this.#answer(status);
    this.#heldOwner?.release();
    this.#collected?.release();
    this.payloadOwner?.release();
    this.#held = this.#heldOwner = this.#collected = this.payload = this.payloadOwner = null;
    this.#arrived = this.#sent = 0;
    this.#owner.onAnswered(this, status);
  }

  /** NBD_ENOTSUP is for a WRITE_ZEROES with FAST_ZERO alone (proto.md "Error values"). A TRIM is a hint: nothing had to be done. */
  #told(outcome: BlockStatus): BlockStatus {
    if (outcome !== BlockStatus.Enotsup || (this.flags & BlockFlag.FastZero) !== 0) return outcome;
    return this.command === Command.Trim ? BlockStatus.Ok : BlockStatus.Eio;
  }
  #answer(status: BlockStatus): void {
    const { replies } = this.#owner;
    if (status !== BlockStatus.Ok) {
      replies.error(this, status);
    } else if (this.command !== Command.Read) {
      replies.done(this);
    } else if (this.#arrived !== this.length) {
      replies.error(this, BlockStatus.Eio);
    } else if (this.#held) {
      replies.data(this, this.#held, this.#heldAt, this.#heldOwner, true);
    } else if (this.#collected) {
      replies.data(this, this.#collected.buffer.subarray(0, this.length), 0, this.#collected, true);
    } else if (!this.whole && this.#arrived > this.#sent) {
      this.#sendHole(this.#arrived, true);
    } else {
      replies.endOfData(this);
    }
  }
}
