// One direction of a connection through the fault proxy: what comes in goes out later, changed, or not at all.
import type { Socket } from 'node:net';
import { type DigestUse, type PassingPdu, PduSplitter } from './pdu-splitter.js';
import { reset } from './reset.js';

/** What becomes of one PDU: undefined passes it, a Buffer goes out in its place, a number delays it alone (milliseconds). */
export type PduVerdict = undefined | 'drop' | 'reset' | Buffer | number;
export type PduRule = (pdu: PassingPdu) => PduVerdict;

/** Held bytes beyond this stop the reading: the sender then meets a full window. */
const MOST_HELD = 2 ** 26;

export class Lane {
  /** Bytes that have been passed on. */
  passed = 0;
  /** Bytes that were swallowed. */
  dropped = 0;
  /** Judges every PDU that comes from now on. */
  rule: PduRule | null = null;
  /** Sees every PDU, whatever becomes of it. */
  readonly watchers: ((pdu: PassingPdu) => void)[] = [];
  readonly #splitter: PduSplitter;
  readonly #flips = new Map<number, number>();
  readonly #queue: Buffer[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #queued = 0;
  #holding = false;
  #dropping = false;
  #delayMs = 0;
  /** What is delayed, in the order in which it came. */
  readonly #delayed: { readonly due: number; readonly work: () => void }[] = [];
  #cutAt: number | null = null;
  #ended = false;
  #lost: 'fin' | 'rst' | null = null;

  /** `reset` ends the whole connection with RST. */
  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    digests: DigestUse,
    private readonly reset: () => void,
  ) {
    this.#splitter = new PduSplitter(digests);
    from.on('data', (chunk: Buffer) => this.#receive(chunk));
    from.on('end', () => this.#sourceEnded('fin'));
    from.on('error', () => this.#sourceEnded('rst'));
    from.on('close', () => this.#sourceEnded('fin'));
    to.on('drain', () => from.resume());
  }

  /** Keeps everything from now on, until `release`. */
  hold(): void {
    this.#holding = true;
  }
  /** Delivers what was held, in order; then the sender's FIN or RST, if one came meanwhile, unless `end` is false. */
  release({ end = true } = {}): void {
    this.#holding = false;
    this.#pump();
    if (end && this.#lost !== null) this.#passEnd(this.#lost);
  }
  /** Bytes that wait for `release`. */
  get held(): number {
    return this.#queued;
  }
  /** Swallows everything from now on: nobody is told. */
  drop(): void {
    this.#dropping = true;
  }
  /** Ends `drop`. What was swallowed stays lost, so only a stream between PDUs goes on well. */
  pass(): void {
    this.#dropping = false;
  }
  /** Everything takes `ms` longer from now on; the order stays. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }
  /** Flips bit `bit` (0-7) of byte `at` of the stream, counted from the start of the connection. */
  flip(at: number, bit = 0): void {
    this.#flips.set(at, 1 << bit);
  }
  /** Byte `at` and all after it never arrive: the connection is reset once those before it have been passed on. */
  cut(at: number): void {
    this.#cutAt = at;
    if (this.passed >= at) this.reset();
  }
  /** Ends this direction with FIN; what comes afterwards is swallowed. */
  halfClose(): void {
    this.#dropping = true;
    this.to.end();
  }
  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#queue.length = 0;
    this.#delayed.length = 0;
    this.#queued = 0;
    this.#ended = true;
  }

  #receive(chunk: Buffer): void {
    for (const part of this.#splitter.split(chunk)) this.#judge(part);
  }

  #judge(part: PassingPdu | Buffer): void {
    if (!('opcode' in part)) {
      this.#later(part, this.#delayMs);
      return;
    }
    for (const watch of this.watchers) watch(part);
    const verdict = this.rule?.(part);
    if (verdict === 'drop') this.dropped += part.bytes.length;
    else if (verdict === 'reset') this.reset();
    else if (typeof verdict === 'number') this.#after(verdict, () => this.#enqueue(part.bytes));
    else this.#later(verdict ?? part.bytes, this.#delayMs);
  }

  #later(bytes: Buffer, ms: number): void {
    this.#inOrder(ms, () => this.#enqueue(bytes));
  }

  /** Nothing overtakes what a longer delay still keeps. */
  #inOrder(ms: number, work: () => void): void {
    if (ms === 0 && this.#delayed.length === 0) {
      work();
      return;
    }
    this.#delayed.push({ due: performance.now() + ms, work });
    if (this.#delayed.length === 1) this.#after(ms, () => this.#runDelayed());
  }

  #runDelayed(): void {
    for (let next = this.#delayed[0]; next !== undefined; next = this.#delayed[0]) {
      const left = next.due - performance.now();
      if (left > 0.5) {
        this.#after(left, () => this.#runDelayed());
        return;
      }
      this.#delayed.shift();
      next.work();
    }
  }

  #after(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer);
  }

  #enqueue(bytes: Buffer): void {
    if (this.#ended) return;
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    if (!this.#holding) this.#pump();
    else if (this.#queued > MOST_HELD) this.from.pause();
  }

  #pump(): void {
    for (let bytes = this.#queue.shift(); bytes !== undefined; bytes = this.#queue.shift()) {
      this.#queued -= bytes.length;
      this.#write(bytes);
    }
    this.from.resume();
  }

  #write(bytes: Buffer): void {
    if (this.#dropping) {
      this.dropped += bytes.length;
      return;
    }
    const left = this.#cutAt === null ? bytes.length : Math.max(0, this.#cutAt - this.passed);
    const out = this.#flipped(bytes.subarray(0, left));
    this.passed += out.length;
    if (!this.to.writable) return;
    const more = left < bytes.length ? () => this.reset() : undefined;
    if (!this.to.write(out, more)) this.from.pause();
  }

  #flipped(bytes: Buffer): Buffer {
    const hits = [...this.#flips].filter(([at]) => at >= this.passed && at < this.passed + bytes.length);
    if (hits.length === 0) return bytes;
    const copy = Buffer.from(bytes);
    for (const [at, mask] of hits) {
      copy.writeUInt8(copy.readUInt8(at - this.passed) ^ mask, at - this.passed);
      this.#flips.delete(at);
    }
    return copy;
  }

  /** A black hole and a network that holds everything say nothing about it. */
  #sourceEnded(how: 'fin' | 'rst'): void {
    if (this.#lost !== null) return;
    this.#lost = how;
    if (!this.#holding && !this.#dropping) this.#passEnd(how);
  }

  /** After what is on its way, half a PDU included. */
  #passEnd(how: 'fin' | 'rst'): void {
    if (how === 'rst') {
      reset(this.to);
      return;
    }
    const rest = this.#splitter.rest;
    if (rest.length > 0) this.#later(Buffer.from(rest), this.#delayMs);
    this.#inOrder(0, () => this.to.end());
  }
}
