// A connected stream socket with the two halves that a protocol core needs: a sink to write to and a pump that feeds it.
import type { Socket } from 'node:net';
import { AppError, messageOf, ProtocolError } from '../util/errors.js';
import type { StreamConsumer, Timed } from '../util/stream.js';
import { plainSockets } from './handle.js';
import type { ReceiveBuffers } from './receive-buffers.js';
import { SocketSink } from './socket-sink.js';
import { Alarm } from './timers.js';
import { markDirty, runTurn } from './turn.js';

/** How long bytes may still wait to leave after this side has decided to close, milliseconds. */
const LINGER_MS = 1000;

export interface PumpHandlers {
  /**
   * Once, when the connection has ended: null for an end that one side asked for in order, otherwise why. The core gets
   * no further call and what it writes is dropped.
   */
  onClose(error: AppError | null): void;
  /** After each call into the core, within the same turn: the place to drain its outputs. */
  afterCall?(): void;
  /** Cores with deadlines that move when this connection sends or receives. */
  timed?: readonly Timed[];
}

/**
 * A connection. It reads nothing until `attach` gives it a core. Local and remote names are kept, since a closed
 * socket no longer knows them.
 */
export class Wire {
  readonly sink: SocketSink;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  #socket: Socket;
  readonly #buffers: ReceiveBuffers;
  readonly #name: string;
  readonly #plain: boolean;
  /** Another socket is being put in the place of this one: nothing is read meanwhile. */
  #replacing = false;
  #core: StreamConsumer | null = null;
  #handlers: PumpHandlers | null = null;
  #alarms: Alarm[] = [];
  #reading = false;
  #woken = false;
  #isGone = false;
  #closed = false;
  /** Set by `end`: what ends the connection from now on is no failure. */
  #ending = false;
  #linger: NodeJS.Timeout | undefined;
  readonly #whenGone = new Set<() => void>();
  readonly #whenSent: (() => void)[] = [];
  readonly #onError = (error: Error): void => this.#finish(this.#lost(error));
  readonly #onEnd = (): void => this.#finish(null);
  readonly #onClose = (): void => this.#gone();
  readonly #onData = (chunk: Buffer): void => this.#call((core) => this.#buffers.deliverPlain(core, chunk));

  /** Made by connect.ts and listen.ts only. `plain`: the socket does not read by `buffers.onread`. */
  constructor(socket: Socket, buffers: ReceiveBuffers, { name, plain }: { name: string; plain: boolean }) {
    this.#socket = socket;
    this.#buffers = buffers;
    this.#name = name;
    this.#plain = plain;
    this.remoteAddress = plainAddress(socket.remoteAddress);
    this.remotePort = socket.remotePort ?? 0;
    this.localAddress = plainAddress(socket.localAddress);
    this.localPort = socket.localPort ?? 0;
    this.sink = new SocketSink(socket, { direct: !plainSockets() });
    socket.setNoDelay(true);
    this.#listen(socket);
    buffers.bind({
      target: () => this.#core?.readTarget() ?? null,
      received: (length) => this.#received(length),
    });
    this.sink.hooks = {
      onFlushed: () => this.#flushed(),
      onDrain: () => this.#call((core) => core.onDrain()),
    };
  }

