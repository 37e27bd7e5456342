// A byte stream between two protocol cores in memory: delivered in pieces of any size, cut, corrupted, or held back.
import { RefBuffer } from '../../src/util/ref-buffer.js';
import { HIGH_WATER, SLAB_LARGEST, type StreamConsumer, type TransmitSink } from '../../src/util/stream.js';

/** Milliseconds that pass when a test says so. */
export class FakeClock {
  ms = 1000;
  readonly now = (): number => this.ms;
}

/** Collects what a core sends. `append` keeps a reference as a socket does, so a changed piece shows up as wrong bytes. */
export class MemorySink implements TransmitSink {
  slab: Buffer = Buffer.alloc(0);
  /** Every byte of a new slab, so that one that a core did not fill is seen. */
  static readonly DIRT = 0xa5;
  readonly #pieces: { bytes: Buffer; owner: RefBuffer | null }[] = [];
  backlog = 0;
  /** Called when the first byte waits: a driver that carries bytes by itself hooks in here. */
  onDirty: (() => void) | null = null;

  reserve(length: number): number {
    if (length > SLAB_LARGEST) throw new Error(`${length} bytes do not fit a slab`);
    this.slab = Buffer.alloc(length + 8, MemorySink.DIRT);
    this.#pieces.push({ bytes: this.slab.subarray(4, 4 + length), owner: null });
    this.#add(length);
    return 4;
  }
  append(piece: Buffer, owner: RefBuffer | null): void {
    owner?.retain();
    this.#pieces.push({ bytes: piece, owner });
    this.#add(piece.length);
  }
  #add(length: number): void {
    const first = this.backlog === 0;
    this.backlog += length;
    if (first) this.onDirty?.();
  }
  /** All that is queued, copied now, as the kernel would. */
  take(): Buffer {
    const all = Buffer.concat(this.#pieces.map(({ bytes }) => bytes));
    for (const { owner } of this.#pieces.splice(0)) owner?.release();
    this.backlog = 0;
    return all;
  }
}

export interface WireFaults {
  /** Sizes of the pieces in which bytes arrive; default all at once. */
  readonly chunk?: () => number;
  /** The connection breaks before byte number `cutAt` of this direction. */
  cutAt?: number;
  /** Byte number `at` is XORed with `mask`. */
  readonly corrupt?: { readonly at: number; readonly mask: number };
  /** Bytes stay on the wire while this is set. */
  held?: boolean;
  /** How long bytes are on their way, milliseconds of `clock`. */
  readonly delay?: { readonly ms: number; readonly clock: FakeClock };
}

/** One direction: what the sink holds goes to the consumer. */
export class MemoryWire {
  readonly sink: MemorySink;
  readonly consumer: StreamConsumer;
  /** The core that writes to the sink: it hears when a long backlog has gone. */
  readonly producer: Pick<StreamConsumer, 'onDrain'>;
  readonly faults: WireFaults;
  #waiting: Buffer = Buffer.alloc(0);
  /** On their way, not there yet. */
  readonly #flying: { readonly bytes: Buffer; readonly due: number }[] = [];
  /** Bytes that have entered, and that have arrived. */
  sent = 0;
  arrived = 0;
  /** The cut has been reached, or the test has broken it. */
  broken = false;

  constructor(
    sink: MemorySink,
    producer: Pick<StreamConsumer, 'onDrain'>,
    consumer: StreamConsumer,
    faults: WireFaults = {},
  ) {
    this.sink = sink;
    this.producer = producer;
    this.consumer = consumer;
    this.faults = faults;
  }
  /** Moves the bytes that may arrive; whether any did. What the consumer throws leaves. */
  deliver(): boolean {
    const { corrupt, cutAt, held } = this.faults;
    if (this.sink.backlog > 0) {
      const wasLong = this.sink.backlog > HIGH_WATER / 2;
      const fresh = this.sink.take();
      if (corrupt !== undefined && corrupt.at >= this.sent && corrupt.at < this.sent + fresh.length) {
        const index = corrupt.at - this.sent;
        fresh[index] = (fresh[index] as number) ^ corrupt.mask;
      }
      this.sent += fresh.length;
      const { delay } = this.faults;
      if (delay === undefined) this.#land(fresh);
      else this.#flying.push({ bytes: fresh, due: delay.clock.ms + delay.ms });
      if (wasLong) this.producer.onDrain();
    }
    while (this.arrivesAt !== undefined && this.arrivesAt <= (this.faults.delay?.clock.ms ?? 0)) {
      this.#land(this.#flying.shift()?.bytes as Buffer);
    }
    if (this.broken || held === true || this.#waiting.length === 0 || this.consumer.paused) return false;
    const room = cutAt === undefined ? Number.POSITIVE_INFINITY : cutAt - this.arrived;
    const length = Math.min(this.#waiting.length, room, this.faults.chunk?.() ?? Number.POSITIVE_INFINITY);
    if (length > 0) {
      const piece = this.#waiting.subarray(0, length);
      this.#waiting = this.#waiting.subarray(length);
      this.arrived += length;
      handOver(piece, this.consumer);
    }
    if (cutAt !== undefined && this.arrived >= cutAt) this.broken = true;
    return true;
  }
  /** All bytes that have been sent and have not arrived; they are the caller's now. */
  rest(): Buffer {
    const bytes = Buffer.concat([this.#waiting, ...this.#flying.map((piece) => piece.bytes), this.sink.take()]);
    this.#waiting = Buffer.alloc(0);
    this.#flying.length = 0;
    return bytes;
  }
  /** When the next bytes arrive that are still on their way. */
  get arrivesAt(): number | undefined {
    return this.#flying[0]?.due;
  }
  #land(bytes: Buffer): void {
    this.#waiting = this.#waiting.length === 0 ? bytes : Buffer.concat([this.#waiting, bytes]);
  }
}

/** As a driver does: into the consumer's own buffer where it names one, else through a receive buffer that is reused. */
export function handOver(piece: Buffer, consumer: StreamConsumer): void {
  let rest = piece;
  for (let target = consumer.readTarget(); target !== null && rest.length > 0; target = consumer.readTarget()) {
    const length = rest.copy(target, 0, 0, Math.min(rest.length, target.length));
    rest = rest.subarray(length);
    consumer.onTargetFilled(length);
  }
  if (rest.length === 0) return;
  // Overwritten once nobody holds it any more: a core that keeps a view without retaining reads rubbish.
  const owner = new RefBuffer(Buffer.from(rest), (freed) => freed.buffer.fill(0xdd));
  consumer.onBytes(owner.buffer, owner);
  owner.release();
}
