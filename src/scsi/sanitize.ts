// The parameter list of SANITIZE's OVERWRITE, SBC-3 §5.24.2.
import { invalidFieldInCdb, invalidFieldInParameterList, parameterListLengthError } from './check-condition.js';

const CLAUSE = 'SBC-3 §5.24.2';
const HEADER = 4;

export interface Overwrite {
  /** INVERT: every second pass writes the complement. */
  readonly invert: boolean;
  /** OVERWRITE COUNT, 1 … 31. */
  readonly passes: number;
  /** Repeated from the start of each block. */
  readonly pattern: Buffer;
}

/** Checks the CDB's PARAMETER LIST LENGTH. @throws CheckCondition 05/24/00 */
export function checkOverwriteLength(length: number, blockSize: number): void {
  if (length <= HEADER || length > HEADER + blockSize) throw invalidFieldInCdb(CLAUSE, 7);
}

/** @throws CheckCondition 05/1A/00 for a list cut off within the pattern, 05/26/00 for a field that cannot be meant */
export function parseOverwrite(list: Buffer, blockSize: number): Overwrite {
  if (list.length < HEADER) throw parameterListLengthError(CLAUSE);
  const passes = list.readUInt8(0) & 0x1f;
  if (passes === 0) throw invalidFieldInParameterList(CLAUSE, 0, 4);
  if ((list.readUInt8(0) & 0x60) !== 0) throw invalidFieldInParameterList(CLAUSE, 0, 6);
  const length = list.readUInt16BE(2);
  if (length === 0 || length > blockSize) throw invalidFieldInParameterList(CLAUSE, 2);
  if (list.length < HEADER + length) throw parameterListLengthError(CLAUSE);
  return {
    invert: (list.readUInt8(0) & 0x80) !== 0,
    passes,
    pattern: Buffer.from(list.subarray(HEADER, HEADER + length)),
  };
}
