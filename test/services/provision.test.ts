// disk provision: where it begins, and what it refuses and leaves as it is.
import assert from 'node:assert/strict';
import { constants, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { runTool } from '../../src/disk/run.js';
import { mounts } from '../../src/disk/sysfs.js';
import { type ProvisionOptions, provisionDisk } from '../../src/services/disk/provision.js';
import { compare, type Found } from '../../src/services/disk/provision-look.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { type FakeSession, startFakeSession, TARGET } from '../helpers/fake-session.js';
import { INITIATOR } from '../helpers/session.js';

const MIB = 1024 ** 2;
const skip = whyNoLoopDisks(['nbdkit']) ?? false;

type Changes = Partial<ProvisionOptions> & Pick<ProvisionOptions, 'paths' | 'dev'>;

function provision(changes: Changes) {
  const names: string[] = [];
  return provisionDisk({
    ...{ credentials: null, save: false, strongSecrets: false, mkdir: true, fstab: false, extra: [], dryRun: false },
    ...{ attach: 'fuse', type: 'ext4', directory: null, signal: new AbortController().signal },
    initiatorName: async () => INITIATOR,
    agree: async ({ what }) => {
      throw Object.assign(new Error(what.split('\n', 1)[0]), { code: 'asked' });
    },
    onBegin: () => {},
    onStep: ({ name, done }) => {
      if (done) names.push(name);
    },
    onProgress: () => {},
    onWarning: () => {},
    ...changes,
  }).then((result) => ({ ...result, names }));
}

async function unmountBelow(folder: string): Promise<void> {
  for (const { target } of mounts().reverse()) {
    if (target.startsWith(`${folder}/`)) await runTool('umount', ['--', target]);
  }
}

describe('where provisioning begins', () => {
  const content = { type: null, table: null, label: null, uuid: null };
  const partition = { number: 1, path: '/dev/nbd0p1', sizeBytes: 8 * MIB, content, unfinished: false, mounts: [] };
  const blank: Found = {
    geometry: { sizeBytes: 16 * MIB, blockSize: 512, optimalIoSize: 0 },
    ...{ signatures: [], table: null, damage: null, ranges: [], partition: null, beneath: null },
  };
  const gpt: Found = { ...blank, table: 'gpt', ranges: [{ start: 2048, length: 28_672 }], partition };
  const ext4 = { ...content, type: 'ext4', label: 'old' };
  const old = { type: 'ext4', offset: 0x438, label: 'old', uuid: null };
  const size = { kind: 'bytes', bytes: 7 * MIB } as const;
  const wish = { type: 'xfs' } as const;
  for (const [found, changes, from, against] of [
    [blank, {}, 'label', null],
    [{ ...blank, signatures: [old] }, {}, 'label', 'holds ext4 "old", signature at 0x438, on the whole disk'],
    [{ ...blank, beneath: old }, {}, 'label', 'holds ext4 "old", signature at 0x438, where its partition would begin'],
    [{ ...gpt, table: 'dos' }, {}, 'label', 'has a dos label, not gpt'],
    [{ ...gpt, ranges: [], partition: null }, {}, 'partition', null],
    [{ ...gpt, ranges: [...gpt.ranges, ...gpt.ranges], partition: null }, {}, 'label', 'has 2 partitions, not one'],
    [gpt, {}, 'format', null],
    [gpt, { size }, 'label', 'has a partition of 8388608 bytes, not 7340032'],
    [{ ...gpt, partition: { ...partition, content: ext4 } }, {}, 'format', 'holds ext4 "old" in partition 1, not xfs'],
    [{ ...gpt, partition: { ...partition, content: ext4 } }, { type: 'ext4' }, 'mount', null],
    [{ ...gpt, partition: { ...partition, content: ext4 } }, { type: 'ext4', label: 'old' }, 'mount', null],
    [
      { ...gpt, partition: { ...partition, content: ext4 } },
      { type: 'ext4', label: 'new' },
      'format',
      'holds ext4 "old" in partition 1, not one labelled "new"',
    ],
    [{ ...gpt, partition: { ...partition, content: ext4, unfinished: true } }, {}, 'format', null],
  ] as const) {
    test(`${from}: ${against ?? 'nothing in the way'} (${JSON.stringify(changes)})`, () => {
      assert.deepEqual(compare(found, { ...wish, ...changes }), { from, against });
    });
  }
});

describe('what provisioning refuses', { skip }, () => {
  let fake: FakeSession;
  let folder = '';
  const path = () => fake.attachment?.path ?? '';
  const dev = `${TARGET}/0`;
  const gpt = async (...parts: string[]) => {
    const input = ['label: gpt', ...parts].map((line) => `${line}\n`).join('');
    await runTool('sfdisk', ['--quiet', '--wipe=always', '--no-tell-kernel', '--', path()], { input });
    await runTool('partx', ['--update', '--', path()], { okStatuses: [0, 1] });
  };
  const clear = async () => {
    await runTool('partx', ['--delete', '--', path()], { okStatuses: [0, 1] });
    truncateSync(fake.image, 0);
    truncateSync(fake.image, fake.disk.sizeBytes);
    await runTool('blockdev', ['--flushbufs', path()]);
  };
  const mkfs = (part = 'p1') => runTool('mkfs.ext4', ['-q', '-F', '-L', 'old', '--', `${path()}${part}`]);
  /** The same error with nothing changed on the disk. */
  const refused = async (code: string, message: RegExp, changes: Partial<ProvisionOptions> = {}) => {
    await runTool('blockdev', ['--flushbufs', path()]);
    const before = fake.checksum();
    const options = {
      paths: { ...fake.paths, targetConfig: '', stateDir: `${folder}/state` },
      dev,
      directory: `${folder}/mnt`,
      ...changes,
    };
    await assert.rejects(provision(options), (error: Error & { code: string }) => {
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      return true;
    });
    await assert.rejects(provision({ ...options, dryRun: true }), { code });
    await runTool('blockdev', ['--flushbufs', path()]);
    assert.equal(fake.checksum(), before);
  };
  before(async () => {
    folder = mkdtempSync(`${tmpdir()}/lunctl-refuse-`);
    process.env.LIBMOUNT_FSTAB = `${folder}/fstab`;
    fake = await startFakeSession({ sizeBytes: 64 * MIB });
  });
  beforeEach(clear);
  afterEach(() => unmountBelow(folder));
  after(async () => {
    delete process.env.LIBMOUNT_FSTAB;
    await fake.close();
    rmSync(folder, { recursive: true });
  });

  test('a file system on the whole disk', async () => {
    await mkfs('');
    await refused('asked', /^loop\d+ \(.*\) holds ext4 "old", signature at 0x438, on the whole disk$/);
  });
  test('one where the partition would begin, on a disk without a label', async () => {
    await gpt('start=2048, size=122880');
    await mkfs();
    await runTool('wipefs', ['--all', '--', path()]);
    await runTool('partx', ['--delete', '--', path()], { okStatuses: [0, 1] });
    await refused('asked', /holds ext4 "old", signature at 0x100000, where its partition would begin/);
  });
  test('a dos label', async () => {
    await runTool('sfdisk', ['--quiet', '--no-tell-kernel', '--', path()], { input: 'label: dos\n' });
    await refused('asked', /has a dos label, not gpt/);
  });
  test('a second partition', async () => {
    await gpt('size=20480', 'size=20480');
    await refused('asked', /has 2 partitions, not one/);
  });
  test('a partition of another size', async () => {
    await gpt('size=20480');
    await refused('asked', /has a partition of 10485760 bytes, not 32505856/, { size: { kind: 'part', part: 0.5 } });
  });
  test('another file system, and another label', async () => {
    await gpt('size=122880');
    await mkfs();
    await refused('asked', /holds ext4 "old" in partition 1, not vfat/, { type: 'vfat' });
    await refused('asked', /not one labelled "new"/, { label: 'new' });
  });
  test('mounted elsewhere: 28, as it is and for another file system', async () => {
    await gpt('size=122880');
    await mkfs();
    mkdirSync(`${folder}/elsewhere`, { recursive: true });
    // Read-only and without its journal, so that the mount itself writes nothing.
    await runTool('mount', ['-o', 'ro,noload', '--', `${path()}p1`, `${folder}/elsewhere`]);
    await refused('ERR_BUSY', /is mounted on \S+\/elsewhere, not on \S+\/mnt; nothing was changed/);
    await refused('ERR_BUSY', /is mounted on \S+\/elsewhere/, { type: 'vfat' });
  });
  test('something else on the directory, or in fstab', async () => {
    mkdirSync(`${folder}/mnt`, { recursive: true });
    await runTool('mount', ['-t', 'tmpfs', '--', 'tmpfs', `${folder}/mnt`]);
    await refused('ERR_BUSY', /^tmpfs is mounted on \S+\/mnt; nothing was changed/);
    await runTool('umount', ['--', `${folder}/mnt`]);
    writeFileSync(`${folder}/fstab`, `UUID=1 ${folder}/mnt xfs defaults 0 0\n`);
    await refused('ERR_REFUSED', /^line 1 of \S+ mounts UUID=1 on/, { fstab: true });
  });
  test('held by a program: 28', async () => {
    await gpt('size=122880');
    const claim = await open(`${path()}p1`, constants.O_RDONLY | constants.O_EXCL);
    try {
      const options = {
        paths: { ...fake.paths, targetConfig: '', stateDir: `${folder}/state` },
        dev,
        directory: `${folder}/mnt`,
      };
      await assert.rejects(provision(options), { code: 'ERR_BUSY', message: /in use by another program/ });
    } finally {
      await claim.close();
    }
  });
  test('what is wrong with the wish itself: before anything is looked at', async () => {
    for (const [changes, code] of [
      [{ directory: null }, 'ERR_USAGE'],
      [{ directory: `${folder}/none`, mkdir: false }, 'ERR_USAGE'],
      [{ label: 'a label that is far too long' }, 'ERR_USAGE'],
      [{ extra: [path()] }, 'ERR_USAGE'],
      [{ dev: `${TARGET}/7` }, 'ERR_NOT_FOUND'],
      [{ dev: `${TARGET}/0p1` }, 'ERR_USAGE'],
      [{ dev: '/dev/vda' }, 'ERR_USAGE'],
    ] as const) {
      await refused(code, /./, changes);
    }
  });
  test('agreed to, the rest is done; a lock keeps a second run out', async () => {
    await mkfs('');
    const options = {
      paths: { ...fake.paths, targetConfig: '', stateDir: `${folder}/state` },
      dev,
      directory: `${folder}/mnt`,
    };
    const asked: string[] = [];
    let second: Promise<unknown> = Promise.resolve();
    const { names } = await provision({
      ...options,
      agree: async ({ what, accepted }) => {
        asked.push(what, ...accepted);
        second = assert.rejects(provision(options), { code: 'ERR_BUSY', message: /is being provisioned by another/ });
        await second;
      },
    });
    await second;
    assert.deepEqual(names, ['label', 'partition', 'format', 'mount']);
    assert.match(asked[0] ?? '', /holds ext4 "old".*\n.*device.*\n.*disk.*\n.*found.*\nThis destroys it\.$/s);
    assert.equal(asked[1], dev);
    assert.deepEqual((await provision(options)).names, []);
    await unmountBelow(folder);
    const again = await provision({ ...options, label: 'new', agree: async () => {} });
    assert.deepEqual(again.names, ['format', 'mount']);
  });
  test('mkfs.xfs that was killed: nothing to lose, done again', async () => {
    const other = await startFakeSession({ sizeBytes: 320 * MIB });
    try {
      const device = other.attachment?.path ?? '';
      const options = {
        paths: { ...other.paths, targetConfig: '', stateDir: `${folder}/state` },
        dev,
        directory: `${folder}/xfs`,
        type: 'xfs' as const,
      };
      await provision(options);
      await unmountBelow(folder);
      const partition = await open(`${device}p1`, 'r+');
      await partition.write(Buffer.from([1]), 0, 1, 126);
      await partition.sync();
      await partition.close();
      assert.deepEqual((await provision(options)).names, ['format', 'mount']);
      await unmountBelow(folder);
    } finally {
      await other.close();
    }
  });
});
