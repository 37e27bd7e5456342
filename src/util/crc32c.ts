// CRC32C as iSCSI's digests use it, RFC 7143 §13.1: WebAssembly for long runs, JavaScript for short ones and as fall-back.
import { crc32cRegisterJs } from './crc32c-js.js';
import { type Crc32cRegister, compileCrc32c } from './crc32c-wasm.js';

/** Below this many bytes the copy into WebAssembly's memory costs more than it saves. */
const SHORT = 64;

const CHECK = Buffer.from('123456789'.repeat(40));

/** The compiled register, or the JavaScript one where WebAssembly is missing, switched off or computes something else. */
export function chooseRegister(compile: () => Crc32cRegister): Crc32cRegister {
  try {
    const compiled = compile();
    const right = crc32cRegisterJs(CHECK, 0, CHECK.length, -1) === compiled(CHECK, 0, CHECK.length, -1);
    return right ? compiled : crc32cRegisterJs;
  } catch {
    return crc32cRegisterJs;
  }
}

const longRun = chooseRegister(compileCrc32c);

/**
 * The CRC32C of `buf[start..end)`, unsigned 32 bits. With `seed`, the CRC of what came before, it goes on from there.
 * On the wire it is written least significant byte first.
 */
export function crc32c(buf: Buffer, start = 0, end = buf.length, seed = 0): number {
  const register = end - start < SHORT ? crc32cRegisterJs : longRun;
  return ~register(buf, start, end, ~seed) >>> 0;
}
