// Metadata contexts from the handshake to NBD_CMD_BLOCK_STATUS. NBD proto.md "Metadata querying".
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BlockDevice, ByteRange, Extent } from '../../src/block/block-device.js';
import { BlockStatus } from '../../src/block/block-device.js';
import { ForwardingDevice } from '../../src/block/forwarding-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { BlockError, writeBytes } from '../../src/block/promise.js';
import { SliceDevice } from '../../src/block/slice-device.js';
import { AllocationFlag, Command, CommandFlag, Option, OptionReply } from '../../src/nbd/wire/constants.js';
import { AppError } from '../../src/util/errors.js';
import { pattern } from '../block/contract.js';
import { NbdDriver } from '../helpers/nbd-driver.js';
import {
  type Answer,
  clientFlags,
  infoData,
  metaContextData,
  option,
  type RequestFields,
  readAnswers,
  readOptionReplies,
  request,
} from '../helpers/nbd-wire.js';

const CHUNK = 65_536;
const SIZE = 64 * CHUNK;
const CONTEXT = 'base:allocation';
const HOLE = AllocationFlag.Hole | AllocationFlag.Zero;

function exportOf(device: BlockDevice, name = 'lun0') {
  return { name, description: '', device, readOnly: false };
}
/** A client with structured replies, before its next option. */
function client(device: BlockDevice = new MemoryDevice({ sizeBytes: SIZE }), structured = true): NbdDriver {
  const driver = new NbdDriver([exportOf(device), exportOf(device, 'lun1')]);
  driver.feed(clientFlags(3));
  if (structured) driver.feed(option(Option.StructuredReply));
  driver.take();
  return driver;
}
/** What an option is answered with: the type, and of a context its id and name. */
function ask(driver: NbdDriver, code: number, data: Buffer): (number | string)[][] {
  driver.feed(option(code, data));
  return readOptionReplies(driver.take()).map(({ type, data: reply }) =>
    type === OptionReply.MetaContext ? [type, reply.readUInt32BE(0), reply.toString('utf8', 4)] : [type >>> 0],
  );
}
/** A client that has selected base:allocation, in the transmission phase. */
function opened(device: BlockDevice): NbdDriver {
  const driver = client(device);
  ask(driver, Option.SetMetaContext, metaContextData('lun0', [CONTEXT]));
  ask(driver, Option.Go, infoData('lun0'));
  return driver;
}
async function answer(driver: NbdDriver, fields: Partial<RequestFields>): Promise<Answer> {
  driver.feed(request({ type: Command.BlockStatus, ...fields }));
  await new Promise((resolve) => setImmediate(resolve));
  const answers = readAnswers(driver.take());
  assert.equal(answers.length, 1);
  return answers[0] as Answer;
}
async function extents(driver: NbdDriver, fields: Partial<RequestFields>): Promise<[number, number][]> {
  const { error, status } = await answer(driver, fields);
  assert.equal(error, 0);
  assert.equal(status?.context, 1, 'the id that SET_META_CONTEXT gave');
  return status.extents;
}
/** Tells the extents given, whatever it is asked. */
class TellingDevice extends ForwardingDevice {
  told: Extent[] = [];
  asked: [ByteRange, number][] = [];
  failure: Error | null = null;
  submit(r: Parameters<BlockDevice['submit']>[0]): void {
    this.device.submit(r);
  }
  override async allocation({ offset, length }: ByteRange, most: number): Promise<readonly Extent[]> {
    this.asked.push([{ offset, length }, most]);
    if (this.failure) throw this.failure;
    return this.told;
  }
}
const data = (length: number): Extent => ({ length, hole: false, zero: false });
const hole = (length: number): Extent => ({ length, hole: true, zero: true });
const memory = () => new MemoryDevice({ sizeBytes: SIZE });

