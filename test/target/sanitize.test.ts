// SANITIZE (SBC-3 §4.11, §5.24): what it leaves, what others hear meanwhile, and that nothing stops it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOp, type BlockRequest, BlockStatus } from '../../src/block/block-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { LogicalUnit } from '../../src/target/logical-unit.js';
import { answerOf, begin, run } from './run-command.js';
import { makeNode, pattern, ScriptedInitiator } from './scripted-initiator.js';

const SIZE = 2 ** 22;
const BLOCK = 512;
const PATTERN = Buffer.from('c0ffee00', 'hex');

class FailingDevice extends MemoryDevice {
  fail: BlockOp | null = null;
  override submit(request: BlockRequest): void {
    if (request.op === this.fail) request.onDone(BlockStatus.Eio);
    else super.submit(request);
  }
}

async function ready(held: (() => void)[] | null = null, features = {}) {
  const pause = held === null ? {} : { pause: () => new Promise<void>((resolve) => held.push(resolve)) };
  const device = new FailingDevice({ sizeBytes: SIZE, writeCache: true });
  const unit = new LogicalUnit({ name: 'disk', serial: 'a0'.repeat(16), device, features, ...pause });
  const node = makeNode({ group: { luns: [{ lun: 0, unit }] } });
  const initiators = ['1', '2'].map((n) => {
    const initiator = new ScriptedInitiator(node, Buffer.from(`80aabbcc000${n}`, 'hex'));
    initiator.logIn();
    initiator.clearAttention();
    return initiator;
  }) as [ScriptedInitiator, ScriptedInitiator];
  await writeBytes(device, 0, pattern(SIZE));
  return { device, unit, first: initiators[0], other: initiators[1] };
}

function overwriteList(bytes: Buffer, flags = 1): Buffer {
  const header = Buffer.from([flags, 0, 0, 0]);
  header.writeUInt16BE(bytes.length, 2);
  return Buffer.concat([header, bytes]);
}
const cdb = (action: number, length = 0): string =>
  `48 ${action.toString(16).padStart(2, '0')} 0000000000 ${length.toString(16).padStart(4, '0')} 00`;
const OVERWRITE = 0x01;
const BLOCK_ERASE = 0x02;
const EXIT = 0x1f;
const IMMEDIATE = 0x80;
const MAY_EXIT = 0x20;

async function drain(held: (() => void)[], initiator: ScriptedInitiator) {
  const pdus = [];
  while (held.length > 0) {
    held.shift()?.();
    pdus.push(...(await initiator.settle()));
  }
  return pdus;
}

