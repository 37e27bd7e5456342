// Disk commands and other NBD clients of the same LUN: whoever may write there makes them end with 28, nothing changed.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DiskJob, prepareFormat, prepareLabel, preparePartition } from '../../src/services/disk/prepare.js';
import { type ForegroundSession, loginForeground } from '../../src/services/login.js';
import type { Server } from '../../src/services/serve/options.js';
import { attachLun, detachLun, diskUsers } from '../../src/services/session/control.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { serveDisks } from '../helpers/own-target.js';
import { succeed } from '../helpers/programs.js';
import { loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const MIB = 2 ** 20;
const SIZE = 96 * MIB;
const skip = whyNoLoopDisks(['nbdinfo', 'nbdcopy', 'qemu-io']) ?? false;

describe('disk commands beside NBD clients', { skip }, () => {
  let folder: RunFolder;
  let box: string;
  let image: string;
  let server: Server;
  let session: ForegroundSession;
  const clients: ChildProcess[] = [];
  const jobs: DiskJob[] = [];

  before(async () => {
    folder = makeRunFolder();
    box = mkdtempSync(join(tmpdir(), 'lunctl-clients-'));
    image = join(box, 'image');
    writeFileSync(image, '');
    truncateSync(image, SIZE);
    server = await serveDisks(TARGET, [{ kind: 'fileio', path: image, sizeBytes: null }]);
    const request = loginRequest(TARGET, server.portals[0]?.port ?? 0, { foreground: true });
    session = await loginForeground(request, { paths: folder.paths });
    await run(await prepareLabel(disk()));
    await run(await preparePartition({ ...disk(), sizes: [size(32), size(32)] }));
  });
  afterEach(async () => {
    for (const job of jobs.splice(0)) await job.close();
    for (const client of clients.splice(0)) await end(client);
    while ((await writers(null)) > 0) await sleep(10);
  });
  after(async () => {
    await session.logout({ force: true });
    await server.close();
    assert.deepEqual(readdirSync(join(folder.paths.runDir, 'disk')), []);
    folder.remove();
    rmSync(box, { recursive: true });
  });

  const size = (mib: number) => ({ kind: 'bytes', bytes: mib * MIB }) as const;
  const disk = (partition?: number) => ({ dev: `${TARGET}/0`, paths: folder.paths, type: 'gpt', partition }) as const;
  const keep = async (job: Promise<DiskJob>) => {
    const made = await job;
    jobs.push(made);
    return made;
  };
  const label = () => keep(prepareLabel(disk()));
  const partition = () => keep(preparePartition({ ...disk(), sizes: [size(1)] }));
  const format = (part?: number) => keep(prepareFormat({ ...disk(part), type: 'ext4', extra: [] }));
  const run = async (job: DiskJob) => {
    await job.run(() => {});
    await job.close();
  };
  const checksum = () => createHash('sha256').update(readFileSync(image)).digest('hex');
  const writers = async (part: number | null) =>
    (await diskUsers(folder.paths, session.info.sid, { lun: 0, partition: part })).writers;
  const uri = (name: string) => `nbd+unix:///${name}?socket=${session.info.socket}`;
  const isReadOnly = async (name: string) => {
    const stdout = await succeed('nbdinfo', '--json', uri(name));
    return (JSON.parse(stdout) as { exports: [{ is_read_only: boolean }] }).exports[0].is_read_only;
  };
  const end = async (client: ChildProcess) => {
    if (client.exitCode !== null || client.signalCode !== null) return;
    client.kill('SIGKILL');
    await once(client, 'exit');
  };
  /** A client that stays connected until it is ended: it waits for its next command. */
  const connect = async (name: string, ...options: string[]) => {
    const client = spawn('qemu-io', ['-f', 'raw', ...options, uri(name)], { stdio: ['pipe', 'pipe', 'inherit'] });
    clients.push(client);
    await Promise.race([once(client.stdout, 'data'), once(client, 'exit')]);
    assert.equal(client.exitCode, null);
  };
  const busy = (count: number) => ({
    code: 'ERR_BUSY',
    message: new RegExp(`is in use: NBD clients have ${count} connections? to it; nothing was changed$`),
  });

  it('a client of the whole disk stops all of them, and none is left behind', async () => {
    await connect('lun0');
    const sum = checksum();
    for (const command of [label, partition, format, () => format(1)]) await assert.rejects(command(), busy(1));
    assert.deepEqual([checksum(), readdirSync(join(folder.paths.runDir, 'disk'))], [sum, []]);
  });

  it('a client of a partition stops what changes that partition, and nothing else', async () => {
    await connect('lun0p1');
    await connect('lun0p1');
    const sum = checksum();
    for (const command of [label, partition, format, () => format(1)]) await assert.rejects(command(), busy(2));
    assert.equal(checksum(), sum);
    await run(await format(2));
    assert.notEqual(checksum(), sum);
  });

  it('a copy that is under way counts with all its connections', async () => {
    const copy = spawn('nbdcopy', ['--request-size=262144', uri('lun0'), '-'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    clients.push(copy);
    // Nobody reads what it writes: it waits in the middle.
    while ((await writers(null)) === 0) await sleep(10);
    const sum = checksum();
    await assert.rejects(label(), { code: 'ERR_BUSY', message: /NBD clients have [1-9] connections? to it/ });
    assert.equal(checksum(), sum);
    copy.stdout.resume();
    assert.deepEqual(await once(copy, 'exit'), [0, null]);
  });

  it('a client that comes after the look can read, but not write, until the command has ended', async () => {
    const job = await format(1);
    assert.deepEqual(
      [await isReadOnly('lun0'), await isReadOnly('lun0p1'), await isReadOnly('lun0p2')],
      [true, true, false],
    );
    await connect('lun0p1', '-r');
    await run(job);
    assert.equal(await writers(null), 0);
    assert.equal(await isReadOnly('lun0p1'), false);
  });

  it('a second command on the same disk is refused while the first has it open', async () => {
    await format(1);
    const sum = checksum();
    await assert.rejects(label(), { code: 'ERR_BUSY', message: /another disk command works on it/ });
    await assert.rejects(attachLun(folder.paths, session.info.sid, { lun: 0, mode: 'fuse' }), { code: 'ERR_BUSY' });
    assert.equal(checksum(), sum);
    await format(2);
  });

  it('beside a device clients are read-only and in nobody’s way', async () => {
    const {
      device: { path },
    } = await attachLun(folder.paths, session.info.sid, { lun: 0, mode: 'fuse' });
    try {
      assert.ok(path !== null && existsSync(path));
      await connect('lun0', '-r');
      await connect('lun0p1', '-r');
      await run(await format(1));
      await run(await label());
    } finally {
      for (const job of jobs.splice(0)) await job.close();
      await detachLun(folder.paths, session.info.sid, 0);
    }
  });
});
