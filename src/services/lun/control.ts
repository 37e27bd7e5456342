// What the `lun` commands ask of a running session's worker, over its control socket.
import { AppError, messageOf } from '../../util/errors.js';
import { callSession, type SessionCallOptions, type Where } from '../session/control.js';
import type { BlockRun, LunDetails, RescanReport, ReservationInfo } from './info.js';

/** Some commands of one unit, each bounded to 15 s, and what a session needs to notice that its target is silent. */
const QUESTION_MS = 60_000;
const CHANGE_MS = 35_000;
/** A worker's own bound of a rescan, then the attaching of what has appeared. */
const RESCAN_MS = 90_000;

/** Runs of a block map that are held at most; a disk with more is read in parts. */
const MOST_RUNS = 1_000_000;

/** Bytes of either file of a comparison: what a request of the control socket has room for. */
export const LARGEST_COMPARISON = 16_384;

/** One LUN of a session. */
export interface LunPlace {
  readonly sid: number;
  readonly lun: number;
}

export async function lunDetails(
  paths: Where,
  { sid, lun }: LunPlace,
  options: SessionCallOptions,
): Promise<LunDetails> {
  return (await callSession(paths, sid, 'lun-details', { lun }, QUESTION_MS, options)) as LunDetails;
}

export async function lunReservations(
  paths: Where,
  { sid, lun }: LunPlace,
  options: SessionCallOptions,
): Promise<ReservationInfo> {
  return (await callSession(paths, sid, 'reservations', { lun }, QUESTION_MS, options)) as ReservationInfo;
}

/**
 * The runs from block `lba` to before `end`, or to the last block: without gap, adjacent ones of different states.
 * @throws AppError ERR_NOT_SUPPORTED where the unit does not tell, or there are more than a million
 */
export async function lunBlockMap(
  paths: Where,
  place: LunPlace,
  { lba, end: wanted }: { readonly lba: number; readonly end: number },
  options: SessionCallOptions,
): Promise<BlockRun[]> {
  const runs: BlockRun[] = [];
  let end = wanted;
  for (let next = lba; next < end; ) {
    const part = await someOfBlockMap(paths, place, next, options);
    end = Math.min(wanted, part.end);
    for (const run of part.runs) {
      const blocks = Math.min(run.blocks, end - run.lba);
      next = run.lba + run.blocks;
      const last = runs.at(-1);
      if (last?.state === run.state) runs[runs.length - 1] = { ...last, blocks: last.blocks + blocks };
      else if (blocks > 0) runs.push({ ...run, blocks });
    }
    if (runs.length > MOST_RUNS) {
      throw new AppError('ERR_NOT_SUPPORTED', `more than ${MOST_RUNS} runs`, {
        hint: 'ask for parts, with --lba and --blocks',
      });
    }
  }
  return runs;
}

/** What one answer of the unit has told, at least one run from `lba` on, and the number of the unit's blocks. */
async function someOfBlockMap(paths: Where, { sid, lun }: LunPlace, lba: number, options: SessionCallOptions) {
  const answer = await callSession(paths, sid, 'block-map', { lun, lba }, CHANGE_MS, options);
  return answer as { readonly runs: readonly BlockRun[]; readonly end: number };
}

/** A change of reservations: `action` and what it takes, keys as hexadecimal text. */
export interface ReserveOutRequest {
  readonly action: 'register' | 'reserve' | 'release' | 'preempt' | 'preempt-and-abort' | 'clear';
  readonly key: string;
  readonly newKey?: string;
  readonly victim?: string;
  readonly type?: string;
  readonly persist?: boolean;
  readonly ignoreExisting?: boolean;
}

/** Throws ERR_AGAIN where nobody knows whether it was done. */
export async function changeReservations(
  paths: Where,
  { sid, lun }: LunPlace,
  request: ReserveOutRequest,
  options: SessionCallOptions,
): Promise<void> {
  await callOnce(
    paths,
    sid,
    'reserve-out',
    { lun, ...request },
    options,
    'lunctl lun reservations shows whether it was',
  );
}

/** Both of at most LARGEST_COMPARISON bytes. Throws ERR_AGAIN where nobody knows whether it was done. */
export async function compareAndWriteLun(
  paths: Where,
  { sid, lun }: LunPlace,
  { lba, compare, write }: { readonly lba: number; readonly compare: Buffer; readonly write: Buffer },
  options: SessionCallOptions,
): Promise<{ blocks: number }> {
  const params = { lun, lba, compare: compare.toString('base64'), write: write.toString('base64') };
  const hint = `read the blocks from LBA ${lba} and compare`;
  return (await callOnce(paths, sid, 'compare-and-write', params, options, hint)) as { blocks: number };
}

/** Looks for LUNs that have appeared, vanished or changed. */
export async function rescanSession(paths: Where, sid: number, options: SessionCallOptions): Promise<RescanReport> {
  return (await callSession(paths, sid, 'rescan', {}, RESCAN_MS, options)) as RescanReport;
}

/** The worker has been asked: without its answer, also after Ctrl-C, only the unit can tell what has happened. */
async function callOnce(
  paths: Where,
  sid: number,
  op: string,
  params: object,
  options: SessionCallOptions,
  hint: string,
): Promise<unknown> {
  try {
    return await callSession(paths, sid, op, params, CHANGE_MS, options);
  } catch (error) {
    const silent = ['ERR_TIMEOUT', 'ERR_SESSION_NOT_FOUND', 'ERR_INTERRUPTED'];
    if (!(error instanceof AppError) || !silent.includes(error.code)) throw error;
    throw new AppError('ERR_AGAIN', `outcome unknown: it may have been done or not (${messageOf(error)})`, {
      cause: error,
      hint,
    });
  }
}
