import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  Association,
  buildDesignators,
  type Designator,
  DesignatorType,
  designatorToText,
  isWorldwideUnique,
  naaDesignator,
  naaFromSerial,
  nameStringDesignator,
  parseDesignators,
  preferredDesignator,
  relativePortDesignator,
  t10Designator,
  targetPortGroupDesignator,
} from '../../src/scsi/designator.js';
import { ProtocolError } from '../../src/util/errors.js';
import { hammer, hex } from './hostile.js';

const LIO = hex(
  '008300bc010300106001405497222782144457581b9f2482020100344c494f2d4f5247206469736b30323a34393732323237382d323134342d343537352d383162392d663234383264623538653564005194000400000001519500040000000001060004000000005398002c69716e2e323032322d30382e636f6d2e746573743a646c702e74617267657430322c742c307830303031000053a8002469716e2e323032322d30382e636f6d2e746573743a646c702e7461726765743032000000',
);
const TGT = hex(
  '00830048020100244945542020202020303030313030303100000000000000000000000000000000000000000103000830000001000000010103001060000000000000000e00000000010001',
);
const ISTGT = hex(
  '008300a90103000830000000e6d758510301003846726565425344206953435349204449534b202020202020313030303030303120202020202020202020202020202020202020202020202053a8001c69716e2e323032322d30382e636f6d2e746573743a697374677430315398002569716e2e323032322d30382e636f6d2e746573743a697374677430312c742c307830303031519400040000000151950004000000015196000400000001',
);

const lio = parseDesignators(LIO);
const tgt = parseDesignators(TGT);
const istgt = parseDesignators(ISTGT);

test('recorded page 83h of LIO, name by name', () => {
  assert.deepEqual(
    lio.map(({ codeSet, association, type, protocol }) => [codeSet, association, type, protocol]),
    [
      [1, Association.LogicalUnit, DesignatorType.Naa, undefined],
      [2, Association.LogicalUnit, DesignatorType.T10Vendor, undefined],
      [1, Association.TargetPort, DesignatorType.RelativeTargetPort, 5],
      [1, Association.TargetPort, DesignatorType.TargetPortGroup, 5],
      [1, Association.LogicalUnit, DesignatorType.LogicalUnitGroup, undefined],
      [3, Association.TargetPort, DesignatorType.ScsiNameString, 5],
      [3, Association.TargetDevice, DesignatorType.ScsiNameString, 5],
    ],
  );
  assert.deepEqual(lio.map(designatorToText), [
    'naa.6001405497222782144457581b9f2482',
    't10.LIO-ORG_disk02:49722278-2144-4575-81b9-f2482db58e5d',
    'id.00000001',
    'id.00000000',
    'id.00000000',
    'iqn.2022-08.com.test:dlp.target02,t,0x0001',
    'iqn.2022-08.com.test:dlp.target02',
  ]);
});

test('the page of LIO is built again to the byte', () => {
  assert.deepEqual(buildDesignators(lio), LIO);
  const serial = '49722278-2144-4575-81b9-f2482db58e5d';
  assert.deepEqual(naaDesignator(naaFromSerial(serial)), lio[0]);
  assert.deepEqual(t10Designator('LIO-ORG', `disk02:${serial}\0`), lio[1]);
  assert.deepEqual(relativePortDesignator(1), lio[2]);
  assert.deepEqual(targetPortGroupDesignator(0), lio[3]);
  assert.deepEqual(nameStringDesignator('iqn.2022-08.com.test:dlp.target02,t,0x0001', Association.TargetPort), lio[5]);
  assert.deepEqual(nameStringDesignator('iqn.2022-08.com.test:dlp.target02', Association.TargetDevice), lio[6]);
});

test('the name that a unit goes by', () => {
  const name = (list: readonly Designator[]): string | undefined => {
    const best = preferredDesignator(list);
    return best && designatorToText(best);
  };
  assert.equal(name(lio), 'naa.6001405497222782144457581b9f2482');
  assert.equal(name(tgt), 'naa.60000000000000000e00000000010001');
  assert.equal(name(istgt), 'naa.30000000e6d75851');
  assert.equal(name(lio.slice(1)), 't10.LIO-ORG_disk02:49722278-2144-4575-81b9-f2482db58e5d');
  assert.equal(name(lio.slice(2)), undefined);
  assert.equal(name([]), undefined);
});

const unit = (type: number, value: string, association = 0): Designator => ({
  codeSet: 1,
  association,
  type,
  value: hex(value),
});

