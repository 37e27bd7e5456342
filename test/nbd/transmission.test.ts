// Requests and replies, simple and structured: what a client sends, what the disk is asked, what is answered (NBD proto.md
// "Transmission phase").
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockFlag, BlockOp, type BlockRequest, BlockStatus } from '../../src/block/block-device.js';
import { FaultDevice } from '../../src/block/fault-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { Command, CommandFlag } from '../../src/nbd/wire/constants.js';
import { ProtocolError } from '../../src/util/errors.js';
import { RefBuffer } from '../../src/util/ref-buffer.js';
import { pattern } from '../block/contract.js';
import { answer, exportOf, NbdDriver, opened } from '../helpers/nbd-driver.js';
import { type Answer, assemble, readAnswers, request } from '../helpers/nbd-wire.js';

const MIB = 2 ** 20;

function memory(sizeBytes = 8 * MIB): MemoryDevice {
  return new MemoryDevice({ sizeBytes });
}

/** Delivers a READ in the pieces given, and ends it with `status`. */
class PiecewiseDevice extends FaultDevice {
  pieces: { length: number; owned: boolean }[] = [];
  status: BlockStatus = BlockStatus.Ok;
  readonly owners: RefBuffer[] = [];
  override submit(r: BlockRequest): void {
    if (r.op !== BlockOp.Read) {
      super.submit(r);
      return;
    }
    let at = 0;
    for (const { length, owned } of this.pieces) {
      const owner = new RefBuffer(pattern(length, at));
      r.onData(owner.buffer, at, owned ? owner : null);
      this.owners.push(owner);
      owner.release();
      // Without an owner the memory may change right after the call.
      if (!owned || owner.references === 0) owner.buffer.fill(0xee);
      at += length;
    }
    r.onDone(this.status);
  }
}
function expectedPieces(device: PiecewiseDevice): Buffer {
  let at = 0;
  const parts = device.pieces.map(({ length }) => {
    const part = pattern(length, at);
    at += length;
    return part;
  });
  return Buffer.concat(parts);
}

