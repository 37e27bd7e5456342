// The FUSE and loop way on the real kernel, against nbdkit: the disk is there and right, and nothing stays behind.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTool } from '../../src/disk/run.js';
import { diskSize, kernelName, loopDevices, mounts, sysAttribute } from '../../src/disk/sysfs.js';
import { attachDevice, cleanLeftovers } from '../../src/services/attach/attach.js';
import { nbdfuseArguments } from '../../src/services/attach/fuse.js';
import { readAttachRecords } from '../../src/services/attach/record.js';
import { whyNoLoopDisks } from '../helpers/disk.js';

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;
const skip = whyNoLoopDisks(['nbdkit']) ?? false;

describe('attach by FUSE and loop', { skip }, () => {
  let folder = '';
  let nbdkit: ChildProcess;
  before(async () => {
    folder = mkdtempSync(`${tmpdir()}/lunctl-attach-`);
    nbdkit = spawn('nbdkit', ['-f', '-U', `${folder}/nbd.sock`, 'memory', String(SIZE)], { stdio: 'ignore' });
    while (!existsSync(`${folder}/nbd.sock`)) await sleep(10);
  });
  after(async () => {
    nbdkit.kill();
    await once(nbdkit, 'exit');
    rmSync(folder, { recursive: true });
  });
  const session = (name: string) => {
    const runDir = `${folder}/${name}`;
    mkdirSync(runDir, { mode: 0o700 });
    return runDir;
  };
  const request = (runDir: string) => ({
    mode: 'fuse' as const,
    socketPath: `${folder}/nbd.sock`,
    exportName: 'lun0',
    sizeBytes: SIZE,
    blockSize: 512,
    readOnly: false,
    runDir,
  });
  const nothingLeft = (runDir: string) => {
    assert.deepEqual(readdirSync(runDir), []);
    assert.deepEqual(
      loopDevices().filter(({ backingFile }) => backingFile.startsWith(runDir)),
      [],
    );
    assert.deepEqual(
      mounts().filter(({ target }) => target.startsWith(runDir)),
      [],
    );
    assert.deepEqual(nbdfuseIn(runDir), []);
  };

  test('the disk has its size and block size at once, and goes without a trace', async () => {
    const runDir = session('plain');
    for (const blockSize of [512, 4096]) {
      const attachment = await attachDevice({ ...request(runDir), blockSize });
      const name = kernelName(attachment.path);
      assert.equal(diskSize(name), SIZE);
      assert.equal(sysAttribute(name, 'queue/logical_block_size'), String(blockSize));
      assert.equal((await runTool('blockdev', ['--getsize64', attachment.path])).stdout.trim(), String(SIZE));
      assert.deepEqual(await attachment.partitions(), []);
      assert.equal(await attachment.inUse(), null);
      assert.equal(readAttachRecords(runDir)[0]?.path, attachment.path);
      await attachment.detach();
      await attachment.detach();
      nothingLeft(runDir);
    }
  });

  test('a number that was left read-only becomes a disk that can be written', async () => {
    const runDir = session('left-read-only');
    const free = (await runTool('losetup', ['--find'])).stdout.trim();
    await runTool('blockdev', ['--setro', free]);
    const attachment = await attachDevice(request(runDir));
    assert.equal(sysAttribute(kernelName(attachment.path), 'ro'), '0');
    await attachment.detach();
    await runTool('blockdev', ['--setrw', free]);
    nothingLeft(runDir);
  });

  test('partitions become nodes that work; a mounted disk is not detached', async () => {
    const runDir = session('parts');
    const attachment = await attachDevice(request(runDir));
    await runTool('sfdisk', ['--quiet', '--wipe=never', '--', attachment.path], {
      input: 'label: gpt\nstart=2048, size=40960\nstart=43008, size=40960\n',
    });
    const nodes = await attachment.rescan();
    assert.deepEqual(nodes, [`${attachment.path}p1`, `${attachment.path}p2`]);
    assert.deepEqual(await attachment.partitions(), nodes);
    const size = (await runTool('blockdev', ['--getsize64', `${attachment.path}p2`])).stdout.trim();
    assert.equal(size, String(20 * MIB));
    await runTool('mkfs.ext4', ['-q', '--', `${attachment.path}p2`]);
    const target = `${folder}/mnt`;
    mkdirSync(target);
    await runTool('mount', ['--', `${attachment.path}p2`, target]);
    try {
      writeFileSync(`${target}/hello`, 'there');
      assert.equal(await attachment.inUse(), `${attachment.path}p2 is mounted on ${target}`);
      await assert.rejects(attachment.detach(), { code: 'ERR_BUSY' });
      assert.equal(readFileSync(`${target}/hello`, 'utf8'), 'there');
    } finally {
      await runTool('umount', ['--', target]);
    }
    await attachment.detach();
    nothingLeft(runDir);

    // What was written is on the export, so a second attach finds the table by itself.
    const again = await attachDevice({ ...request(runDir), readOnly: true });
    assert.equal((await again.partitions()).length, 2);
    assert.equal(sysAttribute(kernelName(again.path), 'ro'), '1');
    await again.detach();
    nothingLeft(runDir);
  });

  test('a start that fails half-way leaves nothing', async () => {
    const runDir = session('half');
    await assert.rejects(attachDevice({ ...request(runDir), sizeBytes: SIZE + 512 }), { code: 'ERR_HELPER' });
    nothingLeft(runDir);
    await assert.rejects(attachDevice({ ...request(runDir), socketPath: `${folder}/nobody.sock` }), {
      code: 'ERR_HELPER',
      message: /nbdfuse failed with exit status \d+: .*No such file/,
    });
    nothingLeft(runDir);
    await assert.rejects(attachDevice({ ...request(runDir), blockSize: 1000 }), {
      code: 'ERR_HELPER',
      message: /losetup/,
    });
    nothingLeft(runDir);
    for (const afterMs of [0, 5, 15, 30, 60]) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), afterMs);
      const outcome = await attachDevice({ ...request(runDir), signal: controller.signal }).catch(() => null);
      await outcome?.detach();
      nothingLeft(runDir);
    }
  });

  test('the death of nbdfuse is told, and takes the rest away', async () => {
    const runDir = session('died');
    const attachment = await attachDevice(request(runDir));
    for (const pid of nbdfuseIn(runDir)) process.kill(pid, 'SIGKILL');
    assert.match((await attachment.lost).message, /nbdfuse was ended by SIGKILL/);
    nothingLeft(runDir);
    await attachment.detach();
    nothingLeft(runDir);
  });

  test('what a killed worker leaves is gone within 2 s, even a mounted file system', async () => {
    const runDir = session('killed');
    const before = performance.now();
    await (await attachDevice(request(runDir))).detach();
    // The same tools, on the same machine: a slow one needs longer for both.
    const usual = performance.now() - before;
    const worker = spawn(
      process.execPath,
      [
        '--import',
        'tsx',
        new URL('../helpers/attach-and-wait.ts', import.meta.url).pathname,
        JSON.stringify(request(runDir)),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [line] = await once(worker.stdout, 'data');
    const path = String(line).trim();
    const target = `${folder}/mnt-killed`;
    mkdirSync(target);
    await runTool('mkfs.ext4', ['-q', '-F', '--', path]);
    await runTool('mount', ['--', path, target]);
    worker.kill('SIGKILL');
    await once(worker, 'exit');
    const start = performance.now();
    const removed = await cleanLeftovers(runDir);
    const took = performance.now() - start;
    assert.ok(took < Math.max(2000, 4 * usual), `${took} ms, an attach and its end ${usual} ms`);
    assert.ok(removed.includes(`unmounted ${target}`), removed.join('\n'));
    assert.ok(removed.includes(`detached ${path}`), removed.join('\n'));
    nothingLeft(runDir);
    assert.deepEqual(await cleanLeftovers(runDir), []);
    assert.deepEqual(await cleanLeftovers(`${folder}/never-was`), []);
  });

  test('a socket path with characters of its own arrives whole', () => {
    const args = nbdfuseArguments(
      { socketPath: '/run/a b&c/nbd.sock', exportName: 'lun0p1', readOnly: true },
      '/run/x/lun0p1',
    );
    assert.deepEqual(args, ['-r', '--', '/run/x/lun0p1', 'nbd+unix:///lun0p1?socket=%2Frun%2Fa%20b%26c%2Fnbd.sock']);
  });
});

function nbdfuseIn(runDir: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((entry) => {
      try {
        const line = readFileSync(`/proc/${entry}/cmdline`, 'utf8');
        return line.startsWith('nbdfuse') && line.includes(runDir);
      } catch {
        return false;
      }
    })
    .map(Number);
}
