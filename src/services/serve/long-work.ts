// How fast SANITIZE and EXTENDED COPY go on, so that the other units of this process are served meanwhile.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { delay } from '../../transport/timers.js';

/** About what one hard disk writes: an overwrite of many disks at once must not fill the machine's page cache. */
const SANITIZE_BYTES_PER_SECOND = 2 ** 26;

/** See LogicalUnitOptions.pause. */
export async function longWork(work: 'sanitize' | 'copy', bytes: number): Promise<void> {
  if (work === 'copy' || bytes === 0) await nextTurn();
  else await delay((bytes / SANITIZE_BYTES_PER_SECOND) * 1000);
}