for (const structured of [true, false]) {
  describe(`NBD transmission, ${structured ? 'structured' : 'simple'} replies`, () => {
    it('reads and writes every size class', async () => {
      const device = memory();
      const driver = opened(device, { structured });
      for (const length of [512, 4096, 8192, 8704, 65_536, 66_048, MIB, 4 * MIB]) {
        const payload = pattern(length, length);
        const written = answer(driver, request({ type: Command.Write, offset: 512, payload }));
        assert.deepEqual([written.error, written.chunks], [0, 0], 'the short form for WRITE');
        const read = answer(driver, request({ type: Command.Read, offset: 512, length }), length);
        assert.equal(read.error, 0);
        assert.ok(assemble(read, 512, length).equals(payload), `${length} bytes`);
      }
      assert.equal(driver.core.readBytes, driver.core.writtenBytes);
      assert.equal(driver.held, 0);
    });

    it('keeps all 8 bytes of a cookie', () => {
      const driver = opened(memory(), { structured });
      for (const cookie of [0n, 0xffff_ffff_ffff_ffffn, 0x8000_0000_7fff_ffffn]) {
        for (const type of [Command.Flush, Command.Read]) {
          const length = type === Command.Read ? 512 : 0;
          driver.feed(request({ type, cookie, length }));
          const answers = readAnswers(driver.take(), new Map([[cookie, length]]));
          assert.deepEqual(
            answers.map((a) => a.cookie),
            [cookie],
          );
        }
      }
    });

    it('answers requests in the order in which the disk completes them', () => {
      const device = new FaultDevice(memory(), () => ({ hold: 'before' }));
      const driver = opened(device, { structured });
      for (const cookie of [1n, 2n, 3n]) driver.feed(request({ type: Command.Read, cookie, length: 512 }));
      assert.equal(driver.take().length, 0);
      device.releaseAll({ backwards: true });
      const lengths = new Map([1n, 2n, 3n].map((cookie) => [cookie, 512]));
      const answers = readAnswers(driver.take(), lengths);
      assert.deepEqual(
        answers.map((a) => a.cookie),
        [3n, 2n, 1n],
      );
      assert.equal(driver.held, 0);
    });

    it('turns the status of the disk into the error of the reply', () => {
      const device = new FaultDevice(memory());
      const driver = opened(device, { structured });
      for (const status of [BlockStatus.Eio, BlockStatus.Enospc, BlockStatus.Eperm, BlockStatus.Enomem]) {
        device.plan = () => ({ status });
        for (const type of [Command.Read, Command.Write, Command.Flush, Command.Trim, Command.WriteZeroes]) {
          const fields = type === Command.Write ? { payload: Buffer.alloc(512) } : { length: type === 3 ? 0 : 512 };
          const got = answer(driver, request({ type, ...fields }), 512);
          assert.equal(got.error, status);
          assert.equal(got.data.length, 0);
          assert.ok(!structured || got.chunks === 1, 'errors are structured when they can be');
        }
      }
      assert.equal(driver.core.readBytes + driver.core.writtenBytes, 0);
      assert.equal(driver.held, 0);
    });

    it('passes FUA, NO_HOLE and FAST_ZERO to the disk', () => {
      const seen: [number, number][] = [];
      const device = new FaultDevice(memory(), (r) => {
        seen.push([r.op, r.flags]);
        return null;
      });
      const driver = opened(device, { structured });
      answer(driver, request({ type: Command.Write, flags: CommandFlag.Fua, payload: Buffer.alloc(512) }));
      answer(driver, request({ type: Command.Trim, flags: CommandFlag.Fua, length: 512 }));
      const all = CommandFlag.Fua | CommandFlag.NoHole | CommandFlag.FastZero;
      answer(driver, request({ type: Command.WriteZeroes, flags: all, length: 512 }));
      assert.deepEqual(seen, [
        [BlockOp.Write, BlockFlag.Fua],
        [BlockOp.Trim, BlockFlag.Fua],
        [BlockOp.WriteZeroes, BlockFlag.Fua | BlockFlag.NoHole | BlockFlag.FastZero],
      ]);
    });

    it('serves unaligned requests of a disk with blocks of 4096', () => {
      const driver = opened(new MemoryDevice({ sizeBytes: MIB, blockSize: 4096 }), { structured });
      // Read-modify-write takes more than one turn.
      driver.feed(request({ type: Command.Read, offset: 4096, length: 4096 }));
      assert.equal(readAnswers(driver.take(), new Map([[1n, 4096]]))[0]?.error, 0);
    });
  });
}

