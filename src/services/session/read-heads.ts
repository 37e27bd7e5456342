// The first blocks of LUNs and partitions, for commands that look what is there: without a device, without root, and
// bounded where a target does not answer.
import { readBytes } from '../../block/promise.js';
import { now } from '../../transport/clock.js';
import { bounded } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import { sideBySide } from '../../util/side-by-side.js';
import { type HeadRange, LARGEST_HEAD, MOST_HEADS } from './control.js';
import type { ExportedLun } from './exports.js';

const AT_ONCE = 16;
/** For all of one request, milliseconds. */
const READ_MS = 3000;

type Params = Readonly<Record<string, unknown>>;

/** Each as base64, or null where it cannot be read in time. @throws AppError ERR_USAGE */
export async function readHeads(
  { ranges }: Params,
  find: (params: Params) => ExportedLun,
): Promise<{ heads: (string | null)[] }> {
  if (!Array.isArray(ranges) || ranges.length > MOST_HEADS) throw badRanges();
  const wanted = (ranges as Params[]).map((range) => ({ lun: find(range).lun, ...checkedRange(range) }));
  const end = now() + READ_MS;
  const reads = sideBySide(wanted, AT_ONCE, async ({ lun, offset, length }) => {
    const timeoutMs = end - now();
    const onTimeout = () => new AppError('ERR_TIMEOUT', 'the target does not answer');
    if (timeoutMs <= 0) throw onTimeout();
    return (await bounded(readBytes(lun, offset, length), { timeoutMs, onTimeout })).toString('base64');
  });
  return { heads: await Promise.all(reads.map((read) => read.catch(() => null))) };
}

function checkedRange({ offset, length }: Params): Omit<HeadRange, 'lun'> {
  const isNatural = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
  if (!isNatural(offset) || !isNatural(length) || length === 0 || length > LARGEST_HEAD) throw badRanges();
  return { offset, length };
}

function badRanges(): AppError {
  return new AppError('ERR_USAGE', `read-heads: at most ${MOST_HEADS} ranges of at most ${LARGEST_HEAD} bytes`);
}
