// NBD on a unix socket or on TCP: joins the NBD server core to sockets and to a registry of exports.
import type { ExportRegistry } from '../nbd/exports.js';
import type { NbdLimits } from '../nbd/limits.js';
import { NbdServerConnection } from '../nbd/server-connection.js';
import { now } from '../transport/clock.js';
import { formatEndpoint } from '../transport/connect.js';
import { type Listener, listenTcp, listenUnix } from '../transport/listen.js';
import { bounded } from '../transport/timers.js';
import type { TlsAcceptor } from '../transport/tls.js';
import type { Wire } from '../transport/wire.js';
import { AppError, messageOf, ProtocolError } from '../util/errors.js';
import type { BufferPool } from '../util/ref-buffer.js';
import type { SessionLog } from './session/log.js';

/** Clients of one socket unless it says otherwise. Each may hold 32 MiB. */
const MOST_CLIENTS = 16;

export interface ExportServerOptions {
  /** At most 107 bytes; made 0600. Or where to listen by TCP. */
  readonly path: string | TcpAddress;
  readonly exports: ExportRegistry;
  readonly pool: BufferPool;
  readonly log: SessionLog;
  /** Default 16. */
  readonly mostClients?: number;
  /** Of each client, where they are not the usual ones. */
  readonly limits?: Partial<NbdLimits>;
  /** Told when the last connection has gone, if any had opened an export. */
  onUnused?(): void;
}

export interface TcpAddress {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Clients are taken over TLS only; null: in plain text only. */
  readonly tls: TlsAcceptor | null;
}

/** A listening NBD socket. */
export class ExportServer {
  readonly #options: ExportServerOptions;
  readonly #clients = new Map<Wire, NbdServerConnection>();
  readonly #tls: TlsAcceptor | null;
  #listener: Listener | null = null;
  #stopped = false;
  #used = false;

  private constructor(options: ExportServerOptions) {
    this.#options = options;
    this.#tls = typeof options.path === 'string' ? null : options.path.tls;
  }

  /** Clients can connect once this resolves. */
  static async listen(options: ExportServerOptions): Promise<ExportServer> {
    const server = new ExportServer(options);
    const { path } = options;
    const accept = (wire: Wire) => server.#accept(wire);
    server.#listener =
      typeof path === 'string'
        ? await listenUnix(path, accept)
        : await listenTcp(path.host, path.port, accept, { plain: path.tls !== null });
    return server;
  }

  /** The path of its socket, or the TCP address. */
  get path(): string {
    return this.#listener?.address ?? '';
  }
  /** The TCP port that the system chose, or 0. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** How many connections there are, those in the handshake too. */
  get connections(): number {
    return this.#clients.size;
  }

  /** How many connections have opened an export for which `matches` holds. `readOnly`: as the client was told. */
  clientsOf(matches: (exportName: string, readOnly: boolean) => boolean): number {
    let count = 0;
    for (const { exportName, readOnly } of this.#clients.values()) {
      if (exportName !== null && matches(exportName, readOnly)) count++;
    }
    return count;
  }

  /** New clients are turned away, new requests answered with ESHUTDOWN; settles when all have gone, or after `timeoutMs`. */
  async shutdown(timeoutMs: number): Promise<void> {
    this.#stopped = true;
    this.#listener?.stop();
    for (const [wire, core] of this.#clients) {
      core.shutdown(now());
      wire.wake();
    }
    const gone = Promise.all([...this.#clients.keys()].map((wire) => wire.gone()));
    await bounded(gone, { timeoutMs, onTimeout: () => new AppError('ERR_TIMEOUT', 'NBD clients linger') }).catch(
      () => {},
    );
    await this.#listener?.close();
  }

  #accept(wire: Wire): void {
    const { exports, pool, log, limits = {}, mostClients = MOST_CLIENTS } = this.#options;
    if (this.#clients.size >= mostClients) this.#makeRoom();
    if (this.#stopped || this.#clients.size >= mostClients) {
      log.warn(`NBD client refused: ${this.#stopped ? 'the session is ending' : `${mostClients} clients already`}`);
      wire.destroy();
      return;
    }
    const tls = this.#tls !== null;
    const wake = () => wire.wake();
    const core = new NbdServerConnection({ exports, sink: wire.sink, pool, now: now(), limits, wake, tls });
    this.#clients.set(wire, core);
    wire.attach(core, {
      timed: [core],
      afterCall: () => this.#drain(wire, core),
      onClose: (error) => this.#onClose(wire, core, error),
    });
  }

  /**
   * By TCP anybody may connect and say nothing: the oldest of those that have not opened an export yet has to go. Behind
   * a unix socket there are friends only, who are better told that there is no room.
   */
  #makeRoom(): void {
    if (typeof this.#options.path === 'string') return;
    const idle = [...this.#clients].find(([, core]) => core.exportName === null);
    idle?.[0].destroy(
      new ProtocolError('NBD proto.md "Newstyle negotiation"', 'no export opened, and others are waiting'),
    );
  }

  #onClose(wire: Wire, core: NbdServerConnection, error: AppError | null): void {
    const { log, onUnused } = this.#options;
    if (core.exportName !== null) this.#used = true;
    core.disconnected();
    this.#clients.delete(wire);
    if (error instanceof ProtocolError) log.warn(`NBD client ${nameOf(wire)}dropped: ${error.message}`);
    else if (error !== null) log.debug(`NBD client ${nameOf(wire)}gone: ${error.message}`);
    if (this.#used && this.#clients.size === 0 && !this.#stopped) onUnused?.();
  }

  #drain(wire: Wire, core: NbdServerConnection): void {
    for (let output = core.poll(); output !== undefined; output = core.poll()) {
      if (output.kind === 'start-tls') this.#startTls(wire, core).catch((error: unknown) => wire.destroy(fault(error)));
      else if (output.kind === 'log') this.#options.log[output.level](output.message);
      else {
        if (output.error !== null) this.#options.log.warn(`NBD client ${nameOf(wire)}dropped: ${output.error.message}`);
        wire.end();
      }
    }
  }

  /** A failure has been reported by `onClose` by then. */
  async #startTls(wire: Wire, core: NbdServerConnection): Promise<void> {
    const tls = this.#tls;
    if (tls === null) throw new Error('TLS was not offered');
    await wire.replaceSocket((socket) => tls.accept(socket));
    if (wire.closed) return;
    core.secured();
    wire.wake();
  }
}

function fault(error: unknown): AppError {
  return new AppError('ERR_INTERNAL', `TLS was not started: ${messageOf(error)}`, { cause: error });
}

/** For a log: where the client is, if it is not behind a unix socket, and a blank. */
function nameOf({ remoteAddress, remotePort }: Wire): string {
  return remoteAddress === '' ? '' : `${formatEndpoint(remoteAddress, remotePort)} `;
}
