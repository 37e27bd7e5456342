// Where a partition ends on a larger disk, and what file systems make of their room.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  parseBtrfsShow,
  parseBtrfsSuper,
  parseDumpe2fs,
  parseXfsInfo,
  sizeOf,
  sizeWithin,
} from '../../src/disk/file-system-size.js';
import {
  canGrow,
  grownLength,
  isBackupBehind,
  isLogicalOrExtended,
  partitionToGrow,
  planGrowFileSystem,
  planGrowPartition,
  planMoveBackup,
} from '../../src/disk/grow.js';
import { type Geometry, type LabelType, placePartitions } from '../../src/disk/layout.js';
import { shellLines } from '../../src/disk/plan.js';
import type { TableEntry } from '../../src/disk/probe.js';
import { AppError } from '../../src/util/errors.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const geometry = (sizeBytes: number, blockSize = 512, optimalIoSize = 0): Geometry => {
  return { sizeBytes, blockSize, optimalIoSize };
};
const entry = (number: number, start: number, length: number, type = '83'): TableEntry => {
  return { number, start, length, type };
};

describe('the partition to grow', () => {
  const entries = [entry(1, 2048, 100), entry(3, 90_000, 100), entry(2, 40_000, 100)];
  test('is the last one on the disk, whatever its number, or the one that is named', () => {
    assert.equal(partitionToGrow(entries, null)?.number, 3);
    assert.equal(partitionToGrow(entries, 2)?.number, 2);
    assert.equal(partitionToGrow(entries, 4), null);
    assert.equal(partitionToGrow([], null), null);
  });
  test('is no extended or logical one', () => {
    assert.equal(isLogicalOrExtended(entry(2, 2048, 1, 'F'), 'dos'), true);
    assert.equal(isLogicalOrExtended(entry(5, 2048, 1), 'dos'), true);
    assert.equal(isLogicalOrExtended(entry(4, 2048, 1), 'dos'), false);
    assert.equal(isLogicalOrExtended(entry(5, 2048, 1), 'gpt'), false);
  });
});

