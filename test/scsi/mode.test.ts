import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CheckCondition } from '../../src/scsi/check-condition.js';
import {
  buildModeSelect,
  buildModeSense,
  findModePage,
  ModePageCode,
  parseModeSelect,
  parseModeSense,
} from '../../src/scsi/mode.js';
import {
  buildCachingPage,
  buildControlPage,
  buildErrorRecoveryPage,
  buildInformationalExceptionsPage,
  hasWriteCache,
  parseCachingPage,
  parseControlPage,
} from '../../src/scsi/mode-pages.js';
import { OUT_OF_RANGE } from '../../src/scsi/u64.js';
import { ProtocolError } from '../../src/util/errors.js';
import { hammer, hex } from './hostile.js';

const LIO = hex('1f0010080007ffff000002000812040000000000000000002000000000000000');
const LIO_RAMDISK = hex('1f0000080001ffff000002000812000000000000000000002000000000000000');
const TGT = hex('1f001008000000000000020008121400ffff0000ffffffff8014000000000000');
const ISTGT = hex('1f00000800020000000002008812040000000000000000000000000000000000');

test('recorded MODE SENSE(6) of the caching page', () => {
  for (const [name, data, dpoFua, blocks, writeCache] of [
    ['LIO fileio', LIO, true, 0x7ffff, true],
    ['LIO ramdisk', LIO_RAMDISK, false, 0x1ffff, false],
    ['tgt', TGT, true, 0, true],
    ['istgt', ISTGT, false, 0x20000, true],
  ] as const) {
    const mode = parseModeSense(data, 6);
    assert.equal(mode.dpoFua, dpoFua, name);
    assert.equal(mode.writeProtected, false, name);
    assert.deepEqual(mode.blockDescriptor, { blocks, blockSize: 512 }, name);
    assert.deepEqual(
      mode.pages.map(({ code, subpage, data: page }) => [code, subpage, page.length]),
      [[ModePageCode.Caching, 0, 20]],
      name,
    );
    assert.equal(hasWriteCache(mode), writeCache, name);
    assert.deepEqual(parseModeSense(Buffer.concat([data, Buffer.alloc(8, 0xff)]), 6), mode, name);
  }
  assert.equal(parseModeSense(ISTGT, 6).pages[0]?.savable, true);
});

test('the 4 bytes that Linux asks for first tell WP and DPOFUA', () => {
  const mode = parseModeSense(hex('43001008'), 6);
  assert.deepEqual(mode, { writeProtected: false, dpoFua: true, mediumType: 0, blockDescriptor: null, pages: [] });
  assert.equal(parseModeSense(hex('43009008'), 6).writeProtected, true);
  assert.equal(parseModeSense(hex('00060080 00000000'), 10).writeProtected, true);
});

test('no caching page means a write cache', () => {
  assert.equal(hasWriteCache(parseModeSense(hex('43001008'), 6)), true);
  assert.equal(hasWriteCache(parseModeSense(hex('05000000 0800'), 6)), true);
  assert.equal(hasWriteCache(parseModeSense(hex('06000000 080100'), 6)), false);
});

const caching = buildCachingPage({ writeCache: true, readCacheDisabled: false, readAheadDisabled: true });
const control = buildControlPage({
  taskSetType: 1,
  descriptorSense: true,
  queueAlgorithm: 1,
  unitAttentionInterlock: 2,
  softwareWriteProtect: true,
  taskAbortedStatus: true,
});

test('pages are built as recorded or as their clause lays them out', () => {
  assert.equal(caching.toString('hex'), LIO.toString('hex', 12));
  assert.equal(control.toString('hex'), '0a0a24102840000000000000');
  assert.equal(buildErrorRecoveryPage().toString('hex'), '010a00000000000000000000');
  assert.equal(buildInformationalExceptionsPage().toString('hex'), '1c0a00000000000000000000');
});

test('LIO’s answer is built again to the byte', () => {
  const list = {
    size: 6,
    writeProtected: false,
    dpoFua: true,
    blockDescriptor: { blocks: 0x7ffff, blockSize: 512 },
    pages: [caching],
  } as const;
  assert.deepEqual(buildModeSense(list), LIO);
});

test('both sizes, short and long block descriptor, several pages and a subpage', () => {
  const subpage = hex('4a01 0002 aabb');
  const pages = [caching, subpage, control];
  for (const size of [6, 10] as const) {
    for (const longLba of [false, true]) {
      for (const blockDescriptor of [null, { blocks: 2 ** 20, blockSize: 4096 }]) {
        const b = buildModeSense({ size, longLba, writeProtected: true, dpoFua: true, blockDescriptor, pages });
        const mode = parseModeSense(b, size);
        assert.deepEqual(mode.blockDescriptor, blockDescriptor);
        assert.equal(mode.writeProtected && mode.dpoFua, true);
        assert.deepEqual(
          mode.pages.map(({ data }) => data),
          pages,
        );
        assert.deepEqual(findModePage(mode, 0x0a)?.data, control);
        assert.deepEqual(findModePage(mode, 0x0a, 1)?.data, subpage);
        assert.equal(findModePage(mode, 0x1c), undefined);
      }
    }
  }
});

test('a block count that does not fit reads as too large, and is written as the largest', () => {
  const short = buildModeSense({
    size: 6,
    writeProtected: false,
    dpoFua: false,
    blockDescriptor: { blocks: 2 ** 33, blockSize: 512 },
    pages: [],
  });
  assert.deepEqual(parseModeSense(short, 6).blockDescriptor, { blocks: 0xffff_ffff, blockSize: 512 });
  const long = hex('0016 00 00 01 00 0010 ffffffffffffffff 00000000 00001000');
  assert.deepEqual(parseModeSense(long, 10).blockDescriptor, { blocks: OUT_OF_RANGE, blockSize: 4096 });
});

