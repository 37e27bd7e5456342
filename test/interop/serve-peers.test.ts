// Our target against the initiators that people use: libiscsi's tools and its conformance suite, QEMU.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ServeDisk, ServeOptions, Server } from '../../src/services/serve/options.js';
import type { TargetEvent } from '../../src/target/events.js';
import { serveDisks } from '../helpers/own-target.js';
import { type Ran, run, runWith, succeed } from '../helpers/programs.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const USER = 'username';
const SECRET = 'canary-serve42';
const MUTUAL = { user: 'mutualuser', secret: 'canary-mutua43' };
const MIB = 2 ** 20;
const SIZE = 128 * MIB;

function said({ stdout, stderr }: Ran): string {
  return stdout + stderr;
}

function missing(...programs: string[]): string | false {
  const without = programs.filter((program) => !existsSync(`/usr/bin/${program}`));
  return without.length === 0
    ? false
    : `not installed: ${without.join(', ')} (apt-get install libiscsi-bin qemu-utils)`;
}

/** QEMU's iscsi driver is a module of its own. */
function qemuMissing(): string | false {
  const programs = missing('qemu-img', 'qemu-io');
  if (programs !== false) return programs;
  const module = existsSync('/usr/lib/x86_64-linux-gnu/qemu/block-iscsi.so') || process.arch !== 'x64';
  return module ? false : 'QEMU has no iscsi driver: apt-get install qemu-block-extra';
}

function serve(disk: ServeDisk, changes: Partial<ServeOptions> = {}): Promise<Server> {
  return serveDisks(TARGET, [disk], { allow: [], open: true, ...changes });
}

function urlOf(server: Server, credentials = ''): string {
  return `iscsi://${credentials}127.0.0.1:${server.portals[0]?.port}/${TARGET}/0`;
}

const RAMDISK: ServeDisk = { kind: 'ramdisk', name: 'ram0', sizeBytes: SIZE };

describe('libiscsi against serve', {
  skip: missing('iscsi-ls', 'iscsi-inq', 'iscsi-readcapacity16', 'iscsi-perf'),
}, () => {
  let server: Server;
  const events: TargetEvent[] = [];

  before(async () => {
    const account = { user: USER, secret: SECRET };
    server = await serve(RAMDISK, { account, mutual: MUTUAL, onEvent: (event) => events.push(event) });
  });
  after(() => server.close());

  it('finds the target and its disk by discovery', async () => {
    const url = `iscsi://${USER}%${SECRET}@127.0.0.1:${server.portals[0]?.port}`;
    const listed = await succeed('iscsi-ls', '-s', url);
    assert.match(listed, new RegExp(`Target:${TARGET} Portal:127.0.0.1:${server.portals[0]?.port},1`));
    assert.match(listed, /Lun:0 +Type:DIRECT_ACCESS \(Size:12[78]M\)/);
  });

  it('identifies the disk', async () => {
    const url = urlOf(server, `${USER}%${SECRET}@`);
    assert.match(await succeed('iscsi-inq', url), /Vendor:LUNCTL[\s\S]*Product:ram0/);
    assert.match(await succeed('iscsi-inq', '-e', '1', '-c', '131', url), /NAA/i);
    assert.match(await succeed('iscsi-readcapacity16', url), new RegExp(`Total size:${SIZE}`));
  });

  it('logs in with CHAP from the environment, one-way and mutual', async () => {
    const one = { LIBISCSI_CHAP_USERNAME: USER, LIBISCSI_CHAP_PASSWORD: SECRET };
    const both = { LIBISCSI_CHAP_TARGET_USERNAME: MUTUAL.user, LIBISCSI_CHAP_TARGET_PASSWORD: MUTUAL.secret };
    for (const account of [one, { ...one, ...both }]) {
      const { code, stdout, stderr } = await runWith(account, 'iscsi-inq', urlOf(server));
      assert.equal(code, 0, stderr || stdout);
    }
    const other = { ...one, ...both, LIBISCSI_CHAP_TARGET_PASSWORD: 'x'.repeat(14) };
    const wrong = await runWith(other, 'iscsi-inq', urlOf(server));
    assert.notEqual(wrong.code, 0, 'a target with another secret must not be believed');
  });

  it('refuses a wrong secret, an unknown user and no proof alike, and says why without secrets', async () => {
    events.length = 0;
    for (const credentials of [`${USER}%wrongwrong12@`, `nobody%${SECRET}@`, '']) {
      const ran = await run('iscsi-inq', urlOf(server, credentials));
      assert.notEqual(ran.code, 0);
      assert.match(said(ran), /Authentication failure/);
    }
    assert.deepEqual(
      events.map((event) => event.kind === 'refuse' && event.status),
      [0x0201, 0x0201, 0x0201],
    );
    assert.ok(!JSON.stringify(events).includes(SECRET));
  });

  it('serves random reads at depth', async () => {
    const url = urlOf(server, `${USER}%${SECRET}@`);
    const text = await succeed('iscsi-perf', '-m', '32', '-r', '-b', '8', '-t', '2', url);
    assert.match(text, /iops average [1-9]\d*[\s\S]*finished/);
  });
});

