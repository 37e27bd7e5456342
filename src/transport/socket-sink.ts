// The sending half of a socket: headers and small payloads in a slab, larger payloads by reference, one write per turn.
import { writevSync } from 'node:fs';
import type { Socket } from 'node:net';
import { BufferPool, type RefBuffer } from '../util/ref-buffer.js';
import { HIGH_WATER, SLAB_LARGEST, type TransmitSink } from '../util/stream.js';
import { socketDescriptor, unsentBytes } from './handle.js';
import { type Flushable, markDirty, unmarkDirty } from './turn.js';

/** Bytes of a slab. */
const SLAB_SIZE = 262_144;
/** IOV_MAX is 1024 on Linux. */
const MOST_PIECES = 1000;
const slabs = new BufferPool({ largest: SLAB_SIZE, keepBytes: 16 * SLAB_SIZE });

/** What a sink tells its driver. */
export interface SinkHooks {
  /** After each flush: the core behind the sink has just done something. */
  onFlushed?(): void;
  /** The backlog has fallen below half of HIGH_WATER after having been above it. Called in a turn of its own. */
  onDrain?(): void;
}

/**
 * TransmitSink over a stream socket. While the kernel takes everything, a turn is one writev and no buffer is held
 * afterwards; what it does not take goes through the socket's own queue, and later turns wait behind it.
 */
export class SocketSink implements TransmitSink, Flushable {
  #socket: Socket;
  #direct: boolean;
  #slab: RefBuffer = slabs.take(SLAB_SIZE);
  /** Bytes of the slab given out, and where the part begins that is in no piece yet. */
  #used = 0;
  #start = 0;
  #pieces: Buffer[] = [];
  #owners: (RefBuffer | null)[] = [];
  #queuedBytes = 0;
  /** Bytes and holders of the write that the socket has not finished. */
  #pendingBytes = 0;
  #pendingOwners: (RefBuffer | null)[] = [];
  /** Bytes of such writes that are over. */
  #taken = 0;
  #high = false;
  #closed = false;
  #ending = false;
  hooks: SinkHooks = {};

  /** `direct`: write to the descriptor first, where the platform shows one. Without it everything goes through the stream. */
  constructor(socket: Socket, { direct = true } = {}) {
    this.#socket = socket;
    this.#direct = direct;
  }

  get slab(): Buffer {
    return this.#slab.buffer;
  }

  get backlog(): number {
    return this.#queuedBytes + this.#pendingBytes;
  }

  get taken(): number {
    return this.#taken + Math.max(0, this.#pendingBytes - (unsentBytes(this.#socket) ?? this.#pendingBytes));
  }

  wantDrain(): void {
    this.#high = true;
  }