  /** Gives the connection its core and starts to read. Once. */
  attach(core: StreamConsumer, handlers: PumpHandlers): void {
    if (this.#core !== null) throw new Error('a connection has one core');
    this.#core = core;
    this.#handlers = handlers;
    this.#alarms = (handlers.timed ?? []).map(
      (timed) =>
        new Alarm(
          timed,
          (work) => this.#call(work),
          () => this.stalled,
        ),
    );
    if (this.#plain) this.#socket.on('data', this.#onData);
    if (this.#closed) {
      // The peer went away between accept and attach.
      queueMicrotask(() => handlers.onClose(null));
      return;
    }
    this.#update();
  }

  /** Whether reading has stopped because of back-pressure here, so that silence says nothing about the peer. */
  get stalled(): boolean {
    return this.#core !== null && !this.#closed && !this.#reading && !this.#replacing;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * For cores whose state changed in a call that this connection did not make (a disk completed a request): at the end of
   * the turn `afterCall` runs, and `paused` and the deadlines are looked at again. Safe from within the core.
   */
  wake(): void {
    if (this.#closed) return;
    this.#woken = true;
    markDirty(this.sink);
  }

  /**
   * Puts the socket that `wrap` makes of this one in its place, in the middle of a connection: for TLS. What was written
   * has left before. Only for a socket that does not read by `onread`, and while the core is paused; the core's deadlines
   * still run. When `wrap` fails the connection ends with that error. Settles in either case.
   */
  async replaceSocket(wrap: (socket: Socket) => Promise<Socket>): Promise<void> {
    if (!this.#plain || this.#core?.paused !== true) throw new Error('this socket cannot be replaced now');
    this.#replacing = true;
    this.#update();
    if (this.sink.backlog > 0) await new Promise<void>((resolve) => this.#whenSent.push(resolve));
    if (this.#closed) return;
    const outer = this.#socket;
    this.#unlisten(outer);
    try {
      const inner = await wrap(outer);
      this.#socket = inner;
      inner.pause();
      inner.on('data', this.#onData);
      this.#listen(inner);
      this.sink.moveTo(inner);
      this.#reading = this.#replacing = false;
      // The core may have given up meanwhile.
      if (this.#closed) inner.destroy();
    } catch (error) {
      this.destroy(error instanceof AppError ? error : this.#lost(error));
      if (outer.closed) this.#gone();
      else outer.once('close', this.#onClose);
    }
  }

  /** Sends what is queued, then closes; `onClose(null)` follows. */
  end(): void {
    if (this.#closed || this.#ending) return;
    this.#ending = true;
    if (this.#replacing) {
      this.destroy();
      return;
    }
    this.sink.end();
    this.#linger = setTimeout(() => this.destroy(), LINGER_MS).unref();
  }

  /** Closes now; `onClose(error)` is called before this returns. */
  destroy(error: AppError | null = null): void {
    this.#finish(error);
    this.#socket.destroy();
  }

  /**
   * Closes now, and what the kernel has not been given yet never leaves. `onClose(null)` is called before this returns.
   * No resetAndDestroy: with a write under way it makes Node 20 spin for ever when the process ends.
   */
  drop(): void {
    this.sink.discard();
    this.#finish(null);
    this.#socket.destroy();
  }

  /** Settles when the descriptor is closed. */
  gone(): Promise<void> {
    if (this.#isGone) return Promise.resolve();
    return new Promise((resolve) => this.#whenGone.add(resolve));
  }

  /** A call into the core as one turn. What it throws ends the connection and nothing else. */
  #call(work: (core: StreamConsumer) => void): void {
    const core = this.#core;
    if (core === null || this.#closed) return;
    this.#woken = false;
    runTurn(() => {
      try {
        work(core);
        this.#handlers?.afterCall?.();
      } catch (error) {
        this.#finish(this.#fault(error));
      }
      this.#update();
    });
  }

  #listen(socket: Socket): void {
    socket.on('error', this.#onError).on('end', this.#onEnd).on('close', this.#onClose);
  }

  /** Another reads this socket from now on, and reports. */
  #unlisten(socket: Socket): void {
    socket.off('error', this.#onError).off('end', this.#onEnd).off('close', this.#onClose).off('data', this.#onData);
    socket.on('error', () => {});
  }

  #flushed(): void {
    if (this.sink.backlog === 0) for (const resolve of this.#whenSent.splice(0)) resolve();
    if (this.#woken) this.#call(() => {});
    else this.#update();
  }

  #received(length: number): boolean {
    this.#call((core) => this.#buffers.deliver(core, length));
    return this.#reading;
  }

  /** Reading follows the core's wish. Called after everything that can change it. */
  #update(): void {
    if (this.#core === null || this.#closed) return;
    for (const alarm of this.#alarms) alarm.rearm();
    const wanted = !this.#core.paused && !this.#replacing;
    if (wanted === this.#reading) return;
    this.#reading = wanted;
    if (wanted) this.#socket.resume();
    else this.#socket.pause();
  }

  /** The connection is over for the core. What it has written may still leave, for a moment. */
  #finish(error: AppError | null): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const alarm of this.#alarms) alarm.stop();
    clearTimeout(this.#linger);
    const rest = { onFlushed: () => this.sink.backlog === 0 && this.#socket.destroySoon() };
    this.sink.hooks = rest;
    this.#linger = setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
    this.sink.flush();
    this.#handlers?.onClose(this.#ending ? null : error);
  }

  #gone(): void {
    this.#finish(null);
    for (const resolve of this.#whenSent.splice(0)) resolve();
    this.#isGone = true;
    clearTimeout(this.#linger);
    this.sink.close();
    this.#buffers.close();
    for (const resolve of this.#whenGone) resolve();
    this.#whenGone.clear();
  }

  #lost(error: unknown): AppError {
    const { code } = error as { readonly code?: unknown };
    if (typeof code === 'string' && code.startsWith('ERR_SSL_')) {
      const broken = (error as { readonly reason?: unknown }).reason ?? code;
      return new ProtocolError('RFC 8446 §5', `TLS with ${this.#name} broke: ${String(broken)}`, { cause: error });
    }
    return new AppError('ERR_TRANSPORT', `connection to ${this.#name} lost: ${messageOf(error)}`, {
      cause: error,
      retriable: true,
    });
  }

  #fault(error: unknown): AppError {
    if (error instanceof ProtocolError || error instanceof AppError) return error;
    return new AppError(
      'ERR_INTERNAL',
      `connection to ${this.#name} closed by a fault of our own: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}

function plainAddress(address: string | undefined): string {
  return address === undefined ? '' : address.replace(/^::ffff:(?=\d+\.)/, '');
}
