// F28: many commands at the same time, on the same records and sessions: no update is lost, no path has two sessions, and
// a holder of the lock that dies holds nobody up.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Run, Sandbox } from '../helpers/sandbox.js';
import { INITIATOR } from '../helpers/session.js';
import { FAKE_TARGET, FakeServer } from './fake-server.js';
import { count, figure } from './rig.js';

/** Commands at once, and how often; 64 and 100 in the long form. */
const WIDTH = count('F28_WIDTH', 6);
const ROUNDS = count('F28_ROUNDS', 1);
/** Portals, each with a target of its own behind it. */
const PORTALS = 3;
const HOLDER = new URL('./lock-holder.ts', import.meta.url).pathname;

interface SessionJson {
  readonly sid: number;
  readonly portal: { readonly port: number };
}

describe('F28 commands at the same time', () => {
  let box: Sandbox;
  let servers: FakeServer[];
  before(async () => {
    box = await Sandbox.make(INITIATOR);
    servers = await Promise.all(Array.from({ length: PORTALS }, () => new FakeServer().start()));
  });
  after(async () => {
    await box.stop();
    await Promise.all(servers.map((server) => server.stop()));
    assert.deepEqual(
      servers.flatMap(({ faults }) => faults),
      [],
    );
  });
  const portal = (index: number) => `127.0.0.1:${servers[index % PORTALS]?.port}`;
  const discover = (index: number) => box.run('discovery', 'sendtargets', '-p', portal(index));
  // Sixty-four commands on two cores: what is asked here is not how fast they are.
  const login = (index: number) =>
    box.run('node', 'login', '-T', FAKE_TARGET, '-p', portal(index), '--attach', 'none', '--timeout', '120');
  const logout = (index: number) => box.run('node', 'logout', '-T', FAKE_TARGET, '-p', portal(index));
  const atOnce = (run: (index: number) => Promise<Run>) =>
    Promise.all(Array.from({ length: WIDTH }, (_, index) => run(index)));
  const records = async () => {
    const { stdout } = await box.ok('node', 'list', '--json');
    return (JSON.parse(stdout) as { nodes: { portal: { port: number } }[] }).nodes;
  };
  const sessions = async () => {
    const { code, stdout } = await box.run('session', 'show', '--json');
    // What iscsiadm says where there is none.
    if (code === 21) return [];
    assert.equal(code, 0, stdout);
    return (JSON.parse(stdout) as { sessions: SessionJson[] }).sessions;
  };
  /** The listing is the truth: as many sessions at each target, and none that two commands have made. */
  const agree = async () => {
    const listed = (await sessions()).map((session) => session.portal.port).sort();
    const real = servers.flatMap((server) => server.sessions.map(() => server.port)).sort();
    assert.deepEqual(listed, real);
    assert.equal(new Set(listed).size, listed.length, 'two sessions to one portal');
    return listed.length;
  };
  const codes = (runs: readonly Run[], allowed: readonly number[]) => {
    for (const { code, stderr } of runs) assert.ok(allowed.includes(code as number), `${code}: ${stderr}`);
  };

  it('lose no record and make no session twice', async () => {
    let commands = 0;
    for (let round = 0; round < ROUNDS; round++) {
      codes(await atOnce(discover), [0]);
      assert.equal((await records()).length, PORTALS, 'a record was lost');

      const logins = await atOnce(login);
      codes(logins, [0, 15]);
      assert.equal(logins.filter(({ code }) => code === 0).length, PORTALS, 'one of each portal gets in');
      assert.equal(await agree(), PORTALS);

      // All three at once: whatever the order was, what is listed is what is there.
      const mixed = await atOnce((index) => ([discover, login, logout][index % 3] ?? login)(index));
      codes(mixed, [0, 2, 15, 21]);
      await agree();
      assert.equal((await records()).length, PORTALS, 'a record was lost');

      codes(await atOnce(logout), [0, 2, 21]);
      assert.equal(await agree(), 0);
      commands += 4 * WIDTH;
    }
    figure('F28', `${commands} commands, ${WIDTH} at a time: no record lost, no session twice`);
    assert.deepEqual(box.leftovers(), []);
  });

  it('a command goes on within a second after the holder of the lock was killed', async () => {
    await box.run('node', 'logout', '--all');
    /** A process that takes the lock; `said` settles when it has said the word. */
    const hold = (folder: string) => {
      const child = spawn(process.execPath, ['--import', 'tsx', HOLDER, folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let output = '';
      child.stdout.on('data', (chunk) => (output += chunk));
      const said = async (word: string) => {
        while (!output.includes(word)) await once(child.stdout, 'data');
      };
      return { child, said };
    };
    for (const name of ['db', 'run']) {
      const folder = join(box.folder, name);
      const began = performance.now();
      const first = hold(folder);
      await first.said('held');
      const usual = performance.now() - began;
      const next = hold(folder);
      await next.said('waiting');
      await new Promise((resolve) => setTimeout(resolve, 500));
      const killed = performance.now();
      first.child.kill('SIGKILL');
      await next.said('held');
      const took = performance.now() - killed;
      assert.ok(took < 1000 + usual, `${took} ms, where a holder needs ${usual} ms to start`);
      next.child.kill('SIGKILL');
      codes([await discover(0), await login(0), await logout(0)], [0]);
    }
  });
});
