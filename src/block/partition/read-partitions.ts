// Finds the partitions of a disk: a GUID partition table, else a master boot record.
import type { BlockDevice } from '../block-device.js';
import { readBytes } from '../promise.js';
import { entryArrayLength, type GptHeader, hasGptSignature, parseGptEntries, parseGptHeader } from './gpt.js';
import {
  BOOT_RECORD_LENGTH,
  diskSignature,
  hasBootMark,
  isExtended,
  isProtective,
  looksLikeTable,
  type MbrEntry,
  MOST_LOGICAL,
  mbrPartition,
  parseEntries,
} from './mbr.js';
import { NO_TABLE, type Partition, type PartitionTable } from './table.js';

export type { Partition, PartitionTable } from './table.js';

/** The partition table of `device`. Rejects only with BlockError, when the device cannot be read. */
export async function readPartitionTable(device: BlockDevice): Promise<PartitionTable> {
  const { blockSize } = device;
  const blocks = Math.floor(device.sizeBytes / blockSize);
  if (blocks < 1) return NO_TABLE;
  const record = await readBytes(device, 0, blockSize);
  const entries = looksLikeTable(record) ? parseEntries(record) : [];
  // A GPT counts only behind its protective record: without one the disk has been partitioned anew by an older program.
  if (isProtective(entries)) return readGpt(device, blocks);
  if (entries.length > 0) return readMbr(device, record, entries);
  const second = blocks > 1 ? await readBytes(device, blockSize, blockSize) : null;
  const stray = second !== null && hasGptSignature(second);
  return stray ? { ...NO_TABLE, reason: 'a GPT without its protective MBR: it is not in use' } : NO_TABLE;
}

/** The partitions of `device`, in the order of their numbers; empty where there is no usable table. */
export async function readPartitions(device: BlockDevice): Promise<readonly Partition[]> {
  return (await readPartitionTable(device)).partitions;
}

/**
 * Where copies of a GPT header stand, valid or not, in bytes: block 1 and the last block. Readers of partition tables pass
 * over a copy without a protective MBR, or one that is damaged; whoever is about to overwrite the disk should not.
 */
export async function findGptHeaders(device: BlockDevice): Promise<number[]> {
  const { blockSize } = device;
  const blocks = Math.floor(device.sizeBytes / blockSize);
  const places = blocks > 2 ? [blockSize, (blocks - 1) * blockSize] : [];
  const found: number[] = [];
  for (const at of places) if (hasGptSignature(await readBytes(device, at, blockSize))) found.push(at);
  return found;
}

async function readGpt(device: BlockDevice, blocks: number): Promise<PartitionTable> {
  const primary = await readGptCopy(device, 1, blocks);
  if (typeof primary !== 'string') return primary;
  const backup = await readGptCopy(device, blocks - 1, blocks);
  if (typeof backup === 'string') {
    return { ...NO_TABLE, kind: 'gpt', reason: `the GPT is damaged: ${primary}; its backup: ${backup}` };
  }
  return {
    ...backup,
    reason: joinReasons(`the backup GPT is used, the primary one is damaged: ${primary}`, backup.reason),
  };
}

/** The table whose header is in block `lba`; a string says why it cannot be used. */
async function readGptCopy(device: BlockDevice, lba: number, blocks: number): Promise<PartitionTable | string> {
  const { blockSize } = device;
  if (lba < 1 || lba >= blocks) return 'the disk is too small';
  const header = parseGptHeader(await readBytes(device, lba * blockSize, blockSize), BigInt(lba), BigInt(blocks));
  if (typeof header === 'string') return header;
  const entries = parseGptEntries(await readEntryArray(device, header), header, blockSize);
  if (typeof entries === 'string') return entries;
  const { partitions, outside } = entries;
  const reason = outside > 0 ? `${outside} entries lie outside of the usable blocks` : null;
  return { kind: 'gpt', uuid: header.diskGuid, partitions, reason };
}

async function readEntryArray(device: BlockDevice, header: GptHeader): Promise<Buffer> {
  const { blockSize } = device;
  const length = entryArrayLength(header);
  const whole = Math.ceil(length / blockSize) * blockSize;
  return (await readBytes(device, Number(header.entriesLba) * blockSize, whole)).subarray(0, length);
}

async function readMbr(device: BlockDevice, record: Buffer, entries: readonly MbrEntry[]): Promise<PartitionTable> {
  const { blockSize } = device;
  const blocks = device.sizeBytes / blockSize;
  const signature = diskSignature(record);
  const partitions: Partition[] = [];
  let reason: string | null = null;
  for (const entry of entries) {
    if (entry.first === 0 || entry.first + entry.blocks > blocks) {
      reason = joinReasons(reason, `entry ${entry.index + 1} is not on the disk`);
    } else if (!isExtended(entry)) {
      partitions.push(mbrPartition(entry.index + 1, entry.type, entry.first, entry.blocks, signature, blockSize));
    }
  }
  const container = entries.find(
    (entry) => isExtended(entry) && entry.first > 0 && entry.first + entry.blocks <= blocks,
  );
  if (container) {
    const logical = await readLogical(device, container, signature);
    partitions.push(...logical.partitions);
    reason = joinReasons(reason, logical.reason);
  }
  return { kind: 'mbr', uuid: signature, partitions, reason };
}

/**
 * Follows the chain of extended boot records. Each holds one partition, relative to itself, and the way to the next,
 * relative to the container. The chain must lead upwards, so it ends.
 */
async function readLogical(
  device: BlockDevice,
  container: MbrEntry,
  signature: string,
): Promise<Pick<PartitionTable, 'partitions' | 'reason'>> {
  const { blockSize } = device;
  const end = container.first + container.blocks;
  const partitions: Partition[] = [];
  let here = container.first;
  for (let records = 0; records < MOST_LOGICAL; records++) {
    const record = (await readBytes(device, here * blockSize, blockSize)).subarray(0, BOOT_RECORD_LENGTH);
    if (!hasBootMark(record)) return { partitions, reason: `the extended boot record at block ${here} has no mark` };
    const entries = parseEntries(record);
    const own = entries.find((entry) => !isExtended(entry));
    if (own) {
      // Numbers count partitions, not records: an emptied record takes none.
      const number = 5 + partitions.length;
      const first = here + own.first;
      if (own.first === 0 || first + own.blocks > end) {
        return { partitions, reason: `logical partition ${number} is not in its container` };
      }
      partitions.push(mbrPartition(number, own.type, first, own.blocks, signature, blockSize));
    }
    const link = entries.find(isExtended);
    if (!link) return { partitions, reason: null };
    const next = container.first + link.first;
    if (next <= here || next >= end) return { partitions, reason: 'the chain of extended boot records leads astray' };
    here = next;
  }
  return { partitions, reason: `more than ${MOST_LOGICAL} extended boot records` };
}

function joinReasons(a: string | null, b: string | null): string | null {
  return [a, b].filter((reason) => reason !== null).join('; ') || null;
}
