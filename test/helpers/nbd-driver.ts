// Drives an NBD server core without a socket: feeds bytes in chunks as a driver would, and keeps its promises to it.
import assert from 'node:assert/strict';
import type { BlockDevice } from '../../src/block/block-device.js';
import { ExportTable, type NbdExport } from '../../src/nbd/exports.js';
import type { NbdLimits } from '../../src/nbd/limits.js';
import { NbdServerConnection, type NbdServerOutput } from '../../src/nbd/server-connection.js';
import { RefBuffer } from '../../src/util/ref-buffer.js';
import { CountingPool } from './counting-pool.js';
import { MemorySink } from './memory-sink.js';
import { type Answer, clientFlags, infoData, option, readAnswers } from './nbd-wire.js';

export class NbdDriver {
  readonly sink = new MemorySink();
  readonly pool: CountingPool;
  readonly core: NbdServerConnection;
  readonly outputs: NbdServerOutput[] = [];
  /** Receive buffers that the core still holds. */
  readonly #lent = new Set<RefBuffer>();
  readonly #pending: Buffer[] = [];
  wakes = 0;

  constructor(
    exports: Iterable<NbdExport>,
    limits: Partial<NbdLimits> = {},
    pool = new CountingPool(),
    { tls = false } = {},
  ) {
    this.pool = pool;
    this.core = new NbdServerConnection({
      exports: new ExportTable(exports),
      sink: this.sink,
      pool,
      now: 0,
      limits,
      tls,
      wake: () => {
        this.wakes++;
      },
    });
  }
  get closed(): boolean {
    return this.outputs.some((output) => output.kind === 'close');
  }
  get error(): Error | null {
    const close = this.outputs.find((output) => output.kind === 'close');
    return close?.kind === 'close' ? close.error : null;
  }
  /** Receive buffers and pool buffers that are still held. */
  get held(): number {
    return this.#lent.size + this.pool.lent.length;
  }
  /** Bytes that the core has not read yet because it is paused. */
  get unread(): number {
    return this.#pending.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /** Feeds `bytes`, cut at `cuts` (offsets), reading only while the core is not paused; the rest waits for `pump`. */
  feed(bytes: Buffer, cuts: readonly number[] = []): void {
    const borders = [...new Set([0, ...cuts.filter((cut) => cut > 0 && cut < bytes.length), bytes.length])];
    borders.sort((a, b) => a - b);
    for (const [i, from] of borders.slice(0, -1).entries()) this.#pending.push(bytes.subarray(from, borders[i + 1]));
    this.pump();
  }
  /** Delivers what waits, as far as the core takes it. */
  pump(): void {
    while (this.#pending.length > 0 && !this.core.paused && !this.closed) {
      const chunk = this.#pending.shift();
      if (chunk) this.#deliver(chunk);
    }
    this.drain();
  }
  /** Delivers bytes as a driver must not: although the core is paused. */
  deliverPaused(bytes: Buffer): void {
    this.#deliver(bytes);
    this.drain();
  }
  /** Everything that the server has sent since the last call; the core may then go on. */
  take(): Buffer {
    const parts: Buffer[] = [];
    do {
      parts.push(this.sink.take());
      if (this.sink.wasHigh()) this.core.onDrain();
      this.pump();
    } while (this.sink.backlog > 0);
    return Buffer.concat(parts);
  }
  drain(): void {
    for (let output = this.core.poll(); output; output = this.core.poll()) this.outputs.push(output);
  }

  /** Goes through a usual handshake to the transmission phase. */
  open(name = '', { structured = true } = {}): this {
    this.feed(clientFlags(3));
    if (structured) this.feed(option(8));
    this.feed(option(7, infoData(name)));
    this.take();
    return this;
  }

  #deliver(chunk: Buffer): void {
    const target = this.core.readTarget();
    if (target) {
      const length = chunk.copy(target);
      this.core.onTargetFilled(length);
      if (length < chunk.length) this.#pending.unshift(chunk.subarray(length));
      return;
    }
    // A receive buffer is overwritten as soon as nobody holds it: a view kept without a reference would show.
    const memory = Buffer.from(chunk);
    const owner = new RefBuffer(memory, () => {
      this.#lent.delete(owner);
      memory.fill(0xdb);
    });
    this.#lent.add(owner);
    this.core.onBytes(memory, owner);
    owner.release();
  }
}

/** `device` as `lun0`. */
export function exportOf(device: BlockDevice, readOnly = false): NbdExport {
  return { name: 'lun0', description: '', device, readOnly };
}

/** A client of `device` in the transmission phase. */
export function opened(device: BlockDevice, { structured = true, limits = {} } = {}): NbdDriver {
  return new NbdDriver([exportOf(device)], limits).open('lun0', { structured });
}

/** The one answer to `bytes`, requests with cookie 1. */
export function answer(driver: NbdDriver, bytes: Buffer, readLength = 0): Answer {
  driver.feed(bytes);
  const answers = readAnswers(driver.take(), new Map([[1n, readLength]]));
  assert.equal(answers.length, 1);
  return answers[0] as Answer;
}
