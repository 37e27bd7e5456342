import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AlignedDevice, anyRange } from '../../src/block/aligned.js';
import { type BlockDevice, BlockFlag, BlockOp, type BlockRequest, BlockStatus } from '../../src/block/block-device.js';
import { FaultDevice } from '../../src/block/fault-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { flush, readBytes, trim, writeBytes, writeZeroes } from '../../src/block/promise.js';
import { SliceDevice } from '../../src/block/slice-device.js';
import { blockDeviceContract, pattern, statusOf } from './contract.js';

/** A memory disk that takes at most 64 KiB at once. */
class NarrowDevice extends FaultDevice {
  override get maxTransfer(): number {
    return 65_536;
  }
  override submit(request: BlockRequest): void {
    const transfer = request.op === BlockOp.Read || request.op === BlockOp.Write;
    if (transfer && request.length > this.maxTransfer) request.onDone(BlockStatus.Einval);
    else super.submit(request);
  }
}

for (const blockSize of [512, 4096]) {
  blockDeviceContract(
    `any range, blocks of ${blockSize}`,
    async () => ({ device: new AlignedDevice(new MemoryDevice({ sizeBytes: 2 ** 22, blockSize })) }),
    { anyAlignment: true },
  );
}
blockDeviceContract(
  'any range, largest transfer 64 KiB',
  async () => ({ device: new AlignedDevice(new NarrowDevice(new MemoryDevice({ sizeBytes: 2 ** 22 }))) }),
  { anyAlignment: true },
);

