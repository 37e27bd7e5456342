// What clients hear of a disk that has lost writes or has shrunk under them (NBD proto.md "Error values").
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BlockDevice, BlockOp, type BlockRequest, BlockStatus } from '../../src/block/block-device.js';
import { FaultDevice } from '../../src/block/fault-device.js';
import { ForwardingDevice } from '../../src/block/forwarding-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { SliceDevice } from '../../src/block/slice-device.js';
import { Command } from '../../src/nbd/wire/constants.js';
import { RefBuffer } from '../../src/util/ref-buffer.js';
import { answer, exportOf, NbdDriver, opened } from '../helpers/nbd-driver.js';
import { assemble, readAnswers, request } from '../helpers/nbd-wire.js';

const MIB = 2 ** 20;

function memory(sizeBytes = 8 * MIB): MemoryDevice {
  return new MemoryDevice({ sizeBytes });
}

/** A disk whose losses and whose size the test decides. */
class ForgetfulDevice extends ForwardingDevice {
  losses = 0;
  size: number;
  constructor(device: BlockDevice) {
    super(device);
    this.size = device.sizeBytes;
  }
  override get writeLosses(): number {
    return this.losses;
  }
  override set writeLosses(count: number) {
    this.losses = count;
  }
  override get sizeBytes(): number {
    return this.size;
  }
  override submit(r: BlockRequest): void {
    this.device.submit(r);
  }
}

/** Delivers rubbish in pieces, then asks for it back and does the read. */
class WaveringDevice extends ForwardingDevice {
  readonly owners: RefBuffer[] = [];
  constructor(
    device: BlockDevice,
    readonly pieces: readonly number[],
  ) {
    super(device);
  }
  override submit(r: BlockRequest): void {
    let at = 0;
    for (const length of this.pieces) {
      const owner = new RefBuffer(Buffer.alloc(length, 0xee));
      this.owners.push(owner);
      r.onData(owner.buffer, at, owner);
      owner.release();
      at += length;
    }
    if (r.onRewind?.(0) === true) this.device.submit(r);
    else r.onDone(BlockStatus.Eio);
  }
}

describe('NBD and a disk that changes', () => {
  it('tells each client of lost writes with its next FLUSH, once, and those too that come by a partition', () => {
    const device = new ForgetfulDevice(memory());
    const exports = [
      exportOf(device),
      { ...exportOf(new SliceDevice(device, { start: 4096, length: 65_536 })), name: 'p1' },
    ];
    const flush = (driver: NbdDriver) => answer(driver, request({ type: Command.Flush })).error;
    const [one, two, part] = ['lun0', 'lun0', 'p1'].map((name) => new NbdDriver(exports).open(name)) as [
      NbdDriver,
      NbdDriver,
      NbdDriver,
    ];
    assert.deepEqual([flush(one), flush(two), flush(part)], [0, 0, 0]);
    device.writeLosses++;
    const late = new NbdDriver(exports).open('lun0');
    assert.equal(answer(one, request({ type: Command.Write, payload: Buffer.alloc(512) })).error, 0);
    assert.equal(answer(one, request({ type: Command.Read, length: 512 }), 512).error, 0);
    assert.deepEqual([flush(one), flush(one)], [BlockStatus.Eio, 0]);
    assert.equal(flush(late), 0, 'it came after the loss');
    device.writeLosses++;
    assert.deepEqual([flush(two), flush(two)], [BlockStatus.Eio, 0], 'two losses, one message');
    assert.deepEqual([flush(part), flush(one), flush(late)], [BlockStatus.Eio, BlockStatus.Eio, BlockStatus.Eio]);
    assert.deepEqual([flush(part), flush(one), flush(late)], [0, 0, 0]);
  });

  it('tells of a loss that comes while a FLUSH is under way with that FLUSH; one that fails has told', () => {
    const device = new ForgetfulDevice(memory());
    const faults = new FaultDevice(device, (r) => (r.op === BlockOp.Flush ? { hold: 'after' } : null));
    const driver = opened(faults);
    driver.feed(request({ type: Command.Flush }));
    device.writeLosses++;
    faults.release();
    assert.equal(readAnswers(driver.take())[0]?.error, BlockStatus.Eio);
    device.writeLosses++;
    faults.plan = () => ({ status: BlockStatus.Eio });
    assert.equal(answer(driver, request({ type: Command.Flush })).error, BlockStatus.Eio);
    faults.plan = () => null;
    assert.equal(answer(driver, request({ type: Command.Flush })).error, 0);
  });

  it('answers EIO for what a disk that has shrunk does not hold any more, and no other error', () => {
    const device = new ForgetfulDevice(memory(MIB));
    const driver = opened(device);
    device.size = MIB / 2;
    const beyond = { offset: MIB / 2, length: 512 };
    const over = { offset: MIB / 2 - 512, length: 1024 };
    for (const range of [beyond, over]) {
      assert.equal(answer(driver, request({ type: Command.Read, ...range }), range.length).error, BlockStatus.Eio);
      const payload = Buffer.alloc(range.length);
      assert.equal(
        answer(driver, request({ type: Command.Write, offset: range.offset, payload })).error,
        BlockStatus.Eio,
      );
      assert.equal(answer(driver, request({ type: Command.WriteZeroes, ...range })).error, BlockStatus.Eio);
    }
    assert.equal(answer(driver, request({ type: Command.Read, length: 512 }), 512).error, 0);
    assert.equal(
      answer(driver, request({ type: Command.Read, offset: MIB, length: 512 }), 512).error,
      BlockStatus.Einval,
    );
  });

  it('takes back what has not been sent, and fails a read of which too much has', () => {
    for (const [structured, pieces, error] of [
      [true, [4096], 0],
      [true, [2048, 2048], BlockStatus.Eio],
      [false, [4096], 0],
      [false, [2048, 2048], 0],
      [false, [1024], 0],
    ] as const) {
      const device = new WaveringDevice(memory(), pieces);
      const driver = new NbdDriver([exportOf(device)]).open('lun0', { structured });
      const got = answer(driver, request({ type: Command.Read, length: 4096 }), 4096);
      assert.equal(got.error, error, `${structured} ${pieces}`);
      if (error === 0) assert.ok(assemble(got, 0, 4096).equals(Buffer.alloc(4096)));
      assert.ok(device.owners.every(({ references }) => references === 0));
      assert.equal(driver.held, 0);
    }
  });
});
