// CRC32C, slicing by 16 in WebAssembly. The module is assembled here, byte by byte, so that there is no binary to ship.
import { crc32cTables } from './crc32c-js.js';

const PAGE = 65_536;
const TABLES = 16;
/** Bytes that the tables take, at the beginning of the memory. */
const SCRATCH_AT = TABLES * 1024;
/** Bytes copied into the memory at a time: small enough to stay in the processor's cache. */
export const SCRATCH_LENGTH = PAGE;

// The instructions and type codes that are used, by the names of the WebAssembly core specification §5.
const op = {
  block: 0x02,
  loop: 0x03,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  load: 0x28,
  load8: 0x2d,
  const: 0x41,
  gtU: 0x4b,
  geU: 0x4f,
  add: 0x6a,
  and: 0x71,
  xor: 0x73,
  shl: 0x74,
  shrU: 0x76,
} as const;
const I32 = 0x7f;
const NO_RESULT = 0x40;

/** LEB128, unsigned. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** LEB128, signed; for values that are not negative. */
function constant(value: number): number[] {
  return value < 0x40 ? [op.const, value] : [op.const, ...signedTail(value)];
}
function signedTail(value: number): number[] {
  return value < 0x40 ? [value] : [(value & 0x7f) | 0x80, ...signedTail(value >>> 7)];
}

function sized(bytes: number[]): number[] {
  return [...unsigned(bytes.length), ...bytes];
}

function section(id: number, bytes: number[]): number[] {
  return [id, ...sized(bytes)];
}

function name(text: string): number[] {
  return sized([...Buffer.from(text)]);
}

// Parameters: where the data begins, where it ends, the register. The rest are the four words of a step.
const [AT, END, CRC, WORD] = [0, 1, 2, 3];

/** Pushes the entry of table `table` that byte `byte` of local `word` selects. */
function lookUp(word: number, byte: number, table: number): number[] {
  const shift = byte === 0 ? [...constant(2), op.shl] : [...constant(byte * 8 - 2), op.shrU];
  return [op.localGet, word, ...shift, ...constant(0x3fc), op.and, op.load, 2, ...unsigned(table * 1024)];
}

/**
 * One step of 16 bytes: the first four go through the oldest tables, the last one through table 0. The look-ups that
 * depend on the last step's result come at the end of the sum, so that the others can run ahead of it.
 */
function step(): number[] {
  const code: number[] = [op.localGet, AT, op.load, 0, 0, op.localGet, CRC, op.xor, op.localSet, WORD];
  for (let i = 1; i < 4; i++) code.push(op.localGet, AT, op.load, 0, i * 4, op.localSet, WORD + i);
  for (let i = 15; i >= 0; i--) {
    code.push(...lookUp(WORD + (i >>> 2), i & 3, 15 - i));
    if (i < 15) code.push(op.xor);
  }
  return [...code, op.localSet, CRC];
}

/** One byte, for the end of a run. */
function byteStep(): number[] {
  const index = [op.localGet, CRC, op.localGet, AT, op.load8, 0, 0, op.xor, ...constant(0xff), op.and];
  const entry = [...index, ...constant(2), op.shl, op.load, 2, 0];
  return [...entry, op.localGet, CRC, ...constant(8), op.shrU, op.xor, op.localSet, CRC];
}

function advance(by: number): number[] {
  return [op.localGet, AT, ...constant(by), op.add, op.localSet, AT];
}

/** Repeats `body` until `leave` pushes a true value. */
function until(leave: number[], body: number[]): number[] {
  return [op.block, NO_RESULT, op.loop, NO_RESULT, ...leave, op.brIf, 1, ...body, op.br, 0, op.end, op.end];
}

/** The module's bytes: a memory of two pages that never grows, and `crc(at, end, register) → register`. */
export function crc32cModule(): Uint8Array<ArrayBuffer> {
  const body = [
    ...[1, 4, I32],
    ...until([op.localGet, AT, ...constant(16), op.add, op.localGet, END, op.gtU], [...step(), ...advance(16)]),
    ...until([op.localGet, AT, op.localGet, END, op.geU], [...byteStep(), ...advance(1)]),
    ...[op.localGet, CRC, op.end],
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, ...sized([I32, I32, I32]), ...sized([I32])]),
    ...section(3, [1, 0]),
    ...section(5, [1, 1, 2, 2]),
    ...section(7, [2, ...name('memory'), 2, 0, ...name('crc'), 0, 0]),
    ...section(10, [1, ...sized(body)]),
  ]);
}

// The part of the engine's interface that is used: it belongs to the browser's library of types, which is not loaded.
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly crc: (at: number, end: number, register: number) => number;
}
interface Engine {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object) => { readonly exports: Exports };
}

/** Runs `buf[start..end)` through the bare register `crc` (no inversion before or after). */
export type Crc32cRegister = (buf: Buffer, start: number, end: number, crc: number) => number;

/** Compiles the module. Throws where WebAssembly is missing or switched off. */
export function compileCrc32c(): Crc32cRegister {
  const engine = (globalThis as { WebAssembly?: Engine }).WebAssembly;
  if (engine === undefined) throw new Error('this Node has no WebAssembly');
  const { memory, crc: run } = new engine.Instance(new engine.Module(crc32cModule())).exports;
  new Int32Array(memory.buffer, 0, TABLES * 256).set(crc32cTables(TABLES));
  const scratch = Buffer.from(memory.buffer, SCRATCH_AT, SCRATCH_LENGTH);
  return (buf, start, end, crc) => {
    let register = crc;
    for (let at = start; at < end; at += SCRATCH_LENGTH) {
      const length = buf.copy(scratch, 0, at, Math.min(end, at + SCRATCH_LENGTH));
      register = run(SCRATCH_AT, SCRATCH_AT + length, register);
    }
    return register;
  };
}
