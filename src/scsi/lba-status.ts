// GET LBA STATUS parameter data, SBC-3 §5.6.2, both ways.
import { ProtocolError } from '../util/errors.js';
import { readU64, writeU64 } from './u64.js';

/** PROVISIONING STATUS of a run of blocks. */
export const LbaStatus = { Mapped: 0, Deallocated: 1, Anchored: 2 } as const;

export interface LbaRun {
  /** OUT_OF_RANGE (u64.ts) above 2^53 − 1 when read from the wire. */
  readonly lba: number;
  readonly blocks: number;
  /** One of LbaStatus. */
  readonly status: number;
}

const HEADER = 8;
const DESCRIPTOR = 16;

/** The whole descriptors that the length field and the bytes at hand hold. */
export function parseLbaStatus(data: Buffer): LbaRun[] {
  if (data.length < HEADER) throw new ProtocolError('SBC-3 §5.6.2', `GET LBA STATUS data of ${data.length} bytes`);
  const end = Math.min(data.length, 4 + data.readUInt32BE(0));
  const runs: LbaRun[] = [];
  for (let at = HEADER; at + DESCRIPTOR <= end; at += DESCRIPTOR) {
    runs.push({ lba: readU64(data, at), blocks: data.readUInt32BE(at + 8), status: data.readUInt8(at + 12) & 0x0f });
  }
  return runs;
}

/** GET LBA STATUS data, whole: the caller cuts it to the allocation length. */
export function buildLbaStatus(runs: readonly LbaRun[]): Buffer {
  const b = Buffer.alloc(HEADER + DESCRIPTOR * runs.length);
  b.writeUInt32BE(b.length - 4, 0);
  for (const [index, run] of runs.entries()) {
    const at = HEADER + DESCRIPTOR * index;
    writeU64(b, at, run.lba);
    b.writeUInt32BE(run.blocks, at + 8);
    b[at + 12] = run.status & 0x0f;
  }
  return b;
}
