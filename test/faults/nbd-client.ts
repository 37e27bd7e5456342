// A small NBD client for the fault bench: requests side by side, each with its own outcome. NBD proto.md, fixed newstyle
// with NBD_OPT_EXPORT_NAME and simple replies.
import { connect, type Socket } from 'node:net';

const REQUEST = 0x2560_9513;
const REPLY = 0x6744_6698;
const Command = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, cache: 5, writeZeroes: 6 } as const;
const FUA = 1;

/** A request that the server answered with an error. `errno` is NBD's: 5 EIO, 28 ENOSPC, 108 ESHUTDOWN; 0: the connection ended. */
export class NbdError extends Error {
  constructor(
    readonly errno: number,
    what: string,
  ) {
    super(errno === 0 ? `${what}: the connection has ended` : `${what}: NBD error ${errno}`);
  }
}

interface Pending {
  readonly what: string;
  readonly length: number;
  resolve(data: Buffer): void;
  reject(error: Error): void;
}

export class NbdClient {
  readonly #pending = new Map<bigint, Pending>();
  #input: Buffer[] = [];
  #buffered = 0;
  #cookie = 0n;
  #open = true;
  #wake: () => void = () => {};

  private constructor(
    private readonly socket: Socket,
    private handshakeLeft: number,
    /** Bytes of the export. */
    public size: number,
  ) {
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', () => {});
    socket.on('close', () => this.#ended());
  }

  static async connect(path: string, exportName: string): Promise<NbdClient> {
    const socket = connect(path);
    const client = new NbdClient(socket, 18 + 10, 0);
    const name = Buffer.from(exportName);
    const hello = Buffer.alloc(20);
    hello.writeUInt32BE(3, 0);
    hello.write('IHAVEOPT', 4);
    hello.writeUInt32BE(1, 12);
    hello.writeUInt32BE(name.length, 16);
    socket.write(Buffer.concat([hello, name]));
    await new Promise<void>((resolve) => {
      client.#wake = resolve;
    });
    if (!client.#open) throw new NbdError(0, `open ${exportName}`);
    return client;
  }

  /** Requests that have no answer yet. */
  get inFlight(): number {
    return this.#pending.size;
  }
  get open(): boolean {
    return this.#open;
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.#request(Command.read, offset, length, null, 0);
  }
  async write(offset: number, data: Buffer, { fua = false } = {}): Promise<void> {
    await this.#request(Command.write, offset, data.length, data, fua ? FUA : 0);
  }
  async flush(): Promise<void> {
    await this.#request(Command.flush, 0, 0, null, 0);
  }
  async trim(offset: number, length: number): Promise<void> {
    await this.#request(Command.trim, offset, length, null, 0);
  }
  async writeZeroes(offset: number, length: number): Promise<void> {
    await this.#request(Command.writeZeroes, offset, length, null, 0);
  }
  close(): void {
    if (this.#open) this.socket.end(header(Command.disconnect, 0, 0n, 0, 0));
    this.socket.destroySoon();
  }

  #request(type: number, offset: number, length: number, data: Buffer | null, flags: number): Promise<Buffer> {
    const what = `${Object.keys(Command)[type]} of ${length} at ${offset}`;
    if (!this.#open) return Promise.reject(new NbdError(0, what));
    const cookie = ++this.#cookie;
    return new Promise((resolve, reject) => {
      this.#pending.set(cookie, { what, length: type === Command.read ? length : 0, resolve, reject });
      this.socket.write(header(type, offset, cookie, length, flags));
      if (data !== null) this.socket.write(data);
    });
  }

  #receive(chunk: Buffer): void {
    this.#input.push(chunk);
    this.#buffered += chunk.length;
    if (this.handshakeLeft > 0) this.#handshake();
    while (this.handshakeLeft === 0 && this.#reply()) {}
  }

  #handshake(): void {
    if (this.#buffered < this.handshakeLeft) return;
    // Magic numbers and flags (18), then the size and the transmission flags.
    this.size = Number(this.#take(this.handshakeLeft).readBigUInt64BE(18));
    this.handshakeLeft = 0;
    this.#wake();
  }

  #reply(): boolean {
    if (this.#buffered < 16) return false;
    const head = this.#join();
    if (head.readUInt32BE(0) !== REPLY) throw new Error('an NBD reply without its magic number');
    const errno = head.readUInt32BE(4);
    const cookie = head.readBigUInt64BE(8);
    const pending = this.#pending.get(cookie);
    if (pending === undefined) throw new Error(`an NBD reply to nothing: cookie ${cookie}`);
    const length = errno === 0 ? pending.length : 0;
    if (this.#buffered < 16 + length) return false;
    const data = this.#take(16 + length).subarray(16);
    this.#pending.delete(cookie);
    if (errno === 0) pending.resolve(data);
    else pending.reject(new NbdError(errno, pending.what));
    return true;
  }

  #join(): Buffer {
    if (this.#input.length > 1) this.#input = [Buffer.concat(this.#input)];
    return this.#input[0] ?? Buffer.alloc(0);
  }

  #take(length: number): Buffer {
    const all = this.#join();
    this.#input = length === all.length ? [] : [all.subarray(length)];
    this.#buffered -= length;
    return all.subarray(0, length);
  }

  #ended(): void {
    this.#open = false;
    this.#wake();
    for (const { what, reject } of this.#pending.values()) reject(new NbdError(0, what));
    this.#pending.clear();
  }
}

function header(type: number, offset: number, cookie: bigint, length: number, flags: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(REQUEST, 0);
  bytes.writeUInt16BE(flags, 4);
  bytes.writeUInt16BE(type, 6);
  bytes.writeBigUInt64BE(cookie, 8);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}