  reserve(length: number): number {
    if (length > SLAB_LARGEST) throw new Error(`a sink gives out at most ${SLAB_LARGEST} bytes at once, not ${length}`);
    if (this.#used + length > SLAB_SIZE) this.#nextSlab();
    const at = this.#used;
    this.#used += length;
    if (this.#closed) this.#start = this.#used;
    else this.#grow(length);
    return at;
  }

  append(piece: Buffer, owner: RefBuffer | null): void {
    if (piece.length === 0 || this.#closed) return;
    // A reader that has fallen behind by this much must not also hold the receive buffers that others need.
    const copied = owner !== null && this.backlog > HIGH_WATER;
    this.#closeRegion();
    this.#push(copied ? Buffer.from(piece) : piece, copied ? null : owner);
    this.#grow(piece.length);
  }

  flush(): void {
    unmarkDirty(this);
    if (this.#closed) return;
    this.#closeRegion();
    while (this.#pieces.length > 0 && this.#pendingBytes === 0 && !this.#socket.connecting) this.#write();
    this.#recycleSlab();
    if (this.#ending && this.backlog === 0) {
      this.#ending = false;
      this.#socket.end();
    }
    this.hooks.onFlushed?.();
    this.#checkDrained();
  }

  /** Sends what is queued, then FIN. */
  end(): void {
    this.#ending = true;
    this.flush();
  }

  /** From now on `socket`, which lies over the one before, is written to, and never its descriptor. Nothing may be queued. */
  moveTo(socket: Socket): void {
    if (this.backlog > 0) throw new Error('bytes for the socket before are still queued');
    this.#socket = socket;
    this.#direct = false;
  }

  /** Forgets what the socket has not been given yet; it takes nothing more. */
  discard(): void {
    this.#closeRegion();
    releaseAll(this.#owners);
    this.#pieces = [];
    this.#queuedBytes = 0;
    this.#closed = true;
    unmarkDirty(this);
  }

  /**
   * After the socket has been closed: forgets what has not been sent and lets go of every buffer. Later calls do nothing;
   * `reserve` still gives memory.
   */
  close(): void {
    this.discard();
    releaseAll(this.#pendingOwners);
    this.#pendingBytes = 0;
    this.#start = this.#used = 0;
  }

  #grow(length: number): void {
    this.#queuedBytes += length;
    if (this.backlog > HIGH_WATER) this.#high = true;
    markDirty(this);
  }

  #push(piece: Buffer, owner: RefBuffer | null): void {
    owner?.retain();
    this.#pieces.push(piece);
    this.#owners.push(owner);
  }

  #closeRegion(): void {
    if (this.#used === this.#start) return;
    this.#push(this.#slab.buffer.subarray(this.#start, this.#used), this.#slab);
    this.#start = this.#used;
  }

  #nextSlab(): void {
    this.#closeRegion();
    this.#slab.release();
    this.#slab = slabs.take(SLAB_SIZE);
    this.#start = this.#used = 0;
  }

  /** Once no piece points into the slab any more it is written from its beginning again. */
  #recycleSlab(): void {
    if (this.#slab.references === 1) this.#start = this.#used = 0;
  }

  /** Sends one batch of pieces: directly as far as the kernel takes it, the rest through the stream. */
  #write(): void {
    const pieces = this.#pieces.splice(0, MOST_PIECES);
    const owners = this.#owners.splice(0, MOST_PIECES);
    let bytes = 0;
    for (const piece of pieces) bytes += piece.length;
    this.#queuedBytes -= bytes;
    const taken = this.#direct ? writeDirectly(this.#socket, pieces) : 0;
    if (taken === bytes) {
      releaseAll(owners);
      return;
    }
    dropFront(pieces, owners, taken);
    this.#pendingBytes = bytes - taken;
    this.#pendingOwners = owners;
    this.#writeStream(pieces);
  }

  #writeStream(pieces: Buffer[]): void {
    const last = pieces.length - 1;
    this.#socket.cork();
    pieces.forEach((piece, i) => {
      this.#socket.write(piece, i === last ? this.#onWritten : undefined);
    });
    this.#socket.uncork();
  }

  /** Also called, with an error, when the socket is destroyed: libuv has closed the descriptor by then. */
  readonly #onWritten = (): void => {
    this.#taken += this.#pendingBytes;
    this.#pendingBytes = 0;
    releaseAll(this.#pendingOwners);
    this.#pendingOwners = [];
    if (!this.#closed) this.flush();
  };

  /** In a turn of its own: a producer called from within a flush could keep the loop busy for ever. */
  #checkDrained(): void {
    if (!this.#high || this.backlog >= HIGH_WATER / 2) return;
    this.#high = false;
    setImmediate(() => {
      if (!this.#closed) this.hooks.onDrain?.();
    });
  }
}

function releaseAll(owners: (RefBuffer | null)[]): void {
  for (const owner of owners) owner?.release();
  owners.length = 0;
}

/** Writes to the descriptor without waiting. Returns the bytes taken; every failure is left to the stream to report. */
function writeDirectly(socket: Socket, pieces: Buffer[]): number {
  const descriptor = socketDescriptor(socket);
  if (descriptor === null) return 0;
  try {
    return writevSync(descriptor, pieces);
  } catch {
    return 0;
  }
}

/** Removes `bytes` bytes from the front; owners of pieces that are wholly gone are released. */
function dropFront(pieces: Buffer[], owners: (RefBuffer | null)[], bytes: number): void {
  let whole = 0;
  let left = bytes;
  for (let piece = pieces[0]; piece !== undefined && piece.length <= left; piece = pieces[++whole]) {
    left -= piece.length;
    owners[whole]?.release();
  }
  pieces.splice(0, whole);
  owners.splice(0, whole);
  const first = pieces[0];
  if (left > 0 && first !== undefined) pieces[0] = first.subarray(left);
}
