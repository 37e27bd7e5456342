// No secret in the arguments or the environment of any process, in any log, output or file that others may read. While
// all tests run, test/tools/secret-watch.ts looks for the same from time to time; here nothing escapes: strace shows each start.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BIN, Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const OWN = 'canary-one-way-55aa';
const BACK = 'canary-mutual-aa55';
const SHIM = join(import.meta.dirname, '../../bin/iscsiadm.js');
const noStrace = existsSync('/usr/bin/strace') ? false : 'strace is not installed: apt-get install strace';

describe('secrets stay secret', () => {
  let box: Sandbox;
  let printed = '';
  let serveOutput: () => string;
  let portal: string;
  let chap: string[];
  before(async () => {
    box = await Sandbox.make(INITIATOR);
    const [own, mutual] = [await box.secretFile('own', OWN), await box.secretFile('mutual', BACK)];
    chap = ['--chap-user', 'username', '--chap-secret-file', own];
    chap.push('--mutual-user', 'target', '--mutual-secret-file', mutual);
    const disk = join(box.folder, 'disk.img=64M');
    const { port, output } = await box.serve(disk, '--target', TARGET, '--allow', INITIATOR, ...chap);
    serveOutput = output;
    portal = `127.0.0.1:${port}`;
    for (const args of [
      ['discovery', 'sendtargets', '-p', portal, ...chap],
      ['node', 'login', '-T', TARGET, '-p', portal, '--attach', 'none', ...chap, '--save'],
      ['node', 'show', '-T', TARGET],
      ['node', 'show', '-T', TARGET, '--json'],
      ['session', 'show', '-P', '3'],
      ['session', 'show', '--json'],
      ['disk', 'list', '--json'],
      ['chap', 'setup', '--discovery', '-p', portal, ...chap],
      ['chap', 'setup', TARGET, ...chap, '--json', '-v'],
      ['chap', 'show', '--output-all'],
      ['chap', 'show', '--json'],
      ['chap', 'test', TARGET, '--json'],
      ['iscsiadm', '-m', 'node', '-T', TARGET, '-p', portal],
      ['iscsiadm', '-m', 'discoverydb', '-t', 'st', '-p', portal],
      ['iscsiadm', '-m', 'session', '-P', '3'],
    ]) {
      const run = await box.ok(...args);
      printed += run.stdout + run.stderr;
    }
    const refused = await box.run('chap', 'test', '--discovery', '-p', portal, '-d', '8', '--timeout', '5');
    printed += refused.stdout + refused.stderr;
  });
  after(() => box.stop());

  const clean = (what: string, text: string) => {
    for (const canary of [OWN, BACK, 'canary-']) assert.ok(!text.includes(canary), `${what} shows a secret`);
  };
  const line = (...words: string[]) => words.map((word) => `'${word}'`).join(' ');

  it('not in anything printed, and the listing masks what the record holds', () => {
    clean('output', printed);
    clean('the log of serve', serveOutput());
    assert.match(printed, /node\.session\.auth\.password = \*{8}/);
    assert.match(printed, /discovery\.sendtargets\.auth\.password = \*{8}/);
    assert.match(printed, /"secret": "\*{8}"/);
  });
  it('not in the arguments or the environment of any process', () => {
    let sessions = 0;
    for (const pid of processIds()) {
      for (const file of ['cmdline', 'environ', 'comm']) {
        const text = procText(pid, file);
        if (file === 'cmdline' && text.startsWith('lunctl session')) sessions++;
        for (const secret of [OWN, BACK]) assert.ok(!text.includes(secret), `/proc/${pid}/${file} shows a secret`);
      }
    }
    assert.ok(sessions > 0, 'the session of this test has a process');
  });
  it('only in files that their owner alone may read, and in no run state or log', () => {
    let holders = 0;
    for (const name of readdirSync(box.folder, { recursive: true }) as string[]) {
      const path = join(box.folder, name);
      const stat = statSync(path);
      if (!stat.isFile() || stat.size > 2 ** 20) continue;
      const text = readFileSync(path, 'latin1');
      if (!text.includes('canary-')) continue;
      holders++;
      assert.equal(stat.mode & 0o077, 0, `${name} may be read by others`);
      assert.ok(!name.startsWith('run/'), `${name} holds a secret`);
    }
    assert.ok(holders >= 4, 'the two secret files and the two records hold them');
  });

  it('not in what any program is started with, by any command', { skip: noStrace }, async () => {
    const trace = join(box.folder, 'trace');
    const lunctl = (...words: string[]) => line(process.execPath, BIN, ...words);
    const own = join(box.folder, 'own');
    const serve = lunctl('serve', 'ramdisk:1M', '--portal', '127.0.0.1:0', ...chap);
    const script = [
      `{ ${serve} & sleep 3; kill $!; wait $!; true; }`,
      lunctl('node', 'logout', '--all'),
      lunctl('chap', 'clear', TARGET),
      `${lunctl('chap', 'setup', TARGET, '--chap-user', 'username', '--chap-secret-fd', '5')} 5<'${own}'`,
      `LUNCTL_CHAP_SECRET_FILE='${own}' ${lunctl('chap', 'setup', TARGET, '--chap-user', 'username')}`,
      `${lunctl('chap', 'setup', TARGET, '--chap-user', 'username', '--chap-secret-file', '-')} <'${own}'`,
      lunctl('chap', 'test', TARGET),
      // Not reached from outside, and no attachment that the machine may not have.
      lunctl('login', TARGET, '--attach', 'auto'),
      lunctl('session', 'rescan'),
      lunctl('disk', 'list'),
      lunctl('lun', 'list'),
      lunctl('logout', '--all'),
      line(process.execPath, SHIM, '-m', 'node', '-T', TARGET, '-p', portal, '--login'),
      line(process.execPath, SHIM, '-m', 'session', '-P', '3'),
      line(process.execPath, SHIM, '-m', 'node', '--logoutall=all'),
    ].join(' && ');
    const options = ['-f', '-qq', '-v', '-s', '65535', '-e', 'trace=execve', '-o', trace];
    const child = spawn('strace', [...options, 'sh', '-c', script], {
      env: box.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const [code] = (await once(child, 'close')) as [number];
    const starts = readFileSync(trace, 'latin1');
    assert.equal(code, 0, output);
    clean('output', output);
    clean('what a program is started with', starts);
    const programs = new Set([...starts.matchAll(/execve\("([^"]+)"/g)].map(([, path]) => path?.split('/').at(-1)));
    assert.ok(
      ['sh', 'node', 'flock'].every((name) => programs.has(name)),
      [...programs].join(),
    );
    assert.match(starts, /worker-main\.js/);
  });
  it('a caller’s own, in the arguments of iscsiadm’s command line, is gone from there at once', async () => {
    const secret = 'canary-by-a-caller';
    const lock = openSync(join(box.folder, 'db/.lunctl-lock'), 'a');
    // The command waits for the lock, so that one can look at it.
    const holder = spawn('sh', ['-c', 'flock -x 3; echo; read line'], { stdio: ['pipe', 'pipe', 'ignore', lock] });
    closeSync(lock);
    try {
      await once(holder.stdout as Readable, 'data');
      for (const program of [[SHIM], [BIN, 'iscsiadm'], [BIN]]) {
        const update = ['-m', 'node', '-T', TARGET, '-p', portal, '-o', 'update'];
        await watched([...program, ...update, '-n', 'node.session.auth.password', '-v', secret], secret);
      }
    } finally {
      holder.kill();
    }
  });

  /** Starts a command line with a secret in it, and looks whether it can be seen. */
  async function watched(words: readonly string[], secret: string): Promise<void> {
    const child = spawn(process.execPath, words, { env: box.env, stdio: ['ignore', 'pipe', 'pipe'] });
    const closed = once(child, 'close');
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    try {
      const own = () => procText(String(child.pid), 'cmdline');
      for (const end = performance.now() + 20_000; !own().startsWith('lunctl-iscsiadm'); await sleep(10)) {
        assert.ok(performance.now() < end && child.exitCode === null, output);
      }
      // By then it has started flock(1).
      await sleep(1000);
      assert.equal(child.exitCode, null, output);
      for (const pid of processIds()) {
        for (const file of ['cmdline', 'environ']) assert.ok(!procText(pid, file).includes(secret), own());
      }
    } finally {
      child.kill();
      await closed;
    }
    clean('its output', output);
  }
});

function processIds(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
}

/** Empty for a process that has ended. */
function procText(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
