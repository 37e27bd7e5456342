// Zeros in the replies of READ: NBD_REPLY_TYPE_OFFSET_HOLE. NBD proto.md "Structured reply types".
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BlockOp, type BlockRequest, BlockStatus } from '../../src/block/block-device.js';
import { ForwardingDevice } from '../../src/block/forwarding-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { Command, CommandFlag } from '../../src/nbd/wire/constants.js';
import { RefBuffer } from '../../src/util/ref-buffer.js';
import { pattern } from '../block/contract.js';
import { NbdDriver } from '../helpers/nbd-driver.js';
import { type Answer, assemble, readAnswers, request } from '../helpers/nbd-wire.js';

const MIB = 2 ** 20;
const K4 = 4096;

/** Delivers what it holds in pieces of the lengths given, maybe without an owner, maybe twice over; then it ends with `status`. */
class PiecesDevice extends ForwardingDevice {
  lengths: number[] = [];
  owned = true;
  /** After so many pieces: takes back to this byte, once. */
  rewind: { after: number; to: number } | null = null;
  rewound: boolean | null = null;
  status: BlockStatus = BlockStatus.Ok;
  readonly owners: RefBuffer[] = [];
  constructor(readonly bytes: Buffer) {
    super(new MemoryDevice({ sizeBytes: 4 * MIB }));
  }
  submit(r: BlockRequest): void {
    if (r.op !== BlockOp.Read) {
      this.device.submit(r);
      return;
    }
    let at = 0;
    let count = 0;
    while (at < r.length) {
      const length = Math.min(this.lengths[count % this.lengths.length] ?? r.length, r.length - at);
      const owner = new RefBuffer(Buffer.from(this.bytes.subarray(r.offset + at, r.offset + at + length)));
      r.onData(owner.buffer, at, this.owned ? owner : null);
      if (!this.owned) owner.buffer.fill(0xee);
      this.owners.push(owner);
      owner.release();
      at += length;
      if (++count === this.rewind?.after && this.rewound === null) {
        this.rewound = r.onRewind?.(this.rewind.to) ?? false;
        if (this.rewound) at = this.rewind.to;
      }
    }
    r.onDone(this.status);
  }
}
function opened(device: PiecesDevice, structured = true): NbdDriver {
  return new NbdDriver([{ name: 'lun0', description: '', device, readOnly: false }]).open('lun0', { structured });
}
function read(driver: NbdDriver, length: number, flags = 0, offset = 0): Answer {
  driver.feed(request({ type: Command.Read, offset, length, flags }));
  const [answer, more] = readAnswers(driver.take(), new Map([[1n, length]]));
  assert.ok(answer && more === undefined);
  return answer;
}
/** The chunks of a reply: `d` for data, `h` for a hole, and how many bytes. */
function shape({ data }: Answer): string {
  return data.map(({ bytes, hole }) => `${hole ? 'h' : 'd'}${bytes.length / K4}`).join(' ');
}
/** 4 KiB of data for each letter but `.`, which is zeros. */
function bytesOf(blocks: string): Buffer {
  return Buffer.concat([...blocks].map((letter) => (letter === '.' ? Buffer.alloc(K4) : Buffer.alloc(K4, letter))));
}

