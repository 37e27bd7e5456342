// The exact command lines of disk commands.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type FormatPlan,
  planFormat,
  planLabel,
  planMount,
  planPartition,
  planUnmount,
  shellLines,
} from '../../src/disk/plan.js';
import { shellLine, shellWord } from '../../src/disk/shell.js';

const SFDISK = 'sfdisk --lock --quiet --wipe=never --wipe-partitions=never --no-tell-kernel';
const format = (plan: Partial<FormatPlan>) =>
  shellLines(
    planFormat({
      path: '/dev/nbd0p1',
      type: 'xfs',
      overwrite: false,
      isFile: false,
      blockSize: 512,
      isWholeDisk: false,
      extra: [],
      ...plan,
    }),
  );

describe('plans', () => {
  test('label on a blank disk', () => {
    assert.deepEqual(shellLines(planLabel('/dev/nbd0', 'gpt', false)), [
      `printf '%s\\n' 'label: gpt' | ${SFDISK} -- /dev/nbd0`,
    ]);
  });
  test('label over data wipes first', () => {
    assert.deepEqual(shellLines(planLabel('/dev/nbd0', 'dos', true)), [
      'wipefs --all --lock --quiet -- /dev/nbd0',
      `printf '%s\\n' 'label: dos' | ${SFDISK} -- /dev/nbd0`,
    ]);
  });
  test('partitions by exact sectors', () => {
    const ranges = [
      { start: 2048, length: 20_967_424 },
      { start: 20_969_472, length: 2048 },
    ];
    assert.deepEqual(shellLines(planPartition('/dev/nbd0', 'gpt', ranges)), [
      "printf '%s\\n' 'start=2048, size=20967424, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4' " +
        "'start=20969472, size=2048, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4' " +
        `| ${SFDISK} --append -- /dev/nbd0`,
    ]);
    assert.match(planPartition('/x', 'dos', ranges)[0]?.input ?? '', /^start=2048, size=20967424, type=83\n/);
  });
  for (const [name, plan, line] of [
    [
      'the Rocky document',
      { extra: ['-i', 'size=1024', '-s', 'size=4096'] },
      'mkfs.xfs -i size=1024 -s size=4096 -- /dev/nbd0p1',
    ],
    ['xfs over data', { overwrite: true, label: 'data' }, 'mkfs.xfs -f -L data -- /dev/nbd0p1'],
    ['ext4', { type: 'ext4' }, 'mkfs.ext4 -- /dev/nbd0p1'],
    ['ext4 on a file', { type: 'ext4', isFile: true, path: '/run/l/lun0' }, 'mkfs.ext4 -F -- /run/l/lun0'],
    ['btrfs', { type: 'btrfs', label: 'two words' }, "mkfs.btrfs -L 'two words' -- /dev/nbd0p1"],
    ['vfat', { type: 'vfat', label: 'EFI' }, 'mkfs.vfat -n EFI -- /dev/nbd0p1'],
    ['xfs on a file of 4096-byte blocks', { isFile: true, blockSize: 4096 }, 'mkfs.xfs -s size=4096 -- /dev/nbd0p1'],
    ['vfat on a whole disk', { type: 'vfat', isWholeDisk: true, path: '/dev/nbd0' }, 'mkfs.vfat -I -- /dev/nbd0'],
  ] as const satisfies [string, Partial<FormatPlan>, string][]) {
    test(`format: ${name}`, () => assert.equal(format(plan)[0], line));
  }
  test('format over data removes what mkfs leaves of the old signatures, and only then', () => {
    assert.deepEqual(format({ type: 'ext4', overwrite: true }), [
      'mkfs.ext4 -F -- /dev/nbd0p1',
      'wipefs --all --lock --quiet --types noext4,ext3,ext2 -- /dev/nbd0p1',
    ]);
    assert.equal(format({ type: 'ext4' }).length, 1);
  });
  for (const [type, label] of [
    ['xfs', 'thirteen chars'],
    ['ext4', ''],
    ['vfat', 'a/b'],
    ['btrfs', 'a\nb'],
    ['xfs', '日本語日本'],
  ] as const) {
    test(`format: ${type} cannot be called ${JSON.stringify(label)}`, () => {
      assert.throws(() => format({ type, label }), { code: 'ERR_USAGE' });
    });
  }
  test('mount and unmount', () => {
    const plan = { path: '/dev/nbd0p1', target: '/mnt/my disk', readOnly: true, extra: ['-o', 'noexec'] };
    assert.deepEqual(shellLines(planMount(plan)), ["mount --read-only -o noexec -- /dev/nbd0p1 '/mnt/my disk'"]);
    assert.deepEqual(shellLines(planUnmount('/mnt')), ['umount -- /mnt']);
  });
});

test('words are quoted so that a shell reads them back', () => {
  assert.equal(shellWord(''), "''");
  assert.equal(shellWord("it's"), `'it'\\''s'`);
  assert.equal(shellWord('$HOME'), "'$HOME'");
  assert.equal(shellLine('cat', ['-'], 'a b\nc\n'), "printf '%s\\n' 'a b' c | cat -");
});
