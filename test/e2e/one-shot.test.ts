// `lunctl nbd` in front of tgt: what it serves, to whom, and how it ends.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { Authority, opensslMissing } from '../helpers/certificates.js';
import { type OneShotProcess, startNbd } from '../helpers/one-shot.js';
import { run } from '../helpers/programs.js';
import { Sandbox } from '../helpers/sandbox.js';
import { pattern, until } from '../helpers/stream-core.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';

const SIZE = 64 * 2 ** 20;
const NAME = 'iqn.2022-08.com.test:node01';
const missing = tgtMissing() || (existsSync('/usr/bin/nbdinfo') ? false : 'nbdinfo is not installed');

describe('lunctl nbd', { skip: missing }, () => {
  let sandbox: Sandbox;
  let tgt: Tgt;
  const running: OneShotProcess[] = [];
  const address = (lun = 1, user = '') => `iscsi://${user}127.0.0.1:${tgt.port}/${TGT_TARGET}/${lun}`;
  const nbd = async (...args: string[]) => {
    const served = await startNbd(sandbox, ...args);
    running.push(served);
    return served;
  };
  const traces = () => {
    const folder = join(sandbox.folder, 'run/n');
    return existsSync(folder) ? readdirSync(folder) : [];
  };

  before(async () => {
    sandbox = await Sandbox.make(NAME);
    tgt = await startTgt(SIZE);
  });
  afterEach(async () => {
    for (const { child, ended } of running.splice(0)) {
      child.kill('SIGKILL');
      await ended;
    }
  });
  after(async () => {
    await tgt.stop();
    await sandbox.stop();
  });

  it('serves qemu-img, nbdcopy and the partitions, and ends with the last client', async () => {
    const image = join(sandbox.folder, 'image');
    writeFileSync(image, '');
    truncateSync(image, SIZE);
    const parted = await run('parted', '--script', image, 'mklabel', 'gpt', 'mkpart', 'data', '1MiB', '33MiB');
    assert.equal(parted.code, 0, parted.stderr);
    const bytes = readFileSync(image);
    pattern(2 ** 25, 3).copy(bytes, 2 ** 20);
    writeFileSync(image, bytes);

    const first = await nbd(address());
    assert.match(first.uri, /^nbd\+unix:\/\/\/lun1\?socket=\/.*\/run\/n\/\d+\/nbd\.sock$/);
    const [, socket = ''] = first.uri.split('socket=');
    assert.equal(statSync(socket).mode & 0o777, 0o600);
    const copied = await run('nbdcopy', image, first.uri);
    assert.equal(copied.code, 0, copied.stderr);
    assert.equal(await first.ended, 0);
    assert.equal(first.stderr(), '');
    assert.ok(readFileSync(tgt.image).equals(bytes));
    assert.deepEqual(traces(), []);

    const second = await nbd(address(), '--persistent', '--read-only', '--json');
    const json = JSON.parse(second.stdout());
    assert.equal(json.schema, 'lunctl.nbd/1');
    assert.deepEqual(
      json.exports.map(({ name, sizeBytes, readOnly }: Record<string, unknown>) => [name, sizeBytes, readOnly]),
      [
        ['lun1', SIZE, true],
        ['lun1p1', 2 ** 25, true],
      ],
    );
    const part = join(sandbox.folder, 'part');
    const converted = await run('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', json.exports[1].uri, part);
    assert.equal(converted.code, 0, converted.stderr);
    assert.ok(readFileSync(part).equals(bytes.subarray(2 ** 20, 2 ** 20 + 2 ** 25)));
    const info = await run('nbdinfo', '--json', json.uri);
    assert.equal(JSON.parse(info.stdout).exports[0].is_read_only, true);
    const list = await run('nbdinfo', '--list', '--json', json.uri);
    assert.deepEqual(
      JSON.parse(list.stdout).exports.map((entry: Record<string, unknown>) => entry['export-name']),
      ['lun1', 'lun1p1'],
    );
    second.child.kill('SIGINT');
    assert.equal(await second.ended, 130);
    assert.deepEqual(traces(), []);
  });

  it('takes fio with verification, under a name and a socket of its own', async () => {
    const socket = join(sandbox.folder, 'own.sock');
    const served = await nbd(address(), '--persistent', '--socket', socket, '--export', 'disk');
    assert.equal(served.uri, `nbd+unix:///disk?socket=${socket}`);
    const jobs = ['--name=j', '--ioengine=nbd', `--uri=${served.uri}`, '--rw=randwrite', '--bs=4k', '--size=16m'];
    const fio = await run(
      'fio',
      ...jobs,
      '--iodepth=16',
      '--verify=crc32c',
      '--verify_fatal=1',
      '--verify_state_save=0',
      '--fsync=64',
    );
    assert.equal(fio.code, 0, fio.stdout + fio.stderr);
    // The empty name is the same export.
    const unnamed = await run('nbdinfo', '--size', `nbd+unix:///?socket=${socket}`);
    assert.equal(Number(unnamed.stdout), SIZE);
    served.child.kill('SIGTERM');
    assert.equal(await served.ended, 143);
    assert.ok(!existsSync(socket));
    assert.equal(served.stderr(), '');
  });

  it('goes on when the target was killed and comes back, and loses nothing', async () => {
    const served = await nbd(address(), '--persistent');
    const image = join(sandbox.folder, 'half');
    writeFileSync(image, pattern(SIZE, 9));
    const copying = run('nbdcopy', image, served.uri);
    await until(
      () =>
        readFileSync(tgt.image)
          .subarray(0, 2 ** 16)
          .equals(pattern(SIZE, 9).subarray(0, 2 ** 16)),
      'the copy is under way',
    );
    await tgt.kill();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await tgt.restart();
    const copied = await copying;
    assert.equal(copied.code, 0, copied.stderr);
    assert.ok(readFileSync(tgt.image).equals(readFileSync(image)));
    assert.match(served.stderr(), /^\d\d:\d\d:\d\d {2}connection lost: /);
    served.child.kill('SIGINT');
    // Nobody flushed before the target went, and what its cache held then is not known: that is said, with its code.
    assert.equal(await served.ended, 10);
    assert.match(served.stderr(), /its last writes may be lost: flush lun1/);
    assert.deepEqual(traces(), []);
  });

  it('leaves only a socket when it is killed, and the next start removes that', async () => {
    const socket = join(sandbox.folder, 'stale.sock');
    const killed = await nbd(address(), '--socket', socket);
    const [dead] = traces();
    killed.child.kill('SIGKILL');
    await killed.ended;
    assert.ok(existsSync(socket));
    const shown = await sandbox.run('session', 'show');
    assert.match(shown.stderr, new RegExp(`lunctl nbd, process ${dead} had died; cleaned up: removed .*/n/${dead}`));
    assert.deepEqual(traces(), []);
    const next = await nbd(address(), '--socket', socket);
    const busy = await sandbox.run('nbd', address(), '--read-only', '--socket', socket);
    assert.equal(busy.code, 28, busy.stderr);
    const info = await run('nbdinfo', '--size', next.uri);
    assert.equal(Number(info.stdout), SIZE);
    assert.equal(await next.ended, 0);
    assert.ok(!existsSync(socket));
  });

  it('ends within 15 s of a SIGTERM although the target has stopped, and says what may be lost', async () => {
    const served = await nbd(address(), '--persistent');
    const writer = await sandboxWriter(served.uri);
    process.kill(tgt.pid, 'SIGSTOP');
    try {
      const began = performance.now();
      served.child.kill('SIGTERM');
      assert.equal(await served.ended, 10);
      // It has ended by itself: 15 s after the signal it would have been 143.
      assert.ok(performance.now() - began < 25_000);
      assert.match(served.stderr(), /its last writes may be lost: flush lun1: not done within/);
      assert.deepEqual(traces(), []);
    } finally {
      process.kill(tgt.pid, 'SIGCONT');
    }
    await writer.stop();
  });

  it('is gone at once on a second Ctrl-C, with its socket, whatever the target does', async () => {
    const served = await nbd(address(), '--persistent');
    const wrote = await run('qemu-io', '-f', 'raw', served.uri, '-c', 'write 0 4k');
    assert.equal(wrote.code, 0, wrote.stderr);
    process.kill(tgt.pid, 'SIGSTOP');
    try {
      served.child.kill('SIGINT');
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal(served.child.exitCode, null, 'the cache is being flushed');
      const began = performance.now();
      served.child.kill('SIGINT');
      assert.equal(await served.ended, 130);
      // Not after the 15 s that the first one gives it.
      assert.ok(performance.now() - began < 10_000);
      assert.deepEqual(traces(), []);
    } finally {
      process.kill(tgt.pid, 'SIGCONT');
    }
  });

  it('lets one at a time write to a disk, whoever it is', async () => {
    const served = await nbd(address(), '--persistent');
    const second = await sandbox.run('nbd', address());
    assert.equal(second.code, 15, second.stderr);
    assert.match(second.stderr, /served by lunctl nbd \(process \d+\)/);
    const reader = await nbd(address(), '--read-only', '--persistent');
    // A session may be there, and reads; its clients cannot write.
    const login = await sandbox.ok('login', TGT_TARGET, '-p', `127.0.0.1:${tgt.port}`, '--attach', 'none', '--json');
    const [device] = JSON.parse(login.stdout).sessions[0].devices;
    const through = JSON.parse((await run('nbdinfo', '--json', device.nbd)).stdout);
    assert.equal(through.exports[0].is_read_only, true);
    for (const one of [served, reader]) {
      one.child.kill('SIGINT');
      assert.equal(await one.ended, 130);
    }
    // Now a client of the session writes, and nbd is the second.
    const writer = await sandboxWriter(device.nbd);
    const refused = await sandbox.run('nbd', address());
    assert.equal(refused.code, 15, refused.stderr);
    assert.match(refused.stderr, /NBD clients of session \d+ may write/);
    const shared = await nbd(address(), '--shared');
    await run('nbdinfo', shared.uri);
    assert.equal(await shared.ended, 0);
    await writer.stop();
    await sandbox.ok('logout', TGT_TARGET);
  });

  it('asks for what it needs before it logs in', async () => {
    const where = `127.0.0.1:${tgt.port}/${TGT_TARGET}`;
    const cases: [number, RegExp, ...string[]][] = [
      [7, /--chap-secret-file/, `iscsi://user:secret@${where}/1`],
      [7, /over TLS only/, `iscsi://${where}/1`, '--listen', '127.0.0.1:0'],
      [7, /loopback/, `iscsi://${where}/1`, '--listen', '[::]:0', '--tls', 'off'],
      [7, /without a user/, `iscsi://${where}/1`, '--chap-secret-file', '/nowhere'],
      [21, /its disks are LUN 1/, `iscsi://${where}/0`],
      [8, /connection refused/, `iscsi://127.0.0.1:1/${TGT_TARGET}/1`],
    ];
    for (const [code, words, ...args] of cases) {
      const ran = await sandbox.run('nbd', ...args);
      assert.equal(ran.code, code, `${args.join(' ')}: ${ran.stderr}`);
      assert.match(ran.stderr, words);
      assert.doesNotMatch(ran.stderr, /secret@/);
      assert.equal(ran.stdout, '');
    }
    assert.deepEqual(traces(), []);
  });

  it('serves by TLS and, on a loopback address, in plain text', { skip: opensslMissing }, async () => {
    const authority = new Authority();
    const good = authority.issue('good');
    const tls = await nbd(address(), '--listen', '127.0.0.1:0', '--tls-certificates', good, '--persistent');
    assert.match(tls.uri, /^nbds:\/\/127\.0\.0\.1:\d+\/lun1$/);
    const info = await run('nbdinfo', `${tls.uri}?tls-certificates=${good}`);
    assert.equal(info.code, 0, info.stderr);
    assert.notEqual((await run('nbdinfo', tls.uri.replace('nbds', 'nbd'))).code, 0);
    tls.child.kill('SIGINT');
    assert.equal(await tls.ended, 130);
    const keys = await sandbox.secretFile('keys.psk', `alice:${'5a'.repeat(32)}\n`);
    const psk = await nbd(address(), '--listen', '[::1]:0', '--tls-psk', keys);
    assert.match(psk.uri, /^nbds:\/\/\[::1\]:\d+\/lun1$/);
    const byKey = await run('nbdinfo', `${psk.uri.replace('nbds://', 'nbds://alice@')}?tls-psk-file=${keys}`);
    assert.equal(byKey.code, 0, byKey.stderr);
    assert.equal(await psk.ended, 0);
    assert.equal(psk.stderr(), '');
    const plain = await nbd(address(), '--listen', 'localhost:0', '--tls', 'off');
    assert.match(plain.uri, /^nbd:\/\/127\.0\.0\.1:\d+\/lun1$/);
    assert.match(plain.stderr(), /^warning: every user of this host may read and write this disk/);
    assert.equal((await run('nbdinfo', plain.uri)).code, 0);
    assert.equal(await plain.ended, 0);
    authority.remove();
  });

  // The last one: tgt wants CHAP from then on.
  it('proves itself by CHAP, with the user in the address', async () => {
    tgt.requireChap('user one', 'canary-of-15-by');
    const secret = await sandbox.secretFile('secret', 'canary-of-15-by\n');
    const wrong = await sandbox.secretFile('wrong', 'canary-another-\n');
    const user = 'user%20one@';
    for (const [hint, ...args] of [
      [/^hint: name the user in the address, .* --chap-secret-file$/m, address()],
      [/^hint: check the user, and the file of --chap-secret-file$/m, address(1, user), '--chap-secret-file', wrong],
    ] as const) {
      const refused = await sandbox.run('nbd', ...args);
      assert.equal(refused.code, 24, refused.stderr);
      assert.match(refused.stderr, hint);
    }
    const mute = await sandbox.run('nbd', address(1, user));
    assert.equal(mute.code, 7);
    assert.match(mute.stderr, /--chap-secret-file/);
    const served = await nbd(address(1, user), '--chap-secret-file', secret);
    for (const file of ['cmdline', 'environ']) {
      assert.ok(!readFileSync(`/proc/${served.child.pid}/${file}`, 'latin1').includes('canary-of-15-by'), file);
    }
    assert.equal((await run('nbdinfo', served.uri)).code, 0);
    assert.equal(await served.ended, 0);
    assert.ok(!served.stderr().includes('canary-of-15-by'));
    assert.deepEqual(traces(), []);
  });
});

/** A client that has written without a flush, and stays. */
async function sandboxWriter(uri: string): Promise<{ stop(): Promise<void> }> {
  const { spawn } = await import('node:child_process');
  const child = spawn('qemu-io', ['-f', 'raw', '-t', 'writeback', uri], { stdio: ['pipe', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stdin.write('write 0 4k\n');
  await until(() => output.includes('wrote 4096'), 'the client writes');
  return {
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      await ended;
    },
  };
}
