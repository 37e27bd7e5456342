// F34: the network, or the target, comes up after the login was started. `login --wait` tries again until then and says so;
// Ctrl-C ends it and leaves nothing.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BIN, Sandbox } from '../helpers/sandbox.js';
import { INITIATOR } from '../helpers/session.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';
import { count, figure, within } from './rig.js';

const LATE_MS = count('F34_LATE_MS', 3000);

describe('F34: the target comes up late', { skip: tgtMissing() }, () => {
  let box: Sandbox;
  let tgt: Tgt;
  let loginArgs: string[];

  before(async () => {
    tgt = await startTgt(2 ** 20);
    box = await Sandbox.make(INITIATOR);
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${tgt.port}`);
    loginArgs = ['login', '-T', TGT_TARGET, '-p', `127.0.0.1:${tgt.port}`, '--attach', 'none', '--wait', '120'];
    await tgt.kill();
  });
  after(async () => {
    await box?.stop();
    await tgt?.stop();
  });

  it('Ctrl-C ends the wait with 130 and leaves nothing', async () => {
    const child = spawn(process.execPath, [BIN, ...loginArgs, '--verbose'], {
      env: box.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let talk = '';
    child.stderr.on('data', (chunk) => (talk += chunk));
    const closed = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
    const trying = async () => {
      while (!/trying again/.test(talk)) await sleep(20);
    };
    await within(15_000, `progress is told: ${talk}`, trying());
    child.kill('SIGINT');
    assert.equal(await within(15_000, 'the end', closed), 130);
    assert.deepEqual(box.leftovers(), []);
  });

  it('the login succeeds as soon as the target is there', async () => {
    const login = box.run(...loginArgs);
    await sleep(LATE_MS);
    await tgt.restart();
    const configured = performance.now();
    const { code, stderr } = await within(30_000, 'the login', login);
    const took = performance.now() - configured;
    assert.equal(code, 0, stderr);
    assert.match((await box.ok('session', 'show', '--json')).stdout, /LOGGED_IN/);
    figure('F34', `target ${LATE_MS / 1000} s late: logged in ${(took / 1000).toFixed(2)} s after it was configured`);
    assert.ok(took < 15_000, `${took} ms`);
    await box.ok('node', 'logout', '--all');
  });
});
