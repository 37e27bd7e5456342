// How commands fail and end: exit codes with and without --json, one line, no command line in it, signals, closed pipes.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';

const BIN = join(import.meta.dirname, '../../bin/run.js');
let box: Sandbox;
before(async () => {
  box = await Sandbox.make('iqn.2022-08.com.test:traps');
});
after(() => box.stop());

interface JsonError {
  schema: string;
  error: { code: string; exit: number; message: string; hint?: string };
}

describe('exit codes', () => {
  const cases: [string[], number, RegExp][] = [
    [['nosuch'], 7, /^lunctl: unknown command "nosuch"/],
    [['node', 'lgin'], 7, /unknown command "node lgin"/],
    [['--nosuch'], 7, /unknown option --nosuch/],
    [['discovery', '--nosuch'], 7, /unknown option --nosuch/],
    [['discovery', 'list', 'extra'], 7, /Unexpected argument: extra/],
    [['session', 'list', 'extra'], 7, /Unexpected argument: extra/],
    [['demo', 'extra'], 7, /Unexpected argument: extra/],
    [['disk', 'mount'], 7, /^lunctl: missing: DEV DIR \[7\]$/m],
    [['disk', 'partition', '--size', '1G'], 7, /^lunctl: missing: DEV \[7\]$/m],
    [['disk', 'format', 'nbd0'], 7, /^lunctl: missing: --type \[7\]$/m],
    [['node', 'login', '--nosuch'], 7, /unknown option --nosuch/],
    [['node', 'login', '-Z'], 7, /-Z/],
    [['node', 'login', 'a', 'b'], 7, /Unexpected argument: b/],
    [['node', 'login', '--attach', 'magic'], 7, /--attach=magic.*auto, nbd, fuse, none/],
    [['node', 'login', '--attach'], 7, /--attach expects/],
    [['node', 'login', '--wait', 'long'], 7, /--wait/],
    [['node', 'login', '--chap-secret-file', 'x'], 7, /--chap-secret-file needs --chap-user/],
    [['node', 'login', '--all', '--foreground'], 7, /--all/],
    [['node', 'login', '--all', 'iqn.2022-08.com.test:t'], 7, /--all cannot also be given with a target/],
    [['node', 'logout', '--all', 'iqn.2022-08.com.test:t'], 7, /--all cannot also be given with a target/],
    [['node', 'login', '-T', 'Bad Name', '-p', '127.0.0.1'], 7, /"Bad Name" is not an iSCSI name/],
    [['session', 'show', '-P', '4'], 7, /--print/],
    [['session', 'show', '-r', '0'], 7, /--sid/],
    [['session', 'show', '-r', '5'], 2, /no session 5/],
    [['session', 'show'], 21, /^lunctl: No active sessions\. \[21\]$/m],
    [['session', 'list'], 21, /No active sessions/],
    [['node', 'list'], 21, /No records found/],
    [['node', 'show', '-T', 'iqn.2022-08.com.test:none'], 21, /No records found/],
    [['node', 'login'], 21, /No records found/],
    [['login', 'iqn.2022-08.com.test:none'], 21, /No records found/],
    [['logout'], 21, /No matching sessions found/],
    [['discovery', 'list'], 21, /No discovery records/],
    [['discovery', 'sendtargets'], 7, /which portal/],
    [['discovery', 'sendtargets', '-p', 'h:99999'], 7, /not a portal/],
    [['discovery', 'sendtargets', 'h1', '-p', 'h2'], 7, /different things/],
    [['session', 'show', '--run-dir', `/${'x'.repeat(120)}`], 7, /too long/],
  ];
  for (const [args, code, pattern] of cases) {
    it(`lunctl ${args.join(' ').slice(0, 60)}: ${code}`, async () => {
      const text = await box.run(...args);
      assert.equal(text.code, code, text.stderr);
      assert.match(text.stderr, pattern);
      assert.equal(text.stdout, '');
      const lines = text.stderr.trimEnd().split('\n');
      assert.ok(lines.length <= 2 && lines[0]?.startsWith('lunctl: ') && lines[0].endsWith(`[${code}]`), text.stderr);

      const json = await box.run(...args, '--json');
      assert.equal(json.code, code);
      assert.equal(json.stderr, '');
      const { schema, error } = JSON.parse(json.stdout) as JsonError;
      assert.equal(schema, 'lunctl.error/1');
      assert.equal(error.exit, code);
      assert.ok(`lunctl: ${error.message} [${code}]\n`.match(pattern));
      assert.deepEqual(Object.keys(error), ['code', 'exit', 'message', ...(error.hint === undefined ? [] : ['hint'])]);
    });
  }
});