describe('NBD metadata contexts', () => {
  const found = [[OptionReply.MetaContext, 0, CONTEXT], [OptionReply.Ack]];
  const selected = [[OptionReply.MetaContext, 1, CONTEXT], [OptionReply.Ack]];
  const none = [[OptionReply.Ack]];
  const queries: [string, string[], (number | string)[][], (number | string)[][]][] = [
    ['no query', [], found, none],
    ['base:', ['base:'], found, none],
    ['base:allocation', [CONTEXT], found, selected],
    ['base:allocation twice', [CONTEXT, CONTEXT], found, selected],
    ['base: and base:allocation', ['base:', CONTEXT], found, selected],
    ['a leaf name of the future', ['base:dirty'], none, none],
    ['a namespace that is not ours', ['qemu:dirty-bitmap:b', 'x-lunctl:'], none, none],
    ['another case', ['BASE:allocation', 'base:Allocation'], none, none],
    ['no colon', ['base', ''], none, none],
    ['one of many', ['x-a:', 'qemu:allocation-depth', CONTEXT], found, selected],
    ['32 queries', Array.from({ length: 32 }, () => CONTEXT), found, selected],
  ];
  for (const [what, list, listed, set] of queries) {
    it(`LIST and SET with ${what}`, () => {
      const driver = client();
      assert.deepEqual(ask(driver, Option.ListMetaContext, metaContextData('lun0', list)), listed);
      assert.deepEqual(ask(driver, Option.SetMetaContext, metaContextData('', list)), set);
    });
  }

  const whole = metaContextData('lun0', [CONTEXT]);
  const endless = Buffer.from(whole);
  endless.writeUInt32BE(0xffff_ffff, 0);
  const many = Buffer.from(whole);
  many.writeUInt32BE(0xffff_ffff, 8);
  const long = Buffer.from(whole);
  long.writeUInt32BE(0xffff_ffff, 12);
  const refused: [string, Buffer, number][] = [
    ['no data', Buffer.alloc(0), OptionReply.ErrInvalid],
    ['no count of queries', whole.subarray(0, 8), OptionReply.ErrInvalid],
    ['a query cut off', whole.subarray(0, -1), OptionReply.ErrInvalid],
    ['bytes left over', Buffer.concat([whole, Buffer.of(0)]), OptionReply.ErrInvalid],
    ['a name of 2^32 − 1 bytes', endless, OptionReply.ErrInvalid],
    ['2^32 − 1 queries', many, OptionReply.ErrInvalid],
    ['a query of 2^32 − 1 bytes', long, OptionReply.ErrInvalid],
    ['a query that is not UTF-8', metaContextData('lun0', [Buffer.of(0xff)]), OptionReply.ErrInvalid],
    ['a query with NUL', metaContextData('lun0', ['base:\0']), OptionReply.ErrInvalid],
    ['a query of 4097 bytes', metaContextData('lun0', ['x'.repeat(4097)]), OptionReply.ErrInvalid],
    ['a name of 4097 bytes', metaContextData('x'.repeat(4097)), OptionReply.ErrInvalid],
    ['33 queries', metaContextData('lun0', Array(33).fill('base:')), OptionReply.ErrTooBig],
    ['2000 empty queries', metaContextData('lun0', Array(2000).fill('')), OptionReply.ErrTooBig],
    ['8193 bytes', Buffer.alloc(8193), OptionReply.ErrTooBig],
    ['an unknown export', metaContextData('lun7', [CONTEXT]), OptionReply.ErrUnknown],
  ];
  for (const [what, bytes, error] of refused) {
    it(`refuses ${what}, and what was set before is gone`, async () => {
      const driver = client();
      assert.deepEqual(ask(driver, Option.ListMetaContext, bytes), [[error]]);
      ask(driver, Option.SetMetaContext, whole);
      assert.deepEqual(ask(driver, Option.SetMetaContext, bytes), [[error]]);
      ask(driver, Option.Go, infoData('lun0'));
      assert.equal((await answer(driver, { length: 512 })).error, BlockStatus.Einval);
    });
  }

  it('gives none to a client without structured replies', async () => {
    const driver = client(memory(), false);
    assert.deepEqual(ask(driver, Option.ListMetaContext, whole), [[OptionReply.ErrInvalid]]);
    assert.deepEqual(ask(driver, Option.SetMetaContext, whole), [[OptionReply.ErrInvalid]]);
    ask(driver, Option.Go, infoData('lun0'));
    assert.equal((await answer(driver, { length: 512 })).error, BlockStatus.Einval);
  });

  it('forgets a context that was set for another export, or is not set again', async () => {
    for (const [set, ...then] of [
      ['lun1'],
      ['lun0', metaContextData('lun0', [])],
      ['lun0', metaContextData('lun0', ['base:'])],
      ['lun0', metaContextData('lun1', [CONTEXT])],
    ] as const) {
      const driver = client();
      ask(driver, Option.SetMetaContext, metaContextData(set, [CONTEXT]));
      for (const bytes of then) ask(driver, Option.SetMetaContext, bytes);
      ask(driver, Option.Go, infoData('lun0'));
      assert.equal((await answer(driver, { length: 512 })).error, BlockStatus.Einval);
    }
  });

  it('keeps it over LIST and INFO, by the default name, and into EXPORT_NAME', async () => {
    const driver = client();
    ask(driver, Option.SetMetaContext, metaContextData('', [CONTEXT]));
    ask(driver, Option.ListMetaContext, metaContextData('lun1', []));
    ask(driver, Option.Info, infoData('lun1'));
    driver.feed(option(Option.ExportName, 'lun0'));
    driver.take();
    assert.deepEqual(await extents(driver, { length: 512 }), [[512, HOLE]]);
  });
});