describe('holes in READ replies', () => {
  const cases: [string, number[], string, number][] = [
    ['aaaa', [K4], 'd1 d1 d1 d1', 4],
    ['....', [K4], 'h4', 1],
    ['....', [4 * K4], 'h4', 1],
    ['a...', [K4], 'd1 h3', 2],
    ['...a', [K4], 'h3 d1', 2],
    ['a..a', [K4], 'd1 h2 d1', 3],
    ['.a.a', [K4], 'h1 d1 h1 d1', 4],
    ['a.a.', [K4], 'd1 h1 d1 h1', 4],
    // One byte of data is enough: the piece goes out whole.
    ['a..a', [2 * K4], 'd2 d2', 2],
    ['..a.', [2 * K4], 'h2 d2', 2],
  ];
  for (const [blocks, lengths, expected, chunks] of cases) {
    for (const owned of [true, false]) {
      it(`${blocks} in pieces of ${lengths}${owned ? '' : ' that are not kept'}: ${expected}`, () => {
        const device = new PiecesDevice(bytesOf(blocks));
        Object.assign(device, { lengths, owned });
        const driver = opened(device);
        const answer = read(driver, 4 * K4);
        assert.equal(answer.error, 0);
        assert.equal(shape(answer), expected);
        // Without an owner the last data goes out at once, and the end after it by itself.
        assert.ok(answer.chunks === chunks || (!owned && answer.chunks === chunks + 1));
        assert.ok(assemble(answer, 0, 4 * K4).equals(device.bytes));
        assert.equal(driver.core.readBytes, 4 * K4);
        assert.equal(driver.held, 0);
        assert.ok(device.owners.every((owner) => owner.references === 0));
      });
    }
  }

  it('says where a hole is, above 2^32 too', async () => {
    const device = new MemoryDevice({ sizeBytes: 2 ** 40 });
    const driver = new NbdDriver([{ name: 'lun0', description: '', device, readOnly: false }]).open('lun0');
    const offset = 2 ** 39 + K4;
    driver.feed(request({ type: Command.Read, offset, length: MIB }));
    const [answer] = readAnswers(driver.take());
    assert.deepEqual(
      answer?.data.map(({ offset, bytes, hole }) => [offset, bytes.length, hole]),
      [[offset, MIB, true]],
    );
    assert.equal(answer.chunks, 1);
  });

  it('sends pieces below 4 KiB as they are', () => {
    const device = new PiecesDevice(Buffer.alloc(4 * K4));
    device.lengths = [512];
    assert.equal(shape(read(opened(device), 2048)), 'd0.125 d0.125 d0.125 d0.125');
  });

  it('sends zeros in full to clients without structured replies, and with DF', () => {
    const device = new PiecesDevice(bytesOf('a...'));
    device.lengths = [K4];
    assert.equal(shape(read(opened(device), 4 * K4, CommandFlag.Df)), 'd4');
    const simple = read(opened(device, false), 4 * K4);
    assert.equal(simple.chunks, 0);
    assert.ok(simple.data[0]?.bytes.equals(device.bytes));
    device.bytes.fill(0);
    assert.equal(shape(read(opened(device), 4 * K4, CommandFlag.Df)), 'd4');
  });

  it('forgets zeros that are taken back, and no data that has been sent', () => {
    for (const [blocks, rewind, forgotten, expected] of [
      ['....', { after: 3, to: 0 }, true, 'h4'],
      ['a...', { after: 3, to: K4 }, true, 'd1 h3'],
      ['a...', { after: 3, to: 2 * K4 }, true, 'd1 h3'],
      ['..aa', { after: 2, to: K4 }, true, 'h2 d1 d1'],
      ['..aa', { after: 3, to: K4 }, false, 'h2 d1 d1'],
      ['...a', { after: 4, to: 3 * K4 }, true, 'h3 d1'],
      ['a...', { after: 3, to: 0 }, false, 'd1 h3'],
    ] as const) {
      const device = new PiecesDevice(bytesOf(blocks));
      device.lengths = [K4];
      device.rewind = rewind;
      const driver = opened(device);
      const answer = read(driver, 4 * K4);
      assert.equal(device.rewound, forgotten, blocks);
      assert.equal(shape(answer), expected);
      assert.ok(assemble(answer, 0, 4 * K4).equals(device.bytes));
      assert.equal(driver.held, 0);
    }
  });

  it('never passes off as a hole what a failed read has left out', () => {
    const device = new PiecesDevice(bytesOf('a...'));
    device.lengths = [K4];
    device.status = BlockStatus.Eio;
    const driver = opened(device);
    const failed = read(driver, 4 * K4);
    assert.equal(failed.error, BlockStatus.Eio);
    assert.equal(shape(failed), 'd1');
    device.status = BlockStatus.Ok;
    assert.equal(shape(read(driver, 4 * K4)), 'd1 h3', 'the next one starts afresh');
  });

  it('gives the same bytes as the disk, whatever is on it and however it comes', async () => {
    const disk = new MemoryDevice({ sizeBytes: MIB });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 40 })), { maxLength: 6 }),
        fc.array(fc.integer({ min: 500, max: 20_000 }), { minLength: 1, maxLength: 5 }),
        fc.nat(100_000),
        fc.integer({ min: 1, max: 200_000 }),
        fc.boolean(),
        async (writes, lengths, offset, length, owned) => {
          for (const [at, size] of writes) await writeBytes(disk, at * K4, pattern(size * 512, at));
          const device = new PiecesDevice(await readBytes(disk, 0, MIB));
          Object.assign(device, { lengths, owned });
          const driver = opened(device);
          driver.feed(request({ type: Command.Read, offset, length }));
          // A read that is not of whole blocks takes a turn.
          await new Promise((resolve) => setImmediate(resolve));
          const [answer] = readAnswers(driver.take());
          assert.ok(answer);
          assert.ok(assemble(answer, offset, length).equals(device.bytes.subarray(offset, offset + length)));
          assert.equal(driver.held, 0);
        },
      ),
      { numRuns: 100 },
    );
  });
});
