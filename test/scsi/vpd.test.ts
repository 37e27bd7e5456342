import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  buildExtendedInquiry,
  buildSupportedPages,
  buildUnitSerial,
  buildVpd,
  parseExtendedInquiry,
  parseSupportedPages,
  parseUnitSerial,
  VpdPage,
  vpdBody,
  vpdCompleteLength,
} from '../../src/scsi/vpd.js';
import { ProtocolError } from '../../src/util/errors.js';
import { hammer, hex } from './hostile.js';

test('recorded page 00h', () => {
  assert.deepEqual(parseSupportedPages(hex('0000000800808386b0b1b2b3')), [0, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2, 0xb3]);
  assert.deepEqual(parseSupportedPages(hex('0c000006008083b0b1b2')), [0, 0x80, 0x83, 0xb0, 0xb1, 0xb2]);
  assert.equal(buildSupportedPages([0, 0x80, 0x83, 0xb0, 0xb1, 0xb2]).toString('hex'), '00000006008083b0b1b2');
});

test('recorded page 80h: LIO ends it with a NUL, tgt pads it with blanks', () => {
  const lio = '0080002534393732323237382d323134342d343537352d383162392d66323438326462353865356400';
  const tgt = `00800024${'20'.repeat(30)}626561663131`;
  assert.equal(parseUnitSerial(hex(lio)), '49722278-2144-4575-81b9-f2482db58e5d');
  assert.equal(parseUnitSerial(hex(tgt)), 'beaf11');
  assert.equal(parseUnitSerial(hex('008000083130303030303031')), '10000001');
  assert.equal(buildUnitSerial('10000001').toString('hex'), '008000083130303030303031');
  assert.equal(parseUnitSerial(hex('00800003 411b42')), 'AB');
});

test('a page is bounded by its length field and by the bytes at hand', () => {
  assert.deepEqual(vpdBody(hex('00b00002 0102 0304'), 0xb0), hex('0102'));
  assert.deepEqual(vpdBody(hex('00b0ffff 0102'), 0xb0), hex('0102'));
  assert.equal(vpdCompleteLength(hex('008300bc')), 192);
  assert.equal(vpdCompleteLength(hex('0083')), 4);
  assert.equal(parseUnitSerial(hex('00800024 414243')), 'ABC');
});

test('another page than was asked for is a ProtocolError', () => {
  assert.throws(() => vpdBody(hex('00000000'), 0x83), /VPD page 00h in answer to 83h/);
  assert.throws(() => vpdBody(hex('0083'), 0x83), ProtocolError);
});

test('page 86h, both ways', () => {
  const lio = hex(`0086003c 00070100${'00'.repeat(56)}`);
  const page = {
    headOfQueue: true,
    ordered: true,
    simple: true,
    nonVolatileCache: false,
    volatileCache: true,
    nexusClear: false,
  };
  assert.deepEqual(parseExtendedInquiry(lio), page);
  assert.deepEqual(buildExtendedInquiry(page), lio);
  const clear = { ...page, ordered: false, headOfQueue: false, simple: false, volatileCache: false };
  assert.deepEqual(parseExtendedInquiry(hex('00860000')), clear);
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), (bits) => {
      const [a = false, b = false, c = false, d = false, e = false, f = false] = bits;
      const any = { headOfQueue: a, ordered: b, simple: c, nonVolatileCache: d, volatileCache: e, nexusClear: f };
      assert.deepEqual(parseExtendedInquiry(buildExtendedInquiry(any)), any);
    }),
  );
});

test('any body round trips', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 255 }), (bytes, page) => {
      assert.deepEqual(vpdBody(buildVpd(page, Buffer.from(bytes)), page), Buffer.from(bytes));
    }),
  );
});

test('any bytes give a page or a ProtocolError', () => {
  hammer(parseSupportedPages, [hex('0000000800808386b0b1b2b3')], Buffer.from([0, VpdPage.SupportedPages]));
  hammer(parseUnitSerial, [hex('008000083130303030303031')], Buffer.from([0, VpdPage.UnitSerialNumber]));
  hammer(parseExtendedInquiry, [hex('0086000400070100')], Buffer.from([0, VpdPage.ExtendedInquiry]));
});
