// The target commands and the target shell as programs: pipes, exit codes, secrets, the terminal.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BIN, Sandbox } from '../helpers/sandbox.js';
import { noTerminal, onTerminal } from '../helpers/terminal.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const ACL = `/iscsi/${TARGET}/tpg1/acls/${INITIATOR}`;
const SECRET = 'canary-target-1234';

let box: Sandbox;
before(async () => {
  box = await Sandbox.make(INITIATOR);
});
after(() => box.stop());

/** `lunctl target shell` with these lines on standard input. */
function piped(...lines: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [BIN, 'target', 'shell'], { env: box.env, stdio: ['pipe', 'pipe', 'pipe'] });
  const printed = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) child[stream].on('data', (chunk) => (printed[stream] += chunk));
  child.stdin.end(lines.map((line) => `${line}\n`).join(''));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...printed })));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

describe('the target shell', () => {
  it('takes a guide that is typed into it, line by line', async () => {
    const image = join(box.folder, 'disk01.img');
    const { code, stdout, stderr } = await piped(
      'cd backstores/fileio ',
      `create disk01 ${image} 10G `,
      'cd /iscsi ',
      `create ${TARGET} `,
      `cd ${TARGET}/tpg1/luns `,
      'create /backstores/fileio/disk01 ',
      'cd ../acls ',
      `create ${INITIATOR} `,
      `cd ${INITIATOR} `,
      'set auth userid=username ',
      'nonsense',
      'exit ',
    );
    assert.deepEqual([code, stderr], [0, 'Command not found nonsense\n']);
    const lines = stdout.split('\n').slice(3);
    assert.deepEqual(lines, [
      '/> /backstores/fileio> Created fileio disk01 with size 10737418240',
      `/backstores/fileio> /iscsi> Created target ${TARGET}.`,
      'Created TPG 1.',
      'Global pref auto_add_default_portal=true',
      'Created default portal listening on all IPs (0.0.0.0), port 3260.',
      '/iscsi> /iscsi/iqn.20...t01/tpg1/luns> Created LUN 0.',
      `/iscsi/iqn.20...t01/tpg1/luns> /iscsi/iqn.20...t01/tpg1/acls> Created Node ACL for ${INITIATOR}`,
      'Created mapped LUN 0.',
      `/iscsi/iqn.20...t01/tpg1/acls> /iscsi/iqn.20...1.initiator01> Parameter userid is now 'username'.`,
      '/iscsi/iqn.20...1.initiator01> /iscsi/iqn.20...1.initiator01> Global pref auto_save_on_exit=true',
      ...lines.slice(10),
    ]);
    assert.match(lines.slice(10).join('\n'), /^(?:Last 10 configs .*\n)?Configuration saved to .*saveconfig\.json\n$/);
    const { size, blocks, mode } = statSync(image);
    assert.deepEqual([size, blocks, mode & 0o777], [10_737_418_240, 0, 0o600]);
    const saved = JSON.parse(readFileSync(box.env.LUNCTL_TARGET_CONFIG ?? '', 'utf8'));
    assert.equal(saved.targets[0].tpgs[0].node_acls[0].chap_userid, 'username');
  });
  it('runs one command from its arguments: 0, or 1 with the message alone', async () => {
    assert.match((await box.ok('target', 'shell', 'ls', '/iscsi')).stdout, /^o- iscsi \.+ \[Targets: 1\]\n/);
    assert.equal((await box.ok('target', 'shell', '--version')).stderr, 'lunctl version 0.1.0\n');
    const { code, stdout, stderr } = await box.run('target', 'shell', '/iscsi', 'create', TARGET);
    assert.deepEqual([code, stdout, stderr], [1, '', 'This Target already exists in configFS\n']);
  });
  it('ends with its input, and says so', async () => {
    const { code, stdout } = await piped('cd /iscsi');
    assert.equal(code, 0);
    assert.match(stdout, /\/> \/iscsi> exit\nGlobal pref/);
  });
  it('ends at a signal, without a save', async () => {
    const child = spawn(process.execPath, [BIN, 'target', 'shell'], { env: box.env, stdio: ['pipe', 'pipe', 'pipe'] });
    const ended = once(child, 'close');
    let stdout = '';
    await new Promise<void>((shown) => {
      child.stdout.on('data', (text) => {
        stdout += text;
        if (stdout.endsWith('/> ')) shown();
      });
    });
    child.kill('SIGTERM');
    assert.equal((await ended)[0], 143);
    assert.doesNotMatch(stdout, /saved/);
  });
  it('keeps preferences', async () => {
    await box.ok('target', 'shell', 'set', 'global', 'tree_max_depth=1');
    assert.match(
      (await box.ok('target', 'shell', 'ls')).stdout,
      /^o- \/ .*\n {2}o- backstores .*\n {2}o- iscsi .*\n.*\n$/,
    );
    await box.ok('target', 'shell', 'set', 'global', 'tree_max_depth=0');
  });
});