test('the names of tgt and istgt are not worldwide: another host has the same', () => {
  assert.equal(lio.filter(isWorldwideUnique).length, 1);
  assert.equal(tgt.filter(isWorldwideUnique).length, 0);
  assert.equal(istgt.filter(isWorldwideUnique).length, 0);
  for (const [type, value, expected] of [
    [DesignatorType.Naa, '5000c50012345678', true],
    [DesignatorType.Naa, '5000000012345678', false],
    [DesignatorType.Naa, '2abc00c500123456', true],
    [DesignatorType.Naa, '2abc000000123456', false],
    [DesignatorType.Naa, '3000c50012345678', false],
    [DesignatorType.Naa, '6000c500', false],
    [DesignatorType.Naa, '', false],
    [DesignatorType.Eui64, '0002c90300123456', true],
    [DesignatorType.Eui64, '0000000300123456', false],
    [DesignatorType.Eui64, '11223344556677880002c90300123456', true],
    [DesignatorType.Eui64, '0002', false],
    [DesignatorType.Uuid, `1000${'ab'.repeat(16)}`, true],
    [DesignatorType.T10Vendor, '4c494f2d4f524720', false],
  ] as const) {
    assert.equal(isWorldwideUnique(unit(type, value)), expected, `${type} ${value}`);
  }
  assert.equal(isWorldwideUnique(unit(DesignatorType.Naa, '5000c50012345678', Association.TargetPort)), false);
});

test('a worldwide name wins over a local one of a better kind', () => {
  const local = unit(DesignatorType.Naa, '60000000000000000e00000000010001');
  const eui = unit(DesignatorType.Eui64, '0002c90300123456');
  assert.equal(preferredDesignator([local, eui]), eui);
  assert.equal(preferredDesignator([eui, unit(DesignatorType.Naa, '5000c50012345678')])?.type, DesignatorType.Naa);
});

test('names in words', () => {
  assert.equal(designatorToText(unit(DesignatorType.Eui64, '0002c90300123456')), 'eui.0002c90300123456');
  assert.equal(designatorToText(unit(DesignatorType.Uuid, `1000${'ab'.repeat(16)}`)), `uuid.${'ab'.repeat(16)}`);
  assert.equal(designatorToText(unit(DesignatorType.Md5, '00ff')), 'id.00ff');
});

test('the NAA name from a serial number is that of LIO', () => {
  assert.equal(naaFromSerial('c8ff62d4-a4c6-4a77-9244-6d43020285ea'), '6001405c8ff62d4a4c64a7792446d430');
  assert.equal(naaFromSerial('AB'), `6001405ab${'0'.repeat(23)}`);
  assert.throws(() => naaDesignator('600140'), RangeError);
  assert.throws(() => naaDesignator('6001405c8ff62d4z'), RangeError);
  assert.throws(() => buildDesignators([unit(0, '00'.repeat(256))]), RangeError);
});

test('a descriptor that is cut off is left out, and so is what follows', () => {
  const whole = parseDesignators(LIO).length;
  assert.equal(parseDesignators(LIO.subarray(0, LIO.length - 1)).length, whole - 1);
  assert.equal(parseDesignators(LIO.subarray(0, 4 + 20)).length, 1);
  assert.equal(parseDesignators(LIO.subarray(0, 4 + 19)).length, 0);
  assert.equal(parseDesignators(hex('00830004 010300ff')).length, 0);
  assert.equal(parseDesignators(hex('0083000401030000')).length, 1);
  assert.throws(() => parseDesignators(hex('00800000')), ProtocolError);
});

test('any list of designators round trips', () => {
  const any: fc.Arbitrary<Designator> = fc
    .record({
      codeSet: fc.nat({ max: 15 }),
      association: fc.nat({ max: 3 }),
      type: fc.nat({ max: 15 }),
      value: fc.uint8Array({ maxLength: 255 }).map((bytes) => Buffer.from(bytes)),
      protocol: fc.option(fc.nat({ max: 15 }), { nil: undefined }),
    })
    .map(({ protocol, ...rest }) => (protocol === undefined ? rest : { ...rest, protocol }));
  fc.assert(
    fc.property(fc.array(any, { maxLength: 20 }), (list) => {
      assert.deepEqual(parseDesignators(buildDesignators(list)), list);
    }),
  );
});

test('any bytes give names or a ProtocolError, and any name can be printed', () => {
  hammer(
    (data) => {
      const list = parseDesignators(data);
      for (const designator of list) assert.match(designatorToText(designator), /^[\x21-\x7e]*$/);
      preferredDesignator(list);
    },
    [LIO, TGT, ISTGT],
    Buffer.from([0, 0x83]),
  );
});
