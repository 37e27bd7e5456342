// Writes blocks that carry their own number and a sequence number, and reads them back: a lost, stale, misplaced or torn
// write shows, whatever happens to the target meanwhile. Each block has at most one request in flight.
import { setTimeout as sleep } from 'node:timers/promises';
import { type NbdClient, NbdError } from './nbd-client.js';

export const BLOCK = 4096;

export interface RunOptions {
  /** Requests in flight. */
  readonly depth?: number;
  /** Ends the run: requests in flight are still waited for. */
  readonly signal: AbortSignal;
  /** One flush after so many requests; 0 for none. */
  readonly flushEvery?: number;
  /** What each of the requests in flight waits before the next, milliseconds. Default 0. */
  readonly pauseMs?: number;
}

interface Failure {
  readonly errno: number;
  readonly what: string;
  /** performance.now() at the answer, and how long it took. */
  readonly at: number;
  readonly tookMs: number;
}

export class StampedDisk {
  /** Blocks that held what they must not: the one thing that must stay empty. */
  readonly problems: string[] = [];
  readonly failures: Failure[] = [];
  /** Requests that succeeded. */
  completed = 0;
  /** performance.now() of the last success. */
  lastDone = 0;
  longestMs = 0;
  readonly #acked: number[];
  /** Writes that failed: each may have been done or not. */
  readonly #doubtful: Set<number>[];
  readonly #busy = new Set<number>();
  readonly #waiters: (() => void)[] = [];
  #sequence = 0;

  constructor(
    public client: NbdClient,
    readonly blocks: number,
    private readonly random: () => number = Math.random,
  ) {
    this.#acked = Array.from({ length: blocks }, () => 0);
    this.#doubtful = Array.from({ length: blocks }, () => new Set());
  }

  /** Random reads and writes until `signal` aborts or the connection to the server ends. */
  async run({ depth = 8, signal, flushEvery = 64, pauseMs = 0 }: RunOptions): Promise<void> {
    const worker = async () => {
      while (!signal.aborted && this.client.open) {
        if (pauseMs > 0) await sleep(pauseMs);
        const turn = ++this.#sequence;
        if (flushEvery > 0 && turn % flushEvery === 0) await this.#timed('flush', () => this.client.flush());
        else await this.#onFreeBlock((block) => (this.random() < 0.7 ? this.write(block, turn) : this.check(block)));
      }
    };
    await Promise.all(Array.from({ length: depth }, worker));
  }

  /** Reads every block that was ever written. */
  async checkAll(): Promise<void> {
    for (let block = 0; block < this.blocks; block++) if (this.#touched(block)) await this.check(block);
  }

  /** performance.now() of the first success from now on. */
  async nextDone(): Promise<number> {
    await new Promise<void>((resolve) => this.#waiters.push(resolve));
    return this.lastDone;
  }

  async write(block: number, sequence = ++this.#sequence): Promise<void> {
    const done = await this.#timed(`write of block ${block}`, () =>
      this.client.write(block * BLOCK, stamp(block, sequence)),
    );
    if (done === null) {
      this.#doubtful[block]?.add(sequence);
      return;
    }
    this.#acked[block] = sequence;
    this.#doubtful[block]?.clear();
  }

  async check(block: number): Promise<void> {
    const done = await this.#timed(`read of block ${block}`, () => this.client.read(block * BLOCK, BLOCK));
    const problem = done === null ? null : this.#judge(block, done.value);
    if (problem !== null) this.problems.push(problem);
  }

  #judge(block: number, bytes: Buffer): string | null {
    const sequence = bytes.readUInt32BE(4);
    const acked = this.#acked[block] ?? 0;
    const expected = sequence === acked || this.#doubtful[block]?.has(sequence) === true;
    if (!expected) return `block ${block} holds write ${sequence}, the last that was acknowledged is ${acked}`;
    const whole = sequence === 0 ? Buffer.alloc(BLOCK) : stamp(block, sequence);
    if (bytes.equals(whole)) return null;
    return `block ${block} is torn: it starts with write ${sequence} of block ${bytes.readUInt32BE(0)}`;
  }

  #touched(block: number): boolean {
    return (this.#acked[block] ?? 0) > 0 || (this.#doubtful[block]?.size ?? 0) > 0;
  }

  async #onFreeBlock(work: (block: number) => Promise<void>): Promise<void> {
    let block = Math.floor(this.random() * this.blocks);
    while (this.#busy.has(block)) block = (block + 1) % this.blocks;
    this.#busy.add(block);
    try {
      await work(block);
    } finally {
      this.#busy.delete(block);
    }
  }

  /** Null after a failure, which is noted. */
  async #timed<T>(what: string, work: () => Promise<T>): Promise<{ readonly value: T } | null> {
    const began = performance.now();
    try {
      const value = await work();
      this.#succeeded(began);
      return { value };
    } catch (error) {
      if (!(error instanceof NbdError)) throw error;
      const at = performance.now();
      this.failures.push({ errno: error.errno, what, at, tookMs: at - began });
      // A disk that fails at once must not keep a core busy.
      await sleep(20);
      return null;
    }
  }

  #succeeded(began: number): void {
    this.completed++;
    this.lastDone = performance.now();
    this.longestMs = Math.max(this.longestMs, this.lastDone - began);
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

/** A block full of its own number, the sequence number, and what a shifted copy would not match. */
export function stamp(block: number, sequence: number): Buffer {
  const bytes = Buffer.alloc(BLOCK);
  for (let at = 0; at < BLOCK; at += 16) {
    bytes.writeUInt32BE(block, at);
    bytes.writeUInt32BE(sequence, at + 4);
    bytes.writeUInt32BE(at, at + 8);
    bytes.writeUInt32BE(~sequence >>> 0, at + 12);
  }
  return bytes;
}
