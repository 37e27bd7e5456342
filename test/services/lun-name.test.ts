// What a person may call a LUN.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findLun } from '../../src/services/lun/name.js';
import type { SessionInfo } from '../../src/services/session/info.js';
import { AppError } from '../../src/util/errors.js';

const A = 'iqn.2022-08.com.test:a';
const B = 'iqn.2022-08.com.test:b';

function session(sid: number, targetName: string, luns: readonly [number, string | null][]): SessionInfo {
  const devices = luns.map(([lun, path]) => ({ lun, path, exportName: `lun${lun}` }));
  return { sid, targetName, devices } as unknown as SessionInfo;
}

const SESSIONS = [
  session(1, A, [
    [0, '/dev/nbd0'],
    [1, null],
  ]),
  session(2, B, [
    [1, '/dev/nbd1'],
    [300, null],
  ]),
];

test('by target and number, by device, by export where it is only one', () => {
  const found = (name: string, sessions = SESSIONS) => {
    const { session: of, device, fullName } = findLun(name, sessions);
    assert.equal(fullName, `${of.targetName}/${device.lun}`);
    return fullName;
  };
  assert.equal(found(`${A}/1`), `${A}/1`);
  assert.equal(found('/dev/nbd1'), `${B}/1`);
  assert.equal(found('nbd0'), `${A}/0`);
  assert.equal(found('lun300'), `${B}/300`);
  assert.equal(found('0'), `${A}/0`);
  assert.equal(found('lun1', SESSIONS.slice(1)), `${B}/1`);
});

test('refused: what fits two, nothing, a partition, a stranger', () => {
  const code = (name: string) => {
    try {
      findLun(name, SESSIONS);
    } catch (error) {
      assert.ok(error instanceof AppError, String(error));
      return error.code;
    }
    return assert.fail(name);
  };
  assert.equal(code('lun1'), 'ERR_USAGE');
  assert.throws(() => findLun('1', SESSIONS), { message: `1 fits ${A}/1 and ${B}/1` });
  assert.equal(code('7'), 'ERR_NOT_FOUND');
  assert.equal(code(`${A}/9`), 'ERR_NOT_FOUND');
  assert.equal(code('nbd0p1'), 'ERR_USAGE');
  assert.equal(code('/dev/sda'), 'ERR_USAGE');
});
