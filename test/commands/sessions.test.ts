// Discovery, records, login, sessions and logout as a user runs them, against our own target.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';

const BIN = join(import.meta.dirname, '../../bin/run.js');
const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const SECRET = 'canary-chap-secret';

interface Device {
  lun: number;
  nbd: string;
  path: string | null;
  sizeBytes: number;
}
interface SessionJson {
  schema: string;
  sessions: { sid: number; pid: number; state: string; targetName: string; ageSeconds: number; devices: Device[] }[];
  failed?: { error: { exit: number } }[];
  error?: { exit: number };
}

let box: Sandbox;
let port: number;
let secretFile: string;
let way: string;
const chap = () => ['--chap-user', 'username', '--chap-secret-file', secretFile];
const json = (text: string): SessionJson => JSON.parse(text) as SessionJson;

before(async () => {
  box = await Sandbox.make(INITIATOR);
  secretFile = await box.secretFile('secret', `${SECRET}\n`);
  const disk = join(box.folder, 'disk.img=64M');
  ({ port } = await box.serve(disk, 'ramdisk:8M', '--target', TARGET, '--allow', INITIATOR, ...chap()));
  way = `[iface: default, target: ${TARGET}, portal: 127.0.0.1,${port}]`;
});
after(() => box.stop());

describe('discovery', () => {
  it('in a pipe is iscsiadm’s line, and makes the records', async () => {
    const { stdout, stderr } = await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`, ...chap(), '--save');
    assert.deepEqual([stdout, stderr], [`127.0.0.1:${port},1 ${TARGET}\n`, '']);
    const db = join(box.folder, 'db');
    assert.deepEqual(readdirSync(join(db, 'nodes', TARGET)), [`127.0.0.1,${port},1`]);
    assert.equal(statSync(join(db, `send_targets/127.0.0.1,${port}/st_config`)).mode & 0o777, 0o600);
  });
  it('again needs no credentials once they are kept, and changes nothing', async () => {
    const path = join(box.folder, 'db/nodes', TARGET, `127.0.0.1,${port},1/default`);
    const before = readFileSync(path, 'utf8');
    const { stdout } = await box.ok('discover', `127.0.0.1:${port}`, '--json');
    const result = JSON.parse(stdout) as { schema: string; targets: unknown[]; changes: { what: string }[] };
    assert.equal(result.schema, 'lunctl.discovery-sendtargets/1');
    assert.deepEqual(result.targets, [{ targetName: TARGET, portal: { address: '127.0.0.1', port, tpgt: 1 } }]);
    assert.deepEqual(
      result.changes.map(({ what }) => what),
      ['update'],
    );
    assert.equal(readFileSync(path, 'utf8'), before);
  });
  it('--no-save leaves the records alone', async () => {
    const db = join(box.folder, 'other-db');
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`, ...chap(), '--no-save', '--db-dir', db);
    assert.ok(!existsSync(join(db, 'nodes')));
  });
  it('is listed', async () => {
    assert.equal((await box.ok('discovery', 'list')).stdout, `127.0.0.1:${port} via sendtargets\n`);
    const tree = (await box.ok('discovery', 'list', '-P', '1')).stdout;
    assert.match(
      tree,
      new RegExp(`DiscoveryAddress: 127\\.0\\.0\\.1,${port}\nTarget: ${TARGET}\n\tPortal: 127\\.0\\.0\\.1:${port},1\n`),
    );
    assert.doesNotMatch(JSON.stringify(JSON.parse((await box.ok('discovery', 'list', '--json')).stdout)), /canary/);
  });
});

