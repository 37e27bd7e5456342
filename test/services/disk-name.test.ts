// What a person may call a disk, and what is refused because it is none of ours.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import { findDisk, findListed } from '../../src/services/disk/name.js';
import type { SessionState } from '../../src/services/session/folder.js';
import { device, session } from '../helpers/fake-session.js';

const IQN = 'iqn.2022-08.com.test:dlp.target01';
const OTHER = 'iqn.2022-08.com.test:dlp.target02';
const SESSIONS = [
  session({
    sid: 1,
    targetName: IQN,
    devices: [device({ lun: 0, path: '/dev/nbd0' }), device({ lun: 1, path: null })],
  }),
  session({ sid: 2, targetName: OTHER, devices: [device({ lun: 0, path: '/dev/loop3', attach: 'fuse' })] }),
];
const found = (dev: string, partition?: number) => {
  const { session: owner, device: disk, partition: part, name, fullName } = findDisk(dev, SESSIONS, partition);
  return [owner.sid, disk.lun, part, name, fullName];
};

describe('names of our disks', () => {
  for (const [dev, expected] of [
    ['nbd0', [1, 0, null, 'nbd0', `${IQN}/0`]],
    ['/dev/nbd0', [1, 0, null, 'nbd0', `${IQN}/0`]],
    ['/dev/nbd0p1', [1, 0, 1, 'nbd0p1', `${IQN}/0`]],
    ['loop3p12', [2, 0, 12, 'loop3p12', `${OTHER}/0`]],
    [`${IQN}/0`, [1, 0, null, 'nbd0', `${IQN}/0`]],
    [`${IQN}/0p2`, [1, 0, 2, 'nbd0p2', `${IQN}/0`]],
    [`${IQN}/1`, [1, 1, null, `${IQN}/1`, `${IQN}/1`]],
    [`${IQN}/1p1`, [1, 1, 1, `${IQN}/1p1`, `${IQN}/1`]],
  ] as const) {
    test(dev, () => assert.deepEqual(found(dev), expected));
  }
  test('a partition by flag', () => {
    assert.deepEqual(found(`${IQN}/1`, 3), [1, 1, 3, `${IQN}/1p3`, `${IQN}/1`]);
    assert.equal(found('nbd0p1', 1)[2], 1);
    assert.throws(() => found('nbd0p1', 2), { code: 'ERR_USAGE' });
  });
  test('a link to something else is no way in', () => {
    const folder = mkdtempSync(`${tmpdir()}/lunctl-name-`);
    try {
      symlinkSync('/dev/null', `${folder}/nbd0`);
      assert.throws(() => found(`${folder}/nbd0`), { code: 'ERR_USAGE' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('what is not ours', () => {
  for (const dev of [
    'sda',
    '/dev/sda',
    '/dev/sda1',
    'nbd1',
    '/dev/loop0',
    'loop30',
    '',
    '/',
    '../dev/nbd0',
    'nbd0p',
    'nbd0p1p1',
    'xnbd0',
  ]) {
    test(JSON.stringify(dev), () => assert.throws(() => found(dev), { code: 'ERR_USAGE' }));
  }
  for (const dev of [`${IQN}/2`, 'iqn.2022-08.com.test:nobody/0']) {
    test(dev, () => assert.throws(() => found(dev), { code: 'ERR_NOT_FOUND' }));
  }
});

test('of two paths to one LUN the attached one is taken; without one it must be said', () => {
  const twice = (path: string | null) => [
    session({ sid: 1, targetName: IQN, devices: [device({ lun: 0, path: null })] }),
    session({ sid: 2, targetName: IQN, devices: [device({ lun: 0, path })] }),
  ];
  assert.equal(findDisk(`${IQN}/0`, twice('/dev/nbd4')).session.sid, 2);
  assert.throws(() => findDisk(`${IQN}/0`, twice(null)), { code: 'ERR_USAGE', message: /sessions 1 and 2/ });
});

describe('a disk among sessions of which one does not answer', () => {
  const state = { version: 1, sid: 7, pid: 1, startTime: '0', phase: 'ready', targetName: IQN } as SessionState;
  const silent = [{ sid: 7, state, reason: 'no answer to info within 2000 ms' }];
  test('is found if another has it; otherwise it is said who does not answer, and tried again', () => {
    assert.equal(findListed('nbd0', { sessions: SESSIONS, silent }).session.sid, 1);
    for (const dev of ['nbd9', `${OTHER}/5`]) {
      assert.throws(() => findListed(dev, { sessions: SESSIONS, silent }), {
        code: 'ERR_TIMEOUT',
        retriable: true,
        message: `${dev} is not found, but session 7 does not answer: no answer to info within 2000 ms`,
      });
    }
    assert.throws(() => findListed('nbd9', { sessions: SESSIONS, silent: [] }), { code: 'ERR_USAGE' });
  });
});
