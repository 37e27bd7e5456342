// The kernel's NBD client, where there is one (the kernel lab has it), and what is said where there is none.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { holdDevice } from '../../src/disk/identity.js';
import { runTool } from '../../src/disk/run.js';
import { diskSize, kernelName, sysAttribute } from '../../src/disk/sysfs.js';
import { attachDevice, cleanLeftovers, planAttach } from '../../src/services/attach/attach.js';
import type { AttachRequest } from '../../src/services/attach/attachment.js';
import { kernelNbd } from '../../src/services/attach/kernel-nbd.js';
import { connectArguments } from '../../src/services/attach/nbd.js';
import { readAttachRecords, writeAttachRecord } from '../../src/services/attach/record.js';

const request = {
  socketPath: '/run/lunctl/s/1/attach.sock',
  exportName: 'lun0',
  sizeBytes: 1 << 20,
  blockSize: 512,
  readOnly: false,
  runDir: '/run/lunctl/s/1',
};

describe('nbd-client', () => {
  for (const [name, values, expected] of [
    ['plain', {}, '-unix /run/lunctl/s/1/attach.sock /dev/nbd3 -N lun0 -b 512 -C 1'],
    [
      'several connections',
      { connections: 4 },
      '-unix /run/lunctl/s/1/attach.sock /dev/nbd3 -N lun0 -b 512 -C 4 -timeout 604800',
    ],
    [
      'read-only, 4096',
      { readOnly: true, blockSize: 4096 },
      '-unix /run/lunctl/s/1/attach.sock /dev/nbd3 -N lun0 -b 4096 -C 1 -R',
    ],
  ] as const) {
    test(name, () => assert.equal(connectArguments({ ...request, ...values }, '/dev/nbd3').join(' '), expected));
  }
});

// The lab runs this file both ways.
const byNetlink = (await kernelNbd()) !== null;
const hasModule = existsSync('/sys/module/nbd');
const isRoot = process.getuid?.() === 0;
// What is to be expected depends on the kernel: one of the two suites is made, and none is skipped.
if (hasModule && isRoot)
  describe(`on a kernel with the nbd module, by ${byNetlink ? 'netlink' : 'nbd-client'}`, withModule);
else describe('where there is no nbd module, or no root', withoutModule);

function withoutModule(): void {
  test('--attach nbd says what to do instead, and leaves nothing', async () => {
    const runDir = mkdtempSync(`${tmpdir()}/lunctl-nbd-`);
    try {
      const code = isRoot ? 'ERR_DRIVER_MISSING' : 'ERR_ACCESS';
      const words = isRoot
        ? { message: /modprobe nbd/, hint: /--attach fuse .*--attach none/ }
        : { hint: /--attach none/ };
      await assert.rejects(planAttach('nbd'), { code, ...words });
      await assert.rejects(attachDevice({ ...request, mode: 'nbd', runDir }), { code });
      assert.deepEqual(readdirSync(runDir), []);
    } finally {
      rmSync(runDir, { recursive: true });
    }
  });
  test('--attach auto goes on without a device and names --attach fuse', async () => {
    const { mode, notice } = await planAttach('auto');
    assert.equal(mode, 'none');
    assert.match(notice ?? '', /not attached as a device: .*--attach fuse/);
  });
  test('--attach none has nothing to say', async () => {
    assert.deepEqual(await planAttach('none'), { mode: 'none', notice: null });
  });
}

