// F14: a session is its process id, that process's start time and an answer on its socket together. A state file that names
// somebody else's process must not get that process killed.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { processStartTime, type SessionState } from '../../src/services/session/folder.js';
import { Sandbox } from '../helpers/sandbox.js';
import { INITIATOR } from '../helpers/session.js';
import { isAlive } from './rig.js';

describe('F14: a state file that names another process', () => {
  let box: Sandbox;
  let bystander: ChildProcess;

  before(async () => {
    box = await Sandbox.make(INITIATOR);
    bystander = spawn('sleep', ['600'], { stdio: 'ignore' });
  });
  after(async () => {
    bystander.kill('SIGKILL');
    await box.stop();
  });

  async function fake(startTime: string, phase: 'ready' | 'starting'): Promise<void> {
    const folder = join(box.folder, 'run/s/1');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(join(box.folder, 'run'), 0o700);
    // Whole: a file that is no state would name nobody.
    const state: SessionState = {
      ...{ version: 1, sid: 1, pid: bystander.pid ?? 0, startTime, phase },
      ...{ targetName: 'iqn.2022-08.com.test:t', portal: { address: '127.0.0.1', port: 3260, tpgt: 1 } },
      ...{ iface: 'default', index: 0, initiatorName: INITIATOR, isid: '800000000000' },
    };
    await writeFile(join(folder, 'state.json'), JSON.stringify(state), { mode: 0o600 });
  }
  const unharmed = () => assert.ok(isAlive(bystander.pid ?? 0), 'the process that was named still runs');

  for (const phase of ['ready', 'starting'] as const) {
    it(`with another start time (${phase}): the folder is removed, the process is left alone`, async () => {
      for (const command of [
        ['session', 'show'],
        ['node', 'logout', '--all'],
      ]) {
        await fake('1', phase);
        const run = await box.run(...command);
        unharmed();
        assert.deepEqual(box.leftovers(), [], run.stdout + run.stderr);
      }
    });

    it(`with the right start time but no socket (${phase}): the process is left alone`, async () => {
      await fake(processStartTime(bystander.pid ?? 0) ?? '', phase);
      for (const command of [
        ['session', 'show'],
        ['node', 'logout', '--all'],
        ['session', 'show', '-r', '1'],
      ]) {
        const run = await box.run(...command);
        unharmed();
        assert.notEqual(run.code, 0, run.stdout);
        assert.ok(run.ms < 25_000, `${run.ms} ms`);
      }
    });
  }
});
