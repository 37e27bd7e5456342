// An initiator's session that is connected again and again to our own target in memory, under a fake clock and from a seed:
// connections are cut at random bytes, or fall silent, and what an old one still holds may arrive after the next login.
import type { BlockDevice } from '../../src/block/block-device.js';
import type { InitiatorConnection } from '../../src/initiator/connection.js';
import { DEFAULT_TIMERS, type LoginOptions } from '../../src/initiator/options.js';
import { InitiatorSession } from '../../src/initiator/session.js';
import { makeIsid } from '../../src/iscsi/isid.js';
import { BufferPool } from '../../src/util/ref-buffer.js';
import { FakeClock, handOver, MemorySink, MemoryWire } from './memory-link.js';
import { type FarEnd, INITIATOR, TARGET, TargetRig } from './pair.js';

/** How far a run may go before it is taken for stuck. */
const MOST_STEPS = 20_000;
/** Bytes of one direction of a connection within which a cut comes. */
const CUT_WITHIN = 40_000;

interface Net {
  readonly near: InitiatorConnection;
  readonly far: FarEnd & { readonly over: boolean };
  readonly out: MemoryWire;
  readonly back: MemoryWire;
  /** The initiator has done with it. */
  dropped: boolean;
}

export interface RecoveryRigOptions {
  readonly seed: number;
  readonly device: BlockDevice;
  readonly negotiate?: LoginOptions['negotiate'];
  readonly replacementTimeoutMs?: number;
  /** Now and then nobody answers for up to so long, milliseconds. */
  readonly outageMs?: number;
}

export class RecoveryRig {
  readonly clock = new FakeClock();
  readonly session: InitiatorSession;
  /** Whether connections break by themselves. */
  faults = false;
  losses = 0;
  replayed = 0;
  readonly #target: TargetRig;
  readonly #random: () => number;
  #net: Net | null = null;
  /** Connections that only the target still knows, with bytes on their way. */
  readonly #ghosts = new Set<Net>();
  #connectAt = 0;
  readonly #outageMs: number;

  constructor(options: RecoveryRigOptions) {
    const { seed, device, negotiate = {}, replacementTimeoutMs = Number.POSITIVE_INFINITY, outageMs = 0 } = options;
    this.#outageMs = outageMs;
    this.#random = generator(seed);
    this.#target = new TargetRig(this.clock, { devices: [device] });
    const isid = makeIsid(0x123456, 1);
    this.session = new InitiatorSession(
      { initiatorName: INITIATOR, targetName: TARGET, isid, credentials: null, negotiate },
      {
        pool: new BufferPool(),
        now: this.clock.now,
        timers: { ...DEFAULT_TIMERS, replacementTimeoutMs },
        onOutput: () => this.#drain(),
      },
    );
  }
  /** A natural number below `below`. */
  readonly random = (below: number): number => Math.floor(this.#random() * below);

  /** Some bytes move, some time passes, promises run; perhaps a connection falls silent. */
  async step(): Promise<void> {
    if (this.#net === null && this.clock.ms >= this.#connectAt && this.session.state !== 'LOGGED_IN') this.#connect();
    const net = this.#net;
    if (net !== null && this.faults && this.random(60) === 0) net.out.faults.held = true;
    if (net !== null) for (let turns = 1 + this.random(8); turns > 0 && !net.dropped; turns--) this.#move(net);
    for (const ghost of this.#ghosts) if (this.random(80) === 0) this.#haunt(ghost);
    this.clock.ms += this.#net === null || this.#net.out.faults.held ? this.random(500) : this.random(20);
    this.session.handleTimeout(this.clock.ms);
    await new Promise((resolve) => setImmediate(resolve));
  }
  async until(isDone: () => boolean): Promise<void> {
    for (let steps = 0; !isDone(); steps++) {
      if (steps > MOST_STEPS) throw new Error(`stuck: ${this.session.state}, ${this.session.recovery}`);
      await this.step();
    }
  }

  #connect(): void {
    const nearSink = new MemorySink();
    const far = this.#target.accept();
    const near = this.session.open(nearSink);
    const chunk = () => 1 + this.random(this.random(2) === 0 ? 60 : 4000);
    const cut = () => (this.faults && this.random(3) === 0 ? { cutAt: this.random(CUT_WITHIN) } : {});
    this.#net = {
      near,
      far,
      out: new MemoryWire(nearSink, near, far.consumer, { chunk, ...cut() }),
      back: new MemoryWire(far.sink, far.consumer, near, { chunk, ...cut() }),
      dropped: false,
    };
  }
  #move(net: Net): void {
    try {
      net.out.deliver();
      if (!net.dropped) net.back.deliver();
    } catch (error) {
      this.#close(net, error);
      return;
    }
    if (net.far.over) this.#close(net, null);
    else if (net.out.broken || net.back.broken) this.#close(net, new Error('cut'));
  }
  /** The initiator sees the end; the target perhaps later. */
  #close(net: Net, error: unknown): void {
    net.near.handleClosed(error);
    this.#leave(net);
  }
  #leave(net: Net): void {
    if (net.dropped) return;
    net.dropped = true;
    if (this.#net === net) this.#net = null;
    const isLong = this.faults && this.random(4) === 0;
    this.#connectAt = this.clock.ms + this.random(isLong ? Math.max(50, this.#outageMs) : 50);
    this.#ghosts.add(net);
  }
  /** Bytes of a connection that the initiator has given up reach the target, unless that has ended it; then it ends. */
  #haunt(ghost: Net): void {
    this.#ghosts.delete(ghost);
    const { out, far } = ghost;
    if (!far.over && out.faults.cutAt === undefined) {
      const rest = out.rest();
      try {
        if (rest.length > 0) handOver(rest, far.consumer);
      } catch {
        // A target may end a connection for what it carries.
      }
    }
    far.closed?.('gone');
  }
  #drain(): void {
    for (let output = this.session.poll(); output !== undefined; output = this.session.poll()) {
      if (output.kind === 'lost') this.losses++;
      if (output.kind === 'recovered') this.replayed += output.replayed;
      const ends = output.kind === 'lost' || output.kind === 'login-failed' || output.kind === 'logged-out';
      if (ends && this.#net !== null) this.#leave(this.#net);
    }
  }
}

/** mulberry32: numbers from 0 up to 1, the same for the same seed. */
function generator(seed: number): () => number {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
