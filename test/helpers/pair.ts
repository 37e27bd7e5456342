// An initiator core joined to a target core in memory, under a fake clock: delays, cuts, corruption, pieces of any size.

import type { BlockDevice } from '../../src/block/block-device.js';
import type { InitiatorConnection } from '../../src/initiator/connection.js';
import { DEFAULT_TIMERS, type InitiatorTimers, type LoginOptions } from '../../src/initiator/options.js';
import { InitiatorSession, type SessionOutput } from '../../src/initiator/session.js';
import { makeIsid } from '../../src/iscsi/isid.js';
import type { ChapAccount } from '../../src/target/config.js';
import { TargetConnection } from '../../src/target/connection.js';
import { TargetContext } from '../../src/target/context.js';
import type { TargetEvent } from '../../src/target/events.js';
import { LogicalUnit } from '../../src/target/logical-unit.js';
import { TargetNode } from '../../src/target/target-node.js';
import { BufferPool } from '../../src/util/ref-buffer.js';
import type { StreamConsumer, Timed } from '../../src/util/stream.js';
import { FakeClock, MemorySink, MemoryWire, type WireFaults } from './memory-link.js';

export const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
export const TARGET = 'iqn.2022-08.com.test:dlp.target01';

/** What the far end needs: its core, its sink, and how it hears that the connection is gone. */
export interface FarEnd {
  readonly consumer: StreamConsumer & Partial<Timed>;
  readonly sink: MemorySink;
  closed?(reason: string): void;
}

/** Two wires between two ends. An end that throws, or a cut, closes both directions, as a socket would. */
export class MemoryConnection {
  readonly out: MemoryWire;
  readonly back: MemoryWire;
  readonly #near: StreamConsumer & { handleClosed(error: unknown): void };
  readonly #far: FarEnd;
  closed = false;
  /** What an end threw. */
  thrown: unknown = null;

  constructor(
    near: StreamConsumer & { handleClosed(error: unknown): void },
    nearSink: MemorySink,
    far: FarEnd,
    faults: { readonly out?: WireFaults; readonly back?: WireFaults } = {},
  ) {
    this.#near = near;
    this.#far = far;
    this.out = new MemoryWire(nearSink, near, far.consumer, faults.out);
    this.back = new MemoryWire(far.sink, far.consumer, near, faults.back);
  }
  /** Carries bytes both ways until nothing moves; whether anything did. */
  pump(): boolean {
    let moved = false;
    for (let again = true; again && !this.closed; moved ||= again) again = this.#turn();
    return moved;
  }
  #turn(): boolean {
    try {
      const sent = this.out.deliver();
      const received = this.back.deliver();
      if (this.out.broken || this.back.broken) this.close('cut');
      return sent || received;
    } catch (error) {
      this.thrown = error;
      this.close(error);
      return true;
    }
  }
  close(error: unknown): void {
    if (this.closed) return;
    this.closed = true;
    this.#near.handleClosed(error === 'cut' ? new Error('cut') : error);
    this.#far.closed?.(String(error));
    this.out.sink.take();
    this.back.sink.take();
  }
}

export interface PairOptions {
  readonly login?: Partial<LoginOptions>;
  readonly timers?: Partial<InitiatorTimers>;
  readonly out?: WireFaults;
  readonly back?: WireFaults;
}

export interface TargetOptions {
  /** LUN 0, 1, … */
  readonly devices: readonly BlockDevice[];
  readonly account?: ChapAccount;
  readonly mutual?: ChapAccount;
  readonly readOnly?: boolean;
}

/** Our own target over `devices`: a context that outlives its connections, as the server's does. */
export class TargetRig {
  readonly context: TargetContext;
  readonly events: TargetEvent[] = [];
  readonly #clock: FakeClock;

