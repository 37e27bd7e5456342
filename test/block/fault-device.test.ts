import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { FaultDevice } from '../../src/block/fault-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { perform, readBytes, writeBytes } from '../../src/block/promise.js';
import { blockDeviceContract, pattern, statusOf } from './contract.js';

blockDeviceContract('fault device without faults', async () => ({
  device: new FaultDevice(new MemoryDevice({ sizeBytes: 2 ** 22 })),
}));
blockDeviceContract('fault device that forwards', async () => ({
  device: new FaultDevice(new MemoryDevice({ sizeBytes: 2 ** 22 }), () => ({})),
}));

describe('FaultDevice', () => {
  it('fails before or after the device behind has done its work', async () => {
    const memory = new MemoryDevice({ sizeBytes: 2 ** 20 });
    const device = new FaultDevice(memory, () => ({ status: BlockStatus.Eio }));
    const write = { op: BlockOp.Write, offset: 0, length: 512, payload: pattern(512, 1) };
    assert.equal(await statusOf(device, write), BlockStatus.Eio);
    assert.ok((await readBytes(memory, 0, 512)).equals(Buffer.alloc(512)));
    device.plan = () => ({ status: BlockStatus.Eio, afterData: true });
    assert.equal(await statusOf(device, write), BlockStatus.Eio);
    assert.ok((await readBytes(memory, 0, 512)).equals(pattern(512, 1)));
    let delivered = 0;
    const read = perform(device, { op: BlockOp.Read, offset: 0, length: 512 }, (piece) => {
      delivered += piece.length;
    });
    await assert.rejects(read, { status: BlockStatus.Eio });
    assert.equal(delivered, 512);
  });

  it('lets held requests go in any order', async () => {
    const device = new FaultDevice(new MemoryDevice({ sizeBytes: 2 ** 20 }), () => ({ hold: 'before' }));
    const done: number[] = [];
    const writes = [0, 1, 2].map((i) => writeBytes(device, i * 512, pattern(512, i)).then(() => done.push(i)));
    assert.equal(device.held, 3);
    device.release(1);
    device.releaseAll({ backwards: true });
    await Promise.all(writes);
    assert.deepEqual(done, [1, 2, 0]);
  });
});
