import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  AccessState,
  buildTargetPortGroups,
  parseTargetPortGroups,
  type TargetPortGroup,
} from '../../src/scsi/target-port-groups.js';
import { ProtocolError } from '../../src/util/errors.js';
import { hammer, hex } from './hostile.js';

// One group with one port, as LIO reports its default group, and a second one with two.
const GROUPS: readonly TargetPortGroup[] = [
  { group: 0, state: AccessState.ActiveOptimized, preferred: false, supportedStates: 0xdf, statusCode: 0, ports: [1] },
  { group: 258, state: AccessState.Standby, preferred: true, supportedStates: 0x0f, statusCode: 2, ports: [2, 65_535] },
];
const BODY = '00 df 0000 00 00 00 01 00000001  82 0f 0102 00 02 00 02 00000002 0000ffff';

test('both header formats, both ways', () => {
  const plain = hex(`0000001c ${BODY}`);
  const extended = hex(`00000020 10 05 0000 ${BODY}`);
  assert.deepEqual(parseTargetPortGroups(plain), GROUPS);
  assert.deepEqual(parseTargetPortGroups(extended), GROUPS);
  assert.deepEqual(buildTargetPortGroups(GROUPS), plain);
  assert.deepEqual(buildTargetPortGroups(GROUPS, 5), extended);
});

test('a group that is cut off is left out', () => {
  const plain = hex(`0000001c ${BODY}`);
  assert.deepEqual(parseTargetPortGroups(plain.subarray(0, plain.length - 1)), GROUPS.slice(0, 1));
  assert.deepEqual(parseTargetPortGroups(plain.subarray(0, 15)), []);
  assert.deepEqual(parseTargetPortGroups(hex(`00000008 ${BODY}`)), []);
  assert.deepEqual(parseTargetPortGroups(hex(`ffffffff ${BODY}`)), GROUPS);
  assert.deepEqual(parseTargetPortGroups(hex('00000000')), []);
  assert.throws(() => parseTargetPortGroups(hex('000000')), ProtocolError);
});

test('any groups round trip', () => {
  const group: fc.Arbitrary<TargetPortGroup> = fc.record(
    {
      group: fc.nat({ max: 0xffff }),
      state: fc.nat({ max: 15 }),
      preferred: fc.boolean(),
      supportedStates: fc.nat({ max: 255 }),
      statusCode: fc.nat({ max: 255 }),
      ports: fc.array(fc.nat({ max: 0xffff }), { maxLength: 255 }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(group, { maxLength: 5 }), (groups) => {
      assert.deepEqual(parseTargetPortGroups(buildTargetPortGroups(groups)), groups);
      assert.deepEqual(parseTargetPortGroups(buildTargetPortGroups(groups, 255)), groups);
    }),
  );
});

test('any bytes give groups or a ProtocolError', () => {
  hammer(parseTargetPortGroups, [buildTargetPortGroups(GROUPS), buildTargetPortGroups(GROUPS, 1)]);
});