describe('the new length', () => {
  const whole = (size: number, blockSize = 512): TableEntry => {
    const [range] = placePartitions(geometry(size, blockSize), 'gpt', [], [{ kind: 'part', part: 1 }]);
    return entry(1, range?.start ?? 0, range?.length ?? 0);
  };
  test('10 GiB to 20 GiB: from 1 MiB to the last aligned sector, as a new partition would have it', () => {
    const old = whole(10 * GIB);
    assert.equal(old.start + old.length - 1, 20_969_471);
    assert.equal(grownLength(geometry(20 * GIB), 'gpt', [old], old), whole(20 * GIB).length);
  });
  test('in sectors of 4 KiB', () => {
    const old = whole(10 * GIB, 4096);
    assert.equal(old.start, 256);
    const length = grownLength(geometry(10 * GIB + 64 * MIB, 4096), 'gpt', [old], old);
    assert.equal((length - old.length) * 4096, 64 * MIB);
  });
  test('growth that reaches no aligned sector is none', () => {
    const old = whole(10 * GIB);
    // The last MiB of a whole number of them lacks the 33 sectors of the backup.
    for (const sectors of [0, 1, 32]) {
      const now = geometry(10 * GIB + sectors * 512);
      assert.equal(grownLength(now, 'gpt', [old], old), old.length, String(sectors));
      assert.equal(isBackupBehind(now, (10 * GIB) / 512 - 34), false);
    }
    for (const sectors of [33, 2048, 2048 + 32]) {
      const now = geometry(10 * GIB + sectors * 512);
      assert.equal(grownLength(now, 'gpt', [old], old), old.length + 2048, String(sectors));
      assert.equal(isBackupBehind(now, (10 * GIB) / 512 - 34), true);
    }
    const dos = entry(1, 2048, (10 * GIB) / 512 - 2048);
    assert.equal(grownLength(geometry(10 * GIB + MIB - 512), 'dos', [dos], dos), dos.length);
  });
  test('a partition that ends behind the last aligned sector keeps its end', () => {
    const odd = entry(1, 2048, (10 * GIB) / 512 - 2048 - 34 + 1);
    assert.equal(grownLength(geometry(10 * GIB), 'gpt', [odd], odd), odd.length);
  });
  test('a disk that has become smaller: nothing is made smaller', () => {
    const old = whole(10 * GIB);
    assert.equal(grownLength(geometry(5 * GIB), 'gpt', [old], old), old.length);
  });
  test('one with another behind it grows up to that, aligned', () => {
    const [first, foreign] = [entry(1, 2048, 2048), entry(7, 10_001, 100, 'foreign')];
    assert.equal(grownLength(geometry(GIB), 'gpt', [first, foreign], first), 8192 - 2048);
    const next = entry(2, 4096, 4096);
    assert.equal(grownLength(geometry(GIB), 'gpt', [first, next], first), 2048);
    assert.equal(grownLength(geometry(GIB), 'gpt', [first, next], next), whole(GIB).length - 2048);
  });
  test('a disk that is smaller than one step of alignment', () => {
    const tiny = entry(1, 128, 1);
    assert.equal(grownLength(geometry(193 * 512), 'gpt', [tiny], tiny), 1);
  });
  test('a dos label ends at 2 TiB', () => {
    const old = entry(1, 2048, 2048);
    const length = grownLength(geometry(3 * 2 ** 40), 'dos', [old], old);
    assert.equal(old.start + length, 2 ** 32);
    assert.equal(grownLength(geometry(GIB), 'dos', [old], old), GIB / 512 - 2048);
  });
  test('steps of the disk’s own size', () => {
    const old = entry(1, 3 * 2048, 3 * 2048);
    const length = grownLength(geometry(100 * MIB, 512, 3 * MIB), 'gpt', [old], old);
    assert.equal((old.start + length) % (3 * 2048), 0);
    assert.equal(old.start + length, 99 * 2048);
  });
  test('never smaller, never into another one, never beyond the end', () => {
    const disk = fc.record({
      blockSize: fc.constantFrom(512, 4096),
      optimalIoSize: fc.constantFrom(0, 65_536, 3 * MIB),
      label: fc.constantFrom<LabelType>('gpt', 'dos'),
      places: fc.array(fc.tuple(fc.integer({ min: 64, max: 9999 }), fc.integer({ min: 1, max: 500 })), {
        minLength: 1,
      }),
      more: fc.nat(2 ** 34),
    });
    fc.assert(
      fc.property(disk, ({ blockSize, optimalIoSize, label, places, more }) => {
        let at = 64;
        const entries = places.map(([gap, length], i) => {
          const made = entry(i + 1, at + gap, length);
          at = made.start + length;
          return made;
        });
        const sizeBytes = (at + 64) * blockSize + more - (more % blockSize);
        for (const one of entries) {
          const end = one.start + grownLength(geometry(sizeBytes, blockSize, optimalIoSize), label, entries, one);
          assert.ok(end >= one.start + one.length && end <= sizeBytes / blockSize);
          for (const other of entries) assert.ok(other === one || other.start < one.start || other.start >= end);
        }
      }),
    );
  });
});

test('the steps, as shell lines', () => {
  const sfdisk = 'sfdisk --quiet --wipe=never --wipe-partitions=never --no-tell-kernel --no-reread';
  assert.deepEqual(
    shellLines([planGrowPartition({ path: '/dev/nbd0' }, 2, 4096), planMoveBackup({ path: '/dev/nbd0' })]),
    [`printf '%s\\n' size=4096 | ${sfdisk} -N 2 -- /dev/nbd0`, `${sfdisk} --relocate gpt-bak-std -- /dev/nbd0`],
  );
  const lines = (fs: Parameters<typeof planGrowFileSystem>[0], mountPoint: string | null) =>
    shellLines(planGrowFileSystem(fs, { path: '/dev/nbd0p1' }, mountPoint));
  assert.deepEqual(lines(XFS, '/mnt/my disk'), ["xfs_growfs -d -- '/mnt/my disk'"]);
  assert.deepEqual(lines(EXT, '/mnt'), ['resize2fs -- /dev/nbd0p1']);
  assert.deepEqual(lines(EXT, null), ['e2fsck -f -p -- /dev/nbd0p1', 'resize2fs -- /dev/nbd0p1']);
  assert.deepEqual(lines({ type: 'btrfs', sizeBytes: 1, deviceId: 3 }, '/mnt'), [
    'btrfs filesystem resize -- 3:max /mnt',
  ]);
});

