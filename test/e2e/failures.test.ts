// What goes wrong at login, discovery and serve: one clear line, iscsiadm's exit code, nothing left behind.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Run, Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';

/** Exactly one line of error, then at most a hint. */
function refused(run: Run, code: number, pattern: RegExp): void {
  assert.equal(run.code, code, run.stdout + run.stderr);
  const lines = run.stderr.trimEnd().split('\n');
  const errors = lines.filter((line) => line.startsWith('lunctl: '));
  assert.equal(errors.length, 1, run.stderr);
  assert.match(errors[0] as string, pattern);
  assert.ok(
    lines.every((line) => line.startsWith('lunctl: ') || line.startsWith('hint: ')),
    run.stderr,
  );
}

describe('failures end in one line and leave nothing behind', () => {
  let box: Sandbox;
  let portal: string;
  let secret: string;
  const login = (...more: string[]) =>
    box.run('node', 'login', '-T', TARGET, '-p', portal, '--attach', 'none', '--chap-user', 'username', ...more);

  before(async () => {
    box = await Sandbox.make(INITIATOR);
    secret = await box.secretFile('secret', 'canary-12345');
    const { port } = await box.serve(
      ...[join(box.folder, 'disk.img=64M'), '--target', TARGET, '--allow', INITIATOR],
      ...['--chap-user', 'username', '--chap-secret-file', secret],
    );
    portal = `127.0.0.1:${port}`;
    await box.ok('discovery', 'sendtargets', '-p', portal, '--chap-user', 'username', '--chap-secret-file', secret);
  });
  after(() => box.stop());

  const unchanged = () =>
    assert.deepEqual(
      box.leftovers().filter((line) => !line.includes(' serve ')),
      [],
    );

  it('a wrong secret: 24', async () => {
    refused(await login('--chap-secret-file', await box.secretFile('wrong', 'canary-wrong1')), 24, /0x0201/);
    unchanged();
  });
  it('an initiator that the target does not list: 24, and not the same words', async () => {
    const name = join(box.folder, 'etc/initiatorname.iscsi');
    await writeFile(name, 'InitiatorName=iqn.2022-08.com.test:stranger\n');
    try {
      refused(await login('--chap-secret-file', secret), 24, /0x0202/);
    } finally {
      await writeFile(name, `InitiatorName=${INITIATOR}\n`);
    }
    unchanged();
  });
  it('a target that does not exist: 19', async () => {
    const unknown = 'iqn.2022-08.com.test:unknown';
    await box.ok('node', 'new', '-T', unknown, '-p', portal).catch(() => undefined);
    const run = await box.run(
      'node',
      'login',
      '-T',
      unknown,
      '-p',
      portal,
      '--attach',
      'none',
      '--chap-user',
      'username',
      '--chap-secret-file',
      secret,
    );
    refused(run, 19, /0x0203/);
    unchanged();
  });
  it('a closed port: login 8, discovery 11', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    const records = readdirSync(join(box.folder, 'db/nodes'));
    refused(await box.run('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`), 11, /refused/i);
    refused(
      await box.run(
        'node',
        'login',
        '-T',
        TARGET,
        '-p',
        `127.0.0.1:${port}`,
        '--attach',
        'none',
        '--chap-user',
        'u',
        '--chap-secret-file',
        secret,
      ),
      8,
      /refused/i,
    );
    assert.deepEqual(readdirSync(join(box.folder, 'db/nodes')), records);
    unchanged();
  });
  it('a connection that is reset, at once or in the middle of the login: 8', async () => {
    for (const afterBytes of [0, 1]) {
      const server = createServer((socket) => {
        socket.on('error', () => {});
        if (afterBytes === 0) socket.resetAndDestroy();
        else socket.once('data', () => socket.resetAndDestroy());
      }).listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
      const { port } = server.address() as { port: number };
      const run = await box.run('node', 'login', '-T', TARGET, '-p', `127.0.0.1:${port}`, '--attach', 'none');
      refused(run, 8, /the target closed the connection|connection reset/);
      await new Promise((resolve) => server.close(resolve));
    }
    unchanged();
  });
  it('a name that does not resolve: 4', async () => {
    refused(await box.run('discovery', 'sendtargets', '-p', 'no-such-host.invalid'), 4, /no-such-host\.invalid/);
    unchanged();
  });
  it('a secret file that others may read: 13', async () => {
    const open = await box.secretFile('open', 'for-all-1234');
    await chmod(open, 0o644);
    refused(await login('--chap-secret-file', open), 13, /open/);
  });
  it('a secret on the command line is no flag at all: 7, and not repeated', async () => {
    const run = await login('--chap-secret=given-in-argv-1', '--json');
    assert.equal(run.code, 7);
    assert.ok(!(run.stdout + run.stderr).includes('given-in-argv-1'));
  });
  it('serve on a file that cannot be opened: one line, no file made', async () => {
    const folder = join(box.folder, 'not-a-folder');
    await writeFile(folder, '');
    const run = await box.run('serve', `${folder}/disk.img=1M`, '--portal', '127.0.0.1:0', '--no-auth');
    assert.notEqual(run.code, 0);
    refused({ ...run, stderr: run.stderr.replace(/^warning: .*\n/gm, '') }, run.code as number, /not-a-folder/);
  });
  it('serve on a port in use: one line, and the file it made is gone again', async () => {
    await mkdir(join(box.folder, 'b'));
    const file = join(box.folder, 'b/new.img');
    const run = await box.run('serve', `${file}=1M`, '--portal', portal, '--allow', INITIATOR);
    refused(run, run.code as number, /in use/);
    assert.notEqual(run.code, 0);
    assert.ok(!existsSync(file));
  });
  it('serve on a file that another serve holds: 28', async () => {
    refused(
      await box.run('serve', join(box.folder, 'disk.img'), '--portal', '127.0.0.1:0', '--allow', INITIATOR),
      28,
      /disk\.img/,
    );
  });
});
