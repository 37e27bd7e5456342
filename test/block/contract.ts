// What every BlockDevice must do, whatever is behind it. Run by the test of each device.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { allocationOf } from '../../src/block/allocation.js';
import { type BlockDevice, BlockFlag, BlockOp, type BlockRequest, BlockStatus } from '../../src/block/block-device.js';
import {
  BlockError,
  type BlockOperation,
  flush,
  perform,
  readBytes,
  trim,
  writeBytes,
  writeZeroes,
} from '../../src/block/promise.js';
import { RefBuffer } from '../../src/util/ref-buffer.js';

export interface DeviceUnderTest {
  /** Writable, at least 2 MiB, its contents of no value. */
  readonly device: BlockDevice;
  /** Called after the device has been closed. */
  dispose?(): Promise<void>;
}

/** Bytes that differ from place to place and from `seed` to `seed`. */
export function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + seed * 101 + 1) & 0xff;
  return bytes;
}

/** The status that `operation` ends with. */
export async function statusOf(device: BlockDevice, operation: BlockOperation): Promise<BlockStatus> {
  try {
    await perform(device, operation);
    return BlockStatus.Ok;
  } catch (error) {
    assert.ok(error instanceof BlockError, String(error));
    return error.status;
  }
}

/** Declares the suite. `open` is called once; `anyAlignment` is set for devices that serve unaligned requests. */
export function blockDeviceContract(
  name: string,
  open: () => Promise<DeviceUnderTest>,
  { anyAlignment = false } = {},
): void {
  describe(`BlockDevice contract: ${name}`, () => {
    let device: BlockDevice;
    let dispose: (() => Promise<void>) | undefined;
    let block: number;

    before(async () => {
      const opened = await open();
      device = opened.device;
      dispose = opened.dispose?.bind(opened);
      block = device.blockSize;
    });
    after(async () => {
      await device.close();
      await device.close();
      const status = await statusOf(device, { op: BlockOp.Read, offset: 0, length: block });
      assert.equal(status, BlockStatus.Eshutdown, 'a closed device refuses requests');
      await dispose?.();
    });

    it('states a geometry that makes sense', () => {
      assert.ok(block === 512 || block === 4096);
      assert.ok(device.sizeBytes >= 2 ** 21 && device.sizeBytes % block === 0);
      assert.ok(device.physicalBlockSize >= block);
      assert.ok(device.maxTransfer >= 65_536 && device.maxTransfer % block === 0);
    });

    it('reads back what was written, in every size class', async () => {
      for (const length of [block, 8192, 65_536 + block, 2 ** 20 - block]) {
        const bytes = pattern(length, length);
        const most = Math.floor(Math.min(length, device.maxTransfer) / block) * block;
        for (let at = 0; at < length; at += most) {
          await writeBytes(device, block + at, bytes.subarray(at, at + most));
        }
        for (let at = 0; at < length; at += most) {
          const part = bytes.subarray(at, at + most);
          assert.ok((await readBytes(device, block + at, part.length)).equals(part), `${length} bytes, from ${at}`);
        }
      }
    });

    it('reaches the last block', async () => {
      const bytes = pattern(block, 9);
      await writeBytes(device, device.sizeBytes - block, bytes);
      assert.ok((await readBytes(device, device.sizeBytes - block, block)).equals(bytes));
    });

    it('delivers the parts of a read in order, without a gap, and they stay as they are while retained', async () => {
      const length = Math.min(device.maxTransfer, 2 ** 20);
      const bytes = pattern(length, 3);
      await writeBytes(device, 0, bytes);
      let next = 0;
      const parts: { piece: Buffer; at: number; owner: RefBuffer | null }[] = [];
      await perform(device, { op: BlockOp.Read, offset: 0, length }, (piece, at, owner) => {
        assert.equal(at, next);
        next += piece.length;
        owner?.retain();
        parts.push({ piece: owner ? piece : Buffer.from(piece), at, owner });
      });
      assert.equal(next, length);
      await writeBytes(device, 0, pattern(length, 4));
      await readBytes(device, 0, length);
      for (const { piece, at, owner } of parts) {
        assert.ok(piece.equals(bytes.subarray(at, at + piece.length)));
        owner?.release();
      }
    });

    it('does not hold on to the payload of a finished write', async () => {
      const owner = new RefBuffer(pattern(block, 5));
      await new Promise<void>((resolve, reject) => {
        const request: BlockRequest = {
          op: BlockOp.Write,
          offset: 0,
          length: block,
          flags: 0,
          payload: owner.buffer,
          payloadOwner: owner,
          onData: () => reject(new Error('a write delivers no data')),
          onDone: (status) => (status === BlockStatus.Ok ? resolve() : reject(new Error(String(status)))),
        };
        device.submit(request);
      });
      await flush(device);
      assert.equal(owner.references, 1);
    });

    it('refuses what is not on the disk, without data', async () => {
      const { sizeBytes, maxTransfer } = device;
      const ranges: [string, number, number][] = [
        ['after the end', sizeBytes, block],
        ['over the end', sizeBytes - block, 2 * block],
        ['far after the end', 2 ** 52, block],
        ['before the start', -block, block],
        ['of negative length', 0, -block],
      ];
      if (!anyAlignment) {
        ranges.push(
          ['at no block', 1, block],
          ['of no whole block', 0, block + 1],
          ['too long', 0, maxTransfer + block],
        );
      }
      for (const [what, offset, length] of ranges) {
        const read = { op: BlockOp.Read, offset, length };
        let pieces = 0;
        await assert.rejects(
          perform(device, read, () => pieces++),
          { status: BlockStatus.Einval },
          what,
        );
        assert.equal(pieces, 0, what);
        const payload = Buffer.alloc(Math.max(0, length));
        assert.equal(await statusOf(device, { op: BlockOp.Write, offset, length, payload }), BlockStatus.Einval, what);
      }
      for (const op of [BlockOp.Trim, BlockOp.WriteZeroes]) {
        assert.equal(await statusOf(device, { op, offset: sizeBytes, length: block }), BlockStatus.Einval);
      }
    });

    it('refuses a payload of another length than the request', async () => {
      const payload = Buffer.alloc(2 * block);
      const status = await statusOf(device, { op: BlockOp.Write, offset: 0, length: block, payload });
      assert.equal(status, BlockStatus.Einval);
      assert.equal(await statusOf(device, { op: BlockOp.Write, offset: 0, length: block }), BlockStatus.Einval);
    });

    it('does nothing for a length of zero', async () => {
      for (const op of [BlockOp.Read, BlockOp.Write, BlockOp.Trim, BlockOp.WriteZeroes]) {
        const payload = op === BlockOp.Write ? { payload: Buffer.alloc(0) } : {};
        assert.equal(await statusOf(device, { op, offset: block, length: 0, ...payload }), BlockStatus.Ok, String(op));
      }
    });

    it('flushes, and takes FUA on whatever changes data', async () => {
      await writeBytes(device, 0, pattern(block, 1), BlockFlag.Fua);
      await flush(device);
      if (device.canWriteZeroes) await writeZeroes(device, block, block, BlockFlag.Fua);
      if (device.canTrim) await trim(device, block, block, BlockFlag.Fua);
      await flush(device);
      assert.ok((await readBytes(device, 0, block)).equals(pattern(block, 1)));
    });

    it('zeroes and trims exactly the range given', async () => {
      const length = 65_536;
      const bytes = pattern(3 * length, 6);
      const middle = async (): Promise<Buffer> => {
        const now = await readBytes(device, 0, 3 * length);
        assert.ok(now.subarray(0, length).equals(bytes.subarray(0, length)), 'before the range');
        assert.ok(now.subarray(2 * length).equals(bytes.subarray(2 * length)), 'after the range');
        return now.subarray(length, 2 * length);
      };
      for (const flags of [0, BlockFlag.NoHole, BlockFlag.FastZero, BlockFlag.NoHole | BlockFlag.FastZero]) {
        if (!device.canWriteZeroes) break;
        await writeBytes(device, 0, bytes);
        const status = await statusOf(device, { op: BlockOp.WriteZeroes, offset: length, length, flags });
        const expected = status === BlockStatus.Ok ? Buffer.alloc(length) : bytes.subarray(length, 2 * length);
        assert.ok(status === BlockStatus.Ok || (status === BlockStatus.Enotsup && flags & BlockFlag.FastZero));
        assert.ok((await middle()).equals(expected), `flags ${flags}`);
      }
      if (device.canTrim) {
        await writeBytes(device, 0, bytes);
        await trim(device, length, length);
        await middle();
      }
    });

    it('tells extents that lie in the range, in order, and calls nothing zero that is not', async () => {
      const size = 2 ** 20;
      await writeBytes(device, 0, pattern(65_536, 8));
      await writeBytes(device, 262_144, pattern(4096, 8));
      if (device.canTrim) await trim(device, 524_288, 262_144);
      for (const [offset, length, most] of [
        [0, size, 1000],
        [0, size, 1],
        [0, size, 2],
        [block, block, 1000],
        [size - block, block, 1],
        [device.sizeBytes - block, block, 5],
      ] as const) {
        const extents = await allocationOf(device, { offset, length }, most);
        assert.ok(extents.length > 0 && extents.length <= most);
        let at = offset;
        for (const [i, extent] of extents.entries()) {
          assert.ok(extent.length > 0 && extent.length % block === 0);
          const before = extents[i - 1];
          assert.ok(before?.hole !== extent.hole || before.zero !== extent.zero, 'neighbours of one kind are one');
          for (let done = 0; extent.zero && done < extent.length; done += 65_536) {
            const bytes = await readBytes(device, at + done, Math.min(65_536, extent.length - done));
            assert.ok(
              bytes.every((byte) => byte === 0),
              `zero at ${at + done}`,
            );
          }
          at += extent.length;
        }
        assert.ok(at <= offset + length);
      }
      const [first] = await allocationOf(device, { offset: 0, length: 65_536 }, 1);
      assert.deepEqual(first, { length: 65_536, hole: false, zero: false }, 'what has been written is data');
    });

    it('takes a hint of what will be read', async () => {
      device.prefetch?.({ offset: 0, length: device.sizeBytes });
      assert.ok((await readBytes(device, 0, block)).length === block);
    });

    it('takes a request from within the completion of another', async () => {
      await writeBytes(device, 0, pattern(block, 7));
      const bytes = await new Promise<Buffer>((resolve) => {
        perform(device, { op: BlockOp.Flush, offset: 0, length: 0 }).then(() => {});
        device.submit({
          op: BlockOp.Flush,
          offset: 0,
          length: 0,
          flags: 0,
          payload: null,
          payloadOwner: null,
          onData: () => {},
          onDone: () => resolve(readBytes(device, 0, block)),
        });
      });
      assert.ok(bytes.equals(pattern(block, 7)));
    });

    it('keeps many requests apart that are in flight together', async () => {
      const count = 64;
      const writes = Array.from({ length: count }, (_, i) => writeBytes(device, i * 4096, pattern(4096, i)));
      await Promise.all(writes);
      const reads = Array.from({ length: count }, (_, i) => readBytes(device, i * 4096, 4096));
      for (const [i, bytes] of (await Promise.all(reads)).entries()) assert.ok(bytes.equals(pattern(4096, i)), `${i}`);
    });

    it('agrees with an array of bytes under any sequence of operations', async () => {
      const size = 262_144;
      const unit = anyAlignment ? 1 : block;
      const range = fc
        .tuple(fc.nat(size / unit - 1), fc.integer({ min: 1, max: 65_536 / unit }))
        .map(([first, count]) => ({ offset: first * unit, length: Math.min(count * unit, size - first * unit) }));
      const step = fc.tuple(fc.constantFrom('write', 'zero', 'read'), range, fc.nat(255));
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
          const model = Buffer.from(await readBytes(device, 0, size));
          for (const [what, { offset, length }, seed] of steps) {
            if (what === 'write') {
              const bytes = pattern(length, seed);
              bytes.copy(model, offset);
              await writeBytes(device, offset, bytes);
            } else if (what === 'zero' && device.canWriteZeroes) {
              model.fill(0, offset, offset + length);
              await writeZeroes(device, offset, length);
            } else {
              assert.ok((await readBytes(device, offset, length)).equals(model.subarray(offset, offset + length)));
            }
          }
          assert.ok((await readBytes(device, 0, size)).equals(model));
        }),
        { numRuns: 20 },
      );
    });
  });
}
