// However a command, a worker or a target ends: nothing is left behind, or the next command takes it away; and it ends soon.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BIN, Sandbox } from '../helpers/sandbox.js';
import { until } from '../helpers/stream-core.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';

describe('endings', () => {
  let box: Sandbox;
  let server: ChildProcess;
  let loginArgs: string[];
  let portal: string;

  before(async () => {
    box = await Sandbox.make(INITIATOR);
    const secret = await box.secretFile('secret', 'canary-12345');
    const chap = ['--chap-user', 'username', '--chap-secret-file', secret];
    const disk = [join(box.folder, 'disk.img=64M'), '--target', TARGET, '--allow', INITIATOR];
    const { port, child } = await box.serve(...disk, ...chap);
    server = child;
    portal = `127.0.0.1:${port}`;
    loginArgs = ['node', 'login', '-T', TARGET, '-p', portal, '--attach', 'none', ...chap, '--save'];
    await box.ok('discovery', 'sendtargets', '-p', portal);
  });
  after(async () => {
    server.kill('SIGCONT');
    await box.stop();
  });

  const folders = () => readdirSync(join(box.folder, 'run/s'));
  /** One that is only starting has no title yet. */
  const workers = () => box.leftovers().filter((line) => /^lunctl session|worker-main/.test(line));
  const nothingLeft = () => assert.deepEqual([workers(), folders()], [[], []]);
  /** Starts a login, sends it `signal` after `ms`, and returns what it ended with. */
  const cutShort = async (signal: NodeJS.Signals, ms: number): Promise<number | NodeJS.Signals | null> => {
    const child = spawn(process.execPath, [BIN, ...loginArgs], { env: box.env, stdio: 'ignore' });
    const closed = new Promise<number | NodeJS.Signals | null>((resolve) => {
      child.once('close', (code, by) => resolve(by ?? code));
    });
    await sleep(ms);
    child.kill(signal);
    return closed;
  };
  const workerPid = (): number => {
    const [sid] = folders();
    return JSON.parse(readFileSync(join(box.folder, 'run/s', sid ?? '', 'state.json'), 'utf8')).pid;
  };
  const runs = (pid: number) => readdirSync('/proc').includes(String(pid));

  it('of a login that is killed at any moment: a whole session or none', async () => {
    const { ms } = await box.ok(...loginArgs);
    await box.ok('node', 'logout', '--all');
    for (let step = 3; step <= 14; step++) {
      await cutShort('SIGKILL', (ms * step) / 12);
      const show = await box.run('session', 'show', '--json');
      await box.assertQuick(show, 2000, 'session', 'show');
      await until(
        () => workers().length === folders().length,
        'no worker without a folder, no folder without a worker',
      );
      await box.run('node', 'logout', '--all');
      // A worker that gave up by itself has removed its folder before it ends.
      await until(() => workers().length === 0, 'its process ends too');
      nothingLeft();
    }
    const [name] = readdirSync(join(box.folder, 'db/nodes', TARGET));
    const record = readFileSync(join(box.folder, 'db/nodes', TARGET, name ?? '', 'default'), 'utf8');
    assert.match(record, /^# BEGIN RECORD[\s\S]*# END RECORD\n$/);
    assert.ok(!readdirSync(join(box.folder, 'db')).some((entry) => /^\.lunctl-\d/.test(entry)));
  });

  it('of a login that is asked to end: 143, or a session that was there already', async () => {
    const { ms } = await box.ok(...loginArgs);
    await box.ok('node', 'logout', '--all');
    for (let step = 6; step <= 12; step += 2) {
      const code = await cutShort('SIGTERM', (ms * step) / 12);
      if (code === 0) await box.ok('node', 'logout', '--all');
      else assert.ok(code === 143 || code === 'SIGTERM', String(code));
      nothingLeft();
    }
  });

  it('of a worker that is asked to end, with a client that holds its socket: in order, within 15 s', async () => {
    await box.ok(...loginArgs);
    const client = await openExport(join(box.folder, 'run/s/1/nbd.sock'));
    client.write(writeRequest());
    await until(() => client.bytesRead >= 18 + 10 + 16, 'the write is answered');
    const pid = workerPid();
    const began = performance.now();
    process.kill(pid, 'SIGTERM');
    while (runs(pid)) {
      assert.ok(performance.now() - began < 15_000, 'the worker has not ended in time');
      await sleep(20);
    }
    client.destroy();
    nothingLeft();
  });

  it('of a worker that is killed: the next command says what it has taken away', async () => {
    await box.ok(...loginArgs);
    process.kill(workerPid(), 'SIGKILL');
    const show = await box.run('session', 'show');
    assert.equal(show.code, 21);
    assert.match(show.stderr, /session 1 .* had died; cleaned up: removed .*run\/s\/1/);
    await box.assertQuick(show, 2000, 'session', 'show');
    nothingLeft();
  });

  it('of thirty logins and discoveries at once: one session, and every record whole', async () => {
    const all = await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        i % 3 === 0 ? box.run('discovery', 'sendtargets', '-p', portal) : box.run(...loginArgs),
      ),
    );
    const logins = all.filter((_, i) => i % 3 !== 0).map(({ code }) => code);
    assert.deepEqual(
      logins.sort((a, b) => Number(a) - Number(b)),
      [0, ...Array(19).fill(15)],
    );
    assert.ok(all.every(({ code }, i) => i % 3 !== 0 || code === 0));
    assert.deepEqual([folders(), workers().length], [['1'], 1]);
    assert.equal((await box.ok('node', 'list')).stderr, '');
    await box.ok('node', 'logout', '--all');
    nothingLeft();
  });

  it('at a target that has stopped: login, discovery and logout end in time, and lost writes are not passed over', async () => {
    await box.ok(...loginArgs);
    const client = await openExport(join(box.folder, 'run/s/1/nbd.sock'));
    client.write(writeRequest());
    await until(() => client.bytesRead >= 18 + 10 + 16, 'the write is answered');
    const other = await Sandbox.make(INITIATOR);
    server.kill('SIGSTOP');
    try {
      const [login, discovery, logout] = await Promise.all([
        other.run(...loginArgs),
        other.run('discovery', 'sendtargets', '-p', portal),
        box.run('node', 'logout', '--all'),
      ]);
      assert.deepEqual([login.code, discovery.code, logout.code], [8, 11, 10], login.stderr + discovery.stderr);
      assert.match(logout.stderr, /last writes may be lost: flush lun0/);
      // 15 s, and the start of three processes on a busy machine; a write would wait for 120 s.
      for (const { ms } of [login, discovery, logout]) assert.ok(ms < 45_000, `${ms} ms`);
      nothingLeft();
      assert.deepEqual(other.leftovers(), []);
    } finally {
      server.kill('SIGCONT');
      client.destroy();
      await other.stop();
    }
  });
});

/** A client in transmission phase (NBD proto.md "Newstyle negotiation", NBD_OPT_EXPORT_NAME). */
async function openExport(path: string): Promise<Socket> {
  const socket = connect(path);
  socket.on('error', () => {});
  const name = Buffer.from('lun0');
  const hello = Buffer.alloc(20);
  hello.writeUInt32BE(3, 0);
  hello.write('IHAVEOPT', 4);
  hello.writeUInt32BE(1, 12);
  hello.writeUInt32BE(name.length, 16);
  socket.write(Buffer.concat([hello, name]));
  socket.resume();
  await until(() => socket.bytesRead >= 18 + 10, 'the export is open');
  return socket;
}

/** NBD_CMD_WRITE of one block at offset 0. */
function writeRequest(): Buffer {
  const request = Buffer.alloc(28 + 512, 0x5a);
  request.writeUInt32BE(0x2560_9513, 0);
  request.writeUInt32BE(1, 4);
  request.fill(0, 8, 28);
  request.writeUInt32BE(512, 24);
  return request;
}
