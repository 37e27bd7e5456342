import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildInquiry, DeviceType, type Inquiry, parseInquiry, Qualifier } from '../../src/scsi/inquiry.js';
import { ProtocolError } from '../../src/util/errors.js';
import { hammer, hex } from './hostile.js';

const LIO = hex(
  '000006025bb800024c494f2d4f5247206469736b303220202020202020202020342e30200000000000000000000000000000000000000000000000a00960046004c0000000000000000000000000000000000000000000000000000000000000',
);
const TGT_CONTROLLER = hex(
  '0c0005123d0000024945542020202020436f6e74726f6c6c6572202020202020303030310000000000000000000000000000000000000000000004c0096001fb0000',
);
const TGT_DISK = hex(
  '000005123d00000249455420202020205649525455414c2d4449534b20202020303030310000000000000000000000000000000000000000000004c0096003000000',
);
const ISTGT = hex(
  '001005025b00100246726565425344206953435349204449534b20202020202030303031202020202020202020202020202020202020202000000960030003200040000000000000000000000000000000000000000000000000000000000000',
);

const COMMON = { removable: false, normAca: false, multiPort: false, commandQueuing: true, protect: false } as const;

const VECTORS: readonly [string, Buffer, Inquiry][] = [
  [
    'LIO fileio',
    LIO,
    {
      ...COMMON,
      qualifier: Qualifier.Connected,
      deviceType: DeviceType.Block,
      version: 6,
      hiSup: false,
      tpgs: 3,
      thirdPartyCopy: true,
      vendor: 'LIO-ORG',
      product: 'disk02',
      revision: '4.0',
      versionDescriptors: [0x00a0, 0x0960, 0x0460, 0x04c0],
    },
  ],
  [
    'tgt LUN 0',
    TGT_CONTROLLER,
    {
      ...COMMON,
      qualifier: Qualifier.Connected,
      deviceType: DeviceType.StorageArrayController,
      version: 5,
      hiSup: true,
      tpgs: 0,
      thirdPartyCopy: false,
      vendor: 'IET',
      product: 'Controller',
      revision: '0001',
      versionDescriptors: [0x04c0, 0x0960, 0x01fb],
    },
  ],
  [
    'tgt disk',
    TGT_DISK,
    {
      ...COMMON,
      qualifier: Qualifier.Connected,
      deviceType: DeviceType.Block,
      version: 5,
      hiSup: true,
      tpgs: 0,
      thirdPartyCopy: false,
      vendor: 'IET',
      product: 'VIRTUAL-DISK',
      revision: '0001',
      versionDescriptors: [0x04c0, 0x0960, 0x0300],
    },
  ],
  [
    'istgt disk',
    ISTGT,
    {
      ...COMMON,
      multiPort: true,
      qualifier: Qualifier.Connected,
      deviceType: DeviceType.Block,
      version: 5,
      hiSup: false,
      tpgs: 0,
      thirdPartyCopy: false,
      vendor: 'FreeBSD',
      product: 'iSCSI DISK',
      revision: '0001',
      versionDescriptors: [0x0960, 0x0300, 0x0320, 0x0040],
    },
  ],
];

test('recorded standard INQUIRY data, whole and with trailing bytes', () => {
  for (const [name, data, expected] of VECTORS) {
    assert.deepEqual(parseInquiry(data), expected, name);
    assert.deepEqual(parseInquiry(Buffer.concat([data, Buffer.alloc(16, 0xff)])), expected, name);
  }
});

test('what is built reads back, 96 bytes of it', () => {
  for (const [name, , inquiry] of VECTORS) {
    const b = buildInquiry(inquiry);
    assert.equal(b.length, 96);
    assert.equal(b.readUInt8(4), 91);
    assert.deepEqual(parseInquiry(b), inquiry, name);
  }
});

test('the 36 bytes that everybody asks for first are enough for the names', () => {
  for (const [name, data, expected] of VECTORS) {
    assert.deepEqual(parseInquiry(data.subarray(0, 36)), { ...expected, versionDescriptors: [] }, name);
  }
});

test('ADDITIONAL LENGTH bounds what is read, and so does the end of the data', () => {
  const short = Buffer.from(LIO);
  short[4] = 11; // up to byte 15: the vendor only
  const { vendor, product, revision, versionDescriptors } = parseInquiry(short);
  assert.deepEqual(
    { vendor, product, revision, versionDescriptors },
    {
      vendor: 'LIO-ORG',
      product: '',
      revision: '',
      versionDescriptors: [],
    },
  );
  assert.equal(parseInquiry(hex('7f00060200')).deviceType, DeviceType.Unknown);
  assert.equal(parseInquiry(hex('7f00060200')).qualifier, Qualifier.NotPossible);
  assert.equal(parseInquiry(hex('00000602ff')).vendor, '');
  assert.throws(() => parseInquiry(hex('00000602')), ProtocolError);
});

test('control characters in names do not come through', () => {
  const data = Buffer.from(LIO);
  data.write('\u001b[31mX\n\r\u0000', 8, 'latin1');
  assert.equal(parseInquiry(data).vendor, '[31mX');
});

test('long names are cut, and what is not ASCII becomes a blank', () => {
  const [, , inquiry] = VECTORS[0] ?? assert.fail();
  const read = parseInquiry(
    buildInquiry({ ...inquiry, vendor: 'ACME-CORPORATION', product: 'Größe', revision: '12345' }),
  );
  assert.deepEqual([read.vendor, read.product, read.revision], ['ACME-COR', 'Gr  e', '1234']);
});

test('flags round trip in every combination', () => {
  const [, , plain] = VECTORS[0] ?? assert.fail();
  const flags = fc.record({
    qualifier: fc.nat({ max: 7 }),
    deviceType: fc.nat({ max: 31 }),
    removable: fc.boolean(),
    version: fc.nat({ max: 255 }),
    normAca: fc.boolean(),
    hiSup: fc.boolean(),
    tpgs: fc.nat({ max: 3 }),
    thirdPartyCopy: fc.boolean(),
    protect: fc.boolean(),
    multiPort: fc.boolean(),
    commandQueuing: fc.boolean(),
    versionDescriptors: fc.array(fc.integer({ min: 1, max: 0xffff }), { maxLength: 8 }),
  });
  fc.assert(
    fc.property(flags, (fields) => {
      assert.deepEqual(parseInquiry(buildInquiry({ ...plain, ...fields })), { ...plain, ...fields });
    }),
  );
});

test('any bytes give INQUIRY data or a ProtocolError', () => {
  hammer(
    parseInquiry,
    VECTORS.map(([, data]) => data),
  );
});
