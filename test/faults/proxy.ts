// A TCP fault proxy in front of an iSCSI target: each connection is a link of two lanes that a test can hold, delay, cut
// or corrupt. It remembers every Login PDU, so that a test can say with which ISID and TSIH an initiator came back.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Lane } from './lane.js';
import type { DigestUse, PassingPdu } from './pdu-splitter.js';
import { reset } from './reset.js';

/** A Login Request as it passed, RFC 7143 §11.12. */
export interface SeenLogin {
  readonly link: number;
  /** 12 hexadecimal digits. */
  readonly isid: string;
  readonly tsih: number;
  /** performance.now() */
  readonly at: number;
}

/** The last Login Response of a link, RFC 7143 §11.13. */
export interface SeenLoginStatus {
  readonly link: number;
  /** Status-Class and Status-Detail, as in 0x0201. */
  readonly status: number;
  readonly tsih: number;
  readonly at: number;
}

/** What a new connection meets. 'refuse': nobody listens. 'swallow': it is accepted and never answered. */
export type Door = 'open' | 'refuse' | 'swallow' | 'reset';

export class Link {
  readonly toTarget: Lane;
  readonly toInitiator: Lane;
  readonly openedAt = performance.now();
  /** Settles when both sockets are gone. */
  readonly closed: Promise<void>;

  constructor(
    readonly index: number,
    readonly initiator: Socket,
    readonly target: Socket,
    digests: DigestUse,
  ) {
    const reset = () => this.reset();
    this.toTarget = new Lane(initiator, target, digests, reset);
    this.toInitiator = new Lane(target, initiator, digests, reset);
    this.closed = Promise.all([initiator, target].map(gone)).then(() => {});
  }
  get open(): boolean {
    return !(this.initiator.closed && this.target.closed);
  }
  /** RST to both ends. */
  reset(): void {
    this.resetInitiator();
    this.resetTarget();
  }
  /** RST to the initiator only: the target goes on believing in the connection. */
  resetInitiator(): void {
    reset(this.initiator);
  }
  resetTarget(): void {
    reset(this.target);
  }
  /** Swallows both directions: the network has gone, and nobody is told. */
  blackHole(): void {
    this.toTarget.drop();
    this.toInitiator.drop();
  }
  stop(): void {
    this.toTarget.stop();
    this.toInitiator.stop();
    this.reset();
  }
}

export class FaultProxy {
  /** In the order in which they were opened, the ended ones included. */
  readonly links: Link[] = [];
  readonly logins: SeenLogin[] = [];
  readonly loginStatuses: SeenLoginStatus[] = [];
  /** Called for each new link before its first byte: the place for a link's faults. */
  onLink: ((link: Link) => void) | null = null;
  /** Connections that met a closed door. */
  turnedAway = 0;
  #door: Door = 'open';
  #server: Server | null = null;
  readonly #swallowed = new Set<Socket>();

  private constructor(
    private readonly to: { readonly host: string; readonly port: number },
    readonly host: string,
    readonly port: number,
  ) {}

  /** Listens on a free port (or `listen.port`) in front of `port`. */
  static async start(
    port: number,
    { host = '127.0.0.1', listen = { host: '127.0.0.1', port: 0 } } = {},
  ): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    await listening(server, listen.host, listen.port);
    const address = server.address() as { port: number };
    const proxy = new FaultProxy({ host, port }, listen.host, address.port);
    proxy.#take(server);
    return proxy;
  }

  /** The newest link that is open; throws when there is none. */
  get live(): Link {
    const link = this.links.findLast((candidate) => candidate.open);
    if (link === undefined) throw new Error('no connection is open');
    return link;
  }

  /** What connections from now on meet; links that exist are left alone. */
  async setDoor(door: Door): Promise<void> {
    this.#door = door;
    if (door === 'refuse') {
      // Not waited for: a server has closed only when its last connection has.
      this.#server?.close();
      this.#server = null;
    } else if (this.#server === null) {
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
      await listening(server, this.host, this.port);
      this.#take(server);
    }
    if (door !== 'swallow') for (const socket of this.#swallowed) reset(socket);
  }

  async close(): Promise<void> {
    this.#server?.close();
    for (const socket of this.#swallowed) socket.destroy();
    for (const link of this.links) link.stop();
    await Promise.all(this.links.map((link) => link.closed));
  }

  #take(server: Server): void {
    this.#server = server;
    server.on('connection', (socket) => this.#accept(socket));
  }

  #accept(socket: Socket): void {
    socket.setNoDelay(true).on('error', () => {});
    if (this.#door !== 'open') {
      this.turnedAway++;
      if (this.#door !== 'swallow') {
        reset(socket);
        return;
      }
      this.#swallowed.add(socket);
      socket.on('close', () => this.#swallowed.delete(socket)).resume();
      return;
    }
    const target = connect({ ...this.to, allowHalfOpen: true, noDelay: true });
    const digests: DigestUse = { header: false, data: false };
    const link = new Link(this.links.length, socket, target, digests);
    this.links.push(link);
    link.toTarget.watchers.push((pdu) => this.#seeRequest(link.index, pdu));
    link.toInitiator.watchers.push((pdu) => this.#seeResponse(link.index, pdu, digests));
    this.onLink?.(link);
    socket.resume();
  }

  #seeRequest(link: number, { opcode, bytes }: PassingPdu): void {
    if (opcode !== 0x03) return;
    const isid = bytes.toString('hex', 8, 14);
    this.logins.push({ link, isid, tsih: bytes.readUInt16BE(14), at: performance.now() });
  }

  #seeResponse(link: number, { opcode, bytes, dataAt, dataLength }: PassingPdu, digests: DigestUse): void {
    if (opcode !== 0x23) return;
    const status = bytes.readUInt16BE(36);
    this.loginStatuses.push({ link, status, tsih: bytes.readUInt16BE(14), at: performance.now() });
    const text = bytes.toString('latin1', dataAt, dataAt + dataLength);
    if (/(^|\0)HeaderDigest=CRC32C(\0|$)/.test(text)) digests.header = true;
    if (/(^|\0)DataDigest=CRC32C(\0|$)/.test(text)) digests.data = true;
  }
}

function gone(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, resolve);
  });
}