  constructor(clock: FakeClock, options: TargetOptions) {
    this.#clock = clock;
    const pool = new BufferPool();
    const units = options.devices.map((device, lun) => ({
      lun,
      unit: new LogicalUnit({ name: `disk${lun}`, serial: `5ca1ab1e-000${lun}`, device, pool }),
    }));
    const auth = { account: options.account ?? null, mutual: options.mutual ?? null };
    const mappedLuns = units.map(({ lun }) => ({ mappedLun: lun, tpgLun: lun, readOnly: options.readOnly ?? false }));
    const node = new TargetNode({
      alias: 'pair',
      discoveryAuth: null,
      targets: [
        {
          name: TARGET,
          portalGroups: [
            {
              tag: 1,
              enabled: true,
              portals: [{ address: '127.0.0.1', port: 3260 }],
              luns: units,
              acls: [{ initiatorName: INITIATOR, auth: null, mappedLuns }],
              auth,
              demoMode: 'off',
              authenticationRequired: options.account !== undefined,
            },
          ],
        },
      ],
    });
    this.context = new TargetContext(node, pool);
  }
  /** A connection that has just been accepted. */
  accept(): FarEnd & { consumer: TargetConnection; readonly over: boolean } {
    const sink = new MemorySink();
    let over = false;
    const host = {
      now: this.#clock.now,
      close: (): void => {
        over = true;
      },
      event: (event: TargetEvent): void => {
        this.events.push(event);
      },
      changed: (): void => undefined,
    };
    const addresses = {
      local: { address: '127.0.0.1', port: 3260 },
      remote: { address: '127.0.0.1', port: 40_000 },
    };
    const consumer = new TargetConnection({ context: this.context, sink, host, addresses });
    return {
      consumer,
      sink,
      closed: (reason) => consumer.onClosed(reason),
      /** Whether the target wants its socket closed. */
      get over() {
        return over;
      },
    };
  }
}

/** An InitiatorSession whose connections are joined to far ends. Outputs are collected as they come. */
export class InitiatorRig {
  readonly clock = new FakeClock();
  readonly pool = new BufferPool();
  readonly session: InitiatorSession;
  readonly outputs: SessionOutput[] = [];
  /** How often the session has called for its driver. */
  wakes = 0;
  #link: MemoryConnection | null = null;
  #far: FarEnd | null = null;

  constructor(options: PairOptions = {}) {
    this.session = new InitiatorSession(
      {
        initiatorName: INITIATOR,
        targetName: TARGET,
        isid: makeIsid(0x123456, 1),
        credentials: null,
        ...options.login,
      },
      {
        pool: this.pool,
        now: this.clock.now,
        // Requests end with their connection, unless a test wants them to wait.
        timers: { ...DEFAULT_TIMERS, replacementTimeoutMs: 0, ...options.timers },
        onOutput: () => this.#drain(),
      },
    );
  }
  get link(): MemoryConnection {
    if (this.#link === null) throw new Error('no connection was opened');
    return this.#link;
  }
  /** Opens a connection to `far`; bytes move with `pump` or `settle`. */
  open(far: FarEnd, sink: MemorySink, faults: Pick<PairOptions, 'out' | 'back'> = {}): InitiatorConnection {
    const connection = this.session.open(sink);
    this.#far = far;
    this.#link = new MemoryConnection(connection, sink, far, faults);
    return connection;
  }
  pump(): void {
    this.#link?.pump();
  }
  /** From here on bytes move by themselves, in the next turn of the event loop, as with sockets. */
  runByItself(): void {
    const { out, back } = this.link;
    let due = false;
    const soon = (): void => {
      if (due) return;
      due = true;
      setImmediate(() => {
        due = false;
        this.pump();
      });
    };
    out.sink.onDirty = soon;
    back.sink.onDirty = soon;
    soon();
  }
  /** Until neither bytes nor promises move: for far ends that work with promises, and for `execute`. */
  async settle(rounds = 4): Promise<void> {
    for (let quiet = 0; quiet < rounds; ) {
      quiet = this.#link?.pump() ? 0 : quiet + 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  /** Time passes, in steps of each deadline that falls into it. */
  async advance(ms: number): Promise<void> {
    const end = this.clock.ms + ms;
    for (;;) {
      await this.settle(2);
      const { out, back, closed } = this.link;
      const arrival = closed ? end : Math.min(out.arrivesAt ?? end, back.arrivesAt ?? end);
      const due = Math.min(this.session.deadline ?? end, this.#far?.consumer.deadline ?? end, arrival);
      if (due >= end) break;
      this.clock.ms = Math.max(this.clock.ms, due);
      this.#fire();
    }
    this.clock.ms = end;
    this.#fire();
    await this.settle(2);
  }
  #fire(): void {
    this.session.handleTimeout(this.clock.ms);
    const far = this.#far?.consumer;
    if (!this.#link?.closed) far?.handleTimeout?.(this.clock.ms);
  }
  /** The outputs of one kind, oldest first. */
  all<K extends SessionOutput['kind']>(kind: K): Extract<SessionOutput, { kind: K }>[] {
    return this.outputs.filter((output): output is Extract<SessionOutput, { kind: K }> => output.kind === kind);
  }
  #drain(): void {
    this.wakes++;
    for (let output = this.session.poll(); output !== undefined; output = this.session.poll()) {
      this.outputs.push(output);
      if (['lost', 'login-failed', 'redirect', 'logged-out'].includes(output.kind)) this.#link?.close('ended');
    }
  }
}
