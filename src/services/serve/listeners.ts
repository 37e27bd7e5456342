// The sockets behind the portals of a configuration: opened before a change, closed after it, put back if it fails.
import { canonicalAddress, type Portal } from '../../iscsi/portal.js';
import { type Listener, listenTcp } from '../../transport/listen.js';
import type { Wire } from '../../transport/wire.js';
import { AppError } from '../../util/errors.js';

const EVERY = '::';
const EVERY_IPV4 = '0.0.0.0';

/** A socket that listens. Connections wait until the configuration that it is for is in force. */
interface Open {
  readonly wanted: Portal;
  listener: Listener;
  waiting: Wire[] | null;
}

/** A change that is prepared: one of the two is to be called. */
export interface ListenerChange {
  /** The ports of those that asked for port 0, in their order. */
  readonly chosen: readonly number[];
  commit(): void;
  undo(): Promise<void>;
}

function portalKey({ address, port }: Portal): string {
  return `${canonicalAddress(address)} ${port}`;
}

/** Port 0 is another one each time. */
function keyOf(portal: Portal, index: number): string {
  return portal.port === 0 ? `any ${index}` : portalKey(portal);
}

export class Listeners {
  readonly #accept: (wire: Wire) => void;
  #open = new Map<string, Open>();
  /** They listen no more; their connections live on. */
  readonly #stopped: Listener[] = [];

  constructor(accept: (wire: Wire) => void) {
    this.#accept = accept;
  }

  /** Where it listens, with the ports that were chosen. */
  get portals(): Portal[] {
    return [...this.#open.values()].map(({ listener: { address, port } }) => ({ address, port }));
  }

  /** Whether connections to this portal arrive: at its own socket, or at the one of every address. */
  covers({ address, port }: Portal): boolean {
    const own = canonicalAddress(address);
    return this.portals.some((open) => {
      if (open.port !== port) return false;
      return open.address === own || open.address === EVERY || (open.address === EVERY_IPV4 && !own.includes(':'));
    });
  }

  /** Opens what `portals` need and is not open. @throws AppError; everything is as before then */
  async prepare(portals: readonly Portal[]): Promise<ListenerChange> {
    const needed = new Map(socketsFor(portals).map((portal, i) => [keyOf(portal, i), portal]));
    const surplus = [...this.#open].filter(([key]) => !needed.has(key));
    const missing = [...needed].filter(([key]) => !this.#open.has(key));
    // Every address and one of them cannot both be bound: what goes makes room first.
    const inTheWay = surplus.filter(([, { wanted }]) => missing.some(([, { port }]) => port === wanted.port));
    for (const [, { listener }] of inTheWay) listener.stop();
    const opened = new Map<string, Open>();
    const undo = async () => {
      for (const { listener } of opened.values()) await listener.close();
      for (const [, open] of inTheWay) {
        this.#stopped.push(open.listener);
        await this.#listen(open);
      }
    };
    try {
      for (const [key, wanted] of missing) opened.set(key, await this.#begin(wanted));
    } catch (error) {
      await undo();
      throw error;
    }
    const next = new Map([...this.#open].filter(([key]) => needed.has(key)));
    for (const [key, open] of opened) next.set(key, open);
    return {
      chosen: [...opened.values()].filter(({ wanted }) => wanted.port === 0).map(({ listener }) => listener.port),
      undo,
      commit: () => this.#commit(next, opened, surplus),
    };
  }

  #commit(next: Map<string, Open>, opened: ReadonlyMap<string, Open>, surplus: readonly [string, Open][]): void {
    // What asked for any port is known by the one it got: the configuration says that from now on.
    this.#open = new Map(
      [...next.values()].map((open) => {
        const settled = { address: open.wanted.address, port: open.listener.port };
        return [portalKey(settled), { ...open, wanted: settled }];
      }),
    );
    for (const [, { listener }] of surplus) {
      listener.stop();
      this.#stopped.push(listener);
    }
    for (const open of opened.values()) {
      const waiting = open.waiting ?? [];
      open.waiting = null;
      for (const wire of waiting) this.#accept(wire);
    }
  }

  async #begin(wanted: Portal): Promise<Open> {
    const open: Open = { wanted, listener: NO_LISTENER, waiting: [] };
    await this.#listen(open);
    return open;
  }
  async #listen(open: Open): Promise<void> {
    open.listener = await listenAt(open.wanted, (wire) => {
      if (open.waiting === null) this.#accept(wire);
      else open.waiting.push(wire);
    });
  }

  /** No new connections; those that are there stay. */
  stop(): void {
    for (const { listener } of this.#open.values()) listener.stop();
  }
  /** Closes everything, connections too. */
  async close(): Promise<void> {
    const all = [...[...this.#open.values()].map(({ listener }) => listener), ...this.#stopped];
    await Promise.all(all.map((listener) => listener.close()));
  }
}

const NO_LISTENER: Listener = {
  address: '',
  port: 0,
  connections: new Set(),
  close: async () => {},
  stop: () => {},
};

/** The sockets that portals come to: one on every address serves them all at its port. */
function socketsFor(portals: readonly Portal[]): Portal[] {
  const at = (address: string) =>
    new Set(portals.filter((portal) => portal.address === address).map(({ port }) => port));
  const [every, everyIpv4] = [at(EVERY), at(EVERY_IPV4)];
  return portals
    .map(({ address, port }) => ({ address: canonicalAddress(address), port }))
    .filter(({ address, port }) => {
      if (port === 0 || address === EVERY) return true;
      if (every.has(port)) return false;
      return address === EVERY_IPV4 || address.includes(':') || !everyIpv4.has(port);
    });
}

/** A host without IPv6 has no [::]; every IPv4 address is all it can mean there. */
async function listenAt({ address, port }: Portal, accept: (wire: Wire) => void): Promise<Listener> {
  try {
    return await listenTcp(address, port, accept);
  } catch (error) {
    const cause = error instanceof AppError ? error.cause : undefined;
    const noIpv6 = cause instanceof Error && 'code' in cause && cause.code === 'EAFNOSUPPORT';
    if (address !== EVERY || !noIpv6) throw error;
    return await listenTcp(EVERY_IPV4, port, accept);
  }
}
