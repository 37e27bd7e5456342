// Exact sectors of new partitions, against what parted and sfdisk do with the same disks.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { alignment, type Geometry, parseSizeSpec, placePartitions, usableRange } from '../../src/disk/layout.js';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const disk = (sizeBytes: number, blockSize = 512, optimalIoSize = 0): Geometry => ({
  sizeBytes,
  blockSize,
  optimalIoSize,
});
const sizes = (...texts: string[]) => texts.map(parseSizeSpec);

describe('alignment', () => {
  for (const [blockSize, optimal, expected] of [
    [512, 0, MIB],
    [512, 512, MIB],
    [512, 65_536, MIB],
    [4096, MIB, MIB],
    [512, 4 * MIB, 4 * MIB],
    [512, 1.5 * MIB, 1.5 * MIB],
    [512, 384 * 1024, 1152 * 1024],
    [512, 65_535 * 512, MIB],
    [512, 128 * MIB, MIB],
  ] as const) {
    test(`optimal I/O size ${optimal} gives ${expected}`, () => {
      assert.equal(alignment(disk(GIB, blockSize, optimal)), expected);
    });
  }
});

describe('one partition over the whole disk', () => {
  for (const [name, geometry, label, start, length] of [
    ['10 GiB as parted 0% 100% lays it', disk(10 * GIB), 'gpt', 2048, 20_967_424],
    ['10 GiB dos', disk(10 * GIB), 'dos', 2048, 20_969_472],
    ['4096-byte blocks', disk(10 * GIB, 4096), 'gpt', 256, 2_620_928],
    ['optimal I/O 4 MiB', disk(10 * GIB, 512, 4 * MIB), 'gpt', 8192, 20_955_136],
    ['10 GiB of LIO, as the guide has it', disk(10 * GIB, 512, 8 * MIB), 'gpt', 16_384, 20_938_752],
    ['3 MiB: one MiB of room', disk(3 * MIB), 'gpt', 2048, 2048],
    ['3 TiB dos stops at 2 TiB', disk(3 * 1024 * GIB), 'dos', 2048, 2 ** 32 - 2048],
  ] as const) {
    test(name, () => {
      const expected = { start, length };
      assert.deepEqual(placePartitions(geometry, label, [], sizes('100%')), [expected]);
      assert.deepEqual(placePartitions(geometry, label, [], sizes('max')), [expected]);
    });
  }
});

describe('several partitions', () => {
  test('two halves fill the disk', () => {
    const [a, b] = placePartitions(disk(10 * GIB), 'gpt', [], sizes('50%', '50%'));
    assert.deepEqual(a, { start: 2048, length: 10_483_712 });
    assert.deepEqual(b, { start: 2048 + 10_483_712, length: 10_483_712 });
  });
  test('a size, a share and the rest', () => {
    assert.deepEqual(placePartitions(disk(GIB), 'gpt', [], sizes('100M', '25%', 'max')), [
      { start: 2048, length: 204_800 },
      { start: 206_848, length: 522_240 },
      { start: 729_088, length: 1_366_016 },
    ]);
  });
  test('new ones go behind those that are there, whatever their order', () => {
    const existing = [
      { start: 4096, length: 1000 },
      { start: 2048, length: 2048 },
    ];
    assert.deepEqual(placePartitions(disk(64 * MIB), 'gpt', existing, sizes('10M')), [{ start: 6144, length: 20_480 }]);
  });
});

describe('what does not fit is refused', () => {
  const full = [{ start: 2048, length: 20_967_424 }];
  for (const [name, run] of [
    ['more than the disk', () => placePartitions(disk(GIB), 'gpt', [], sizes('1G'))],
    ['more than 100%', () => placePartitions(disk(GIB), 'gpt', [], sizes('60%', '60%'))],
    ['a full disk', () => placePartitions(disk(10 * GIB), 'gpt', full, sizes('max'))],
    ['less than the alignment', () => placePartitions(disk(GIB), 'gpt', [], sizes('512K'))],
    ['a disk of 2 MiB', () => placePartitions(disk(2 * MIB), 'gpt', [], sizes('max'))],
    ['max before others', () => placePartitions(disk(GIB), 'gpt', [], sizes('max', '10M'))],
    ['a fifth primary partition', () => placePartitions(disk(GIB), 'dos', [], sizes('1M', '1M', '1M', '1M', '1M'))],
  ] as const) {
    test(name, () => assert.throws(run, { code: 'ERR_USAGE' }));
  }
  for (const text of ['0', '0%', '101%', '-5%', '50 %', '%', 'half', '1e3%', '5%%', 'MAX', '']) {
    test(`--size ${JSON.stringify(text)}`, () => assert.throws(() => parseSizeSpec(text), { code: 'ERR_USAGE' }));
  }
});

test('whatever is placed is aligned, inside, behind its predecessor, and of the size asked for', () => {
  const geometry = fc
    .record({
      mebibytes: fc.integer({ min: 1, max: 4_000_000 }),
      odd: fc.integer({ min: 0, max: 255 }),
      blockSize: fc.constantFrom(512, 4096),
      optimalIoSize: fc.constantFrom(0, 4096, 65_536, 786_432, 4 * MIB, 33_553_920),
    })
    .map(({ mebibytes, odd, blockSize, optimalIoSize }) =>
      disk(mebibytes * MIB + odd * 4096, blockSize, optimalIoSize),
    );
  const size = fc.oneof(
    fc.integer({ min: 1, max: 1000 }).map((part) => ({ kind: 'part' as const, part: part / 1000 })),
    fc.integer({ min: 1, max: 10_000_000 }).map((n) => ({ kind: 'bytes' as const, bytes: n * 65_536 })),
  );
  fc.assert(
    fc.property(
      geometry,
      fc.constantFrom('gpt', 'dos'),
      fc.array(size, { minLength: 1, maxLength: 6 }),
      (g, label, wanted) => {
        let ranges: ReturnType<typeof placePartitions>;
        try {
          ranges = placePartitions(g, label, [], wanted);
        } catch (error) {
          assert.equal((error as { code: string }).code, 'ERR_USAGE');
          return;
        }
        const grain = alignment(g) / g.blockSize;
        const usable = usableRange(g, label);
        let next = usable.start;
        ranges.forEach(({ start, length }, i) => {
          assert.equal(start, next);
          assert.equal(start % grain, 0);
          assert.ok(length > 0 && length % grain === 0);
          const spec = wanted[i];
          if (spec?.kind === 'bytes')
            assert.ok(length * g.blockSize <= spec.bytes && (length + grain) * g.blockSize > spec.bytes);
          next = start + length;
        });
        assert.ok(next <= usable.start + usable.length);
        assert.ok(
          (usable.start + usable.length) * g.blockSize <= g.sizeBytes - (label === 'gpt' ? 16_384 + g.blockSize : 0),
        );
      },
    ),
  );
});
