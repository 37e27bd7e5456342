// Our own reading of a disk's partition table, beside libblkid's and sfdisk's: it knows the sectors of the LUN, also where
// nbdfuse's file cannot tell them, and finds what is left of a GPT that others pass over.
import { openFileDevice } from '../block/file-device.js';
import { findGptHeaders, readPartitionTable } from '../block/partition/read-partitions.js';
import type { PartitionTable } from '../block/partition/table.js';
import { AppError, messageOf } from '../util/errors.js';
import type { Signature } from './probe.js';

export interface OwnReading {
  readonly table: PartitionTable;
  /** Where headers of a GPT stand, in bytes. */
  readonly gptHeaders: readonly number[];
}

/** `blockSize`: of the LUN, in bytes. Throws ERR_HELPER when the disk cannot be read. */
export async function readOwnTable(path: string, blockSize: number): Promise<OwnReading> {
  const size = blockSize === 4096 ? 4096 : 512;
  const device = await openFileDevice(path, { readOnly: true, blockSize: size });
  try {
    return { table: await readPartitionTable(device), gptHeaders: await findGptHeaders(device) };
  } catch (cause) {
    throw new AppError('ERR_HELPER', `${path} cannot be read: ${messageOf(cause)}`, { cause });
  } finally {
    await device.close();
  }
}

/** What that reading finds and `known`, the list of wipefs, has not: headers in sectors that wipefs does not know of. */
export function unknownHeaders({ gptHeaders }: OwnReading, known: readonly Signature[]): Signature[] {
  return gptHeaders
    .filter((offset) => !known.some((signature) => signature.offset === offset))
    .map((offset) => ({ type: 'gpt', offset, label: null, uuid: null }));
}
