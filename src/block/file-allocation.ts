// Which parts of a file have blocks: lseek(2) with SEEK_DATA and SEEK_HOLE, through the optional koffi. Node has no call for it.
import { cLibrary } from '../util/native.js';
import type { ByteRange, Extent } from './block-device.js';
import { statusOfErrno } from './errno-status.js';
import { BlockError } from './promise.js';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
/** There is no data behind the offset. */
const ENXIO = 6;

/** Where the next data or the next hole begins, from `offset` on; null: there is no more data. Off the event loop. */
export type Seek = (fd: number, offset: number, whence: number) => Promise<number | null>;

let found: Promise<Seek | null> | null = null;

/** Looked for once; null where koffi or the C library cannot be loaded. */
export function nativeSeek(): Promise<Seek | null> {
  found ??= load();
  return found;
}

async function load(): Promise<Seek | null> {
  const library = await cLibrary();
  if (library === null) return null;
  // Reads and writes name their place, so nobody minds that this moves the file's own.
  const lseek = library.func('int64_t lseek64(int fd, int64_t offset, int whence)');
  return (fd, offset, whence) =>
    new Promise((resolve, reject) => {
      lseek.async(fd, offset, whence, (error: unknown, result: unknown) => {
        const at = Number(result);
        const errno = at < 0 ? library.errno() : 0;
        if (!error && at >= 0) resolve(at);
        else if (!error && errno === ENXIO) resolve(null);
        else reject(new BlockError(statusOfErrno(errno), `the file system does not tell its holes (errno ${errno})`));
      });
    });
}

/**
 * Extents of `range`, whole blocks, as the file system has them: a block of which a part is allocated is data. What has been
 * allocated and not written may be called a hole: it reads as zeros. Rejects with BlockError.
 */
export async function fileAllocation(
  fd: number,
  { offset, length }: ByteRange,
  most: number,
  blockSize: number,
  seek: Seek,
): Promise<readonly Extent[]> {
  const extents: Extent[] = [];
  const end = offset + length;
  const add = (to: number, hole: boolean, from: number) => {
    if (to > from) extents.push({ length: to - from, hole, zero: hole });
    return Math.max(from, to);
  };
  for (let at = offset; at < end && extents.length < most; ) {
    const data = await seek(fd, at, SEEK_DATA);
    const dataFrom = data === null ? end : Math.min(end, data - (data % blockSize));
    at = add(dataFrom, true, at);
    if (at >= end || extents.length === most) break;
    const hole = (await seek(fd, Math.max(at, data ?? at), SEEK_HOLE)) ?? end;
    at = add(Math.min(end, Math.ceil(hole / blockSize) * blockSize), false, at);
  }
  return extents;
}
