import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockFlag, BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBytes, trim, writeBytes, writeZeroes } from '../../src/block/promise.js';
import { blockDeviceContract, pattern, statusOf } from './contract.js';

for (const blockSize of [512, 4096]) {
  blockDeviceContract(`memory, blocks of ${blockSize}`, async () => ({
    device: new MemoryDevice({ sizeBytes: 2 ** 23, blockSize }),
  }));
}

describe('MemoryDevice', () => {
  it('takes memory only for what is written, and gives it back when trimmed', async () => {
    const device = new MemoryDevice({ sizeBytes: 2 ** 50 });
    assert.equal(device.allocatedBytes, 0);
    await writeBytes(device, 2 ** 49, pattern(512, 1));
    assert.equal(device.allocatedBytes, 65_536);
    assert.ok((await readBytes(device, 2 ** 49, 512)).equals(pattern(512, 1)));
    assert.ok((await readBytes(device, 2 ** 40, 512)).equals(Buffer.alloc(512)));
    await trim(device, 0, 2 ** 50);
    assert.equal(device.allocatedBytes, 0);
  });

  it('keeps the memory of a range that is zeroed with NoHole', async () => {
    const device = new MemoryDevice({ sizeBytes: 2 ** 20 });
    await writeZeroes(device, 512, 2 ** 18, BlockFlag.NoHole);
    assert.equal(device.allocatedBytes, 5 * 65_536);
    await writeZeroes(device, 0, 2 ** 20);
    assert.equal(device.allocatedBytes, 0);
  });

  it('rounds its size down to whole blocks and grows', async () => {
    const device = new MemoryDevice({ sizeBytes: 10_000, blockSize: 4096 });
    assert.equal(device.sizeBytes, 8192);
    device.grow(16_385);
    assert.equal(device.sizeBytes, 16_384);
    device.grow(4096);
    assert.equal(device.sizeBytes, 16_384);
    assert.ok((await readBytes(device, 12_288, 4096)).equals(Buffer.alloc(4096)));
  });

  it('refuses changes when read-only', async () => {
    const device = new MemoryDevice({ sizeBytes: 2 ** 20, readOnly: true });
    for (const op of [BlockOp.Write, BlockOp.Trim, BlockOp.WriteZeroes]) {
      const operation = { op, offset: 0, length: 512, payload: Buffer.alloc(512) };
      assert.equal(await statusOf(device, operation), BlockStatus.Eperm);
    }
    assert.equal(await statusOf(device, { op: BlockOp.Flush, offset: 0, length: 0 }), BlockStatus.Ok);
  });
});
