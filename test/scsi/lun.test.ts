import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  buildReportLuns,
  decodeLun,
  encodeLun,
  isSameLun,
  LUN_LARGEST,
  lunToText,
  NOT_A_LUN,
  parseReportLuns,
  putLun,
  REPORT_LUNS_WLUN,
} from '../../src/scsi/lun.js';
import { ProtocolError } from '../../src/util/errors.js';
import { hammer, hex } from './hostile.js';

test('LUNs as SAM-5 §4.7 encodes them, both ways', () => {
  for (const [n, text] of [
    [0, '0000000000000000'],
    [1, '0001000000000000'],
    [255, '00ff000000000000'],
    [256, '4100000000000000'],
    [16_383, '7fff000000000000'],
    [16_384, 'd200400000000000'],
    [LUN_LARGEST, 'd2ffffff00000000'],
  ] as const) {
    assert.equal(encodeLun(n).toString('hex'), text);
    assert.equal(decodeLun(hex(text)), n);
  }
});

test('other encodings of a number read as the same number', () => {
  assert.equal(decodeLun(hex('4001000000000000')), 1);
  assert.equal(decodeLun(hex('d200000100000000')), 1);
  assert.equal(decodeLun(hex(`ffff${'4001000000000000'}`), 2), 1);
});

test('addresses that are no single-level LUN are none', () => {
  for (const text of [
    'c101000000000000', // well known
    '0100000000000000', // bus 1
    '0001000100000000', // second level
    '0001000000000001', // fourth level
    '4001000100000000',
    '8001000000000000', // logical unit addressing
    'c201000000000000', // unknown extended method
    'd200000100000001',
    'e200000100000000', // 5-byte extended flat
    'ffffffffffffffff',
  ]) {
    assert.equal(decodeLun(hex(text)), NOT_A_LUN, text);
  }
  assert.equal(decodeLun(REPORT_LUNS_WLUN), NOT_A_LUN);
});

test('numbers that are no LUN and bytes that are too few are refused', () => {
  for (const n of [-1, 0.5, LUN_LARGEST + 1, Number.NaN]) assert.throws(() => encodeLun(n), RangeError);
  assert.throws(() => decodeLun(Buffer.alloc(7)), ProtocolError);
  assert.throws(() => decodeLun(Buffer.alloc(8), 1), ProtocolError);
});

test('putLun overwrites exactly its 8 bytes', () => {
  const b = Buffer.alloc(12, 0xa5);
  putLun(b, 2, 300);
  assert.equal(b.toString('hex'), 'a5a5412c000000000000a5a5');
});

test('LUNs in words', () => {
  assert.equal(lunToText(hex('0007000000000000')), '7');
  assert.equal(lunToText(REPORT_LUNS_WLUN), '0xc101000000000000');
});

test('REPORT LUNS recorded from LIO and tgt', () => {
  const one = '00000008 00000000 0000000000000000';
  const two = '00000010 00000000 0000000000000000 0001000000000000';
  assert.deepEqual(parseReportLuns(hex(one)), { luns: [{ lun: 0, address: encodeLun(0) }], completeLength: 16 });
  assert.deepEqual(
    parseReportLuns(hex(two)).luns.map(({ lun }) => lun),
    [0, 1],
  );
  assert.deepEqual(buildReportLuns([0, 1]), hex(two));
});

test('REPORT LUNS keeps the bytes of an address and leaves out what is no LUN', () => {
  const data = hex('00000018 00000000 4001000000000000 c101000000000000 0002000000000000');
  const { luns, completeLength } = parseReportLuns(data);
  assert.deepEqual(luns, [
    { lun: 1, address: hex('4001000000000000') },
    { lun: 2, address: hex('0002000000000000') },
  ]);
  assert.equal(completeLength, 32);
  data.fill(0xff);
  assert.equal(luns[0]?.address.toString('hex'), '4001000000000000');
});

test('REPORT LUNS whose length lies is read as far as the bytes go', () => {
  const lying = hex('ffffffff 00000000 0000000000000000 000100');
  assert.equal(parseReportLuns(lying).luns.length, 1);
  assert.equal(parseReportLuns(lying).completeLength, 8 + 0xffff_ffff);
  assert.deepEqual(parseReportLuns(hex('0000000000000000 0001000000000000')).luns, []);
  assert.deepEqual(parseReportLuns(hex('0000000400000000 0001000000000000')).luns, []);
  assert.throws(() => parseReportLuns(Buffer.alloc(7)), ProtocolError);
});

test('any list of LUNs round trips', () => {
  const lun = fc.nat({ max: LUN_LARGEST });
  fc.assert(
    fc.property(fc.array(lun, { maxLength: 300 }), (luns) => {
      const { luns: read, completeLength } = parseReportLuns(buildReportLuns(luns));
      assert.deepEqual(
        read.map((entry) => entry.lun),
        luns,
      );
      assert.equal(completeLength, 8 + 8 * luns.length);
    }),
  );
});

test('any bytes give LUNs or a ProtocolError', () => {
  hammer(parseReportLuns, [buildReportLuns([0, 1, 256, 70_000])]);
  hammer((data) => decodeLun(data), []);
});

test('two encodings of one number address one unit; what is no LUN equals only itself', () => {
  const lun = (hex: string) => Buffer.from(hex, 'hex');
  assert.ok(isSameLun(lun('0005000000000000'), lun('0005000000000000')));
  assert.ok(isSameLun(lun('0005000000000000'), lun('4005000000000000')));
  assert.ok(!isSameLun(lun('0005000000000000'), lun('0006000000000000')));
  assert.ok(isSameLun(lun('8005000000000000'), lun('8005000000000000')));
  assert.ok(!isSameLun(lun('8005000000000000'), lun('8006000000000000')));
});
