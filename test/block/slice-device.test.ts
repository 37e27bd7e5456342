import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { FaultDevice } from '../../src/block/fault-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { SliceDevice } from '../../src/block/slice-device.js';
import { blockDeviceContract, pattern, statusOf } from './contract.js';

blockDeviceContract('slice of a memory device', async () => {
  const disk = new MemoryDevice({ sizeBytes: 2 ** 24, blockSize: 4096 });
  return { device: new SliceDevice(disk, { start: 2 ** 20, length: 2 ** 23 }) };
});

describe('SliceDevice', () => {
  const disk = new MemoryDevice({ sizeBytes: 2 ** 20 });

  it('touches nothing outside of its window', async () => {
    await writeBytes(disk, 0, pattern(4096, 1));
    const slice = new SliceDevice(disk, { start: 1024, length: 1024 });
    await writeBytes(slice, 0, pattern(1024, 2));
    const now = await readBytes(disk, 0, 4096);
    assert.ok(now.subarray(0, 1024).equals(pattern(4096, 1).subarray(0, 1024)));
    assert.ok(now.subarray(1024, 2048).equals(pattern(1024, 2)));
    assert.ok(now.subarray(2048).equals(pattern(4096, 1).subarray(2048)));
  });

  it('refuses a window that is not on the disk or not at block borders', () => {
    for (const window of [
      { start: 0, length: 2 ** 20 + 512 },
      { start: 2 ** 20, length: 512 },
      { start: 1, length: 512 },
      { start: 0, length: 513 },
      { start: -512, length: 512 },
      { start: 0, length: Number.NaN },
    ]) {
      assert.throws(() => new SliceDevice(disk, window), { code: 'ERR_USAGE' });
    }
  });

  it('can be read-only on a writable disk', async () => {
    const slice = new SliceDevice(disk, { start: 0, length: 512, readOnly: true });
    assert.ok(slice.readOnly);
    const write = { op: BlockOp.Write, offset: 0, length: 512, payload: Buffer.alloc(512) };
    assert.equal(await statusOf(slice, write), BlockStatus.Eperm);
  });

  it('closes once its own requests have ended, and leaves the disk open', async () => {
    const faulty = new FaultDevice(disk, () => ({ hold: 'after' }));
    const slice = new SliceDevice(faulty, { start: 0, length: 4096 });
    const reading = readBytes(slice, 0, 512);
    let closed = false;
    const closing = slice.close().then(() => {
      closed = true;
    });
    await new Promise(setImmediate);
    assert.equal(closed, false);
    faulty.releaseAll();
    await reading;
    await closing;
    assert.equal((await readBytes(disk, 0, 512)).length, 512);
  });
});
