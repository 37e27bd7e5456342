// Which blocks of a thin unit are backed by storage: GET LBA STATUS, SBC-3 §5.6.
import { putGetLbaStatus } from '../scsi/cdb.js';
import { type LbaRun, parseLbaStatus } from '../scsi/lba-status.js';
import { AppError, ProtocolError } from '../util/errors.js';
import { Questioner, Refusal } from './questioner.js';
import type { InitiatorSession } from './session.js';

/** Descriptors of one answer. */
const MOST_RUNS = 1024;

/**
 * The runs from `lba` on, as many as one answer holds: without gap or overlap, each of at least one block, adjacent ones
 * of one status joined, none beyond `end`.
 * @throws AppError ERR_NOT_SUPPORTED where the unit does not tell, ProtocolError for an answer that leads nowhere
 */
export async function readBlockMap(
  session: InitiatorSession,
  lun: Buffer,
  { lba, end }: { readonly lba: number; readonly end: number },
  timeoutMs: number,
): Promise<LbaRun[]> {
  const unit = new Questioner(session, lun, timeoutMs);
  const length = 8 + 16 * MOST_RUNS;
  const data = await unit
    .read((cdb) => putGetLbaStatus(cdb, 0, lba, length), length)
    .catch((error: unknown) => {
      if (!(error instanceof Refusal)) throw error;
      throw new AppError('ERR_NOT_SUPPORTED', `the unit does not tell which blocks are mapped: ${error.message}`);
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
