import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { makeOneShotFolder, oneShotIsids, removeDeadOneShots } from '../../src/services/one-shot/folder.js';
import { checkPlace, parseListenAddress } from '../../src/services/one-shot/place.js';
import { parseIscsiUri } from '../../src/services/one-shot/uri.js';
import { claimName, readClaims, writeClaim } from '../../src/services/session/disk-claims.js';
import { ourselves } from '../../src/services/session/folder.js';
import { listenUnix } from '../../src/transport/listen.js';
import { isLoopback } from '../../src/transport/loopback.js';
import type { AppError } from '../../src/util/errors.js';

const IQN = 'iqn.2022-08.com.test:dlp.target01';

describe('the address of a LUN', () => {
  const at = (address: string, port = 3260, user: string | null = null, lun = 0) => ({
    ...{ user, portal: { address, port, tpgt: null } },
    ...{ targetName: IQN, lun },
  });
  const good: [string, ReturnType<typeof at>][] = [
    [`iscsi://192.168.219.101/${IQN}/0`, at('192.168.219.101')],
    [`iscsi://storage.example:3261/${IQN}/007`, at('storage.example', 3261, null, 7)],
    [`iscsi://[2001:db8::1]/${IQN}/16383`, at('2001:db8::1', 3260, null, 16_383)],
    [`iscsi://[fe80::1%25eth0]:3261/${IQN}/0`, at('fe80::1%eth0', 3261)],
    [`iscsi://ann@10.0.0.1/${IQN.replaceAll(':', '%3a')}/0`, at('10.0.0.1', 3260, 'ann')],
    [`iscsi://ann%40site%3Ax@10.0.0.1/${IQN}/0`, at('10.0.0.1', 3260, 'ann@site:x')],
  ];
  for (const [text, parts] of good) it(`${text} is taken`, () => assert.deepEqual(parseIscsiUri(text), parts));

  const bad: [string, RegExp][] = [
    [`http://h/${IQN}/0`, /iscsi:\/\//],
    [`iscsi://h/${IQN}`, /a target and a LUN/],
    [`iscsi://h/${IQN}/`, /a target and a LUN/],
    [`iscsi://h/${IQN}/0/`, /a target and a LUN/],
    [`iscsi:///${IQN}/0`, /not a portal/],
    [`iscsi://h:0/${IQN}/0`, /not a portal/],
    [`iscsi://::1:3260/${IQN}/0x1`, /decimal/],
    [`iscsi://h/${IQN}/16384`, /decimal/],
    [`iscsi://h/${IQN}/-1`, /decimal/],
    [`iscsi://h/${IQN}/1e3`, /decimal/],
    ['iscsi://h/disk/0', /not an iSCSI name/],
    [`iscsi://h/${IQN}%2f..%2f/0`, /not an iSCSI name/],
    [`iscsi://h/${IQN}%ff/0`, /percent-encoded/],
    [`iscsi://@h/${IQN}/0`, /user before the @/],
  ];
  for (const [text, words] of bad) {
    it(`${text} is refused`, () => {
      assert.throws(
        () => parseIscsiUri(text),
        (error: AppError) => error.code === 'ERR_USAGE' && words.test(error.message),
      );
    });
  }

  it('never shows a secret that was written into it', () => {
    for (const user of ['ann:hunter2', 'ann%hunter2', ':hunter2', 'hunter2%zz', 'ann@x:hunter2', 'hunter2%ff']) {
      assert.throws(
        () => parseIscsiUri(`iscsi://${user}@h/${IQN}/0`),
        (error: AppError) => error.code === 'ERR_USAGE' && !`${error.message} ${error.hint}`.includes('hunter2'),
      );
    }
  });
});

describe('where an export is served', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-place-'));
  after(() => rmSync(folder, { recursive: true }));

  it('is an address with or without a port', () => {
    for (const [text, host, port] of [
      ['10.0.0.1', '10.0.0.1', 10_809],
      ['10.0.0.1:0', '10.0.0.1', 0],
      ['localhost:1', '127.0.0.1', 1],
      ['::1', '::1', 10_809],
      ['[::]:10810', '::', 10_810],
      ['nas.example:65535', 'nas.example', 65_535],
    ] as const) {
      assert.deepEqual(parseListenAddress(text), { host, port });
    }
    for (const text of ['', ':1', 'h:', 'h:65536', '[h]:1', 'a b', 'u@h', 'h/1', '1:2:3:g']) {
      assert.throws(() => parseListenAddress(text), { code: 'ERR_USAGE' });
    }
  });

  it('is out of the reach of other hosts without TLS', async () => {
    const loopback = ['127.0.0.1', '127.255.3.4', '::1', '0:0:0:0:0:0:0:1'];
    assert.ok(loopback.every(isLoopback));
    for (const host of [
      '0.0.0.0',
      '::',
      '10.127.0.1',
      '127.0.0.1.example',
      '::ffff:127.0.0.1',
      'fe80::1',
      '1::1',
      '::2:1',
      'localhost',
    ]) {
      assert.ok(!isLoopback(host), host);
      await assert.rejects(checkPlace({ kind: 'tcp', host, port: 0, tls: null }), { code: 'ERR_USAGE' });
    }
  });

  it('is no socket that somebody serves, and nothing else than a socket', async () => {
    const path = join(folder, 'x.sock');
    await checkPlace({ kind: 'unix', path });
    const listener = await listenUnix(path, (wire) => wire.destroy());
    await assert.rejects(checkPlace({ kind: 'unix', path }), { code: 'ERR_BUSY' });
    await listener.close();
    writeFileSync(path, 'precious');
    await assert.rejects(checkPlace({ kind: 'unix', path }), { code: 'ERR_USAGE', message: /is no socket/ });
    await assert.rejects(checkPlace({ kind: 'unix', path: join(folder, 'l'.repeat(107)) }), { code: 'ERR_USAGE' });
  });

  it('leaves a folder that says whose it is, and whose claim it holds, until its process ends', async () => {
    const runDir = join(folder, 'run');
    const { path } = await makeOneShotFolder(runDir, '800000000001');
    const claim = { targetName: IQN, lun: 3, designator: 'naa.5', use: 'served' };
    writeClaim(path, claimName(3), claim, ourselves());
    assert.deepEqual(oneShotIsids(runDir), ['800000000001']);
    assert.deepEqual(readClaims(runDir), [{ ...claim, sid: 0 }]);
    await removeDeadOneShots(runDir);
    assert.deepEqual(readClaims(runDir).length, 1);
    writeFileSync(join(path, 'owner.json'), JSON.stringify({ pid: 4_194_303, startTime: '1', isid: '800000000001' }));
    assert.deepEqual(oneShotIsids(runDir), []);
    await removeDeadOneShots(runDir);
    assert.deepEqual(readClaims(runDir), []);
  });
});
