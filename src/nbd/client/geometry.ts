// An NBD export's terms as a disk's: blocks, largest transfer, what it can do.
import { AppError } from '../../util/errors.js';
import { TransmissionFlag } from '../wire/constants.js';
import type { ExportTerms } from './handshake.js';

/** "Size constraints": what a server takes that has told nothing. Bytes. */
const USUAL_LARGEST = 2 ** 25;

export interface Geometry {
  readonly sizeBytes: number;
  readonly blockSize: 512 | 4096;
  readonly physicalBlockSize: number;
  readonly optimalIoSize: number;
  readonly maxTransfer: number;
  readonly readOnly: boolean;
  readonly writeCache: boolean;
  readonly canTrim: boolean;
  /** "Transmission flags". */
  readonly flags: number;
}

/** @throws AppError ERR_NOT_SUPPORTED for blocks that no disk of ours has, ERR_USAGE for an empty export */
export function geometryOf(terms: ExportTerms, wish: { blockSize?: 512 | 4096 | null; readOnly?: boolean }): Geometry {
  const { flags } = terms;
  const { minimum, preferred, maximum } = terms.blockSizes ?? { minimum: 1, preferred: 4096, maximum: USUAL_LARGEST };
  const blockSize = wish.blockSize ?? (minimum <= 512 ? 512 : 4096);
  if (minimum > blockSize) {
    throw new AppError(
      'ERR_NOT_SUPPORTED',
      `the NBD server takes no blocks of ${blockSize} bytes, only of ${minimum}`,
      {
        hint: minimum <= 4096 ? 'set attribute block_size=4096' : 'ask the server for smaller blocks',
      },
    );
  }
  const sizeBytes = terms.sizeBytes - (terms.sizeBytes % blockSize);
  const largest = Math.min(maximum, USUAL_LARGEST);
  const maxTransfer = largest - (largest % blockSize);
  if (sizeBytes === 0) throw new AppError('ERR_USAGE', 'the NBD export is empty');
  if (maxTransfer === 0)
    throw new AppError('ERR_NOT_SUPPORTED', `the NBD server takes at most ${maximum} bytes at once`);
  const readOnly = wish.readOnly === true || (flags & TransmissionFlag.ReadOnly) !== 0;
  return {
    sizeBytes,
    blockSize,
    physicalBlockSize: Math.max(blockSize, Math.min(preferred, 4096)),
    optimalIoSize: preferred > 4096 ? preferred : 0,
    maxTransfer,
    readOnly,
    // A server without FLUSH has nothing that could be flushed.
    writeCache: (flags & TransmissionFlag.SendFlush) !== 0,
    // What is given back has to read as zeros, and TRIM alone promises nothing.
    canTrim: !readOnly && (flags & TransmissionFlag.SendTrim) !== 0 && (flags & TransmissionFlag.SendWriteZeroes) !== 0,
    flags,
  };
}