describe('QEMU against serve', { skip: qemuMissing() }, () => {
  let folder: string;
  let server: Server;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lunctl-serve-'));
    server = await serve({ kind: 'fileio', path: join(folder, 'disk.img'), sizeBytes: SIZE });
  });
  after(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });

  it('writes and reads patterns of every size class, flushes and discards', async () => {
    assert.match(await succeed('qemu-img', 'info', urlOf(server)), new RegExp(`${SIZE} bytes`));
    const commands: string[] = [];
    for (const [i, size] of ['512', '4k', '64k', '65024', '1M', '5M', '9M'].entries()) {
      const at = `${i * 12}M`;
      commands.push(
        `write -P 0x${(0x10 + i).toString(16)} ${at} ${size}`,
        `read -P 0x${(0x10 + i).toString(16)} ${at} ${size}`,
      );
    }
    commands.push('flush', 'write -f -P 0x77 1M 64k', 'read -P 0x77 1M 64k', 'discard 48M 1M', 'read -P 0 48M 1M');
    commands.push('write -z 60M 2M', 'read -P 0 60M 2M', 'read -P 0x15 62M 1M');
    const args = commands.flatMap((command) => ['-c', command]);
    const ran = await run('qemu-io', '-f', 'raw', ...args, urlOf(server));
    assert.equal(ran.code, 0, said(ran));
    assert.doesNotMatch(said(ran), /fail|error/i);
  });

  it('copies an image there and back without a difference', async () => {
    const [source, back] = [join(folder, 'source.raw'), join(folder, 'back.raw')];
    const bytes = Buffer.concat([
      randomBytes(20 * MIB),
      Buffer.alloc(30 * MIB),
      randomBytes(14 * MIB),
      Buffer.alloc(64 * MIB),
    ]);
    await writeFile(source, bytes);
    await succeed('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', source, urlOf(server));
    await succeed('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', source, urlOf(server));
    await succeed('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', urlOf(server), back);
    const sha = (data: Buffer) => createHash('sha256').update(data).digest('hex');
    assert.equal(sha(await readFile(back)), sha(bytes));
    assert.equal(sha(await readFile(join(folder, 'disk.img'))), sha(bytes));
  });
});

describe('iscsi-test-cu against serve', { skip: missing('iscsi-test-cu') }, () => {
  let server: Server;
  const events: TargetEvent[] = [];
  before(async () => {
    server = await serve(RAMDISK, { onEvent: (event) => events.push(event) });
  });
  after(() => server.close());

  /** Reasons for which libiscsi itself leaves a test out: all of them name something that is not offered. */
  const ACCEPTED = [
    /--allow-sanitize flag is not set/,
    /not removable/,
    /LBPPB < 2/,
    /Multipath unavailable/,
    /does not support 0-blocks/,
    /not write-protected/,
  ];

  it('fails none of its 230 tests, and leaves out only what is not offered', async () => {
    const text = said(await run('iscsi-test-cu', '-d', '--dataloss', '-t', 'ALL', urlOf(server)));
    const [, total, ran, passed, failed] = /tests +(\d+) +(\d+) +(\d+) +(\d+)/.exec(text) ?? [];
    assert.deepEqual({ ran, passed, failed }, { ran: total, passed: total, failed: '0' }, text);
    assert.ok(Number(total) >= 230);
    const skipped = text.split('\n').filter((line) => line.includes('[SKIPPED]'));
    assert.deepEqual(
      skipped.filter((line) => !ACCEPTED.some((reason) => reason.test(line))),
      [],
    );
  });

  it('passes with a second path to the same disk', async () => {
    const text = said(
      await run('iscsi-test-cu', '-d', '--dataloss', '-t', 'ALL.MultipathIO', urlOf(server), urlOf(server)),
    );
    assert.match(text, /tests +4 +4 +4 +0/);
    assert.doesNotMatch(text, /SKIPPED/);
  });

  it('every session that was begun has ended', () => {
    const count = (kind: TargetEvent['kind']) => events.filter((event) => event.kind === kind).length;
    assert.ok(count('login') > 50);
    assert.equal(count('end'), count('login'));
    assert.equal(count('fault'), 0);
  });
});
