// Sockets by the C library's own calls, where Node has none: netlink, and unix sockets whose descriptor is handed to the
// kernel. Nothing here waits in a call on the event loop: sockets are non-blocking and looked at again.
import { endianness } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { AppError, ProtocolError } from '../util/errors.js';
import { type CLibrary, cLibrary } from '../util/native.js';
import { now } from './clock.js';
import { delay } from './timers.js';
import { checkSocketPath } from './unix-path.js';

// The numbers of the generic Linux architectures.
const AF_UNIX = 1;
const AF_NETLINK = 16;
const NETLINK_GENERIC = 16;
const SOCK_STREAM = 1;
const SOCK_RAW = 3;
const SOCK_FLAGS = 0o2000000 | 0o4000;
const MSG_NOSIGNAL = 0x4000;
const MSG_TRUNC = 0x20;
const LARGEST_DATAGRAM = 65_536;
const POLL_MS = 1;
/** EAGAIN, of a full backlog, an empty queue or a full buffer. */
const AGAIN = 11;

/** When to give up, on the clock of `now`. */
export interface Patience {
  readonly deadline: number;
  readonly signal?: AbortSignal | undefined;
}

/** What can be made here; null without koffi, on another C library, or where the numbers above are not right. */
export async function nativeSockets(): Promise<NativeSockets | null> {
  const usual = ['x64', 'arm64', 'arm', 'ia32', 'riscv64', 'loong64'].includes(process.arch);
  if (process.platform !== 'linux' || !usual || endianness() !== 'LE') return null;
  const library = await cLibrary();
  return library === null ? null : new NativeSockets(library);
}

export class NativeSockets {
  readonly #calls: Calls;

  constructor(library: CLibrary) {
    this.#calls = {
      library,
      socket: library.func('int socket(int domain, int type, int protocol)'),
      connect: library.func('int connect(int fd, const void *address, uint32_t length)'),
      send: library.func('long send(int fd, const void *bytes, size_t length, int flags)'),
      recv: library.func('long recv(int fd, void *bytes, size_t length, int flags)'),
      close: library.func('int close(int fd)'),
    };
  }

  /** A generic netlink socket that only the kernel can send to. */
  netlink(): NativeSocket {
    const socket = new NativeSocket(this.#calls, [AF_NETLINK, SOCK_RAW, NETLINK_GENERIC], 'netlink');
    // nl_pid 0 is the kernel: what anybody else sends is refused from then on.
    const address = Buffer.alloc(12);
    address.writeUInt16LE(AF_NETLINK, 0);
    if (socket.connect(address) === 0) return socket;
    throw socket.failed('connect');
  }

  /** Connects to a listening unix socket. Throws ERR_CONNECT, ERR_TIMEOUT, ERR_INTERRUPTED. */
  async unix(path: string, patience: Patience): Promise<NativeSocket> {
    checkSocketPath(path);
    const socket = new NativeSocket(this.#calls, [AF_UNIX, SOCK_STREAM, 0], path);
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX, 0);
    address.write(path, 2);
    try {
      await socket.untilDone('connect', () => socket.connect(address), patience);
      return socket;
    } catch (error) {
      socket.close();
      throw error;
    }
  }
}

interface Calls {
  readonly library: CLibrary;
  readonly socket: ReturnType<CLibrary['func']>;
  readonly connect: ReturnType<CLibrary['func']>;
  readonly send: ReturnType<CLibrary['func']>;
  readonly recv: ReturnType<CLibrary['func']>;
  readonly close: ReturnType<CLibrary['func']>;
}

export class NativeSocket {
  readonly fd: number;
  readonly #calls: Calls;
  readonly #name: string;
  #errno = 0;
  #closed = false;

  constructor(calls: Calls, [domain, type, protocol]: readonly [number, number, number], name: string) {
    this.#calls = calls;
    this.#name = name;
    this.fd = calls.socket(domain, type | SOCK_FLAGS, protocol);
    this.#errno = calls.library.errno();
    if (this.fd < 0) throw this.failed('socket');
  }

  connect(address: Buffer): number {
    return this.#noting(this.#calls.connect(this.fd, address, address.length));
  }

  /** Sends all of `bytes`. */
  async write(bytes: Buffer, patience: Patience): Promise<void> {
    for (let rest = bytes; rest.length > 0; ) {
      const some = rest;
      const send = () => this.#noting(this.#calls.send(this.fd, some, some.length, MSG_NOSIGNAL));
      rest = rest.subarray(await this.untilDone('send', send, patience));
    }
  }

  /** Reads exactly `length` bytes and none after them. Throws ERR_CONNECT if the peer ends before. */
  async read(length: number, patience: Patience): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    for (let rest = bytes; rest.length > 0; ) {
      const room = rest;
      const recv = () => this.#noting(this.#calls.recv(this.fd, room, room.length, 0));
      const count = await this.untilDone('recv', recv, patience);
      if (count === 0) throw new AppError('ERR_CONNECT', `${this.#name} was closed by its server`);
      rest = rest.subarray(count);
    }
    return bytes;
  }

  /**
   * Sends one datagram on a thread of its own: the kernel carries out what a netlink message asks for within that call, which
   * may take a while. No signal stops it.
   */
  request(datagram: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#calls.send.async(this.fd, datagram, datagram.length, MSG_NOSIGNAL, (error: unknown, sent: unknown) => {
        this.#noting(Number(sent));
        if (error) reject(error);
        else if (sent === datagram.length) resolve();
        else reject(this.failed('send'));
      });
    });
  }

  /** The next datagram, whole. */
  async receive(patience: Patience): Promise<Buffer> {
    const bytes = Buffer.alloc(LARGEST_DATAGRAM);
    const recv = () => this.#noting(this.#calls.recv(this.fd, bytes, bytes.length, MSG_TRUNC));
    const length = await this.untilDone('recv', recv, patience);
    if (length > bytes.length) throw new ProtocolError('recv(2)', `a datagram of ${length} bytes`);
    return bytes.subarray(0, length);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#calls.close(this.fd);
  }

  /** Repeats a call for as long as it says EAGAIN; its result. */
  async untilDone(what: string, call: () => number, { deadline, signal }: Patience): Promise<number> {
    for (;;) {
      const result = call();
      if (result >= 0) return result;
      if (this.#errno !== AGAIN) throw this.failed(what);
      if (now() > deadline) throw new AppError('ERR_TIMEOUT', `no answer from ${this.#name}`);
      await delay(POLL_MS, signal);
    }
  }

  failed(what: string): AppError {
    return new AppError('ERR_CONNECT', `${this.#name}: ${what} failed (${getSystemErrorName(-this.#errno)})`);
  }

  /** koffi has the error of the last call only. */
  #noting(result: number): number {
    this.#errno = this.#calls.library.errno();
    return result;
  }
}
