// NBD on a unix socket: joins the NBD server core to sockets and to a registry of exports.
import type { ExportRegistry } from '../nbd/exports.js';
import { NbdServerConnection } from '../nbd/server-connection.js';
import { now } from '../transport/clock.js';
import { type Listener, listenUnix } from '../transport/listen.js';
import { bounded } from '../transport/timers.js';
import type { Wire } from '../transport/wire.js';
import { AppError } from '../util/errors.js';
import type { BufferPool } from '../util/ref-buffer.js';
import type { SessionLog } from './session/log.js';

/** Clients of one socket unless it says otherwise. Each may hold 32 MiB. */
const MOST_CLIENTS = 16;

export interface ExportServerOptions {
  /** At most 107 bytes; made 0600. */
  readonly path: string;
  readonly exports: ExportRegistry;
  readonly pool: BufferPool;
  readonly log: SessionLog;
  /** Default 16. */
  readonly mostClients?: number;
}

/** A listening NBD socket. */
export class ExportServer {
  readonly path: string;
  readonly #options: ExportServerOptions;
  readonly #clients = new Map<Wire, NbdServerConnection>();
  #listener: Listener | null = null;
  #stopped = false;

  private constructor(options: ExportServerOptions) {
    this.path = options.path;
    this.#options = options;
  }

  /** Clients can connect once this resolves. */
  static async listen(options: ExportServerOptions): Promise<ExportServer> {
    const server = new ExportServer(options);
    server.#listener = await listenUnix(options.path, (wire) => server.#accept(wire));
    return server;
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
    const { exports, pool, log, mostClients = MOST_CLIENTS } = this.#options;
    if (this.#stopped || this.#clients.size >= mostClients) {
      log.warn(`NBD client refused: ${this.#stopped ? 'the session is ending' : `${mostClients} clients already`}`);
      wire.destroy();
      return;
    }
    const core = new NbdServerConnection({ exports, sink: wire.sink, pool, now: now(), wake: () => wire.wake() });
    this.#clients.set(wire, core);
    wire.attach(core, {
      timed: [core],
      afterCall: () => this.#drain(wire, core),
      onClose: (error) => {
        core.disconnected();
        this.#clients.delete(wire);
        if (error !== null) log.debug(`NBD client gone: ${error.message}`);
      },
    });
  }

  #drain(wire: Wire, core: NbdServerConnection): void {
    for (let output = core.poll(); output !== undefined; output = core.poll()) {
      if (output.kind === 'log') {
        this.#options.log[output.level](output.message);
        continue;
      }
      if (output.error !== null) this.#options.log.warn(`NBD client dropped: ${output.error.message}`);
      wire.end();
    }
  }
}
