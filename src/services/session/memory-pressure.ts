// A session's worker under memory pressure. The kernel frees memory by writing dirty pages back, and those of a file system on
// our disk go through this very process: it must not be killed for memory, nor wait in an allocation for its own disk.
//
// Its memory is not locked: V8 gives pages back by madvise(2), which fails on locked ones, and V8 then aborts the process.
// Against swapping there is MemorySwapMax=0 of the worker's unit.
import { writeFileSync } from 'node:fs';
import { cLibrary } from '../../util/native.js';
import { isRoot } from '../../util/user.js';

/** linux/prctl.h. Allocations of such a thread start no I/O, and its writes are not held back behind those of others. */
const PR_SET_IO_FLUSHER = 57;

/**
 * Exempts this process, and those that it starts from now on, from being killed for lack of memory, and makes it one that
 * writes back for others. As far as its rights go (CAP_SYS_RESOURCE): returns what could not be done, a line each.
 */
export async function prepareForMemoryPressure(): Promise<string[]> {
  if (!isRoot()) return [];
  const amiss: string[] = [];
  try {
    writeFileSync('/proc/self/oom_score_adj', '-1000');
  } catch (error) {
    amiss.push(`not exempt from the out-of-memory killer: ${(error as NodeJS.ErrnoException).code}`);
  }
  const refused = await becomeIoFlusher();
  if (refused !== null) amiss.push(`not an I/O flusher: ${refused}`);
  return amiss;
}

/**
 * Only the calling thread and what it starts later: V8's helpers have it where it was set before Node was started, by
 * the process that starts a worker. Returns why not, or null.
 */
export async function becomeIoFlusher(): Promise<string | null> {
  const library = await cLibrary();
  if (library === null) return 'that takes the optional package koffi';
  const prctl = library.func(
    'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
  );
  return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) === 0 ? null : `prctl failed with errno ${library.errno()}`;
}
