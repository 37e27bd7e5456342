// Our client against istgt: discovery, CHAP with MD5 after the longer list, digests, I/O by other programs.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { discoverSendTargets } from '../../src/services/discover.js';
import { login } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import type { LoginRequest, SessionInfo } from '../../src/services/session/info.js';
import { ISTGT_TARGET, type Istgt, istgtMissing, startIstgt } from '../helpers/istgt.js';
import { succeed } from '../helpers/programs.js';
import { chap, INITIATOR, loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';

const MEGABYTES = 64;
const ACCOUNT = { user: 'istgtuser', secret: 'canary-istgt1' };

describe('the initiator against istgt', { skip: istgtMissing() }, () => {
  let istgt: Istgt;
  let folder: RunFolder;
  const request = (changes: Partial<LoginRequest> = {}) =>
    loginRequest(ISTGT_TARGET, istgt.port, { credentials: chap(ACCOUNT.user, ACCOUNT.secret), ...changes });
  const within = async (changes: Partial<LoginRequest>, use: (session: SessionInfo, uri: string) => Promise<void>) => {
    const session = await login(request(changes), { paths: folder.paths });
    try {
      await use(session, session.devices[0]?.nbd ?? '');
    } finally {
      const [result] = await logout([session.sid], { paths: folder.paths });
      assert.equal(result?.error, null);
    }
    assert.deepEqual([folder.sids(), folder.workers()], [[], []]);
  };

  before(async () => {
    folder = makeRunFolder();
    istgt = await startIstgt(MEGABYTES, ACCOUNT);
  });
  after(async () => {
    await logout(folder.sids().map(Number), { paths: folder.paths });
    await istgt.stop();
    folder.remove();
  });

  it('discovers the target', async () => {
    const portal = { address: '127.0.0.1', port: istgt.port };
    assert.deepEqual(await discoverSendTargets({ portal, initiatorName: INITIATOR }), [
      { ...portal, tpgt: 1, targetName: ISTGT_TARGET },
    ]);
  });

  it('copies a disk in and out unchanged, and verifies random writes', async () => {
    await within({}, async (session, uri) => {
      assert.equal(session.authMethod, 'CHAP');
      assert.deepEqual(
        session.devices.map(({ exportName, sizeBytes, serial }) => [exportName, sizeBytes, serial]),
        [['lun0', MEGABYTES * 2 ** 20, '10000001']],
      );
      const bytes = randomBytes(MEGABYTES * 2 ** 20);
      const sum = createHash('sha256').update(bytes).digest('hex');
      const source = join(istgt.folder, 'source');
      const copy = join(istgt.folder, 'copy');
      writeFileSync(source, bytes);
      await succeed('nbdcopy', '--flush', source, uri);
      await succeed('nbdcopy', uri, copy);
      assert.equal(createHash('sha256').update(readFileSync(copy)).digest('hex'), sum);
      const fio = [
        '--ioengine=nbd',
        `--uri=${uri}`,
        '--rw=randwrite',
        '--verify=crc32c',
        '--verify_fatal=1',
        '--verify_state_save=0',
        '--iodepth=16',
      ];
      const output = await succeed('fio', '--name=v', ...fio, '--bs=16k', '--size=16M', '--output-format=json');
      const { jobs } = JSON.parse(output.slice(output.indexOf('{'))) as { jobs: { error: number }[] };
      assert.equal(jobs[0]?.error, 0);
    });
  });

  it('does the same under both digests', async () => {
    await within({ negotiate: { headerDigest: 'CRC32C', dataDigest: 'CRC32C' } }, async (session, uri) => {
      assert.deepEqual([session.params.headerDigest, session.params.dataDigest], ['CRC32C', 'CRC32C']);
      const commands = ['write -P 0x3c 1M 2M', 'flush', 'read -P 0x3c 1M 2M'].flatMap((command) => ['-c', command]);
      assert.doesNotMatch(await succeed('qemu-io', '-f', 'raw', ...commands, uri), /failed|error/i);
    });
  });

  it('is refused with a wrong secret', async () => {
    const wrong = login(request({ credentials: chap(ACCOUNT.user, 'canary-other1') }), { paths: folder.paths });
    await assert.rejects(wrong, { code: 'ERR_LOGIN_AUTH' });
    assert.deepEqual([folder.sids(), folder.workers()], [[], []]);
  });
});
