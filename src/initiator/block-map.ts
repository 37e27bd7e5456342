// Which blocks of a thin unit are backed by storage: GET LBA STATUS, SBC-3 §5.6.
import { putGetLbaStatus } from '../scsi/cdb.js';
import { type LbaRun, parseLbaStatus } from '../scsi/lba-status.js';
import { AppError, ProtocolError } from '../util/errors.js';
import type { Gate } from './gate.js';
import { Questioner, Refusal } from './questioner.js';
import type { InitiatorSession } from './session.js';

/** Descriptors of one answer. */
const MOST_RUNS = 1024;

export interface BlockMapQuestion {
  readonly lba: number;
  /** The block after the last one of interest. */
  readonly end: number;
  /** Runs wanted, default 1024, which is also the most. */
  readonly most?: number;
  /** The unit's: the question waits while that is closed, and over a lost connection. Without one it ends then. */
  readonly gate?: Gate;
}

/**
 * The runs from `lba` on, as many as one answer holds: without gap or overlap, each of at least one block, adjacent ones
 * of one status joined, none beyond `end`.
 * @throws AppError ERR_NOT_SUPPORTED where the unit does not tell, ProtocolError for an answer that leads nowhere
 */
export async function readBlockMap(
  session: InitiatorSession,
  lun: Buffer,
  { lba, end, most = MOST_RUNS, gate }: BlockMapQuestion,
  timeoutMs: number,
): Promise<LbaRun[]> {
  const unit = new Questioner(session, lun, timeoutMs, 0, gate);
  const length = 8 + 16 * Math.min(most, MOST_RUNS);
  const data = await unit
    .read((cdb) => putGetLbaStatus(cdb, 0, lba, length), length)
    .catch((error: unknown) => {
      if (!(error instanceof Refusal)) throw error;
      const message = `the unit does not tell which blocks are mapped: ${error.message}`;
      throw new AppError('ERR_NOT_SUPPORTED', message, { cause: error });
    });
  const runs: LbaRun[] = [];
  let next = lba;
  for (const run of parseLbaStatus(data)) {
    if (next >= end) break;
    // The first run may begin before the block that was asked for.
    if (run.lba < 0 || run.lba > next || run.lba + run.blocks <= next || (run.lba !== next && runs.length > 0)) {
      throw new ProtocolError('SBC-3 §5.6.2', `a run of ${run.blocks} blocks at ${run.lba}, where ${next} comes next`);
    }
    const stop = Math.min(end, run.lba + run.blocks);
    const last = runs.at(-1);
    if (last?.status === run.status) runs[runs.length - 1] = { ...last, blocks: stop - last.lba };
    else runs.push({ lba: next, blocks: stop - next, status: run.status });
    next = stop;
  }
  if (runs.length === 0) throw new ProtocolError('SBC-3 §5.6.2', `GET LBA STATUS says nothing about block ${lba}`);
  return runs;
}