describe('AlignedDevice', () => {
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const disk = (): BlockDevice => new MemoryDevice({ sizeBytes: 2 ** 20, blockSize: 4096 });

  it('is one and the same for all users of a device', () => {
    const device = disk();
    assert.equal(anyRange(device), anyRange(device));
    assert.notEqual(anyRange(device), anyRange(disk()));
  });

  it('passes an aligned read on as it is', () => {
    const seen: BlockRequest[] = [];
    const device = new AlignedDevice(
      new FaultDevice(disk(), (request) => {
        seen.push(request);
        return null;
      }),
    );
    const request = {
      op: BlockOp.Read,
      offset: 4096,
      length: 4096,
      flags: 0,
      payload: null,
      payloadOwner: null,
      onData: () => {},
      onDone: () => {},
    };
    device.submit(request);
    assert.deepEqual(seen, [request]);
  });

  it('loses no byte of writes to one block that run at the same time', async () => {
    const faulty = new FaultDevice(disk());
    const device = new AlignedDevice(faulty);
    await writeBytes(device, 0, Buffer.alloc(8192, 0xaa));
    faulty.plan = () => ({ hold: 'before' });
    const writes = Promise.all([
      writeBytes(device, 10, Buffer.alloc(10, 1)),
      writeBytes(device, 30, Buffer.alloc(10, 2)),
      writeBytes(device, 4090, Buffer.alloc(10, 3)),
      writeBytes(device, 8000, Buffer.alloc(10, 4)),
    ]);
    for (let round = 0; round < 40; round++) {
      await settle();
      faulty.releaseAll({ backwards: true });
    }
    await writes;
    faulty.plan = () => null;
    const expected = Buffer.alloc(8192, 0xaa);
    expected.fill(1, 10, 20).fill(2, 30, 40).fill(3, 4090, 4100).fill(4, 8000, 8010);
    assert.ok((await readBytes(device, 0, 8192)).equals(expected));
  });

  it('keeps a whole-block write and a read-modify-write of that block apart', async () => {
    const faulty = new FaultDevice(disk());
    const device = new AlignedDevice(faulty);
    // The read of the read-modify-write is held: a write that overtook it would be undone by its second half.
    faulty.plan = (request) => (request.op === BlockOp.Read ? { hold: 'after' } : null);
    const partial = writeBytes(device, 100, Buffer.alloc(10, 7));
    await settle();
    let wholeDone = false;
    const whole = writeBytes(device, 0, Buffer.alloc(4096, 5)).then(() => {
      wholeDone = true;
    });
    let elsewhereDone = false;
    const elsewhere = writeBytes(device, 4096, Buffer.alloc(4096, 6)).then(() => {
      elsewhereDone = true;
    });
    await settle();
    assert.equal(wholeDone, false);
    assert.equal(elsewhereDone, true, 'other blocks are not held up');
    faulty.releaseAll();
    await Promise.all([partial, whole, elsewhere]);
    faulty.plan = () => null;
    assert.ok((await readBytes(device, 0, 4096)).equals(Buffer.alloc(4096, 5)));
  });

  it('knows of writes to the whole disk beside a partition', async () => {
    const faulty = new FaultDevice(disk());
    const part = new SliceDevice(faulty, { start: 8192, length: 65_536 });
    const inner = new SliceDevice(part, { start: 4096, length: 8192 });
    await writeBytes(faulty, 8192, Buffer.alloc(8192, 0xaa));
    faulty.plan = () => ({ hold: 'before' });
    const writes = Promise.all([
      writeBytes(anyRange(faulty), 12_288 + 10, Buffer.alloc(10, 1)),
      writeBytes(anyRange(part), 4096 + 30, Buffer.alloc(10, 2)),
      writeBytes(anyRange(inner), 50, Buffer.alloc(10, 3)),
    ]);
    for (let round = 0; round < 20; round++) {
      await settle();
      faulty.releaseAll({ backwards: true });
    }
    await writes;
    faulty.plan = () => null;
    const expected = Buffer.alloc(4096, 0xaa).fill(1, 10, 20).fill(2, 30, 40).fill(3, 50, 60);
    assert.ok((await readBytes(faulty, 12_288, 4096)).equals(expected));
  });

  it('trims only whole blocks', async () => {
    const ranges: [number, number][] = [];
    const faulty = new FaultDevice(disk(), (request) => {
      if (request.op === BlockOp.Trim) ranges.push([request.offset, request.length]);
      return null;
    });
    const device = new AlignedDevice(faulty);
    await trim(device, 100, 10_000);
    await trim(device, 100, 4000);
    await trim(device, 4096, 8192);
    assert.deepEqual(ranges, [
      [4096, 4096],
      [4096, 8192],
    ]);
  });

  it('passes on the error of any step', async () => {
    for (const failing of [BlockOp.Read, BlockOp.Write, BlockOp.WriteZeroes]) {
      const faulty = new FaultDevice(disk(), (r) => (r.op === failing ? { status: BlockStatus.Enospc } : null));
      const device = new AlignedDevice(faulty);
      const status = await statusOf(device, { op: BlockOp.WriteZeroes, offset: 100, length: 20_000 });
      assert.equal(status, BlockStatus.Enospc);
      // The range is free again.
      faulty.plan = () => null;
      await writeBytes(device, 0, pattern(8192, 1));
    }
  });

  it('does not call partly written blocks fast, and keeps FUA on every step', async () => {
    const flags: number[] = [];
    const faulty = new FaultDevice(disk(), (request) => {
      if (request.op !== BlockOp.Read) flags.push(request.flags);
      return null;
    });
    const device = new AlignedDevice(faulty);
    const fast = { op: BlockOp.WriteZeroes, offset: 1, length: 4096, flags: BlockFlag.FastZero };
    assert.equal(await statusOf(device, fast), BlockStatus.Enotsup);
    assert.deepEqual(flags, []);
    await writeZeroes(device, 1, 20_000, BlockFlag.Fua);
    assert.deepEqual(flags, [BlockFlag.Fua, BlockFlag.Fua, BlockFlag.Fua]);
    await flush(device);
  });

  it('refuses every change of a read-only disk', async () => {
    const device = new AlignedDevice(new MemoryDevice({ sizeBytes: 2 ** 20, readOnly: true }));
    for (const [op, offset, length] of [
      [BlockOp.Write, 0, 512],
      [BlockOp.Write, 1, 1],
      [BlockOp.WriteZeroes, 3, 700],
      [BlockOp.Trim, 0, 512],
      [BlockOp.Trim, 1, 2],
    ] as const) {
      const payload = Buffer.alloc(length);
      assert.equal(await statusOf(device, { op, offset, length, payload }), BlockStatus.Eperm);
    }
  });
});
