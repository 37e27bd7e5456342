// F13: the command line is killed -9 at random points of a login. There is a whole session or none, no process is left without
// one, records are whole, and what `session show` says is what there is.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BIN, Sandbox } from '../helpers/sandbox.js';
import { INITIATOR, processes, readProc } from '../helpers/session.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';
import { count, figure } from './rig.js';

const KILLS = count('F13_KILLS', 4);

describe('F13: the command line is killed during a login', { skip: tgtMissing() }, () => {
  let box: Sandbox;
  let tgt: Tgt;
  let loginArgs: string[];

  before(async () => {
    tgt = await startTgt(2 ** 20);
    box = await Sandbox.make(INITIATOR);
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${tgt.port}`);
    loginArgs = ['node', 'login', '-T', TGT_TARGET, '-p', `127.0.0.1:${tgt.port}`, '--attach', 'none'];
  });
  after(async () => {
    await box?.stop();
    await tgt?.stop();
  });

  const workers = () =>
    processes(
      (pid) =>
        readProc(pid, 'environ').includes(`LUNCTL_RUN_DIR=${box.env.LUNCTL_RUN_DIR}`) &&
        /lunctl session|worker-main/.test(readProc(pid, 'cmdline')),
    );
  const targetSessions = () => (tgt.adm('--op', 'show', '--mode', 'target').match(/I_T nexus: \d+/g) ?? []).length;

  it('leaves a whole session or none', async () => {
    const { ms } = await box.ok(...loginArgs);
    await box.ok('node', 'logout', '--all');
    let sessions = 0;
    for (let i = 0; i < KILLS; i++) {
      const child = spawn(process.execPath, [BIN, ...loginArgs], { env: box.env, stdio: 'ignore' });
      const closed = new Promise((resolve) => child.once('close', resolve));
      await sleep(Math.random() * ms * 1.1);
      child.kill('SIGKILL');
      await closed;
      // A worker whose caller has gone undoes what it did, or has become a session.
      const show = await settled();
      const { sessions: shown } = JSON.parse(show) as { sessions: { pid: number; state: string }[] };
      assert.deepEqual(shown.map(({ pid }) => pid).sort(), workers().sort(), `kill ${i}`);
      assert.equal(targetSessions(), shown.length);
      assert.ok(shown.every(({ state }) => state === 'LOGGED_IN'));
      checkRecords();
      if (shown.length > 0) {
        sessions++;
        await box.ok('node', 'logout', '--all');
      }
      assert.deepEqual(box.leftovers(), []);
    }
    figure(
      'F13',
      `${KILLS} kills -9: ${sessions} became sessions, ${KILLS - sessions} left nothing; no orphan, no half record`,
    );
  });

  /** `session show --json` once workers and folders agree, or as it is after ten seconds. */
  async function settled(): Promise<string> {
    const end = performance.now() + 10_000;
    for (;;) {
      const run = await box.run('session', 'show', '--json');
      const shown = run.code === 0 ? run.stdout : '{"sessions":[]}';
      const { sessions } = JSON.parse(shown) as { sessions: unknown[] };
      if (sessions.length === workers().length || performance.now() > end) return shown;
      await sleep(100);
    }
  }

  function checkRecords(): void {
    const nodes = join(box.folder, 'db/nodes');
    const files = readdirSync(nodes, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    assert.equal(files.length, 1);
    for (const { parentPath, name } of files) {
      assert.match(readFileSync(join(parentPath, name), 'utf8'), /^# BEGIN RECORD[\s\S]*# END RECORD\n$/);
    }
  }
});
