// COMPARE AND WRITE, SBC-3 §5.2: blocks are written only if they hold what the caller says, as one step for every initiator.
import { CdbFlag, putCompareAndWrite } from '../scsi/cdb.js';
import { parseSense, type Sense, SenseKey } from '../scsi/sense.js';
import { classifySense, type SenseKind } from '../scsi/sense-class.js';
import { ScsiStatus } from '../scsi/status.js';
import { AppError, type ErrorCode } from '../util/errors.js';
import type { ScsiResult } from './execute.js';
import { executeOnce, type OnceUnit } from './once.js';
import { refusalText } from './questioner.js';
import type { InitiatorSession } from './session.js';

/** The field of the CDB is one byte. */
export const MOST_COMPARED_BLOCKS = 255;

export interface CompareAndWrite {
  readonly lba: number;
  /** What the blocks must hold, and what they are to hold: of one length, 1 to 255 blocks. */
  readonly compare: Buffer;
  readonly write: Buffer;
  readonly blockSize: number;
  /** The unit takes the FUA bit, so that the blocks are stable when it says GOOD. */
  readonly fua: boolean;
}

/**
 * Resolves when the blocks have been written. The data itself is the only key: sent once, never again.
 * @throws AppError ERR_MISCOMPARE with the offset of the first byte that differs, in bytes from `lba`'s first;
 * ERR_RESERVATION_CONFLICT; ERR_AGAIN when nobody knows whether it was written; ERR_NOT_SUPPORTED, ERR_USAGE
 */
export async function compareAndWrite(
  session: InitiatorSession,
  { address: lun, gate }: OnceUnit,
  { lba, compare, write, blockSize, fua }: CompareAndWrite,
  timeoutMs: number,
): Promise<void> {
  const blocks = compare.length / blockSize;
  if (compare.length !== write.length || !Number.isInteger(blocks) || blocks < 1 || blocks > MOST_COMPARED_BLOCKS) {
    throw new AppError('ERR_USAGE', `both files must be of one length: 1 to 255 blocks of ${blockSize} bytes`);
  }
  const cdb = Buffer.alloc(16);
  putCompareAndWrite(cdb, 0, lba, blocks, fua ? CdbFlag.Fua : 0);
  const result = await executeOnce(session, {
    lun,
    gate,
    cdb,
    dataOut: Buffer.concat([compare, write]),
    timeoutMs,
    name: 'COMPARE AND WRITE',
    howToCheck: `read ${blocks} ${blocks === 1 ? 'block' : 'blocks'} at LBA ${lba} and compare`,
  });
  if (result.status !== ScsiStatus.Good) throw refusal(result, lba, compare.length);
}

/** What a unit that has not begun says, by the class of its sense data. */
const CODES: Partial<Record<SenseKind, ErrorCode>> = {
  unsupported: 'ERR_NOT_SUPPORTED',
  'invalid-field': 'ERR_USAGE',
  'out-of-range': 'ERR_USAGE',
  protected: 'ERR_ACCESS',
};

function refusal(result: ScsiResult, lba: number, length: number): AppError {
  if (result.status === ScsiStatus.ReservationConflict) {
    return new AppError('ERR_RESERVATION_CONFLICT', 'COMPARE AND WRITE: RESERVATION CONFLICT: nothing was written', {
      hint: 'lunctl lun reservations shows who holds the unit',
    });
  }
  const sense = result.sense === null ? null : parseSense(result.sense);
  if (sense?.key === SenseKey.Miscompare) return miscompare(sense, lba, length);
  const { kind } = classifySense(sense);
  // The unit has begun: what the blocks hold now only they can tell.
  if (kind === 'medium-error' || kind === 'hardware-error') {
    const message = `outcome unknown: COMPARE AND WRITE failed half way (${refusalText(result)})`;
    return new AppError('ERR_AGAIN', message, { hint: `read the blocks from LBA ${lba} and compare` });
  }
  return new AppError(CODES[kind] ?? 'ERR_UNKNOWN', `COMPARE AND WRITE: ${refusalText(result)}; nothing was written`);
}

/** INFORMATION is the offset of the first byte that differs; some units leave it out. */
function miscompare({ information }: Sense, lba: number, length: number): AppError {
  const known = information !== undefined && information >= 0 && information < length;
  const where = known ? `the first byte that differs is at offset ${information}` : 'the target does not say where';
  return new AppError('ERR_MISCOMPARE', `MISCOMPARE at LBA ${lba}: ${where}; nothing was written`);
}
