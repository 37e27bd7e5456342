import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { claimFolder, type SessionState, sessionFolder } from '../../src/services/session/folder.js';
import { quickSessions } from '../../src/services/session/quick-list.js';
import { serveControl } from '../../src/transport/control.js';
import { claim } from '../helpers/session-claim.js';

let runDir: string;
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'lunctl-quick-'));
});
afterEach(() => rmSync(runDir, { recursive: true }));

async function session(changes: Partial<SessionState> = {}): Promise<SessionState> {
  return (await claimFolder(runDir, claim({ phase: 'ready', ...changes }))).state;
}

describe('the quick list of sessions', () => {
  it('is empty where there is no run folder', async () => {
    assert.deepEqual(await quickSessions({ runDir: join(runDir, 'none') }), []);
  });

  it('has those that are logged in, in order, without asking them', async () => {
    const first = await session();
    await session({ phase: 'starting' });
    const third = await session({ targetName: 'iqn.2022-08.com.test:b' });
    assert.deepEqual(await quickSessions({ runDir }), [first, third]);
  });

  it('removes what a dead worker has left, and keeps the living', async () => {
    const dead = await session({ startTime: '1' });
    await session();
    // Nobody answers for the living one, and yet its process is there.
    assert.deepEqual(
      (await quickSessions({ runDir })).map(({ sid }) => sid),
      [2],
    );
    assert.equal(existsSync(sessionFolder(runDir, dead.sid).path), false);
  });

  it('removes a folder that nobody owns', async () => {
    mkdirSync(join(runDir, 's/4'), { recursive: true });
    assert.deepEqual(await quickSessions({ runDir }), []);
    assert.equal(existsSync(join(runDir, 's/4')), false);
  });

  it('asks the worker whose file is damaged', async () => {
    const { sid } = await session();
    await session();
    const folder = sessionFolder(runDir, sid);
    writeFileSync(folder.state, '{{{');
    const server = await serveControl(folder.controlSocket, { info: () => ({ sid, pid: process.pid, devices: [] }) });
    assert.deepEqual(
      (await quickSessions({ runDir })).map((session) => session.sid),
      [1, 2],
    );
    await server.close();
  });

  it('does not believe a folder that others may write to', async () => {
    await session();
    chmodSync(join(runDir, 's'), 0o777);
    await assert.rejects(quickSessions({ runDir }), { code: 'ERR_ACCESS' });
  });
});