test('MODE SENSE(6) data of more than 256 bytes says 255', () => {
  const pages = Array.from({ length: 20 }, () => caching);
  const b = buildModeSense({ size: 6, writeProtected: false, dpoFua: false, blockDescriptor: null, pages });
  assert.equal(b.length, 404);
  assert.equal(b.readUInt8(0), 255);
});

test('a page that is cut off is left out', () => {
  for (let length = 12; length < LIO.length; length++) {
    assert.deepEqual(parseModeSense(LIO.subarray(0, length), 6).pages, []);
  }
  assert.deepEqual(parseModeSense(hex('ff0000ff 0812'), 6).pages, []);
  assert.deepEqual(parseModeSense(hex('00000000 080100'), 6).pages, []);
  assert.deepEqual(parseModeSense(hex('ff000000 4801ffff 00'), 6).pages, []);
  assert.throws(() => parseModeSense(hex('1f0010'), 6), ProtocolError);
  assert.throws(() => parseModeSense(hex('00060000000000'), 10), ProtocolError);
});

test('caching and control pages read back; short ones read as zeros', () => {
  fc.assert(
    fc.property(fc.boolean(), fc.boolean(), fc.boolean(), (writeCache, readCacheDisabled, readAheadDisabled) => {
      const page = { writeCache, readCacheDisabled, readAheadDisabled };
      assert.deepEqual(parseCachingPage(buildCachingPage(page)), page);
    }),
  );
  assert.deepEqual(parseControlPage(control), {
    taskSetType: 1,
    descriptorSense: true,
    queueAlgorithm: 1,
    unitAttentionInterlock: 2,
    softwareWriteProtect: true,
    taskAbortedStatus: true,
  });
  assert.equal(parseControlPage(hex('0a00')).descriptorSense, false);
  assert.equal(parseCachingPage(Buffer.alloc(0)).writeCache, false);
});

test('control page fields round trip in every combination', () => {
  const page = fc.record(
    {
      taskSetType: fc.nat({ max: 7 }),
      descriptorSense: fc.boolean(),
      queueAlgorithm: fc.nat({ max: 15 }),
      unitAttentionInterlock: fc.nat({ max: 3 }),
      softwareWriteProtect: fc.boolean(),
      taskAbortedStatus: fc.boolean(),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(page, (any) => {
      assert.deepEqual(parseControlPage(buildControlPage(any)), any);
    }),
  );
});

test('WP and DPOFUA are built apart', () => {
  for (const [writeProtected, dpoFua, six, ten] of [
    [false, false, '03000000', '0006000000000000'],
    [true, false, '03008000', '0006008000000000'],
    [false, true, '03001000', '0006001000000000'],
  ] as const) {
    const list = { writeProtected, dpoFua, blockDescriptor: null, pages: [] };
    assert.equal(buildModeSense({ ...list, size: 6 }).toString('hex'), six);
    assert.equal(buildModeSense({ ...list, size: 10 }).toString('hex'), ten);
  }
});

test('a MODE SELECT list that is whole is read', () => {
  for (const size of [6, 10] as const) {
    const b = buildModeSelect({ size, blockDescriptor: { blocks: 0, blockSize: 512 }, pages: [caching, control] });
    assert.equal(size === 6 ? b.readUInt8(0) : b.readUInt16BE(0), 0);
    const { pages, blockDescriptor } = parseModeSelect(b, size);
    assert.deepEqual(blockDescriptor, { blocks: 0, blockSize: 512 });
    assert.deepEqual(
      pages.map(({ code }) => code),
      [ModePageCode.Caching, ModePageCode.Control],
    );
  }
  assert.deepEqual(parseModeSelect(Buffer.alloc(0), 6).pages, []);
});

test('a MODE SELECT list that is cut off anywhere within a field is refused with 05/1A/00', () => {
  const b = buildModeSelect({ size: 10, blockDescriptor: { blocks: 0, blockSize: 512 }, pages: [caching, control] });
  const whole = [0, 16, 36, 48];
  for (let length = 0; length <= b.length; length++) {
    const parse = (): unknown => parseModeSelect(b.subarray(0, length), 10);
    if (whole.includes(length)) parse();
    else assert.throws(parse, (error) => error instanceof CheckCondition && error.sense.asc === 0x1a, `${length}`);
  }
});

test('a MODE SELECT block descriptor of a wrong length is refused with its place', () => {
  for (const [text, size, byte] of [
    ['00000005 0000000000', 6, 3],
    ['0000 00 00 00 00 0010 00000000000000000000000000000000', 10, 6],
    ['0000 00 00 01 00 0008 0000000000000000', 10, 6],
  ] as const) {
    assert.throws(
      () => parseModeSelect(hex(text), size),
      (error) => {
        assert.ok(error instanceof CheckCondition);
        assert.deepEqual(error.sense, { key: 5, asc: 0x26, ascq: 0, field: { inCdb: false, byte } });
        return true;
      },
    );
  }
});

test('any bytes give mode parameters or a ProtocolError', () => {
  const vectors = [
    LIO,
    TGT,
    buildModeSense({ size: 10, writeProtected: true, dpoFua: true, blockDescriptor: null, pages: [control] }),
  ];
  for (const size of [6, 10] as const) {
    hammer((data) => hasWriteCache(parseModeSense(data, size)), vectors);
    hammer((data) => parseModeSelect(data, size), vectors);
  }
  hammer(parseCachingPage, [caching]);
  hammer(parseControlPage, [control]);
});
