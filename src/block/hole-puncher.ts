// Gives ranges of a file back to its file system: fallocate(2) with PUNCH_HOLE and KEEP_SIZE. Node has no call for it, so
// it goes through the optional koffi, else through the program fallocate(1).
import { spawn } from 'node:child_process';
import { cLibrary } from '../util/native.js';
import { BlockStatus } from './block-device.js';
import { statusOfErrno } from './errno-status.js';

/** FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE of linux/falloc.h. */
const PUNCH_KEEP_SIZE = 1 | 2;

/** Punches one hole, off the event loop. Never rejects; Enotsup where the file system has no holes. */
export type Punch = (fd: number, offset: number, length: number) => Promise<BlockStatus>;

export interface PunchMethod {
  readonly punch: Punch;
  /** Holes smaller than this cost more than they give: a helper process takes 2 ms. Bytes. */
  readonly smallest: number;
}

let method: Promise<PunchMethod> | null = null;

/** The best way that this machine has, found out once. */
export function punchMethod(): Promise<PunchMethod> {
  method ??= nativePunch().then((punch) => (punch ? { punch, smallest: 0 } : { punch: spawnPunch, smallest: 2 ** 20 }));
  return method;
}

/** By system call, or null where koffi or the C library cannot be loaded. */
export async function nativePunch(): Promise<Punch | null> {
  const library = await cLibrary();
  if (library === null) return null;
  const fallocate = library.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)');
  return (fd, offset, length) =>
    new Promise((resolve) => {
      fallocate.async(fd, PUNCH_KEEP_SIZE, offset, length, (error: unknown, result: unknown) => {
        if (error) resolve(BlockStatus.Eio);
        else resolve(result === 0 ? BlockStatus.Ok : statusOfErrno(library.errno()));
      });
    });
}

/** By fallocate(1), which reopens the file through the descriptor that it inherits. */
export const spawnPunch: Punch = (fd, offset, length) =>
  new Promise((resolve) => {
    const range = ['--offset', String(offset), '--length', String(length)];
    const child = spawn('fallocate', ['--punch-hole', ...range, '/proc/self/fd/3'], {
      stdio: ['ignore', 'ignore', 'pipe', fd],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    });
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(0, 1000);
    });
    child.on('error', () => resolve(BlockStatus.Enotsup));
    child.on('close', (code) => {
      if (code === 0) resolve(BlockStatus.Ok);
      else resolve(/not supported/i.test(complaint) ? BlockStatus.Enotsup : BlockStatus.Eio);
    });
  });

interface Waiting {
  readonly offset: number;
  readonly end: number;
  readonly done: (status: BlockStatus) => void;
}

/** Punches the holes of one file, one batch at a time; ranges that meet while they wait become one. */
export class HolePuncher {
  readonly #fd: number;
  readonly #punch: Punch;
  #waiting: Waiting[] = [];
  #busy = false;

  constructor(fd: number, punch: Punch) {
    this.#fd = fd;
    this.#punch = punch;
  }
  /** `done` is called once, never within this call. */
  add(offset: number, length: number, done: (status: BlockStatus) => void): void {
    this.#waiting.push({ offset, end: offset + length, done });
    if (!this.#busy) void this.#run();
  }

  async #run(): Promise<void> {
    this.#busy = true;
    // The rest of this turn's requests may still join.
    await null;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      for (const range of merge(batch)) {
        const status = await this.#punch(this.#fd, range.offset, range.end - range.offset);
        for (const { done } of range.members) done(status);
      }
    }
    this.#busy = false;
  }
}

interface Range {
  readonly offset: number;
  end: number;
  readonly members: Waiting[];
}

function merge(batch: readonly Waiting[]): Range[] {
  const ranges: Range[] = [];
  for (const member of batch.toSorted((a, b) => a.offset - b.offset)) {
    const last = ranges.at(-1);
    if (last && member.offset <= last.end) {
      last.end = Math.max(last.end, member.end);
      last.members.push(member);
    } else {
      ranges.push({ offset: member.offset, end: member.end, members: [member] });
    }
  }
  return ranges;
}