describe('SANITIZE', () => {
  test('OVERWRITE leaves the pattern in every block, from the start of each, and flushes before its status', async () => {
    const { first, device } = await ready();
    const data = overwriteList(PATTERN);
    assert.equal((await run(first, cdb(OVERWRITE, data.length), { data })).status, 0);
    assert.ok((await readBytes(device, 0, SIZE)).equals(Buffer.alloc(SIZE, PATTERN)));
    const long = overwriteList(pattern(300));
    assert.equal((await run(first, cdb(OVERWRITE, long.length), { data: long })).status, 0);
    assert.ok((await readBytes(device, 0, SIZE)).equals(Buffer.alloc(SIZE, Buffer.alloc(BLOCK, pattern(300)))));
    const twice = overwriteList(PATTERN, 0x82);
    assert.equal((await run(first, cdb(OVERWRITE, twice.length), { data: twice })).status, 0);
    assert.ok((await readBytes(device, 0, SIZE)).equals(Buffer.alloc(SIZE, Buffer.from('3f0011ff', 'hex'))));
  });

  test('BLOCK ERASE leaves nothing allocated, and says so', async () => {
    const { first, device } = await ready();
    assert.equal((await run(first, cdb(BLOCK_ERASE))).status, 0);
    assert.equal(device.allocatedBytes, 0);
    const { data } = await run(first, '9e12 0000000000000000 00000100 0000', { read: 256 });
    assert.deepEqual([data.readUInt32BE(0), data.readUInt32BE(16), data[20]], [20, SIZE / BLOCK, 1]);
  });

  test('meanwhile every command but a few is refused, and told how far it is; no reset and no abort stops it', async () => {
    const held: (() => void)[] = [];
    const { first, other, unit, device } = await ready(held);
    const data = overwriteList(PATTERN);
    const tag = begin(first, cdb(OVERWRITE, data.length), { data });
    await first.settle();
    for (const command of ['00', '28 00 00000000 00 0001 00', '1b 00000001 00', cdb(BLOCK_ERASE), cdb(EXIT)]) {
      assert.equal((await run(other, command, { read: BLOCK })).sense, '02/04/1b', command);
    }
    assert.equal((await run(other, '12 00 00 00ff 00', { read: 255 })).status, 0);
    const { data: sense } = await run(other, '03 00 00 00ff 00', { read: 255 });
    assert.deepEqual([sense[2], sense[12], sense[13], sense.readUInt16BE(16)], [2, 0x04, 0x1b, 0x4000]);
    // The command is aborted with the session; the operation is not.
    assert.ok(tag > 0);
    let resets = 0;
    unit.reset(() => resets++);
    first.connection.onClosed('gone');
    while (held.length > 0) {
      held.shift()?.();
      await other.settle();
    }
    assert.equal(resets, 1);
    assert.equal((await run(other, '00')).sense, '06/29/03');
    assert.equal((await run(other, '00')).status, 0);
    assert.ok((await readBytes(device, 0, SIZE)).equals(Buffer.alloc(SIZE, PATTERN)));
  });

  test('with IMMED the status comes at once', async () => {
    const held: (() => void)[] = [];
    const { first } = await ready(held);
    const data = overwriteList(PATTERN);
    assert.equal((await run(first, cdb(IMMEDIATE | OVERWRITE, data.length), { data })).status, 0);
    assert.equal((await run(first, '00')).sense, '02/04/1b');
    await drain(held, first);
    assert.equal((await run(first, '00')).status, 0);
  });

  test('waits for writes under way, and no write that came later is lost under it', async () => {
    const held: (() => void)[] = [];
    const { first, other, device } = await ready(held);
    // A write whose data is still to come was admitted first: it ends after the operation, and what it wrote stays.
    const tag = other.command('2a 00 00000000 00 0080 00', { write: 65_536, final: true });
    const [r2t] = await other.settle();
    assert.ok(r2t);
    const data = overwriteList(PATTERN);
    begin(first, cdb(OVERWRITE, data.length), { data });
    await first.settle();
    other.dataOut(tag, r2t.header.readUInt32BE(20), 0, 0, pattern(65_536, 9), true);
    assert.deepEqual(await other.settle(), []);
    await drain(held, first);
    assert.equal(answerOf(await other.settle()).status, 0);
    assert.ok((await readBytes(device, 0, 65_536)).equals(pattern(65_536, 9)));
  });

  test('one that failed is to be heard by all, until it is left by AUSE’s leave, or done again', async () => {
    const { first, other, device } = await ready();
    const data = overwriteList(PATTERN);
    device.fail = BlockOp.Write;
    assert.equal((await run(first, cdb(MAY_EXIT | OVERWRITE, data.length), { data })).sense, '03/0c/00');
    assert.equal((await run(other, '28 00 00000000 00 0001 00', { read: BLOCK })).sense, '03/31/03');
    assert.equal((await run(other, cdb(EXIT))).status, 0);
    assert.equal((await run(other, '28 00 00000000 00 0001 00', { read: BLOCK })).status, 0);
    assert.equal((await run(first, cdb(OVERWRITE, data.length), { data })).sense, '03/0c/00');
    assert.equal((await run(other, cdb(EXIT))).sense, '05/24/00');
    assert.equal((await run(other, '00')).sense, '03/31/03');
    device.fail = null;
    assert.equal((await run(first, cdb(BLOCK_ERASE))).status, 0);
    assert.equal((await run(other, '00')).status, 0);
    assert.equal((await run(other, cdb(EXIT))).status, 0);
  });

  test('lists, lengths and bits that cannot be meant change nothing', async () => {
    const { first, device } = await ready();
    for (const [command, data, sense] of [
      [cdb(OVERWRITE, 0), undefined, '05/24/00'],
      [cdb(OVERWRITE, 4), Buffer.alloc(4, 1), '05/24/00'],
      [cdb(OVERWRITE, 517), overwriteList(Buffer.alloc(513, 1)), '05/24/00'],
      [cdb(OVERWRITE, 8), overwriteList(PATTERN, 0), '05/26/00'],
      [cdb(OVERWRITE, 8), overwriteList(PATTERN, 0x21), '05/26/00'],
      [cdb(OVERWRITE, 8), Buffer.from('0100000000000000', 'hex'), '05/26/00'],
      [cdb(OVERWRITE, 8), Buffer.from('0100020100000000', 'hex'), '05/26/00'],
      [cdb(OVERWRITE, 8), Buffer.from('0100000500000000', 'hex'), '05/1a/00'],
      [cdb(OVERWRITE, 8), overwriteList(PATTERN).subarray(0, 3), '05/1a/00'],
      [cdb(BLOCK_ERASE, 8), Buffer.alloc(8), '05/24/00'],
      [cdb(EXIT, 8), Buffer.alloc(8), '05/24/00'],
      [cdb(0x03), undefined, '05/24/00'],
      [cdb(0x00), undefined, '05/24/00'],
      [cdb(0x40 | BLOCK_ERASE), undefined, '05/24/00'],
      ['48 02 0000000001 0000 00', undefined, '05/24/00'],
    ] as const) {
      const transfer = data === undefined ? {} : { data };
      assert.equal((await run(first, command, transfer)).sense, sense, command);
    }
    assert.ok((await readBytes(device, 0, SIZE)).equals(pattern(SIZE)));
  });

  test('write protection and reservations stand before it', async () => {
    const { first, device } = await ready(null, { readOnly: true });
    const data = overwriteList(PATTERN);
    assert.equal((await run(first, cdb(OVERWRITE, data.length), { data })).sense, '07/27/00');
    assert.equal((await run(first, cdb(BLOCK_ERASE))).sense, '07/27/00');
    assert.ok((await readBytes(device, 0, SIZE)).equals(pattern(SIZE)));
    const reserved = await ready();
    await run(reserved.other, '16');
    assert.equal((await run(reserved.first, cdb(BLOCK_ERASE))).status, 0x18);
    assert.ok((await readBytes(reserved.device, 0, SIZE)).equals(pattern(SIZE)));
  });

  test('a disk that gives no blocks back has no BLOCK ERASE', async () => {
    const { first } = await ready(null, { unmap: false });
    assert.equal((await run(first, cdb(BLOCK_ERASE))).sense, '05/24/00');
    const { data } = await run(first, 'a30c 02 48 0002 00000100 0000', { read: 256 });
    assert.equal((data[1] ?? 0) & 7, 1);
  });
});
