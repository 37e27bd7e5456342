// The command line of nbd-client 3.24. The device itself needs the nbd module: the kernel lab has it.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import { attachDevice, planAttach } from '../../src/services/attach.js';
import { connectArguments } from '../../src/services/attach-nbd.js';
import { readAttachRecords, writeAttachRecord } from '../../src/services/attach-record.js';

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
    ['several connections', { connections: 4 }, '-unix /run/lunctl/s/1/attach.sock /dev/nbd3 -N lun0 -b 512 -C 4'],
    [
      'read-only, 4096',
      { readOnly: true, blockSize: 4096 },
      '-unix /run/lunctl/s/1/attach.sock /dev/nbd3 -N lun0 -b 4096 -C 1 -R',
    ],
  ] as const) {
    test(name, () => assert.equal(connectArguments({ ...request, ...values }, '/dev/nbd3').join(' '), expected));
  }
});

const hasModule = existsSync('/sys/module/nbd');
describe('on a kernel without the nbd module', { skip: hasModule && 'this kernel has the module' }, () => {
  const isRoot = process.getuid?.() === 0;
  test('--attach nbd says what to do instead, and leaves nothing', async () => {
    const runDir = mkdtempSync(`${tmpdir()}/lunctl-nbd-`);
    try {
      const code = isRoot ? 'ERR_DRIVER_MISSING' : 'ERR_ACCESS';
      await assert.rejects(planAttach('nbd'), {
        code,
        ...(isRoot && { message: /modprobe nbd/, hint: /--attach fuse .*--attach none/ }),
      });
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
});

test('records of attached devices: written whole, read strictly', () => {
  const runDir = mkdtempSync(`${tmpdir()}/lunctl-record-`);
  try {
    const record = {
      mode: 'nbd',
      exportName: 'lun0',
      path: '/dev/nbd0',
      connectPid: '262',
      backingFile: null,
    } as const;
    writeAttachRecord(runDir, record);
    assert.deepEqual(readAttachRecords(runDir), [record]);
    for (const path of ['/dev/sda', '/dev/nbd0/../sda', 'nbd0']) {
      writeAttachRecord(runDir, { ...record, path });
      assert.deepEqual(readAttachRecords(runDir), []);
    }
    assert.deepEqual(readAttachRecords(`${runDir}/none`), []);
  } finally {
    rmSync(runDir, { recursive: true });
  }
});
