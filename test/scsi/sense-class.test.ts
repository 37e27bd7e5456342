import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockStatus } from '../../src/block/block-device.js';
import { Senses } from '../../src/scsi/check-condition.js';
import {
  classifySense,
  classifyStatus,
  concernsAllUnits,
  Errno,
  type SenseClass,
  showsRestart,
} from '../../src/scsi/sense-class.js';
import { ScsiStatus, statusName } from '../../src/scsi/status.js';

const ua = (reason: NonNullable<SenseClass['reason']>): SenseClass => ({
  kind: 'unit-attention',
  errno: 5,
  retry: 'now',
  reason,
});

// key, asc, ascq → what an initiator makes of it.
const TABLE: readonly [number, number, number, SenseClass][] = [
  [0x0, 0x00, 0x00, { kind: 'other', errno: 5, retry: 'no' }],
  [0x1, 0x17, 0x00, { kind: 'recovered', errno: 0, retry: 'no' }],
  [0x2, 0x04, 0x00, { kind: 'not-ready', errno: 5, retry: 'no' }],
  [0x2, 0x04, 0x01, { kind: 'becoming-ready', errno: 5, retry: 'later' }],
  [0x2, 0x04, 0x02, { kind: 'not-ready', errno: 5, retry: 'no' }],
  [0x2, 0x04, 0x04, { kind: 'becoming-ready', errno: 5, retry: 'later' }],
  [0x2, 0x04, 0x05, { kind: 'becoming-ready', errno: 5, retry: 'later' }],
  [0x2, 0x04, 0x06, { kind: 'becoming-ready', errno: 5, retry: 'later' }],
  [0x2, 0x04, 0x07, { kind: 'becoming-ready', errno: 5, retry: 'later' }],
  [0x2, 0x04, 0x09, { kind: 'becoming-ready', errno: 5, retry: 'later' }],
  [0x2, 0x04, 0x1b, { kind: 'becoming-ready', errno: 5, retry: 'later' }],
  [0x2, 0x04, 0x0a, { kind: 'becoming-ready', errno: 5, retry: 'later' }],
  [0x2, 0x04, 0x0b, { kind: 'not-ready', errno: 5, retry: 'no' }],
  [0x2, 0x04, 0x14, { kind: 'becoming-ready', errno: 5, retry: 'later' }],
  [0x2, 0x3a, 0x00, { kind: 'not-ready', errno: 5, retry: 'no' }],
  [0x3, 0x11, 0x00, { kind: 'medium-error', errno: 5, retry: 'no' }],
  [0x3, 0x0c, 0x00, { kind: 'medium-error', errno: 5, retry: 'no' }],
  [0x4, 0x44, 0x00, { kind: 'hardware-error', errno: 5, retry: 'no' }],
  [0x5, 0x20, 0x00, { kind: 'unsupported', errno: 95, retry: 'no' }],
  [0x5, 0x21, 0x00, { kind: 'out-of-range', errno: 5, retry: 'no' }],
  [0x5, 0x24, 0x00, { kind: 'invalid-field', errno: 22, retry: 'no' }],
  [0x5, 0x1a, 0x00, { kind: 'invalid-field', errno: 22, retry: 'no' }],
  [0x5, 0x26, 0x00, { kind: 'invalid-field', errno: 22, retry: 'no' }],
  [0x5, 0x25, 0x00, { kind: 'no-such-lun', errno: 5, retry: 'no' }],
  [0x5, 0x55, 0x04, { kind: 'illegal-request', errno: 5, retry: 'no' }],
  [0x6, 0x28, 0x00, ua('medium-changed')],
  [0x6, 0x29, 0x00, ua('power-on-or-reset')],
  [0x6, 0x29, 0x01, ua('power-on')],
  [0x6, 0x29, 0x02, ua('reset')],
  [0x6, 0x29, 0x03, ua('reset')],
  [0x6, 0x29, 0x04, ua('reset')],
  [0x6, 0x29, 0x07, ua('nexus-loss')],
  [0x6, 0x2a, 0x01, ua('parameters-changed')],
  [0x6, 0x29, 0x05, ua('parameters-changed')],
  [0x6, 0x29, 0x06, ua('parameters-changed')],
  [0x6, 0x2a, 0x00, ua('parameters-changed')],
  [0x6, 0x2a, 0x02, ua('parameters-changed')],
  [0x6, 0x2a, 0x04, ua('reservations-changed')],
  [0x6, 0x2a, 0x05, ua('reservations-changed')],
  [0x6, 0x2a, 0x07, ua('access-state-changed')],
  [0x6, 0x2f, 0x01, ua('commands-cleared')],
  [0x6, 0x2f, 0x02, ua('commands-cleared')],
  [0x6, 0x3f, 0x00, ua('parameters-changed')],
  [0x6, 0x3f, 0x01, ua('inquiry-changed')],
  [0x6, 0x3f, 0x02, ua('parameters-changed')],
  [0x6, 0x2a, 0x03, ua('reservations-changed')],
  [0x6, 0x2a, 0x06, ua('access-state-changed')],
  [0x6, 0x2a, 0x09, ua('capacity-changed')],
  [0x6, 0x2f, 0x00, ua('commands-cleared')],
  [0x6, 0x38, 0x07, ua('threshold')],
  [0x6, 0x3f, 0x03, ua('inquiry-changed')],
  [0x6, 0x3f, 0x05, ua('identity-changed')],
  [0x6, 0x3f, 0x0e, ua('luns-changed')],
  [0x6, 0x5a, 0x01, ua('other')],
  [0x7, 0x27, 0x00, { kind: 'protected', errno: 1, retry: 'no' }],
  [0x7, 0x27, 0x02, { kind: 'protected', errno: 1, retry: 'no' }],
  [0x7, 0x27, 0x07, { kind: 'space-exhausted', errno: 28, retry: 'no' }],
  [0x7, 0x20, 0x02, { kind: 'other', errno: 5, retry: 'no' }],
  [0xb, 0x00, 0x00, { kind: 'aborted', errno: 5, retry: 'now' }],
  [0xb, 0x47, 0x05, { kind: 'aborted', errno: 5, retry: 'now' }],
  [0xd, 0x00, 0x00, { kind: 'other', errno: 5, retry: 'no' }],
  [0xe, 0x1d, 0x00, { kind: 'miscompare', errno: 5, retry: 'no' }],
];