describe('NBD transmission', () => {
  it('serves unaligned reads and writes whatever the block size', async () => {
    const device = new MemoryDevice({ sizeBytes: MIB, blockSize: 4096 });
    await writeBytes(device, 0, pattern(16_384, 1));
    const driver = opened(device);
    driver.feed(request({ type: Command.Write, cookie: 1n, offset: 100, payload: pattern(5000, 2) }));
    await new Promise(setImmediate);
    driver.feed(request({ type: Command.Read, cookie: 2n, offset: 50, length: 6000 }));
    await new Promise(setImmediate);
    const [written, read] = readAnswers(driver.take());
    assert.equal(written?.error, 0);
    const expected = pattern(16_384, 1);
    pattern(5000, 2).copy(expected, 100);
    assert.ok(assemble(read as Answer, 50, 6000).equals(expected.subarray(50, 6050)));
    assert.ok((await readBytes(device, 0, 16_384)).equals(expected));
    assert.equal(driver.held, 0);
  });

  it('streams the pieces of a read as chunks, the last one with DONE', () => {
    const device = new PiecewiseDevice(memory());
    const driver = opened(device);
    for (const owned of [true, false]) {
      device.pieces = [512, 65_536, 1024, 8192].map((length) => ({ length, owned }));
      const length = 75_264;
      const got = answer(driver, request({ type: Command.Read, offset: 4096, length }), length);
      assert.equal(got.error, 0);
      assert.deepEqual(
        got.data.map((part) => [part.offset, part.bytes.length]),
        [
          [4096, 512],
          [4608, 65_536],
          [70_144, 1024],
          [71_168, 8192],
        ],
      );
      assert.equal(got.chunks, owned ? 4 : 5);
      assert.ok(assemble(got, 4096, length).equals(expectedPieces(device)));
    }
    assert.ok(device.owners.every((owner) => owner.references === 0));
    assert.equal(driver.held, 0);
  });

  it('reports an error that comes after data by an error chunk', () => {
    const device = new PiecewiseDevice(memory());
    device.pieces = [
      { length: 65_536, owned: true },
      { length: 65_536, owned: true },
    ];
    device.status = BlockStatus.Eio;
    const driver = opened(device);
    const got = answer(driver, request({ type: Command.Read, length: 131_072 }), 131_072);
    assert.equal(got.error, BlockStatus.Eio);
    assert.equal(got.message, 'the disk reported an error');
    assert.equal(got.data.length, 1, 'the piece that was held back is not sent');
    assert.ok(device.owners.every((owner) => owner.references === 0));
  });

  it('does not let a disk that delivers too little, too much or the wrong place break the stream', () => {
    for (const structured of [true, false]) {
      const device = new PiecewiseDevice(memory());
      const driver = opened(device, { structured });
      for (const lengths of [[512], [512, 1024], [], [2048]]) {
        device.pieces = lengths.map((length) => ({ length, owned: true }));
        const got = answer(driver, request({ type: Command.Read, length: 1024 }), 1024);
        assert.equal(got.error, BlockStatus.Eio, `${lengths}`);
      }
      assert.ok(device.owners.every((owner) => owner.references === 0));
      assert.equal(driver.held, 0);
    }
  });

  it('sends a whole read at once where it must: simple replies and DF', () => {
    for (const structured of [true, false]) {
      const device = new PiecewiseDevice(memory());
      const driver = opened(device, { structured });
      const flags = structured ? CommandFlag.Df : 0;
      for (const pieces of [
        [{ length: 70_144, owned: true }],
        [{ length: 70_144, owned: false }],
        [
          { length: 10_240, owned: true },
          { length: 59_904, owned: false },
        ],
      ]) {
        device.pieces = pieces;
        const got = answer(driver, request({ type: Command.Read, flags, length: 70_144 }), 70_144);
        assert.equal(got.data.length, 1);
        assert.ok(assemble(got, 0, 70_144).equals(expectedPieces(device)));
        device.status = BlockStatus.Eio;
        const failed = answer(driver, request({ type: Command.Read, flags, length: 70_144 }), 70_144);
        assert.deepEqual([failed.error, failed.data.length], [BlockStatus.Eio, 0]);
        device.status = BlockStatus.Ok;
      }
      assert.ok(device.owners.every((owner) => owner.references === 0));
      assert.equal(driver.held, 0);
    }
  });

  const size = 8 * MIB;
  const E = BlockStatus;
  const refusals: [string, Parameters<typeof request>[0], number][] = [
    ['a read after the end', { type: Command.Read, offset: size, length: 512 }, E.Einval],
    ['a read over the end', { type: Command.Read, offset: size - 512, length: 1024 }, E.Einval],
    ['a read at 2^64 − 1', { type: Command.Read, offset: 2n ** 64n - 1n, length: 512 }, E.Einval],
    ['a read at 2^53 + 1', { type: Command.Read, offset: 2n ** 53n + 1n, length: 512 }, E.Einval],
    ['a write over the end', { type: Command.Write, offset: size - 512, payload: Buffer.alloc(1024) }, E.Enospc],
    ['a write at 2^63', { type: Command.Write, offset: 2n ** 63n, payload: Buffer.alloc(512) }, E.Enospc],
    ['a write of 2^25 + 1 bytes', { type: Command.Write, payload: Buffer.alloc(2 ** 25 + 1) }, E.Einval],
    ['a read of 2^25 + 1 bytes', { type: Command.Read, length: 2 ** 25 + 1 }, E.Eoverflow],
    ['a read of 2^32 − 1 bytes', { type: Command.Read, length: 0xffff_ffff }, E.Eoverflow],
    ['a trim over the end', { type: Command.Trim, length: 0xffff_ffff }, E.Einval],
    ['zeroes over the end', { type: Command.WriteZeroes, length: 0xffff_fe00 }, E.Enospc],
    ['a flush with a length', { type: Command.Flush, length: 512 }, E.Einval],
    ['a flush with an offset', { type: Command.Flush, offset: 512 }, E.Einval],
    ['CACHE after the end', { type: Command.Cache, offset: size, length: 512 }, E.Einval],
    ['CACHE with a flag of the future', { type: Command.Cache, flags: 0x20, length: 512 }, E.Einval],
    ['CACHE with DF', { type: Command.Cache, flags: CommandFlag.Df, length: 512 }, E.Einval],
    ['BLOCK_STATUS without a context', { type: Command.BlockStatus, length: 512 }, E.Einval],
    ['an unknown command', { type: 0xffff, length: 512 }, E.Einval],
    ['a read with NO_HOLE', { type: Command.Read, flags: CommandFlag.NoHole, length: 512 }, E.Einval],
    ['a write with DF', { type: Command.Write, flags: CommandFlag.Df, payload: Buffer.alloc(512) }, E.Einval],
    ['a trim with FAST_ZERO', { type: Command.Trim, flags: CommandFlag.FastZero, length: 512 }, E.Einval],
    ['an unknown flag', { type: Command.Read, flags: 0x8000, length: 512 }, E.Einval],
  ];
  for (const [what, fields, error] of refusals) {
    it(`refuses ${what} and stays in step`, () => {
      const device = new FaultDevice(memory(size), () => assert.fail('the disk sees nothing of it'));
      const driver = opened(device);
      assert.equal(answer(driver, request(fields)).error, error);
      device.plan = () => null;
      assert.equal(answer(driver, request({ type: Command.Read, length: 512 }), 512).error, 0);
      assert.equal(driver.held, 0);
    });
  }

  it('tells ENOTSUP to nobody but FAST_ZERO: a TRIM that cannot be done is done, zeroes that cannot be written are lost', () => {
    const device = new FaultDevice(memory(), () => ({ status: E.Enotsup }));
    const driver = opened(device);
    const error = (type: number, flags = 0) => answer(driver, request({ type, flags, length: 512 })).error;
    assert.equal(error(Command.WriteZeroes, CommandFlag.FastZero), E.Enotsup);
    assert.equal(error(Command.WriteZeroes), E.Eio);
    assert.equal(error(Command.Trim), E.Ok);
    assert.equal(error(Command.Trim, CommandFlag.Fua), E.Ok);
    assert.equal(error(Command.Read), E.Eio);
  });

  it('takes FUA on every command, as clients send it, and ignores it where nothing is written', () => {
    const device = new FaultDevice(memory(), (r) => {
      assert.equal(r.flags, 0);
      return null;
    });
    const driver = opened(device);
    for (const type of [Command.Read, Command.Flush]) {
      const length = type === Command.Read ? 512 : 0;
      assert.equal(answer(driver, request({ type, flags: CommandFlag.Fua, length }), length).error, 0);
    }
  });

  it('answers requests of zero bytes without data', () => {
    for (const structured of [true, false]) {
      const driver = opened(memory(), { structured });
      for (const type of [Command.Read, Command.Write, Command.Trim, Command.WriteZeroes]) {
        const got = answer(driver, request({ type, offset: 512, length: 0 }));
        assert.deepEqual([got.error, got.data.length], [0, 0]);
      }
    }
  });

  it('refuses every change of a read-only export with EPERM', () => {
    for (const entry of [exportOf(memory(), true), exportOf(new MemoryDevice({ sizeBytes: MIB, readOnly: true }))]) {
      const driver = new NbdDriver([entry]).open('lun0');
      for (const type of [Command.Write, Command.Trim, Command.WriteZeroes]) {
        const fields = type === Command.Write ? { payload: Buffer.alloc(512) } : { length: 512 };
        assert.equal(answer(driver, request({ type, ...fields })).error, E.Eperm);
      }
      assert.equal(answer(driver, request({ type: Command.Flush })).error, 0);
    }
  });

  it('cuts off a client that announces a payload too long to drain, or loses its place', () => {
    for (const bytes of [
      request({ type: Command.Write, length: 2 ** 26 + 1 }),
      request({ type: Command.Write, length: 0xffff_ffff }),
      Buffer.alloc(28, 0x25),
    ]) {
      const driver = opened(memory());
      driver.feed(bytes);
      assert.ok(driver.error instanceof ProtocolError);
      assert.equal(driver.held, 0);
    }
  });
});
