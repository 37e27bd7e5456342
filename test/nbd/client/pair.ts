// An NBD client core joined to a server in memory, under a clock of the test's own.
import assert from 'node:assert/strict';
import { NbdClientConnection, type NbdClientLimits } from '../../../src/nbd/client/connection.js';
import type { NbdEvents } from '../../../src/nbd/client/device.js';
import { emitExportInfo, emitOptionReply } from '../../../src/nbd/wire/option.js';
import { AppError } from '../../../src/util/errors.js';
import { RefBuffer } from '../../../src/util/ref-buffer.js';
import { CountingPool } from '../../helpers/counting-pool.js';
import { MemorySink } from '../../helpers/memory-sink.js';

/** The client's end of one connection: what it sends is taken, what it hears is fed, as the driver of sockets does it. */
export class ClientEnd {
  readonly sink = new MemorySink();
  readonly core: NbdClientConnection;
  readonly pool: CountingPool;
  now = 0;
  opened = false;
  ended = false;
  tls = false;
  /** How the connection was lost. */
  lost: { readonly error: AppError | null } | null = null;

  constructor(
    options: {
      tls?: boolean;
      limits?: Partial<NbdClientLimits>;
      pool?: CountingPool;
      device?: NbdEvents;
      name?: string;
    } = {},
  ) {
    this.pool = options.pool ?? new CountingPool();
    this.core = new NbdClientConnection({
      exportName: options.name ?? 'disk',
      tls: options.tls ?? false,
      sink: this.sink,
      pool: this.pool,
      ...(options.limits && { limits: options.limits }),
      host: {
        now: () => this.now,
        startTls: () => {
          this.tls = true;
        },
        opened: () => {
          this.opened = true;
        },
        ready: () => options.device?.ready(),
        wake: () => {},
        end: () => {
          this.ended = true;
        },
        lost: (error) => {
          this.lost = { error };
          options.device?.lost(this.core, error);
        },
      },
    });
  }

  /** The code of what has ended the connection; null: nothing has, or nobody broke anything. */
  get failure(): string | null {
    return this.lost?.error?.code ?? null;
  }

  /** Bytes of the server, in pieces of `step`. What the core throws ends the connection. */
  feed(bytes: Buffer, step = bytes.length): void {
    this.#call(() => {
      for (let at = 0; at < bytes.length; at += step) this.#deliver(bytes.subarray(at, at + step));
    });
  }
  /** The clock goes on. */
  pass(ms: number): void {
    this.now += ms;
    this.#call(() => this.core.handleTimeout(this.now));
  }
  #deliver(piece: Buffer): void {
    for (let rest = piece; rest.length > 0; ) {
      const target = this.core.readTarget();
      if (target === null) {
        const memory = Buffer.from(rest);
        const owner = new RefBuffer(memory);
        this.core.onBytes(memory, owner);
        assert.equal(owner.references, 1);
        memory.fill(0xdb);
        return;
      }
      const length = rest.copy(target);
      this.core.onTargetFilled(length);
      rest = rest.subarray(length);
    }
  }
  #call(work: () => void): void {
    try {
      work();
    } catch (error) {
      assert.ok(error instanceof AppError, `${error}`);
      this.core.closed(error);
    }
  }
}

export const GREETING = Buffer.from('4e42444d4147494349484156454f50540003', 'hex');

/** What a server says for a handshake with everything: structured replies, base:allocation as context 7, `flags`. */
export function welcome({ size = 2 ** 20, flags = 0x5fd, structured = true } = {}): Buffer {
  const context = Buffer.concat([Buffer.from([0, 0, 0, 7]), Buffer.from('base:allocation')]);
  const structuredPart = structured
    ? [emitOptionReply(8, 1), emitOptionReply(10, 4, context), emitOptionReply(10, 1)]
    : [emitOptionReply(8, 0x8000_0001)];
  return Buffer.concat([
    GREETING,
    ...structuredPart,
    emitOptionReply(7, 3, emitExportInfo(size, flags)),
    emitOptionReply(7, 1),
  ]);
}
