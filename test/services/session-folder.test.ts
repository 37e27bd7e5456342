import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { logout } from '../../src/services/logout.js';
import {
  claimFolder,
  ownerLives,
  processStartTime,
  readState,
  removeFolder,
  sessionFolder,
  sessionIds,
  writeState,
} from '../../src/services/session/folder.js';
import { listSessions } from '../../src/services/session/registry.js';
import { serveControl } from '../../src/transport/control.js';
import { claim } from '../helpers/session-claim.js';

let runDir: string;
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'lunctl-folder-'));
});
afterEach(() => rmSync(runDir, { recursive: true }));

describe('a session folder', () => {
  it('gets the lowest free number, also when many are made at once', async () => {
    const made = await Promise.all(Array.from({ length: 20 }, () => claimFolder(runDir, claim())));
    assert.deepEqual(
      made.map(({ state }) => state.sid).sort((a, b) => a - b),
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    await removeFolder(sessionFolder(runDir, 7));
    assert.equal((await claimFolder(runDir, claim())).state.sid, 7);
    assert.equal((await sessionIds(runDir)).length, 20);
    const { path, state } = sessionFolder(runDir, 7);
    assert.equal(statSync(path).mode & 0o777, 0o700);
    assert.equal(statSync(join(runDir, 's')).mode & 0o777, 0o700);
    assert.equal(statSync(state).mode & 0o777, 0o600);
  });

  it('takes away what a killed login had begun', async () => {
    mkdirSync(join(runDir, 's', '.new-99999999-0'), { recursive: true });
    await claimFolder(runDir, claim());
    assert.deepEqual(readdirSync(join(runDir, 's')), ['1']);
  });

  it('keeps its state, and a damaged one is none', async () => {
    const { folder, state } = await claimFolder(runDir, claim());
    assert.deepEqual(await readState(folder), state);
    await writeState(folder, { ...state, phase: 'ready' });
    assert.equal((await readState(folder))?.phase, 'ready');
    for (const damaged of [
      '',
      '{',
      'null',
      '{"version":2}',
      JSON.stringify({ ...state, isid: '../x' }),
      'x'.repeat(70_000),
    ]) {
      writeFileSync(folder.state, damaged);
      assert.equal(await readState(folder), null);
    }
  });

  it('tells a process from a later one with the same number, and from a zombie', async () => {
    const ours = { pid: process.pid, startTime: processStartTime(process.pid) ?? '' };
    assert.equal(ownerLives(ours), true);
    assert.equal(ownerLives({ ...ours, startTime: '1' }), false);
    const child = spawn('sleep', ['60']);
    const pid = child.pid ?? 0;
    const theirs = { pid, startTime: processStartTime(pid) ?? '' };
    assert.equal(ownerLives(theirs), true);
    const exit = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exit;
    assert.equal(ownerLives(theirs), false);
  });
});

describe('the list of sessions', () => {
  const info = (sid: number, pid = process.pid) => ({ info: () => ({ sid, pid, devices: [] }) });

  it('is empty without a run folder and ignores what is no session', async () => {
    assert.deepEqual(await listSessions({ runDir: join(runDir, 'none') }), { sessions: [], silent: [], pruned: [] });
    for (const name of ['0', '01', 'x', '-1', '99999999999', '.new-1-1'])
      mkdirSync(join(runDir, 's', name), { recursive: true });
    assert.deepEqual(await listSessions({ runDir }), { sessions: [], silent: [], pruned: [] });
  });

  it('takes those that answer, reports those that do not, removes the dead', async () => {
    const live = await claimFolder(runDir, claim({ phase: 'ready' }));
    const starting = await claimFolder(runDir, claim());
    const dead = await claimFolder(runDir, claim({ startTime: '1' }));
    const server = await serveControl(live.folder.controlSocket, info(live.state.sid));
    const list = await listSessions({ runDir });
    assert.deepEqual(
      list.sessions.map(({ sid }) => sid),
      [live.state.sid],
    );
    assert.deepEqual(
      list.silent.map(({ sid }) => sid),
      [starting.state.sid],
    );
    assert.deepEqual(
      list.pruned.map(({ sid, removed }) => [sid, removed]),
      [[dead.state.sid, [`removed ${dead.folder.path}`]]],
    );
    assert.deepEqual(await sessionIds(runDir), [live.state.sid, starting.state.sid]);
    await server.close();
  });

  it('takes a login that was abandoned for dead, and its number given again for somebody else: F14', async () => {
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    const pid = stranger.pid ?? 0;
    try {
      const abandoned = await claimFolder(runDir, claim({ pid, startTime: '1' }));
      const ready = await claimFolder(runDir, claim({ pid, startTime: '1', phase: 'ready' }));
      assert.deepEqual(
        (await logout([ready.state.sid], { paths: { runDir } })).map(({ error }) => error),
        [null],
      );
      await listSessions({ runDir });
      assert.deepEqual([await sessionIds(runDir), await readState(abandoned.folder)], [[], null]);
      assert.ok(processStartTime(pid) !== null, 'the stranger lives');
    } finally {
      stranger.kill('SIGKILL');
    }
  });

  it('survives a damaged state: the answer counts', async () => {
    const live = await claimFolder(runDir, claim());
    const dead = await claimFolder(runDir, claim());
    writeFileSync(live.folder.state, '{{{');
    writeFileSync(dead.folder.state, '{{{');
    const server = await serveControl(live.folder.controlSocket, info(live.state.sid));
    const list = await listSessions({ runDir });
    assert.deepEqual(
      list.sessions.map(({ sid }) => sid),
      [live.state.sid],
    );
    assert.deepEqual(
      list.pruned.map(({ sid, state }) => [sid, state]),
      [[dead.state.sid, null]],
    );
    await server.close();
  });

  it('does not take another process for the worker', async () => {
    const { folder, state } = await claimFolder(runDir, claim());
    const server = await serveControl(folder.controlSocket, info(state.sid, 1));
    const list = await listSessions({ runDir });
    assert.deepEqual(list.sessions, []);
    assert.equal(list.silent[0]?.reason, 'another process answers');
    await server.close();
  });
});
