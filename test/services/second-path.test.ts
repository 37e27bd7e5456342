// Which LUNs are two ways to one disk: by names that are worldwide, or by target and LUN (SPC-4 §7.8.5).
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it, test } from 'node:test';
import { promisify } from 'node:util';
import { type ForegroundSession, loginForeground } from '../../src/services/login.js';
import type { Server } from '../../src/services/serve/options.js';
import { attachLun, detachLun, helperDone, helperSocket } from '../../src/services/session/control.js';
import { claimName, dropClaim, readClaims, writeClaim } from '../../src/services/session/disk-claims.js';
import { ourselves } from '../../src/services/session/folder.js';
import { getSession } from '../../src/services/session/registry.js';
import { type Candidate, secondPath } from '../../src/services/session/second-path.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { serveDisks } from '../helpers/own-target.js';
import { succeed } from '../helpers/programs.js';
import { loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';

const A = 'iqn.2022-08.com.test:a';
const B = 'iqn.2022-08.com.test:b';
const LIO = 'naa.60014055ca1ab1e00000000000000000';
const TGT = 'naa.60000000000000000e00000000010001';

function candidate(targetName: string, lun: number, designator: string, worldwide: boolean): Candidate {
  return { sid: 2, targetName, info: { lun, designator, worldwide } };
}
function claim(targetName: string, lun: number, designator: string, sid = 1) {
  return { sid, targetName, lun, designator, use: 'attached as /dev/nbd0' };
}
const SECOND = 'second path to a disk that is attached as /dev/nbd0';

test('a worldwide name tells a second path, whatever target and LUN it is found at', () => {
  const claims = [claim(A, 0, LIO)];
  assert.equal(secondPath(candidate(B, 3, LIO, true), claims), SECOND);
  assert.equal(secondPath(candidate(A, 0, LIO, true), claims), SECOND);
  assert.equal(secondPath(candidate(A, 0, `${LIO.slice(0, -1)}1`, true), claims), null);
});

test('a name that another target may give too counts only within its target and at its LUN', () => {
  const claims = [claim(A, 1, TGT)];
  assert.equal(secondPath(candidate(B, 1, TGT, false), claims), null);
  assert.equal(secondPath(candidate(A, 2, TGT, false), claims), null);
  assert.equal(secondPath(candidate(A, 1, TGT, false), claims), SECOND);
});

test('disks without a name are one only within their target and at their LUN', () => {
  const claims = [claim(A, 0, '')];
  assert.equal(secondPath(candidate(B, 0, '', false), claims), null);
  assert.equal(secondPath(candidate(A, 0, '', false), claims), SECOND);
});

test('a LUN is no second path to itself, but may be one to another LUN of its session', () => {
  assert.equal(secondPath(candidate(A, 0, LIO, true), [claim(A, 0, LIO, 2)]), null);
  assert.equal(secondPath(candidate(A, 1, LIO, true), [claim(A, 0, LIO, 2)]), SECOND);
});

test('a claim ends with its process, and what is none counts for nothing', () => {
  const runDir = mkdtempSync(join(tmpdir(), 'lunctl-claims-'));
  const folder = join(runDir, 's', '7');
  mkdirSync(folder, { recursive: true });
  const { sid, ...mine } = claim(A, 0, LIO, 7);
  writeClaim(folder, claimName(0), mine, ourselves());
  // The same pid as a living process, but not the process that made it.
  writeClaim(folder, claimName(1), { ...mine, lun: 1 }, { pid: process.pid, startTime: '1' });
  writeClaim(folder, claimName(2, 3), { ...mine, lun: 2 }, { pid: 2 ** 30, startTime: '1' });
  writeFileSync(join(folder, 'claim-9.json'), '{');
  assert.deepEqual(readClaims(runDir), [{ sid, ...mine }]);
  dropClaim(folder, claimName(0));
  dropClaim(folder, claimName(0));
  assert.deepEqual(readClaims(runDir), []);
  rmSync(runDir, { recursive: true });
});

describe('two sessions to one disk', { skip: whyNoLoopDisks(['nbdinfo', 'qemu-io']) ?? false }, () => {
  let folder: RunFolder;
  let server: Server;
  const open: ForegroundSession[] = [];

  before(async () => {
    folder = makeRunFolder();
    server = await serveDisks(A, [{ kind: 'ramdisk', name: 'shared', sizeBytes: 2 ** 24 }], {
      portals: [0, 0].map((port) => ({ address: '127.0.0.1', port })),
    });
  });
  afterEach(async () => {
    for (const session of open.splice(0)) await session.logout({ force: true });
    assert.deepEqual(folder.sids(), []);
  });
  after(async () => {
    await server.close();
    folder.remove();
  });

  const login = async (portal: 0 | 1, attach: 'none' | 'fuse' = 'none') => {
    const port = server.portals[portal]?.port ?? 0;
    const request = loginRequest(A, port, { foreground: true, attach, timeoutMs: 15_000 });
    const session = await loginForeground(request, { paths: folder.paths });
    open.push(session);
    return session.info;
  };
  const device = async (sid: number) => (await getSession(folder.paths, sid)).devices[0];
  const readOnly = async (uri: string) => {
    const stdout = await succeed('nbdinfo', '--json', uri);
    return (JSON.parse(stdout) as { exports: [{ is_read_only: boolean }] }).exports[0].is_read_only;
  };

  it('that log in at the same moment make one device between them', async () => {
    const both = await Promise.all([login(0, 'fuse'), login(1, 'fuse')]);
    const paths = both.map(({ devices }) => devices[0]?.path ?? null);
    assert.equal(paths.filter((path) => path !== null).length, 1, String(paths));
    const second = both.find(({ devices }) => devices[0]?.path === null);
    assert.match(
      second?.devices[0]?.note ?? '',
      /second path to a disk that is (being attached|attached as \/dev\/loop)/,
    );
    assert.equal(second?.devices[0]?.readOnly, true);
  });

  it('whose devices are asked for at the same moment get one, and the other when that is gone', async () => {
    const sids = [(await login(0)).sid, (await login(1)).sid];
    const results = await Promise.allSettled(sids.map((sid) => attachLun(folder.paths, sid, { lun: 0, mode: 'fuse' })));
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    const refused = results.find((result) => result.status === 'rejected') as PromiseRejectedResult;
    assert.equal(refused.reason.code, 'ERR_BUSY');
    const [winner = 0, loser = 0] = results[0]?.status === 'fulfilled' ? sids : sids.toReversed();
    // As long as there is a device nobody may write by the other path either; afterwards anybody may.
    const other = (await device(loser))?.nbd ?? '';
    assert.equal(await readOnly(other), true);
    await assert.rejects(helperSocket(folder.paths, loser, { lun: 0, partition: null }), { code: 'ERR_BUSY' });
    await detachLun(folder.paths, winner, 0);
    assert.deepEqual([await readOnly(other), (await device(loser))?.note], [false, null]);
    assert.ok((await attachLun(folder.paths, loser, { lun: 0, mode: 'fuse' })).device.path);
  });

  it('are not attached while an NBD client writes by the other path', async () => {
    const first = await login(0);
    const second = await login(1);
    const client = spawn('qemu-io', ['-f', 'raw', first.devices[0]?.nbd ?? ''], { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise((resolve) => client.stdout.once('data', resolve));
    try {
      await assert.rejects(attachLun(folder.paths, second.sid, { lun: 0, mode: 'fuse' }), {
        code: 'ERR_BUSY',
        message: /1 NBD clients of session 1 may write to the same disk/,
      });
      assert.equal(await readOnly(second.devices[0]?.nbd ?? ''), false);
    } finally {
      client.kill('SIGKILL');
    }
  });

  it('let one disk command in at a time, from its admission on, and none that has died stands in the way', async () => {
    const first = await login(0);
    const second = await login(1);
    const part = { lun: 0, partition: null };
    const ask = (sid: number) => helperSocket(folder.paths, sid, part);
    const asked = await Promise.allSettled([ask(first.sid), ask(first.sid), ask(second.sid)]);
    assert.deepEqual(asked.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected']);
    assert.deepEqual(await Promise.all([first, second].map(({ devices }) => readOnly(devices[0]?.nbd ?? ''))), [
      true,
      true,
    ]);
    const winner = asked.findIndex(({ status }) => status === 'fulfilled');
    const { hold } = (asked[winner] as PromiseFulfilledResult<{ hold: number }>).value;
    await helperDone(folder.paths, winner === 2 ? second.sid : first.sid, 0, hold);
    assert.equal(await readOnly(second.devices[0]?.nbd ?? ''), false);
    // A command of a process that ends without a word.
    const script = `
      const { helperSocket } = await import(${JSON.stringify(import.meta.resolve('../../src/services/session/control.js'))});
      await helperSocket({ runDir: ${JSON.stringify(folder.paths.runDir)} }, ${second.sid}, { lun: 0, partition: null });
      process.kill(process.pid, 'SIGKILL');`;
    const args = ['--import', 'tsx', '--input-type=module', '-e', script];
    await assert.rejects(promisify(execFile)(process.execPath, args), { signal: 'SIGKILL' });
    assert.ok(readdirSync(join(folder.paths.runDir, 's', String(second.sid))).some((name) => /^claim-0-/.test(name)));
    await helperDone(folder.paths, first.sid, 0, (await ask(first.sid)).hold);
  });
});