describe('target commands', () => {
  it('end with a code that says what is wrong', async () => {
    for (const [code, ...args] of [
      [28, 'create', '/iscsi', TARGET],
      [21, 'delete', '/iscsi', 'iqn.2022-08.com.test:none'],
      [21, 'ls', '/nowhere'],
      [7, 'create', '/backstores/ramdisk', 'rd0', '12X'],
      [7, 'ls', 'iscsi'],
      [7, 'create', '/iscsi', '--wwn', TARGET],
      [27, 'create', '/loopback'],
    ] as const) {
      const run = await box.run('target', ...args);
      assert.equal(run.code, code, `${args.join(' ')}: ${run.stderr}`);
      assert.match(run.stderr, /^lunctl: /);
    }
  });
  it('take a secret from a file only, and show it nowhere', async () => {
    const refused = await box.run('target', 'set', ACL, 'auth', `password=${SECRET}`);
    assert.deepEqual([refused.code, refused.stdout], [7, '']);
    const file = await box.secretFile('secret', `${SECRET}\n`);
    const { stdout } = await box.ok('target', 'set', ACL, 'auth', 'userid=u', '--chap-secret-file', file);
    assert.equal(stdout, "Parameter userid is now 'u'.\nParameter password is now '********'.\n");
    assert.match((await box.ok('target', 'get', ACL, 'auth')).stdout, /^password=\*{8}$/m);
    assert.match((await box.ok('target', 'info', ACL)).stdout, /^chap_password: \*{8}$/m);
    for (const args of [['get', ACL], ['info', ACL], ['ls']]) await box.ok('target', ...args, '--json');
    assert.ok(readFileSync(box.env.LUNCTL_TARGET_CONFIG ?? '', 'utf8').includes(SECRET));
    assert.equal(statSync(box.env.LUNCTL_TARGET_CONFIG ?? '').mode & 0o777, 0o600);
  });
  it('a copy of the configuration replaces a link, and does not follow it', async () => {
    const kept = join(box.folder, 'kept');
    writeFileSync(kept, 'as it was');
    const copy = join(box.folder, 'copy.json');
    symlinkSync(kept, copy);
    await box.ok('target', 'shell', 'saveconfig', copy);
    assert.equal(readFileSync(kept, 'utf8'), 'as it was');
    assert.equal(statSync(copy).mode & 0o777, 0o600);
    await box.ok('target', 'shell', 'restoreconfig', copy, 'clear_existing=true');
  });
});

describe('beside a serve that runs', () => {
  it('a change is served at once, and one that cannot be made changes nothing', async () => {
    await box.ok('target', 'shell', 'clearconfig', 'confirm=True');
    const server = spawn(process.execPath, [BIN, 'serve', '--config', box.env.LUNCTL_TARGET_CONFIG ?? ''], {
      env: box.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(server, 'close');
    try {
      await new Promise<void>((ready) => server.stdout.on('data', (text) => /^control /m.test(`${text}`) && ready()));
      const port = await freePort();
      const tpg = `/iscsi/${TARGET}/tpg1`;
      const { stderr } = await piped(
        'set global auto_add_default_portal=false',
        '/backstores/ramdisk create rd0 8M',
        `/iscsi create ${TARGET}`,
        `${tpg}/luns create /backstores/ramdisk/rd0`,
        `${tpg}/acls create ${INITIATOR}`,
        `${tpg}/portals create 127.0.0.1 ${port}`,
        `${tpg}/portals create 192.0.2.1 ${port}`,
        'set global auto_add_default_portal=true',
        'exit',
      );
      assert.match(stderr, /^cannot listen on 192\.0\.2\.1:\d+: .*\n$/);
      const { stdout } = await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
      assert.equal(stdout, `127.0.0.1:${port},1 ${TARGET}\n`);
      assert.match((await box.ok('target', 'ls', `${tpg}/portals`)).stdout, /Portals: 1\]\n.*:\d+ \.+ \[OK\]\n$/);
      assert.equal((await box.ok('target', 'shell', 'sessions')).stdout, '(no open sessions)\n');
    } finally {
      server.kill('SIGINT');
      await ended;
    }
  });
});

describe('on a terminal', { skip: noTerminal }, () => {
  it('what has a password in it is not in the history; lines that are pasted at once are run one by one', async () => {
    const typed = ['cd /iscsi', `set discovery_auth password=${SECRET}`, 'pwd', 'exit']
      .map((line) => `${line}\r`)
      .join('');
    const { code, output } = await onTerminal('target shell', { env: box.env, question: '/> ', answer: typed });
    assert.equal(code, 0, output);
    assert.ok(output.includes('\n/iscsi\r\n'), output);
    const history = join(box.env.LUNCTL_STATE_DIR ?? '', 'target-shell/history');
    const kept = readFileSync(history, 'utf8').split('\n');
    assert.ok(kept.includes('pwd') && !kept.some((line) => line.includes('password')), kept.join('|'));
    assert.equal(statSync(history).mode & 0o777, 0o600);
  });
});