describe('NBD_CMD_BLOCK_STATUS', () => {
  it('tells what is written from what is not, neighbours joined', async () => {
    const device = memory();
    await writeBytes(device, 2 * CHUNK, pattern(3 * CHUNK, 1));
    const driver = opened(device);
    assert.deepEqual(await extents(driver, { length: SIZE }), [
      [2 * CHUNK, HOLE],
      [3 * CHUNK, 0],
      [SIZE - 5 * CHUNK, HOLE],
    ]);
    assert.deepEqual(await extents(driver, { length: SIZE, flags: CommandFlag.ReqOne }), [[2 * CHUNK, HOLE]]);
    assert.deepEqual(await extents(driver, { offset: 3 * CHUNK, length: CHUNK }), [[CHUNK, 0]]);
    assert.deepEqual(await extents(driver, { offset: SIZE - 512, length: 512 }), [[512, HOLE]]);
  });

  it('counts from the byte that was asked for, aligned or not, and no further than asked', async () => {
    const device = memory();
    await writeBytes(device, CHUNK, pattern(CHUNK, 1));
    const driver = opened(device);
    assert.deepEqual(await extents(driver, { offset: 1, length: 3 }), [[3, HOLE]]);
    assert.deepEqual(await extents(driver, { offset: CHUNK - 7, length: 10 }), [
      [7, HOLE],
      [3, 0],
    ]);
  });

  it('counts within a partition', async () => {
    const device = memory();
    await writeBytes(device, 3 * CHUNK, pattern(CHUNK, 1));
    const driver = opened(new SliceDevice(device, { start: 2 * CHUNK, length: 8 * CHUNK }));
    assert.deepEqual(await extents(driver, { length: 8 * CHUNK }), [
      [CHUNK, HOLE],
      [CHUNK, 0],
      [6 * CHUNK, HOLE],
    ]);
    assert.equal((await answer(driver, { offset: 8 * CHUNK, length: 512 })).error, BlockStatus.Einval);
  });

  it('tells holes that do not read as zeros, and zeros that are allocated', async () => {
    const device = new TellingDevice(memory());
    device.told = [
      { length: 4096, hole: true, zero: false },
      { length: 4096, hole: false, zero: true },
    ];
    assert.deepEqual(await extents(opened(device), { length: SIZE }), [
      [4096, AllocationFlag.Hole],
      [4096, AllocationFlag.Zero],
    ]);
  });

  it('believes no device that tells too much, too little or the same twice', async () => {
    const device = new TellingDevice(memory());
    const driver = opened(device);
    device.told = [hole(512), hole(512), data(512), hole(SIZE), data(512)];
    assert.deepEqual(await extents(driver, { length: 4096 }), [
      [1024, HOLE],
      [512, 0],
      [2560, HOLE],
    ]);
    assert.deepEqual(await extents(driver, { length: 4096, flags: CommandFlag.ReqOne }), [[1024, HOLE]]);
    device.told = Array.from({ length: 5000 }, (_, i) => (i % 2 ? hole(512) : data(512)));
    assert.equal((await extents(driver, { length: SIZE })).length, 1000);
    device.told = [];
    assert.deepEqual(await extents(driver, { length: 4096 }), [[4096, 0]]);
    assert.deepEqual(device.asked.at(-1), [{ offset: 0, length: 4096 }, 1000]);
  });

  it('takes a disk that cannot tell for one of data', async () => {
    const device = new TellingDevice(memory());
    const driver = opened(device);
    device.failure = new AppError('ERR_NOT_SUPPORTED', 'GET LBA STATUS is unknown to the unit');
    assert.deepEqual(await extents(driver, { offset: 512, length: 4096 }), [[4096, 0]]);
    const mute: BlockDevice = Object.defineProperty(memory(), 'allocation', { value: undefined });
    assert.deepEqual(await extents(opened(mute), { length: 4096 }), [[4096, 0]]);
  });

  it('ends with an error where a disk fails to tell, and goes on', async () => {
    const device = new TellingDevice(memory());
    const driver = opened(device);
    device.failure = new AppError('ERR_NOT_CONNECTED', 'the session is lost');
    assert.equal((await answer(driver, { length: 4096 })).error, BlockStatus.Eio);
    device.failure = new BlockError(BlockStatus.Eshutdown, 'the disk is closed');
    assert.equal((await answer(driver, { length: 4096 })).error, BlockStatus.Eshutdown);
    device.failure = null;
    device.told = [data(4096)];
    assert.deepEqual(await extents(driver, { length: 4096 }), [[4096, 0]]);
    assert.equal(driver.core.readBytes, 0);
  });

  it('is safe to the last of 64 bits', async () => {
    const device = new MemoryDevice({ sizeBytes: 2 ** 53 - 2 ** 20 });
    const driver = opened(device);
    const last = 2 ** 53 - 2 ** 20 - 512;
    assert.deepEqual(await extents(driver, { offset: last, length: 512 }), [[512, HOLE]]);
    assert.deepEqual(await extents(driver, { offset: 2 ** 40, length: 0xffff_fe00 }), [[0xffff_fe00, HOLE]]);
    assert.deepEqual(await extents(driver, { offset: 2 ** 40 + 1, length: 0xffff_ffff }), [[0xffff_ffff, HOLE]]);
    for (const [offset, length] of [
      [last, 1024],
      [2n ** 53n, 512],
      [2n ** 63n, 0xffff_ffff],
      [2n ** 64n - 1n, 1],
      [2n ** 64n - 512n, 512],
      [0, 0],
    ] as const) {
      assert.equal((await answer(driver, { offset, length })).error, BlockStatus.Einval, `${offset} + ${length}`);
    }
  });

  it('refuses flags that are not its own', async () => {
    const driver = opened(memory());
    for (const flags of [CommandFlag.Df, CommandFlag.NoHole, CommandFlag.FastZero, 0x20, 0x8000]) {
      assert.equal((await answer(driver, { length: 512, flags })).error, BlockStatus.Einval);
    }
    assert.deepEqual(await extents(driver, { length: 512, flags: CommandFlag.Fua }), [[512, HOLE]]);
  });

  it('counts among the requests in flight, and ends in silence once the client has gone', async () => {
    let tell: (extents: Extent[]) => void = () => {};
    const device = new TellingDevice(memory());
    device.allocation = () => new Promise((resolve) => (tell = resolve));
    const driver = opened(device);
    for (let i = 0; i < 200; i++) driver.feed(request({ type: Command.BlockStatus, cookie: BigInt(i), length: 512 }));
    assert.ok(driver.core.paused);
    driver.core.disconnected();
    tell([data(512)]);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(driver.take().length, 0);
    assert.equal(driver.held, 0);
  });

  it('is waited for after NBD_CMD_DISC', async () => {
    let tell: (extents: Extent[]) => void = () => {};
    const device = new TellingDevice(memory());
    device.allocation = () => new Promise((resolve) => (tell = resolve));
    const driver = opened(device);
    driver.feed(Buffer.concat([request({ type: Command.BlockStatus, length: 512 }), request({ type: Command.Disc })]));
    assert.equal(driver.closed, false);
    tell([data(512)]);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(readAnswers(driver.take())[0]?.error, 0);
    assert.ok(driver.closed);
    assert.equal(driver.error, null);
  });
});

describe('NBD_CMD_CACHE', () => {
  it('tells the device, in whole blocks, and succeeds whatever that makes of it', async () => {
    const device = new TellingDevice(memory());
    const hints: ByteRange[] = [];
    device.prefetch = ({ offset, length }) => hints.push({ offset, length });
    const driver = client(new SliceDevice(device, { start: CHUNK, length: CHUNK }));
    ask(driver, Option.Go, infoData('lun0'));
    assert.equal((await answer(driver, { type: Command.Cache, offset: 100, length: 1000 })).error, 0);
    assert.equal((await answer(driver, { type: Command.Cache, offset: 512, length: 0 })).error, 0);
    assert.deepEqual(hints, [{ offset: CHUNK, length: 1536 }]);
  });
});
