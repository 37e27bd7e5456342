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

  /** Compares a device of the bytes `seen` with a LUN of the bytes `lun`, and counts the reads. */
  const compare = async (seen: Buffer, lun: Buffer, starts: number[] = []) => {
    const path = join(folder, 'device');
    writeFileSync(path, seen);
    let reads = 0;
    const confirm = async (offset: number, length: number, sha256: string) => {
      reads++;
      return (
        createHash('sha256')
          .update(lun.subarray(offset, offset + length))
          .digest('hex') === sha256
      );
    };
    return { isSame: await holdsSameBytes(path, { sizeBytes: seen.length, starts, confirm }), reads };
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
    assert.deepEqual(await compare(bytes, bytes, [start]), { isSame: true, reads: 5 });
  });

  it('three reads are enough where they find data', async () => {
    const bytes = randomBytes(SIZE);
    assert.deepEqual(await compare(bytes, bytes), { isSame: true, reads: 3 });
    assert.deepEqual(await compare(randomBytes(SIZE), bytes), { isSame: false, reads: 3 });
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
    assert.deepEqual(await compare(Buffer.alloc(SIZE), Buffer.alloc(SIZE)), { isSame: true, reads: 8 });
    assert.equal((await compare(Buffer.alloc(512), Buffer.alloc(512))).isSame, true);
    assert.equal((await compare(Buffer.alloc(512), Buffer.alloc(512, 1))).isSame, false);
  });
});