test('sense data is told apart by what an initiator does next', () => {
  for (const [key, asc, ascq, expected] of TABLE) {
    assert.deepEqual(classifySense({ key, asc, ascq }), expected, `${key}/${asc.toString(16)}/${ascq.toString(16)}`);
  }
});

test('every code has a class, and only recovered errors are a success', () => {
  for (let key = 0; key < 16; key++) {
    for (let code = 0; code < 0x10000; code += 7) {
      const { kind, errno } = classifySense({ key, asc: code >> 8, ascq: code & 0xff });
      assert.equal(errno === 0, key === 1);
      assert.equal(kind === 'unit-attention', key === 6);
    }
  }
});

test('sense of an earlier command is never taken for this one', () => {
  const deferred = { kind: 'deferred', errno: 5, retry: 'now' };
  assert.deepEqual(classifySense({ ...Senses.WriteError, deferred: true }), deferred);
  assert.deepEqual(classifySense({ key: 1, asc: 0x17, ascq: 0, deferred: true }), deferred);
});

test('no sense data is an unexplained failure', () => {
  assert.deepEqual(classifySense(null), { kind: 'other', errno: 5, retry: 'no' });
});

test('only 29h/01h to 04h shows that the unit restarted', () => {
  for (let ascq = 0; ascq < 16; ascq++) {
    assert.equal(showsRestart({ key: 6, asc: 0x29, ascq }), ascq >= 1 && ascq <= 4);
  }
  assert.equal(showsRestart({ key: 6, asc: 0x2a, ascq: 1 }), false);
  assert.equal(showsRestart({ key: 5, asc: 0x29, ascq: 1 }), false);
  assert.equal(concernsAllUnits({ key: 6, asc: 0x3f, ascq: 0x0e }), true);
  assert.equal(concernsAllUnits({ key: 6, asc: 0x3f, ascq: 0x03 }), false);
  assert.equal(concernsAllUnits({ key: 5, asc: 0x3f, ascq: 0x0e }), false);
});

test('statuses other than CHECK CONDITION', () => {
  assert.deepEqual(classifyStatus(ScsiStatus.Good), { errno: 0, retry: 'no' });
  assert.deepEqual(classifyStatus(ScsiStatus.ConditionMet), { errno: 0, retry: 'no' });
  assert.deepEqual(classifyStatus(ScsiStatus.Busy), { errno: 5, retry: 'later' });
  assert.deepEqual(classifyStatus(ScsiStatus.TaskSetFull), { errno: 5, retry: 'later' });
  assert.deepEqual(classifyStatus(ScsiStatus.TaskAborted), { errno: 5, retry: 'now' });
  assert.deepEqual(classifyStatus(ScsiStatus.ReservationConflict), { errno: 5, retry: 'no' });
  assert.deepEqual(classifyStatus(ScsiStatus.AcaActive), { errno: 5, retry: 'no' });
  assert.deepEqual(classifyStatus(0xff), { errno: 5, retry: 'no' });
  assert.equal(statusName(ScsiStatus.TaskSetFull), 'TASK SET FULL');
  assert.equal(statusName(0x10), 'status 0x10');
});

test('the errno numbers are those of the block layer', () => {
  const known = new Set<number>(Object.values(BlockStatus));
  for (const errno of Object.values(Errno)) assert.ok(known.has(errno), `${errno}`);
});