const XFS_INFO = `meta-data=/dev/loop1             isize=512    agcount=4, agsize=38400 blks
         =                       sectsz=512   attr=2, projid32bit=1
data     =                       bsize=4096   blocks=153600, imaxpct=25
         =                       sunit=0      swidth=0 blks
naming   =version 2              bsize=4096   ascii-ci=0, ftype=1
log      =internal log           bsize=4096   blocks=16384, version=2
realtime =none                   extsz=4096   blocks=0, rtextents=0
`;
const XFS = parseXfsInfo(XFS_INFO);
const DUMPE2FS = `Filesystem features:      has_journal ext_attr resize_inode sparse_super large_file
Block count:              307200
First block:              1
Block size:               1024
Group descriptor size:    64
Reserved GDT blocks:      256
Blocks per group:         8192
Inodes per group:         2024
Inode blocks per group:   506
`;
const EXT = parseDumpe2fs(DUMPE2FS);
const BTRFS_SHOW = `Label: none  uuid: 03c129cb-b78a-4a96-b9b9-40d9049b152d
	Total devices 2 FS bytes used 147456
	devid    1 size 314572800 used 92274688 path /dev/loop1
	devid    2 size 104857600 used 92274688 path /dev/nbd0p1
`;

describe('sizes of file systems', () => {
  test('as their programs print them', () => {
    assert.deepEqual(XFS, { type: 'xfs', blockSize: 4096, blocks: 153_600, groupBlocks: 38_400 });
    assert.deepEqual(EXT, {
      type: 'ext',
      ...{ blockSize: 1024, blocks: 307_200, firstBlock: 1, groupBlocks: 8192, inodeBlocks: 506 },
      ...{ tableBlocks: 259, isSparse: true },
    });
    const btrfs = parseBtrfsShow(BTRFS_SHOW, '/dev/nbd0p1');
    assert.deepEqual(btrfs, { type: 'btrfs', sizeBytes: 104_857_600, deviceId: 2 });
    assert.deepEqual([XFS, EXT, btrfs].map(sizeOf), [600 * MIB, 300 * MIB, 100 * MIB]);
    const superblock =
      'total_bytes\t\t419430400\ndev_item.type\t\t0\ndev_item.total_bytes\t104857600\ndev_item.devid\t\t2\n';
    assert.deepEqual(parseBtrfsSuper(superblock), btrfs);
    assert.throws(() => parseBtrfsShow(BTRFS_SHOW, '/dev/nbd1'), { code: 'ERR_HELPER' });
  });
  test('a last group that would be too small is left out', () => {
    const group = XFS.type === 'xfs' ? XFS.groupBlocks * 4096 : 0;
    assert.equal(sizeWithin(XFS, 600 * MIB + 63 * 4096), 600 * MIB);
    assert.equal(canGrow(XFS, 600 * MIB + 63 * 4096), false);
    assert.equal(sizeWithin(XFS, 600 * MIB + 64 * 4096), 600 * MIB + 64 * 4096);
    assert.equal(sizeWithin(XFS, 600 * MIB + group + 5), 600 * MIB + group);
    // Group 38 of ext4 has no superblock: 2 + 506 blocks of its own, and 50 free.
    const full = 1024 * (1 + 38 * 8192);
    assert.equal(sizeWithin(EXT, full + 557 * 1024), full);
    assert.equal(sizeWithin(EXT, full + 558 * 1024), full + 558 * 1024);
    // Group 49 has one, with its tables.
    const copied = 1024 * (1 + 49 * 8192);
    assert.equal(sizeWithin(EXT, copied + 817 * 1024), copied);
    assert.equal(sizeWithin(EXT, copied + 818 * 1024), copied + 818 * 1024);
    assert.equal(sizeWithin({ type: 'btrfs', sizeBytes: 4096, deviceId: 1 }, 12_287), 8192);
  });
  test('a smaller room makes nothing smaller', () => {
    for (const fs of [XFS, EXT, { type: 'btrfs', sizeBytes: 300 * MIB, deviceId: 1 } as const]) {
      assert.equal(sizeWithin(fs, 100 * MIB), sizeOf(fs));
      assert.equal(canGrow(fs, sizeOf(fs)), false);
    }
  });
  test('whatever is printed ends in sizes or an AppError', () => {
    const parsers = [parseXfsInfo, parseDumpe2fs, parseBtrfsSuper, (text: string) => parseBtrfsShow(text, '/dev/x')];
    const broken = fc.tuple(fc.constantFrom(XFS_INFO, DUMPE2FS, BTRFS_SHOW), fc.nat(400), fc.string());
    const text = broken.map(([whole, at, more]) => whole.slice(0, at) + more + whole.slice(at + more.length));
    fc.assert(
      fc.property(fc.oneof(text, fc.string()), fc.constantFrom(...parsers), (printed, parse) => {
        try {
          assert.ok(sizeOf(parse(printed)) > 0);
        } catch (error) {
          assert.ok(error instanceof AppError);
        }
      }),
    );
  });
});
