// Which LUNs are two ways to one disk: by names that are worldwide, or by target and LUN (SPC-4 §7.8.5).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { otherPath, unknownRival } from '../../src/services/second-path.js';
import type { SilentSession } from '../../src/services/session-registry.js';

const A = 'iqn.2022-08.com.test:a';
const B = 'iqn.2022-08.com.test:b';
const LIO = 'naa.60014055ca1ab1e00000000000000000';
const TGT = 'naa.60000000000000000e00000000010001';

function candidate(targetName: string, lun: number, designator: string, worldwide: boolean) {
  return { targetName, info: { lun, designator, worldwide } };
}

test('a worldwide name tells a second path, whatever target and LUN it is found at', () => {
  const disks = [{ targetName: A, lun: 0, designator: LIO, path: '/dev/nbd0' }];
  assert.equal(otherPath(candidate(B, 3, LIO, true), disks), '/dev/nbd0');
  assert.equal(otherPath(candidate(A, 0, LIO, true), disks), '/dev/nbd0');
  assert.equal(otherPath(candidate(A, 0, `${LIO.slice(0, -1)}1`, true), disks), undefined);
});

test('a name that another target may give too counts only within its target and at its LUN', () => {
  const disks = [{ targetName: A, lun: 1, designator: TGT, path: '/dev/nbd0' }];
  assert.equal(otherPath(candidate(B, 1, TGT, false), disks), undefined);
  assert.equal(otherPath(candidate(A, 2, TGT, false), disks), undefined);
  assert.equal(otherPath(candidate(A, 1, TGT, false), disks), '/dev/nbd0');
});

test('disks without a name are one only within their target and at their LUN', () => {
  const disks = [{ targetName: A, lun: 0, designator: '', path: '/dev/nbd0' }];
  assert.equal(otherPath(candidate(B, 0, '', false), disks), undefined);
  assert.equal(otherPath(candidate(A, 0, '', false), disks), '/dev/nbd0');
});

test('a session that does not answer counts if it is up, or began earlier', () => {
  const silent = (sid: number, targetName: string, phase: 'starting' | 'ready'): SilentSession => ({
    sid,
    reason: 'no answer',
    state: {
      version: 1,
      sid,
      pid: 1,
      startTime: '1',
      phase,
      targetName,
      portal: { address: '127.0.0.1', port: 3260, tpgt: 1 },
      iface: 'default',
      initiatorName: 'iqn.2022-08.com.test:node01.initiator01',
      isid: '800000000000',
    },
  });
  const us = { targetName: A, sid: 5 };
  assert.equal(unknownRival(us, [silent(7, A, 'ready'), silent(4, B, 'ready')])?.sid, 7);
  assert.equal(unknownRival(us, [silent(7, A, 'starting')]), undefined);
  assert.equal(unknownRival(us, [silent(4, A, 'starting')])?.sid, 4);
});
