// The connections of a target server: sockets joined to the protocol cores, admission, and who is logged in.
import { TargetConnection } from '../../target/connection.js';
import type { TargetContext } from '../../target/context.js';
import type { TargetEvent } from '../../target/events.js';
import { LIMITS } from '../../target/limits.js';
import type { TargetSession } from '../../target/session.js';
import { now } from '../../transport/clock.js';
import type { Wire } from '../../transport/wire.js';
import { ProtocolError } from '../../util/errors.js';
import { Admission, type Pending } from './admission.js';
import { within } from './within.js';

interface Endpoint {
  readonly address: string;
  readonly port: number;
}
export type OnEvent = (event: TargetEvent, remote: Endpoint) => void;

/** A connection in full feature phase. */
export interface LoggedIn {
  readonly session: TargetSession;
  readonly state: string;
  readonly remote: Endpoint;
  readonly authenticated: boolean;
}

const SHUTDOWN = 'the target is shutting down';

export class Connections {
  readonly #context: TargetContext;
  readonly #admission = new Admission();
  readonly #wires = new Map<TargetConnection, Wire>();
  /** TSIHs whose initiator has proven who it is. */
  readonly #proven = new Set<number>();
  readonly #onEvent: OnEvent;
  #closed = false;

  constructor(context: TargetContext, onEvent: OnEvent) {
    this.#context = context;
    this.#onEvent = onEvent;
  }

  /** Connections that have not logged in. */
  get pending(): number {
    return this.#admission.pending;
  }

  loggedIn(): LoggedIn[] {
    const rows: LoggedIn[] = [];
    for (const [connection, wire] of this.#wires) {
      const { session, state } = connection;
      if (session === null || session.over) continue;
      const remote = { address: wire.remoteAddress, port: wire.remotePort };
      rows.push({ session, state, remote, authenticated: this.#proven.has(session.tsih) });
    }
    return rows;
  }

  accept(wire: Wire): void {
    if (this.#closed) wire.destroy();
    else this.#join(wire);
  }

  #join(wire: Wire): void {
    const remote = { address: wire.remoteAddress, port: wire.remotePort };
    const local = { address: wire.localAddress, port: wire.localPort };
    const connection: TargetConnection = new TargetConnection({
      context: this.#context,
      sink: wire.sink,
      addresses: { local, remote },
      host: {
        now,
        close: () => wire.end(),
        changed: () => wire.wake(),
        event: (event) => this.#event(event, pending, remote),
        refusalDelayMs: () => this.#admission.delayFor(wire.remoteAddress, now()),
      },
    });
    const pending: Pending = {
      address: wire.remoteAddress,
      get begun() {
        return connection.state !== 'XPT_UP';
      },
      drop: (reason) => connection.drop(reason),
    };
    this.#admission.admit(pending);
    this.#wires.set(connection, wire);
    wire.attach(connection, {
      timed: [connection],
      onClose: (error) => {
        this.#admission.leave(pending);
        this.#wires.delete(connection);
        connection.onClosed(error?.message ?? 'closed by the initiator', error instanceof ProtocolError);
      },
    });
  }

  #event(event: TargetEvent, pending: Pending, remote: Endpoint): void {
    if (event.kind === 'login') {
      this.#admission.leave(pending);
      if (event.authenticated) this.#proven.add(event.session);
    }
    if (event.kind === 'refuse') this.#admission.failed(pending.address, now());
    if (event.kind === 'end') this.#proven.delete(event.session);
    this.#onEvent(event, remote);
  }

  /** Takes no more, asks everybody to log out, and ends what is left, each with a bound of its own. */
  async close(tasksWaitMs: number): Promise<void> {
    this.#closed = true;
    const wires = [...this.#wires.values()];
    for (const connection of [...this.#wires.keys()]) connection.requestLogout(SHUTDOWN);
    for (const wire of wires) wire.wake();
    await within(LIMITS.logoutSeconds * 1000, Promise.all(wires.map((wire) => wire.gone())));
    const sessions = this.#context.sessions.sessions();
    const ended = sessions.map(
      (session) => new Promise<void>((resolve) => session.terminate(SHUTDOWN, 'target', resolve)),
    );
    await within(tasksWaitMs, Promise.all(ended));
  }
}