describe('what was typed', () => {
  it('is never in an error where it may be a secret', async () => {
    const canary = 'given-typed-secret';
    const lines = [
      ['login', '--chap-secret', canary],
      ['login', `--chap-secret=${canary}`],
      ['login', '--password', canary, '--json'],
      ['login', `--req=${canary}`, '--nope', '--json'],
      ['discovery', 'sendtargets', '-p', '127.0.0.1:1', '--mutual-secret', canary],
    ];
    for (const args of lines) {
      const { code, stdout, stderr } = await box.run(...args);
      assert.equal(code, 7);
      assert.ok(!(stdout + stderr).includes(canary), stdout + stderr);
    }
    assert.match((await box.run('login', '--chap-secret', canary)).stderr, /^hint: .*--chap-secret-file/m);
  });
  it('a near miss is named, and nothing is run', async () => {
    assert.match((await box.run('lgin')).stderr, /did you mean "lunctl login"\?/);
    assert.match((await box.run('sesion', 'show')).stderr, /did you mean "lunctl session show"\?/);
    assert.match((await box.run('login', '--atach', 'none')).stderr, /did you mean --attach\?/);
    assert.doesNotMatch((await box.run('xyzzy')).stderr, /did you mean/);
  });
  it('control characters of it do not reach the terminal', async () => {
    for (const args of [
      ['a\u001b[31mb'],
      ['login', 'iqn.\u001b]0;x\u0007'],
      ['discovery', 'sendtargets', '\u001b[2J'],
    ]) {
      const { stderr } = await box.run(...args);
      assert.ok(![...stderr].some((char) => char !== '\n' && char < ' '), JSON.stringify(stderr));
    }
  });
  it('standard input is not an argument', async () => {
    const child = spawn(process.execPath, [BIN, 'node', 'list'], { env: box.env, stdio: ['pipe', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.stdin.end('iqn.2022-08.com.test:from-stdin\n');
    await new Promise((done) => child.on('close', done));
    assert.match(stderr, /No records found/);
  });
});

describe('more about an error', () => {
  const login = ['login', 'iqn.2022-08.com.test:x@127.0.0.1:1', '--attach', 'none'];
  it('-v adds the causes, -d 8 the place', async () => {
    assert.match((await box.run(...login, '-v')).stderr, /^ {2}caused by: /m);
    assert.match((await box.run(...login, '-d', '8')).stderr, /^ {4}at /m);
    assert.doesNotMatch((await box.run(...login)).stderr, /caused by|^ {4}at /m);
  });
});

describe('ends', () => {
  let silent: Server;
  let port: number;
  before(async () => {
    // Takes connections and never says a word.
    silent = createServer((socket) => socket.on('error', () => undefined));
    await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
    port = (silent.address() as { port: number }).port;
  });
  after(() => silent.close());

  for (const [signal, code, word] of [
    ['SIGINT', 130, 'interrupted'],
    ['SIGTERM', 143, 'terminated'],
  ] as const) {
    it(`${signal} ends with ${code} at once, and nothing is left`, async () => {
      const connected = new Promise((done) => silent.once('connection', done));
      const args = ['login', `iqn.2022-08.com.test:x@127.0.0.1:${port}`, '--attach', 'none'];
      const child = spawn(process.execPath, [BIN, ...args], { env: box.env, stdio: ['ignore', 'ignore', 'pipe'] });
      let stderr = '';
      child.stderr.on('data', (chunk) => (stderr += chunk));
      const closed = new Promise<number | null>((done) => child.on('close', done));
      await connected;
      const began = performance.now();
      child.kill(signal);
      assert.equal(await closed, code, stderr);
      // Not after the 15 s that a login has.
      assert.ok(performance.now() - began < 12_000);
      assert.match(stderr, new RegExp(`^lunctl: ${word} \\[${code}\\]$`, 'm'));
      assert.deepEqual(box.leftovers(), []);
    });
  }
  it('--timeout bounds a silent portal: 11', async () => {
    const run = await box.run('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`, '--timeout', '1');
    assert.equal(run.code, 11, run.stderr);
    assert.ok(run.ms < 10_000);
  });
  it('a reader that goes away is no failure', async () => {
    const child = spawn('sh', ['-c', `"${process.execPath}" "${BIN}" node login --help | true`], {
      env: box.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk) => (stderr += chunk));
    await new Promise((done) => child.on('close', done));
    assert.equal(stderr, '');
  });
  it('a full disk below standard output is one', async () => {
    const child = spawn('sh', ['-c', `"${process.execPath}" "${BIN}" --help > /dev/full`], {
      env: box.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk) => (stderr += chunk));
    const code = await new Promise((done) => child.on('close', done));
    assert.equal(code, 1);
    assert.match(stderr, /^lunctl: standard output: .*ENOSPC.* \[1\]\n$/);
  });
  it('an old Node is told which one is needed', () => {
    const older = 'Object.defineProperty(process,"versions",{value:{...process.versions,node:"18.20.4"}})';
    const { status, stderr } = spawnSync(process.execPath, ['--import', `data:text/javascript,${older}`, BIN], {
      encoding: 'utf8',
    });
    assert.equal(status, 1);
    assert.equal(stderr, 'lunctl: needs Node 20.19 or newer, this is 18.20.4 [1]\n');
  });
  it('Node warnings stay out of standard error', async () => {
    const run = await box.run('session', 'show');
    assert.equal(run.stderr, 'lunctl: No active sessions. [21]\n');
  });
});
