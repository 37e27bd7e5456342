// Commands to a SCSI device of this host by ioctl(SG_IO), through the optional koffi: linux/scsi/sg.h, interface version 3.
import type { PassedAnswer, PassedCommand, PassThrough } from '../../../target/pass-through.js';
import { AppError } from '../../../util/errors.js';
import { type CLibrary, cLibrary, type NativeFunction } from '../../../util/native.js';

const SG_GET_VERSION_NUM = 0x2282;
const SG_IO = 0x2285;
/** struct sg_io_hdr where pointers have 64 bits. */
const HEADER = 88;
const at = {
  interface: 0,
  direction: 4,
  cdbLength: 8,
  senseLength: 9,
  dataLength: 12,
  data: 16,
  cdb: 24,
  sense: 32,
  timeout: 40,
  status: 64,
  senseWritten: 67,
  host: 68,
  driver: 70,
  residual: 72,
} as const;
const Direction = { None: -1, ToDevice: -2, FromDevice: -3 } as const;
const SENSE = 96;
const CDB = 16;
/** The kernel's own for disks. Milliseconds. */
const TIMEOUT_MS = 30_000;
/** driver_status of a command that has sense data, which is no failure of the driver. */
const DRIVER_SENSE = 8;

/** What can be made here; null without koffi, or where a pointer has not 64 bits. */
export async function sgLibrary(): Promise<SgLibrary | null> {
  const usual = process.platform === 'linux' && ['x64', 'arm64', 'riscv64', 'loong64'].includes(process.arch);
  const library = usual ? await cLibrary() : null;
  return library === null ? null : new SgLibrary(library);
}

/** The calls. Memory that the kernel is to fill while no JavaScript runs is the C library's own, so that it stays where it is. */
export class SgLibrary {
  readonly library: CLibrary;
  readonly ioctl: NativeFunction;
  readonly malloc: NativeFunction;
  readonly free: NativeFunction;
  readonly put: NativeFunction;
  readonly get: NativeFunction;

  constructor(library: CLibrary) {
    this.library = library;
    this.ioctl = library.func('int ioctl(int fd, unsigned long request, uintptr_t argument)');
    this.malloc = library.func('uintptr_t malloc(size_t length)');
    this.free = library.func('void free(uintptr_t memory)');
    this.put = library.func('uintptr_t memcpy(uintptr_t to, const void *from, size_t length)');
    this.get = library.func('uintptr_t memmove(void *to, uintptr_t from, size_t length)');
  }
}

/** One open device. Commands run off the event loop. */
export class ScsiGeneric implements PassThrough {
  readonly #sg: SgLibrary;
  readonly #fd: number;
  #inFlight = 0;
  #idle: (() => void) | null = null;

  constructor(sg: SgLibrary, fd: number) {
    this.#sg = sg;
    this.#fd = fd;
  }
  /** Whether commands can be sent to it at all: a disk that is no SCSI device takes none. */
  get takesCommands(): boolean {
    const memory = this.#allocate(8);
    try {
      return this.#sg.ioctl(this.#fd, SG_GET_VERSION_NUM, memory) === 0;
    } finally {
      this.#sg.free(memory);
    }
  }

  async execute({ cdb, dataOut, dataInLength }: PassedCommand): Promise<PassedAnswer> {
    const length = dataOut?.length ?? dataInLength;
    const memory = this.#allocate(HEADER + CDB + SENSE + length);
    this.#inFlight++;
    try {
      this.#put(memory, this.#header(memory, cdb, dataOut, length));
      if (dataOut !== null) this.#put(memory + HEADER + CDB + SENSE, dataOut);
      await this.#ioctl(memory);
      return this.#answer(memory, dataInLength);
    } finally {
      this.#sg.free(memory);
      if (--this.#inFlight === 0) this.#idle?.();
    }
  }
  /** Settles when nothing is in flight: only then may the descriptor be closed, for its number may become another disk's. */
  async drained(): Promise<void> {
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  /** The header, the command, and room for sense data. */
  #header(memory: number, cdb: Buffer, dataOut: Buffer | null, length: number): Buffer {
    const b = Buffer.alloc(HEADER + CDB + SENSE);
    b.writeInt32LE('S'.charCodeAt(0), at.interface);
    const direction = dataOut ? Direction.ToDevice : length > 0 ? Direction.FromDevice : Direction.None;
    b.writeInt32LE(direction, at.direction);
    b.writeUInt8(cdb.length, at.cdbLength);
    b.writeUInt8(SENSE, at.senseLength);
    b.writeUInt32LE(length, at.dataLength);
    b.writeBigUInt64LE(BigInt(memory + HEADER + CDB + SENSE), at.data);
    b.writeBigUInt64LE(BigInt(memory + HEADER), at.cdb);
    b.writeBigUInt64LE(BigInt(memory + HEADER + CDB), at.sense);
    b.writeUInt32LE(TIMEOUT_MS, at.timeout);
    cdb.copy(b, HEADER);
    return b;
  }
  #answer(memory: number, dataInLength: number): PassedAnswer {
    const b = this.#get(memory, HEADER + CDB + SENSE);
    const driver = b.readUInt16LE(at.driver) & 0x0f;
    const host = b.readUInt16LE(at.host);
    if (host !== 0 || (driver !== 0 && driver !== DRIVER_SENSE)) {
      throw new AppError('ERR_TRANSPORT', `the device was not reached: host status ${host}, driver status ${driver}`);
    }
    const status = b.readUInt8(at.status);
    const written = Math.min(SENSE, b.readUInt8(at.senseWritten));
    const sense = written > 0 ? Buffer.from(b.subarray(HEADER + CDB, HEADER + CDB + written)) : null;
    const residual = Math.min(dataInLength, Math.max(0, b.readInt32LE(at.residual)));
    return { status, sense, data: this.#get(memory + HEADER + CDB + SENSE, dataInLength - residual) };
  }

  #ioctl(memory: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sg.ioctl.async(this.#fd, SG_IO, memory, (error: unknown, result: unknown) => {
        if (!error && result === 0) resolve();
        else reject(new AppError('ERR_TRANSPORT', `the kernel refuses the command: errno ${this.#sg.library.errno()}`));
      });
    });
  }
  #allocate(length: number): number {
    const memory = Number(this.#sg.malloc(length));
    if (memory === 0) throw new AppError('ERR_UNKNOWN', `no ${length} bytes of memory`);
    return memory;
  }
  #put(memory: number, bytes: Buffer): void {
    this.#sg.put(memory, bytes, bytes.length);
  }
  #get(memory: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    if (length > 0) this.#sg.get(bytes, memory, length);
    return bytes;
  }
}
