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

const LOCK = 'flock --no-fork --timeout 30 --conflict-exit-code 73 /dev/nbd0';
const SFDISK = `${LOCK} sfdisk --quiet --wipe=never --wipe-partitions=never --no-tell-kernel`;
const NBD0 = { path: '/dev/nbd0', lock: '/dev/nbd0' };
const A = '01234567-89ab-cdef-0123-456789abcdef';
const B = '11234567-89ab-cdef-0123-456789abcdef';
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
    assert.deepEqual(shellLines(planLabel(NBD0, 'gpt', { wipe: false, uuid: A })), [
      `printf '%s\\n' 'label: gpt' 'label-id: ${A}' 'first-lba: 34' | ${SFDISK} -- /dev/nbd0`,
    ]);
  });
  test('label over data wipes first', () => {
    assert.deepEqual(shellLines(planLabel(NBD0, 'dos', { wipe: true, uuid: '89abcdef' })), [
      `${LOCK} wipefs --all --quiet -- /dev/nbd0`,
      `printf '%s\\n' 'label: dos' 'label-id: 0x89abcdef' | ${SFDISK} -- /dev/nbd0`,
    ]);
  });
  test('partitions by exact sectors', () => {
    const added = [
      { number: 1, uuid: A, start: 2048, length: 20_967_424 },
      { number: 2, uuid: B, start: 20_969_472, length: 2048 },
    ];
    assert.deepEqual(shellLines(planPartition(NBD0, 'gpt', added, 0)), [
      `printf '%s\\n' 'start=2048, size=20967424, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=${A}' ` +
        `'start=20969472, size=2048, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=${B}' ` +
        `| ${SFDISK} --append -- /dev/nbd0`,
    ]);
    assert.match(
      planPartition({ path: '/x' }, 'dos', added, 0)[0]?.input ?? '',
      /^start=2048, size=20967424, type=83\nstart=.*83\n$/,
    );
  });
  test('a file whose sectors have 4096 bytes is fdisk’s: sfdisk cannot be told', () => {
    const file = { path: '/run/l/lun0', sectorSize: 4096 };
    const added = { number: 2, uuid: B, start: 512, length: 256 };
    const FDISK = 'fdisk --sector-size 4096 --wipe=never --wipe-partitions=never -- /run/l/lun0';
    const keys = (line: string | undefined) => /^printf '%s\\n' (.*) \| (.*)$/.exec(line ?? '')?.slice(1);
    const label = shellLines(planLabel(file, 'gpt', { wipe: false, uuid: A }));
    assert.deepEqual(keys(label[0]), [`g x i ${A} r w`, FDISK]);
    assert.deepEqual(keys(shellLines(planPartition(file, 'gpt', [added], 1))[0]), [
      `n 2 512 767 x u 2 ${B} r w`,
      FDISK,
    ]);
    assert.deepEqual(keys(shellLines(planPartition(file, 'dos', [added], 1))[0]), ['n p 2 512 767 w', FDISK]);
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
    ['swap', { type: 'swap', label: 'swap1', uuid: A }, `mkswap -U ${A} -L swap1 -- /dev/nbd0p1`],
    ['swap over data', { type: 'swap', overwrite: true }, 'mkswap -f -- /dev/nbd0p1'],
    ['xfs with a UUID', { uuid: A.toUpperCase() }, `mkfs.xfs -m uuid=${A} -- /dev/nbd0p1`],
    ['ext4 with a UUID', { type: 'ext4', uuid: A }, `mkfs.ext4 -U ${A} -- /dev/nbd0p1`],
    ['btrfs with a UUID', { type: 'btrfs', uuid: A }, `mkfs.btrfs -U ${A} -- /dev/nbd0p1`],
    ['vfat with a volume number', { type: 'vfat', uuid: '1A2B-3C4D' }, 'mkfs.vfat -i 1a2b3c4d -- /dev/nbd0p1'],
    ['a disk that others look at', { lock: '/dev/nbd0' }, `${LOCK} mkfs.xfs -- /dev/nbd0p1`],
    ['vfat on a whole disk', { type: 'vfat', isWholeDisk: true, path: '/dev/nbd0' }, 'mkfs.vfat -I -- /dev/nbd0'],
  ] as const satisfies [string, Partial<FormatPlan>, string][]) {
    test(`format: ${name}`, () => assert.equal(format(plan)[0], line));
  }
  test('format over data removes what mkfs leaves of the old signatures, and only then', () => {
    assert.deepEqual(format({ type: 'ext4', overwrite: true }), [
      'mkfs.ext4 -F -- /dev/nbd0p1',
      'wipefs --all --quiet --force --types noext4,ext3,ext2 -- /dev/nbd0p1',
    ]);
    assert.equal(
      format({ type: 'ext4', overwrite: true, lock: '/dev/nbd0' })[1],
      `${LOCK} wipefs --all --quiet --types noext4,ext3,ext2 -- /dev/nbd0p1`,
    );
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
  for (const [type, uuid] of [
    ['xfs', '1A2B-3C4D'],
    ['ext4', 'random'],
    ['btrfs', '00000000-0000-0000-0000-000000000000'],
    ['swap', `${A}0`],
    ['vfat', A],
    ['vfat', '0000-0000'],
    ['vfat', '1A2B3C4'],
    ['xfs', ''],
  ] as const) {
    test(`format: ${type} cannot have the UUID ${JSON.stringify(uuid)}`, () => {
      assert.throws(() => format({ type, uuid }), { code: 'ERR_USAGE' });
    });
  }
  test('mount and unmount', () => {
    const plan = { path: '/dev/nbd0p1', target: '/mnt/my disk', readOnly: true, extra: ['-o', 'noexec'] };
    assert.deepEqual(shellLines(planMount(plan)), [
      "mount -o _netdev --read-only -o noexec -- /dev/nbd0p1 '/mnt/my disk'",
    ]);
    assert.deepEqual(shellLines(planUnmount('/mnt')), ['umount -- /mnt']);
  });
});

test('words are quoted so that a shell reads them back', () => {
  assert.equal(shellWord(''), "''");
  assert.equal(shellWord("it's"), `'it'\\''s'`);
  assert.equal(shellWord('$HOME'), "'$HOME'");
  assert.equal(shellLine('cat', ['-'], 'a b\nc\n'), "printf '%s\\n' 'a b' c | cat -");
});