describe('records', () => {
  it('list and show, as iscsiadm does', async () => {
    assert.equal((await box.ok('node', 'list')).stdout, `127.0.0.1:${port},1 ${TARGET}\n`);
    assert.match(
      (await box.ok('node', 'list', '-P', '1')).stdout,
      /^Target: .*\n\tPortal: .*\n\t\tIface Name: default\n$/,
    );
    const { stdout } = await box.ok('node', 'show', '-T', TARGET, '-p', '127.0.0.1');
    assert.match(stdout, /^# BEGIN RECORD .*\nnode\.name = iqn/);
    assert.match(stdout, /^node\.session\.auth\.username = <empty>$/m);
    assert.match(stdout, /# END RECORD\n$/);
    assert.equal((await box.run('node', 'show', '-p', '127.0.0.1:1')).code, 21);
  });
  it('as JSON are a map', async () => {
    const { stdout } = await box.ok('node', 'show', '--json');
    const { records } = JSON.parse(stdout) as {
      records: { targetName: string; values: Record<string, string | null> }[];
    };
    assert.equal(records[0]?.values['node.conn[0].port'], String(port));
    assert.equal(records[0]?.values['node.session.auth.password'], null);
  });
  it('a bad one is a warning, and the others work', async () => {
    const bad = join(box.folder, 'db/nodes', TARGET, 'not-a-portal');
    writeFileSync(bad, 'x');
    const { code, stdout, stderr } = await box.run('node', 'list');
    assert.equal(code, 0);
    assert.equal(stdout, `127.0.0.1:${port},1 ${TARGET}\n`);
    assert.match(stderr, /^warning: .*not-a-portal.*skipped\n$/);
    rmSync(bad);
  });
});

describe('a session', () => {
  after(() => box.run('logout', '--all'));

  it('login says what iscsiadm says, then names the devices', async () => {
    const { stdout } = await box.ok('login', TARGET, '--attach', 'none', ...chap());
    const lines = stdout.split('\n');
    assert.deepEqual(lines.slice(0, 2), [`Logging in to ${way}`, `Login to ${way} successful.`]);
    assert.match(lines[2] ?? '', /^LUN {2}DEVICE +SIZE +BLOCK +VENDOR +PRODUCT +NBD$/);
    assert.match(lines[3] ?? '', /^ +0 {2}- +64M +512 .*nbd\+unix:\/\/\/lun0\?socket=\/.*nbd\.sock$/);
    assert.match(lines[4] ?? '', /^ +1 {2}- +8M /);
  });
  it('exists: 15, or 0 when that is fine', async () => {
    const again = await box.run('login', TARGET, '--attach', 'none', ...chap());
    assert.equal(again.code, 15);
    assert.match(again.stderr, /default: 1 session requested, but 1 already present/);
    const fine = await box.run('login', TARGET, '--attach', 'none', ...chap(), '--ignore-existing');
    assert.equal(fine.code, 0, fine.stderr);
  });
  it('show: a line in a pipe, blocks, JSON', async () => {
    const line = `tcp: [1] 127.0.0.1:${port},1 ${TARGET} (non-flash)\n`;
    for (const args of [
      ['session', 'show'],
      ['session', 'list'],
      ['session', 'show', '-P', '0', '-r', '1'],
    ]) {
      assert.equal((await box.ok(...args)).stdout, line);
    }
    const blocks = (await box.ok('session', 'show', '-P', '3')).stdout;
    for (const part of [
      `Target: ${TARGET} (non-flash)`,
      'SID: 1',
      'username: username',
      'password: ********',
      'Lun: 1',
      'LOGGED_IN',
    ]) {
      assert.ok(blocks.includes(part), part);
    }
    const { schema, sessions } = json((await box.ok('session', 'show', '--json')).stdout);
    assert.equal(schema, 'lunctl.session-show/1');
    const [session] = sessions;
    assert.deepEqual([session?.sid, session?.state, session?.targetName], [1, 'LOGGED_IN', TARGET]);
    assert.ok((session?.ageSeconds ?? -1) >= 0);
    assert.deepEqual(
      session?.devices.map(({ lun, path, sizeBytes }) => [lun, path, sizeBytes]),
      [
        [0, null, 64 * 2 ** 20],
        [1, null, 8 * 2 ** 20],
      ],
    );
    assert.match(session?.devices[0]?.nbd ?? '', /^nbd\+unix:\/\/\/lun0\?socket=\//);
  });
  it('a discovery that no longer names its target leaves its record', async () => {
    // Another initiator sees nothing here; the session of this one still needs its record.
    const etc = join(box.folder, 'stranger');
    const run = await box.run('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`, ...chap(), '--config-dir', etc);
    assert.ok([21, 24].includes(run.code ?? 0), run.stderr);
    assert.equal((await box.ok('node', 'list', '-q')).stdout, `127.0.0.1:${port},1 ${TARGET}\n`);
  });
  it('no secret is in any output, process or file that others may read', async () => {
    for (const args of [
      ['session', 'show', '-P', '3'],
      ['session', 'show', '--json'],
      ['node', 'show'],
      ['node', 'show', '--json'],
    ]) {
      assert.ok(!(await box.ok(...args)).stdout.includes('canary'), args.join(' '));
    }
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      for (const part of ['cmdline', 'environ']) {
        const text = existsSync(`/proc/${pid}/${part}`) ? tryRead(`/proc/${pid}/${part}`) : '';
        assert.ok(!text.includes(SECRET), `${part} of ${pid}`);
      }
    }
  });
  it('logout by number, by target, and of what is not there', async () => {
    const name = `[sid: 1, target: ${TARGET}, portal: 127.0.0.1,${port}]`;
    const { stdout } = await box.ok('node', 'logout', '-r', '1');
    assert.equal(stdout, `Logging out of session ${name}\nLogout of ${name} successful.\n`);
    assert.equal((await box.run('node', 'logout', '-r', '1')).code, 2);
    assert.equal((await box.run('node', 'logout', '-T', TARGET)).code, 21);
    assert.deepEqual(
      box.leftovers().filter((line) => !line.includes(' serve ')),
      [],
    );
  });
  it('credentials that are kept serve the next login; --json says what came of it', async () => {
    assert.match((await box.ok('login', '--attach', 'none', ...chap(), '--save', '-v')).stderr, /kept in the record/);
    await box.ok('logout');
    const { sessions, failed } = json((await box.ok('login', '--attach', 'none', '--json')).stdout);
    assert.deepEqual([sessions.length, failed], [1, []]);
    assert.match((await box.ok('node', 'show')).stdout, /^node\.session\.auth\.password = \*{8}$/m);
    assert.match((await box.ok('node', 'show', '-S')).stdout, /^node\.session\.auth\.password = canary-chap-secret$/m);
    await box.ok('logout', '--json');
  });
  it('the secret may come by standard input', async () => {
    const child = spawn(
      process.execPath,
      [BIN, 'login', '--attach', 'none', '--chap-user', 'username', '--chap-secret-file', '-'],
      {
        env: box.env,
        stdio: ['pipe', 'ignore', 'inherit'],
      },
    );
    child.stdin.end(SECRET);
    assert.equal(await new Promise((done) => child.on('close', done)), 0);
    await box.ok('logout');
  });
});

describe('several targets', () => {
  const other = `iqn.2022-08.com.test:other`;
  before(async () => {
    const { port: second } = await box.serve('ramdisk:4M', '--target', other, '--allow', INITIATOR);
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${second}`);
  });
  after(() => box.run('logout', '--all'));

  it('without a name: 7 with the list', async () => {
    const { code, stderr } = await box.run('login', '--attach', 'none');
    assert.equal(code, 7);
    assert.match(stderr, new RegExp(`several targets could be meant: ${TARGET}, ${other} \\[7\\]`));
  });
  it('the end of a name is not enough in a script: 7 and the name', async () => {
    const { code, stderr } = await box.run('login', ':other', '--attach', 'none');
    assert.equal(code, 7);
    assert.match(stderr, new RegExp(`did you mean ${other}\\?`));
  });
  it('--all tries all; the first error wins, and the others are there', async () => {
    await box.ok('login', TARGET, '--attach', 'none');
    const { code, stdout } = await box.run('login', '--all', '--attach', 'none', '--json');
    const { sessions, failed, error } = json(stdout);
    assert.deepEqual(
      sessions.map(({ targetName }) => targetName),
      [other],
    );
    assert.deepEqual([code, failed?.length, failed?.[0]?.error.exit, error?.exit], [15, 1, 15, 15]);
    await box.ok('logout', '--all');
    assert.equal((await box.run('session', 'show')).code, 21);
  });
  it('credentials are never dropped for a target that asks for none', async () => {
    const { code, stderr } = await box.run('login', other, '--attach', 'none', ...chap());
    assert.ok(code !== 0 && code !== null, stderr);
    assert.deepEqual(
      box.leftovers().filter((line) => !line.includes(' serve ')),
      [],
    );
  });
});

describe('--foreground', () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`stays until ${signal}, then leaves nothing`, async () => {
      const child = spawn(process.execPath, [BIN, 'login', TARGET, '--attach', 'none', '--foreground', ...chap()], {
        env: box.env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let stdout = '';
      let stderr = '';
      child.stderr.on('data', (chunk) => (stderr += chunk));
      const closed = new Promise<number | null>((done) => child.on('close', done));
      await new Promise<void>((up) => {
        child.stdout.on('data', (chunk) => {
          stdout += chunk;
          if (stdout.includes('nbd+unix:')) up();
        });
        void closed.then(() => up());
      });
      const { sessions } = json((await box.ok('session', 'show', '--json')).stdout);
      assert.deepEqual(
        sessions.map(({ pid }) => pid),
        [child.pid],
        stderr,
      );
      child.kill(signal);
      assert.equal(await closed, signal === 'SIGINT' ? 130 : 143, stderr);
      assert.match(stderr, /^lunctl: (interrupted|terminated) \[1\d\d\]\n$/);
      assert.deepEqual(
        box.leftovers().filter((line) => !line.includes(' serve ')),
        [],
      );
    });
  }
  it('keeps a disk that is mounted: Ctrl-C is refused until it is free', { skip: cannotMount() }, async () => {
    const child = spawn(process.execPath, [BIN, 'login', TARGET, '--attach', 'fuse', '--foreground', ...chap()], {
      env: box.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const said = (what: string | RegExp) =>
      new Promise<void>((done) => {
        const look = () => {
          if (output.search(what) !== -1) done();
        };
        child.stdout.on('data', look);
        child.stderr.on('data', look);
      });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const closed = new Promise<number | null>((done) => child.on('close', done));
    await said(/^ +1 {2}\/dev\/loop/m);
    const device = /\/dev\/loop\d+/.exec(output)?.[0] ?? '';
    const mount = join(box.folder, 'mnt');
    mkdirSync(mount);
    execFileSync('mkfs.ext4', ['-q', '-F', device]);
    execFileSync('mount', [device, mount]);
    try {
      child.kill('SIGINT');
      await said('still logged in');
      assert.equal((await box.run('logout', TARGET)).code, 28);
      writeFileSync(join(mount, 'file'), 'still here');
    } finally {
      execFileSync('umount', [mount]);
    }
    child.kill('SIGINT');
    assert.equal(await closed, 130, output);
    assert.deepEqual(
      box.leftovers().filter((line) => !line.includes(' serve ')),
      [],
    );
  });
  it('ends with 0 when it is logged out from elsewhere', async () => {
    const child = spawn(process.execPath, [BIN, 'login', TARGET, '--attach', 'none', '--foreground', ...chap()], {
      env: box.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const closed = new Promise<number | null>((done) => child.on('close', done));
    await new Promise<void>((up) => {
      child.stdout.on('data', (chunk: Buffer) => {
        if (chunk.includes('nbd+unix:')) up();
      });
    });
    await box.ok('logout', TARGET);
    assert.equal(await closed, 0);
  });
});

function cannotMount(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/dev/fuse')) return 'this machine has no /dev/fuse';
  return existsSync('/usr/bin/nbdfuse') ? false : 'nbdfuse is not installed: apt-get install libnbd-bin';
}

function tryRead(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