function withModule(): void {
  const SIZE = 512 * 1024 * 1024;
  let folder = '';
  let nbdkit: ChildProcess;
  before(async () => {
    folder = mkdtempSync(`${tmpdir()}/lunctl-nbd-`);
    writeFileSync(`${folder}/image`, '');
    truncateSync(`${folder}/image`, SIZE);
    nbdkit = spawn('nbdkit', ['-f', '-U', `${folder}/nbd.sock`, 'file', `${folder}/image`], { stdio: 'ignore' });
    while (!existsSync(`${folder}/nbd.sock`)) await sleep(10);
  });
  after(() => {
    nbdkit.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  const ask = (values: Partial<AttachRequest> = {}): AttachRequest => {
    const runDir = values.runDir ?? `${folder}/run`;
    mkdirSync(runDir, { recursive: true, mode: 0o700 });
    return { ...request, mode: 'nbd', socketPath: `${folder}/nbd.sock`, sizeBytes: SIZE, ...values, runDir };
  };
  const connected = () =>
    readdirSync('/sys/block').filter((name) => name.startsWith('nbd') && sysAttribute(name, 'pid') !== null);

  test('size at once, partitions, in use, identity, detach', async () => {
    assert.deepEqual(await planAttach('auto'), { mode: 'nbd', notice: null });
    const attachment = await attachDevice(ask());
    const { path } = attachment;
    assert.equal((await runTool('blockdev', ['--getsize64', path])).stdout.trim(), String(SIZE));
    await runTool('sfdisk', ['--quiet', '--wipe=never', '--', path], { input: 'label: gpt\nstart=2048\n' });
    assert.deepEqual(await attachment.rescan(), [`${path}p1`]);
    await runTool('mkfs.ext4', ['-q', '--', `${path}p1`]);
    mkdirSync(`${folder}/mnt`);
    await runTool('mount', ['--', `${path}p1`, `${folder}/mnt`]);
    assert.equal(await attachment.inUse(), `${path}p1 is mounted on ${folder}/mnt`);
    await assert.rejects(attachment.detach(), { code: 'ERR_BUSY' });
    await runTool('umount', ['--', `${folder}/mnt`]);

    const [{ connectPid, backend } = assert.fail('no record')] = readAttachRecords(`${folder}/run`);
    assert.ok(connectPid !== null);
    assert.equal(backend === null, !byNetlink);
    assert.equal(sysAttribute(kernelName(path), 'backend'), backend ?? '');
    const confirm = async (offset: number, length: number, sha256: string) => {
      const image = await open(`${folder}/image`);
      const { buffer } = await image.read(Buffer.alloc(length), 0, length, offset);
      await image.close();
      return createHash('sha256').update(buffer).digest('hex') === sha256;
    };
    const claim = { kind: 'nbd', starts: [], path, connectPid, backend, sizeBytes: SIZE, confirm } as const;
    await (await holdDevice(claim)).release();
    await assert.rejects(holdDevice({ ...claim, connectPid: '1' }), { code: 'ERR_USAGE' });
    await assert.rejects(holdDevice({ ...claim, backend: 'another' }), { code: 'ERR_USAGE' });
    await assert.rejects(holdDevice({ ...claim, confirm: async () => false }), { code: 'ERR_USAGE' });
    await attachment.detach();
    assert.deepEqual([connected(), readdirSync(`${folder}/run`)], [[], []]);
  });

  test('two at once get two devices', async () => {
    const both = await Promise.all([
      attachDevice(ask({ runDir: `${folder}/a`, readOnly: true, blockSize: 4096 })),
      attachDevice(ask({ runDir: `${folder}/b`, connections: 4 })),
    ]);
    const debug = (index: number, file: string) =>
      readFileSync(`/sys/kernel/debug/nbd/${kernelName(both[index]?.path ?? '')}/${file}`, 'utf8').trim();
    // In jiffies; with several connections a request is not sent again on another one.
    assert.equal(debug(0, 'timeout'), '0');
    assert.ok(Number(debug(1, 'timeout')) >= 604_800 * 100);
    assert.equal(new Set(both.map(({ path }) => path)).size, 2);
    assert.equal(sysAttribute(kernelName(both[0].path), 'ro'), '1');
    assert.equal(sysAttribute(kernelName(both[0].path), 'queue/logical_block_size'), '4096');
    for (const attachment of both) await attachment.detach();
    assert.deepEqual(connected(), []);
  });

  test('a start that fails or is interrupted leaves nothing', async () => {
    await assert.rejects(attachDevice(ask({ sizeBytes: SIZE + 512 })), { code: 'ERR_HELPER' });
    const code = byNetlink ? 'ERR_CONNECT' : 'ERR_HELPER';
    await assert.rejects(attachDevice(ask({ socketPath: `${folder}/nobody.sock` })), { code });
    for (const afterMs of [0, 10, 30, 60, 100, 200, 400]) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), afterMs);
      const outcome = await attachDevice(ask({ signal: controller.signal })).catch(() => null);
      await outcome?.detach();
      assert.deepEqual([connected(), readdirSync(`${folder}/run`)], [[], []]);
    }
  });

  test('a stranger that comes first, and his device', async () => {
    const stranger = ['-unix', `${folder}/nbd.sock`, '/dev/nbd0', '-N', 'lun0'];
    await runTool('nbd-client', stranger);
    const { path, detach } = await attachDevice(ask());
    assert.notEqual(path, '/dev/nbd0');
    await detach();
    assert.deepEqual(connected(), ['nbd0']);
    // One that takes our name once our own connection is gone is left alone.
    await runTool('nbd-client', ['-d', '/dev/nbd0']);
    const ours = await attachDevice(ask());
    assert.equal(ours.path, '/dev/nbd0');
    await runTool('nbd-client', ['-d', '/dev/nbd0']);
    while (sysAttribute('nbd0', 'pid') !== null) await sleep(10);
    await runTool('nbd-client', stranger);
    await ours.detach();
    assert.deepEqual([connected(), readdirSync(`${folder}/run`)], [['nbd0'], []]);
    await runTool('nbd-client', ['-d', '/dev/nbd0']);
    while (sysAttribute('nbd0', 'pid') !== null) await sleep(10);
  });

  test('another size while it is mounted', async () => {
    const attachment = await attachDevice(ask());
    const { path } = attachment;
    await runTool('mount', ['--', `${path}p1`, `${folder}/mnt`]);
    if (byNetlink) {
      assert.deepEqual(await attachment.grow(SIZE + 64 * 2 ** 20), [`${path}p1`]);
      assert.equal(diskSize(kernelName(path)), SIZE + 64 * 2 ** 20);
      assert.deepEqual(await attachment.grow(SIZE), [`${path}p1`]);
      assert.equal(diskSize(kernelName(path)), SIZE + 64 * 2 ** 20, 'never smaller');
    } else await assert.rejects(attachment.grow(SIZE + 512), { code: 'ERR_NOT_SUPPORTED' });
    await runTool('umount', ['--', `${folder}/mnt`]);
    await attachment.detach();
  });

  test('killed between connecting and writing it down: the identifier finds the device', {
    skip: !byNetlink && 'nbd-client gives none',
  }, async () => {
    const { path } = await attachDevice(ask());
    const [record = assert.fail('no record')] = readAttachRecords(`${folder}/run`);
    await writeAttachRecord(`${folder}/run`, { ...record, path: null, connectPid: null });
    assert.deepEqual(await cleanLeftovers(`${folder}/run`), [`disconnected ${path}`]);
    assert.deepEqual([connected(), readdirSync(`${folder}/run`)], [[], []]);
  });

  test('what the guard runs where nbd-client is not installed', {
    skip: !byNetlink && 'there is no netlink',
  }, async () => {
    const attachment = await attachDevice(ask());
    const program = new URL('../../src/services/attach/guard-main.js', import.meta.url).pathname;
    const [code] = await once(
      spawn(process.execPath, [program, kernelName(attachment.path)], { stdio: 'inherit' }),
      'exit',
    );
    assert.equal(code, 0);
    assert.deepEqual(connected(), []);
    await attachment.detach();
    assert.deepEqual(readdirSync(`${folder}/run`), []);
  });

  test('what a dead server leaves goes, even when it is mounted', async () => {
    const { path } = await attachDevice(ask());
    await runTool('mount', ['--', `${path}p1`, `${folder}/mnt`]);
    nbdkit.kill('SIGKILL');
    await once(nbdkit, 'exit');
    assert.deepEqual(await cleanLeftovers(`${folder}/run`), [`unmounted ${folder}/mnt`, `disconnected ${path}`]);
    assert.deepEqual([connected(), readdirSync(`${folder}/run`)], [[], []]);
  });
}

test('records of attached devices: written whole, read strictly', async () => {
  const runDir = mkdtempSync(`${tmpdir()}/lunctl-record-`);
  try {
    const record = {
      mode: 'nbd',
      exportName: 'lun0',
      path: '/dev/nbd0',
      connectPid: '262',
      backend: null,
      backingFile: null,
      backing: null,
    } as const;
    await writeAttachRecord(runDir, record);
    assert.deepEqual(readAttachRecords(runDir), [record]);
    for (const path of ['/dev/sda', '/dev/nbd0/../sda', 'nbd0']) {
      await writeAttachRecord(runDir, { ...record, path });
      assert.deepEqual(readAttachRecords(runDir), []);
    }
    assert.deepEqual(readAttachRecords(`${runDir}/none`), []);
  } finally {
    rmSync(runDir, { recursive: true });
  }
});
