// A device that looks like the LUN at first sight: same size, same name, other bytes.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { holdsSameBytes } from '../../src/disk/identity.js';

const SIZE = 16 * 1024 * 1024 + 512;

describe('the bytes of a device, compared with those of the LUN', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'lunctl-identity-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** What happens to device and LUN between the two reads of a block, each time. */
  type Meanwhile = (block: { readonly offset: number; readonly seen: Buffer; readonly lun: Buffer }) => void;

  /** Compares a device of the bytes `seen` with a LUN of the bytes `lun`, and counts the reads. */
  const compare = async (seen: Buffer, lun: Buffer, starts: number[] = [], meanwhile?: Meanwhile) => {
    const path = join(folder, 'device');
    writeFileSync(path, seen);
    let reads = 0;
    const differed: number[] = [];
    const confirm = async (offset: number, length: number, sha256: string) => {
      reads++;
      meanwhile?.({ offset, seen, lun });
      if (meanwhile !== undefined) writeFileSync(path, seen);
      const bytes = lun.subarray(offset, offset + length);
      const isSame = createHash('sha256').update(bytes).digest('hex') === sha256;
      if (!isSame) differed.push(offset);
      return isSame;
    };
    return { isSame: await holdsSameBytes(path, { sizeBytes: seen.length, starts, confirm }), reads, differed };
  };
  /** Blank but for one byte. */
  const nearlyBlank = (at: number) => {
    const bytes = Buffer.alloc(SIZE);
    bytes[at] = 0x55;
    return bytes;
  };

  it('a copy that differs in its table or in the superblock of a partition alone is another disk', async () => {
    const start = 1024 * 1024;
    const bytes = randomBytes(SIZE);
    for (const at of [512 + 56, 1024 + 0x68, 65_536 + 0x20, start + 1024 + 0x68, start + 65_536 + 0x20]) {
      const copy = Buffer.from(bytes);
      copy.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      for (let round = 0; round < 5; round++) assert.equal((await compare(copy, bytes, [start])).isSame, false);
    }
    assert.deepEqual(await compare(bytes, bytes, [start]), { isSame: true, reads: 5, differed: [] });
  });

  it('three reads are enough where they find data', async () => {
    const bytes = randomBytes(SIZE);
    assert.deepEqual(await compare(bytes, bytes), { isSame: true, reads: 3, differed: [] });
    assert.deepEqual(await compare(randomBytes(SIZE), bytes), { isSame: false, reads: 1, differed: [0] });
  });

  for (const [where, at] of [
    ['first', 511],
    ['last', SIZE - 1],
  ] as const) {
    it(`a nearly blank disk is not taken for one that differs in its ${where} block only`, async () => {
      assert.equal((await compare(nearlyBlank(at), Buffer.alloc(SIZE))).isSame, false);
      assert.equal((await compare(Buffer.alloc(SIZE), nearlyBlank(at))).isSame, false);
      assert.equal((await compare(nearlyBlank(at), nearlyBlank(at))).isSame, true);
    });
  }

  it('a blank disk is looked at in several places, and one smaller than a read at all', async () => {
    assert.deepEqual(await compare(Buffer.alloc(SIZE), Buffer.alloc(SIZE)), { isSame: true, reads: 8, differed: [] });
    assert.equal((await compare(Buffer.alloc(512), Buffer.alloc(512))).isSame, true);
    assert.equal((await compare(Buffer.alloc(512), Buffer.alloc(512, 1))).isSame, false);
  });

  it('a block that stands still and differs is compared once, wherever it lies', async () => {
    // All that is looked at beyond the superblocks is another's.
    const bytes = randomBytes(SIZE);
    const copy = randomBytes(SIZE);
    for (const at of [0, 65_536]) bytes.copy(copy, at, at, at + 4096);
    for (let round = 0; round < 5; round++) {
      const { isSame, differed } = await compare(copy, bytes);
      assert.equal(isSame, differed.length === 0);
      assert.ok(differed.length <= 1, `compared again: ${differed}`);
    }
  });

  it('a block that a mounted file system writes between the two reads is compared again', async () => {
    const bytes = randomBytes(SIZE);
    let calls = 0;
    const writeOnce: Meanwhile = ({ offset, seen }) => {
      if (calls++ % 2 === 0) seen.writeUInt8(seen.readUInt8(offset) ^ 1, offset);
    };
    // Device and LUN are one: what is written is seen on both.
    const { isSame, reads, differed } = await compare(bytes, bytes, [], writeOnce);
    assert.deepEqual({ isSame, reads, differed: differed.length }, { isSame: true, reads: 6, differed: 3 });
  });

  it('a block that is written at every read is not compared for ever', async () => {
    const bytes = randomBytes(SIZE);
    const write: Meanwhile = ({ offset, seen }) => seen.writeUInt8((seen.readUInt8(offset) + 1) & 0xff, offset);
    assert.deepEqual(await compare(bytes, bytes, [], write), { isSame: false, reads: 3, differed: [0, 0, 0] });
  });

  it('another disk does not become ours by being written', async () => {
    const bytes = randomBytes(SIZE);
    const write: Meanwhile = ({ offset, seen }) => void randomBytes(4096).copy(seen, offset);
    const { isSame, reads } = await compare(randomBytes(SIZE), bytes, [], write);
    assert.deepEqual({ isSame, reads }, { isSame: false, reads: 3 });
  });

  it('a LUN that is written while the device stands still is not the device', async () => {
    const bytes = randomBytes(SIZE);
    let calls = 0;
    // As the device has it, but only at the second look: nobody wrote it through the device.
    const write: Meanwhile = ({ offset, seen, lun }) => {
      if (calls++ > 0) seen.copy(lun, offset, offset, offset + 4096);
    };
    assert.deepEqual(await compare(randomBytes(SIZE), bytes, [], write), { isSame: false, reads: 1, differed: [0] });
  });
});
