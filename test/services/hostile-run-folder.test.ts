// A run folder that somebody else has prepared: nothing is believed, killed, removed or written that is not a session's.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { loginForeground } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import type { Server } from '../../src/services/serve/options.js';
import { processStartTime, readState, type SessionState, sessionFolder } from '../../src/services/session/folder.js';
import { listSessions } from '../../src/services/session/registry.js';
import { serveDisks } from '../helpers/own-target.js';
import { INITIATOR, loginRequest } from '../helpers/session.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const noRoot = process.getuid?.() !== 0 && 'giving files away needs root';

let box: string;
let runDir: string;
beforeEach(() => {
  box = mkdtempSync(join(tmpdir(), 'lunctl-hostile-'));
  runDir = join(box, 'run');
});
afterEach(() => rmSync(box, { recursive: true }));

function state(changes: Partial<SessionState> = {}): string {
  const whole: SessionState = {
    version: 1,
    sid: 1,
    pid: process.pid,
    startTime: processStartTime(process.pid) ?? '',
    phase: 'ready',
    targetName: TARGET,
    portal: { address: '127.0.0.1', port: 3260, tpgt: 1 },
    iface: 'default',
    index: 0,
    initiatorName: INITIATOR,
    isid: '80aabbcc0001',
    ...changes,
  };
  return JSON.stringify(whole);
}

function plant(content: string): void {
  const folder = sessionFolder(runDir, 1);
  mkdirSync(folder.path, { recursive: true, mode: 0o700 });
  writeFileSync(folder.state, content);
}

describe('a state that names an innocent process', () => {
  let innocent: ChildProcess;
  beforeEach(() => {
    innocent = spawn('sleep', ['60']);
  });
  afterEach(() => innocent.kill('SIGKILL'));
  const lives = () => assert.ok(processStartTime(innocent.pid ?? 0) !== null, 'the innocent process was killed');

  it('does not get it killed by a logout, whether or not its start time fits', async () => {
    const pid = innocent.pid ?? 0;
    plant(state({ pid, startTime: processStartTime(pid) ?? '' }));
    const [result] = await logout([1], { paths: { runDir } });
    assert.equal(result?.error?.code, 'ERR_NOT_CONNECTED');
    lives();
    assert.equal((await listSessions({ runDir })).silent.length, 1);
    lives();
    plant(state({ pid, startTime: '1' }));
    assert.equal((await logout([1], { paths: { runDir } }))[0]?.error, null);
    lives();
    assert.ok(!existsSync(sessionFolder(runDir, 1).path));
  });
});

describe('a state that is no file of ours', () => {
  it('is none, and does not stop a command: a FIFO, a link, something huge', async () => {
    const folder = sessionFolder(runDir, 1);
    mkdirSync(folder.path, { recursive: true, mode: 0o700 });
    execFileSync('mkfifo', [folder.state]);
    assert.equal(await readState(folder), null);
    rmSync(folder.state);
    writeFileSync(join(box, 'elsewhere'), state());
    symlinkSync(join(box, 'elsewhere'), folder.state);
    assert.equal(await readState(folder), null);
    rmSync(folder.state);
    writeFileSync(folder.state, `${' '.repeat(2 ** 20)}${state()}`);
    assert.equal(await readState(folder), null);
  });

  it('a session folder that leads elsewhere is removed as a link, and nothing behind it', async () => {
    const elsewhere = join(box, 'elsewhere');
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, 'state.json'), state({ startTime: '1' }));
    writeFileSync(join(elsewhere, 'precious'), 'x');
    mkdirSync(join(runDir, 's'), { recursive: true, mode: 0o700 });
    symlinkSync(elsewhere, join(runDir, 's/1'));
    assert.equal((await listSessions({ runDir })).pruned.length, 1);
    assert.deepEqual(readdirSync(join(runDir, 's')), []);
    assert.equal(readFileSync(join(elsewhere, 'precious'), 'utf8'), 'x');
  });
});

describe('a run folder that others can write to', () => {
  const login = () =>
    loginForeground(loginRequest(TARGET, 1, { foreground: true }), { paths: { runDir, dbDir: join(box, 'db') } });

  it('is used for nothing', async () => {
    plant(state({ startTime: '1' }));
    chmodSync(runDir, 0o777);
    await assert.rejects(login(), { code: 'ERR_ACCESS', message: /may write to .*run/ });
    await assert.rejects(listSessions({ runDir }), { code: 'ERR_ACCESS' });
    await assert.rejects(logout([1], { paths: { runDir } }), { code: 'ERR_ACCESS' });
    assert.deepEqual(readdirSync(runDir), ['s']);
    assert.ok(existsSync(sessionFolder(runDir, 1).state));
  });

  it('nor is one that belongs to somebody else', { skip: noRoot }, async () => {
    plant(state({ startTime: '1' }));
    chownSync(join(runDir, 's'), 65_533, 65_533);
    await assert.rejects(listSessions({ runDir }), { code: 'ERR_ACCESS', message: /belongs to user 65533/ });
    await assert.rejects(login(), { code: 'ERR_ACCESS' });
    assert.ok(existsSync(sessionFolder(runDir, 1).state));
  });

  it('a link in the place of the folder of sessions is not followed', { skip: noRoot }, async () => {
    const theirs = join(box, 'theirs');
    mkdirSync(theirs);
    chownSync(theirs, 65_533, 65_533);
    mkdirSync(runDir, { mode: 0o700 });
    symlinkSync(theirs, join(runDir, 's'));
    await assert.rejects(login(), { code: 'ERR_ACCESS' });
    assert.deepEqual(readdirSync(theirs), []);
  });
});

describe('one path, one session', () => {
  let server: Server;
  let port: number;
  beforeEach(async () => {
    server = await serveDisks(TARGET, [{ kind: 'ramdisk', name: 'r', sizeBytes: 2 ** 20 }]);
    port = server.portals[0]?.port ?? 0;
  });
  afterEach(() => server.close());
  const login = (changes = {}, kernelSessions = join(box, 'none')) =>
    loginForeground(loginRequest(TARGET, port, { foreground: true, ...changes }), {
      paths: { runDir, dbDir: join(box, 'db') },
      kernelSessions,
    });

  it('of ten logins at once one stays', async () => {
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => login()));
    const made = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const codes = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []));
    assert.equal(made.length, 1);
    assert.deepEqual(codes, Array(9).fill('ERR_SESSION_EXISTS'));
    await made[0]?.logout({ force: true });
    assert.deepEqual(readdirSync(join(runDir, 's')), []);
  });

  it('a target that the kernel is logged in to is refused, unless both are wanted', async () => {
    const kernel = join(box, 'iscsi_session');
    for (const [name, target] of [
      ['session3', 'iqn.2022-08.com.test:other'],
      ['session7', TARGET],
    ] as const) {
      mkdirSync(join(kernel, name), { recursive: true });
      writeFileSync(join(kernel, name, 'targetname'), `${target}\n`);
    }
    await assert.rejects(login({}, kernel), { code: 'ERR_SESSION_EXISTS', message: /kernel.*session7/ });
    assert.ok(!existsSync(join(runDir, 's')));
    await (await login({ also: true }, kernel)).logout({ force: true });
  });
});
