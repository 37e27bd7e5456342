import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { BlockStatus } from '../../src/block/block-device.js';
import { FaultDevice } from '../../src/block/fault-device.js';
import { openFileDevice } from '../../src/block/file-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readPartitions, readPartitionTable } from '../../src/block/partition/read-partitions.js';
import type { PartitionTable } from '../../src/block/partition/table.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';

const MIB = 2 ** 20;
const LINUX = '0fc63daf-8483-4772-8e79-3d69d8477de4';

interface GptOptions {
  blockSize?: number;
  entryCount?: number;
  entrySize?: number;
  entries?: readonly { index: number; first: number; last: number; name?: string }[];
}

/** A disk of 16 MiB with a whole GPT: protective MBR, both headers, both entry arrays. */
async function gptDisk(options: GptOptions = {}): Promise<MemoryDevice> {
  const { blockSize = 512, entryCount = 128, entrySize = 128, entries = [] } = options;
  const disk = new MemoryDevice({ sizeBytes: 16 * MIB, blockSize });
  const blocks = disk.sizeBytes / blockSize;
  const array = Buffer.alloc(Math.ceil((entryCount * entrySize) / blockSize) * blockSize);
  for (const { index, first, last, name = '' } of entries) {
    const at = index * entrySize;
    Buffer.from('af3dc60f838472478e793d69d8477de4', 'hex').copy(array, at);
    Buffer.alloc(16, index + 1).copy(array, at + 16);
    array.writeBigUInt64LE(BigInt(first), at + 32);
    array.writeBigUInt64LE(BigInt(last), at + 40);
    array.write(name, at + 56, 72, 'utf16le');
  }
  const arrayBlocks = array.length / blockSize;
  const crc = crc32(array.subarray(0, entryCount * entrySize));
  const firstUsable = 2 + arrayBlocks;
  const lastUsable = blocks - 2 - arrayBlocks;
  const header = (lba: number, other: number, arrayLba: number): Buffer => {
    const b = Buffer.alloc(blockSize);
    b.write('EFI PART', 0, 'latin1');
    b.writeUInt32LE(0x1_0000, 8);
    b.writeUInt32LE(92, 12);
    for (const [at, value] of [
      [24, lba],
      [32, other],
      [40, firstUsable],
      [48, lastUsable],
      [72, arrayLba],
    ] as const) {
      b.writeBigUInt64LE(BigInt(value), at);
    }
    Buffer.alloc(16, 0xd1).copy(b, 56);
    b.writeUInt32LE(entryCount, 80);
    b.writeUInt32LE(entrySize, 84);
    b.writeUInt32LE(crc, 88);
    return sealed(b);
  };
  await writeBytes(disk, 0, mbr(blockSize, [{ type: 0xee, first: 1, blocks: blocks - 1 }]));
  await writeBytes(disk, blockSize, header(1, blocks - 1, 2));
  await writeBytes(disk, 2 * blockSize, array);
  await writeBytes(disk, (blocks - 1 - arrayBlocks) * blockSize, array);
  await writeBytes(disk, (blocks - 1) * blockSize, header(blocks - 1, 1, blocks - 1 - arrayBlocks));
  return disk;
}
/** With the header's checksum made right again. */
function sealed(header: Buffer): Buffer {
  const size = header.readUInt32LE(12);
  header.writeUInt32LE(0, 16);
  header.writeUInt32LE(crc32(header.subarray(0, size)), 16);
  return header;
}
function mbr(blockSize: number, entries: readonly { type: number; first: number; blocks: number }[]): Buffer {
  const b = Buffer.alloc(blockSize);
  b.writeUInt32LE(0x1a2b_3c4d, 440);
  for (const [i, { type, first, blocks }] of entries.entries()) {
    b.writeUInt8(type, 446 + 16 * i + 4);
    b.writeUInt32LE(first, 446 + 16 * i + 8);
    b.writeUInt32LE(blocks, 446 + 16 * i + 12);
  }
  b.writeUInt16LE(0xaa55, 510);
  return b;
}
/** Changes one block of the disk. */
async function change(disk: MemoryDevice, lba: number, edit: (block: Buffer) => void): Promise<void> {
  const block = await readBytes(disk, lba * disk.blockSize, disk.blockSize);
  edit(block);
  await writeBytes(disk, lba * disk.blockSize, block);
}

describe('GPT', () => {
  const entries = [
    { index: 0, first: 2048, last: 4095, name: 'data' },
    { index: 2, first: 8192, last: 8192, name: 'Größe 😀' },
  ];

  it('yields number, place, type, identity and name of each entry', async () => {
    const table = await readPartitionTable(await gptDisk({ entries }));
    assert.deepEqual(table, {
      kind: 'gpt',
      uuid: 'd1d1d1d1-d1d1-d1d1-d1d1-d1d1d1d1d1d1',
      reason: null,
      partitions: [
        { number: 1, start: MIB, length: MIB, type: LINUX, uuid: '01010101-0101-0101-0101-010101010101', name: 'data' },
        {
          number: 3,
          start: 4 * MIB,
          length: 512,
          type: LINUX,
          uuid: '03030303-0303-0303-0303-030303030303',
          name: 'Größe 😀',
        },
      ],
    } satisfies PartitionTable);
  });

  it('works with blocks of 4096, large entries and any number of them', async () => {
    const disk = await gptDisk({
      blockSize: 4096,
      entryCount: 7,
      entrySize: 256,
      entries: [{ index: 6, first: 256, last: 511 }],
    });
    assert.deepEqual(
      (await readPartitions(disk)).map(({ number, start, length }) => [number, start, length]),
      [[7, MIB, MIB]],
    );
  });

  const last = (16 * MIB) / 512 - 1;
  const damage: [string, number, (block: Buffer) => void][] = [
    ['a flipped bit in the header', 1, (b) => b.writeUInt8(b.readUInt8(60) ^ 1, 60)],
    ['a flipped bit in the entries', 2, (b) => b.writeUInt8(b.readUInt8(5) ^ 1, 5)],
    ['no signature', 1, (b) => b.fill(0)],
    ['a header size of 2^32 − 1', 1, (b) => b.writeUInt32LE(0xffff_ffff, 12)],
    ['a header size of 91', 1, (b) => b.writeUInt32LE(91, 12)],
  ];
  // These have a valid checksum: 64-bit fields first, then 32-bit ones.
  const lies: [string, [number, bigint][], [number, number][]][] = [
    ['a header of another place', [[24, 2n]], []],
    ['2^32 − 1 entries', [], [[80, 0xffff_ffff]]],
    ['entries of 2^31 bytes', [], [[84, 2 ** 31]]],
    ['entries of 0 bytes', [], [[84, 0]]],
    [
      '1024 entries of 4096 bytes',
      [],
      [
        [80, 1024],
        [84, 4096],
      ],
    ],
    ['entries after the end', [[72, 2n ** 63n]], []],
    ['entries in the header', [[72, 1n]], []],
    ['usable blocks after the end', [[48, 2n ** 64n - 1n]], []],
    [
      'usable blocks that end before they begin',
      [
        [40, 9000n],
        [48, 5n],
      ],
      [],
    ],
  ];
  for (const [what, wide, narrow] of lies) {
    damage.push([
      what,
      1,
      (b) => {
        for (const [at, value] of wide) b.writeBigUInt64LE(value, at);
        for (const [at, value] of narrow) b.writeUInt32LE(value, at);
        sealed(b);
      },
    ]);
  }
  for (const [what, lba, edit] of damage) {
    it(`falls back to the backup for ${what}, and says so`, async () => {
      const disk = await gptDisk({ entries });
      await change(disk, lba, edit);
      const table = await readPartitionTable(disk);
      assert.equal(table.partitions.length, 2);
      assert.match(table.reason ?? '', /^the backup GPT is used, the primary one is damaged: /);
    });
  }

  it('is an empty list with a reason when both copies are bad', async () => {
    const disk = await gptDisk({ entries });
    await change(disk, 1, (b) => b.fill(0));
    await change(disk, last, (b) => b.writeUInt32LE(0, 88));
    const table = await readPartitionTable(disk);
    assert.deepEqual([table.kind, table.partitions], ['gpt', []]);
    assert.equal(table.reason, 'the GPT is damaged: no signature; its backup: its checksum is wrong');
  });

  it('leaves out entries that are not on the usable part of the disk', async () => {
    const disk = await gptDisk({
      entries: [
        { index: 0, first: 2048, last: 2047 },
        { index: 1, first: 1, last: 4096 },
        { index: 2, first: 2048, last: last },
        { index: 3, first: 2048, last: 4095 },
      ],
    });
    const table = await readPartitionTable(disk);
    assert.deepEqual(
      table.partitions.map(({ number }) => number),
      [4],
    );
    assert.equal(table.reason, '3 entries lie outside of the usable blocks');
  });

  it('does not count without its protective MBR', async () => {
    const disk = await gptDisk({ entries });
    await change(disk, 0, (b) => b.fill(0));
    const table = await readPartitionTable(disk);
    assert.deepEqual([table.kind, table.partitions.length], ['none', 0]);
    assert.equal(table.reason, 'a GPT without its protective MBR: it is not in use');
  });
});

describe('MBR', () => {
  async function mbrDisk(
    blockSize: number,
    records: readonly [number, Parameters<typeof mbr>[1]][],
  ): Promise<MemoryDevice> {
    const disk = new MemoryDevice({ sizeBytes: 64 * MIB, blockSize });
    for (const [lba, entries] of records) await writeBytes(disk, lba * blockSize, mbr(blockSize, entries));
    return disk;
  }

  for (const blockSize of [512, 4096]) {
    it(`yields primary and logical partitions, blocks of ${blockSize}`, async () => {
      const disk = await mbrDisk(blockSize, [
        [
          0,
          [
            { type: 0x83, first: 256, blocks: 256 },
            { type: 0, first: 0, blocks: 0 },
            { type: 0x05, first: 1024, blocks: 4096 },
          ],
        ],
        [
          1024,
          [
            { type: 0x83, first: 8, blocks: 100 },
            { type: 0x05, first: 1024, blocks: 1024 },
          ],
        ],
        [2048, [{ type: 0x05, first: 2048, blocks: 1024 }]],
        [3072, [{ type: 0x82, first: 8, blocks: 200 }]],
      ]);
      const table = await readPartitionTable(disk);
      assert.deepEqual([table.kind, table.uuid, table.reason], ['mbr', '1a2b3c4d', null]);
      assert.deepEqual(
        table.partitions.map(({ number, start, length, type, uuid }) => [
          number,
          start / blockSize,
          length / blockSize,
          type,
          uuid,
        ]),
        [
          [1, 256, 256, '0x83', '1a2b3c4d-01'],
          [5, 1032, 100, '0x83', '1a2b3c4d-05'],
          [6, 3080, 200, '0x82', '1a2b3c4d-06'],
        ],
      );
    });
  }

  it('leaves out what is not on the disk', async () => {
    const disk = await mbrDisk(512, [
      [
        0,
        [
          { type: 0x83, first: 0, blocks: 10 },
          { type: 0x83, first: 2048, blocks: 0xffff_ffff },
          { type: 0x83, first: 64, blocks: 8 },
        ],
      ],
    ]);
    const table = await readPartitionTable(disk);
    assert.deepEqual(
      table.partitions.map(({ number }) => number),
      [3],
    );
    assert.equal(table.reason, 'entry 1 is not on the disk; entry 2 is not on the disk');
  });

  const chains: [string, [number, Parameters<typeof mbr>[1]][], string, number][] = [
    [
      'leads back',
      [
        [
          1024,
          [
            { type: 0x83, first: 8, blocks: 8 },
            { type: 5, first: 0, blocks: 8 },
          ],
        ],
      ],
      'leads astray',
      1,
    ],
    ['leads to itself', [[1024, [{ type: 5, first: 0, blocks: 8 }]]], 'leads astray', 0],
    ['leaves its container', [[1024, [{ type: 5, first: 0xffff_fff0, blocks: 8 }]]], 'leads astray', 0],
    ['has a record without its mark', [], 'has no mark', 0],
    [
      'has a partition that leaves it',
      [[1024, [{ type: 0x83, first: 8, blocks: 0xffff_ffff }]]],
      'not in its container',
      0,
    ],
  ];
  for (const [what, records, reason, count] of chains) {
    it(`stops at a chain of logical partitions that ${what}`, async () => {
      const disk = await mbrDisk(512, [[0, [{ type: 0x0f, first: 1024, blocks: 8192 }]], ...records]);
      const table = await readPartitionTable(disk);
      assert.equal(table.partitions.length, count);
      assert.match(table.reason ?? '', new RegExp(reason));
    });
  }

  it('follows a long chain no further than the kernel would', async () => {
    const records = Array.from({ length: 1000 }, (_, i): [number, Parameters<typeof mbr>[1]] => [
      100 + 2 * i,
      [
        { type: 0x83, first: 1, blocks: 1 },
        { type: 5, first: 2 * (i + 1), blocks: 2 },
      ],
    ]);
    const disk = await mbrDisk(512, [[0, [{ type: 5, first: 100, blocks: 10_000 }]], ...records]);
    const table = await readPartitionTable(disk);
    assert.equal(table.partitions.length, 252);
    assert.match(table.reason ?? '', /more than 252/);
  });

  it('takes the boot sector of a file system for no table', async () => {
    const disk = new MemoryDevice({ sizeBytes: MIB });
    const sector = mbr(512, [{ type: 0x83, first: 64, blocks: 8 }]);
    sector.fill(0x6f, 446, 510);
    await writeBytes(disk, 0, sector);
    assert.deepEqual(await readPartitionTable(disk), { kind: 'none', uuid: '', partitions: [], reason: null });
  });
});

describe('readPartitionTable', () => {
  it('finds nothing on an empty disk, however small', async () => {
    for (const sizeBytes of [0, 512, 1024, 2 ** 40]) {
      assert.deepEqual(await readPartitions(new MemoryDevice({ sizeBytes })), []);
    }
  });

  it('passes on the error of a disk that cannot be read', async () => {
    const disk = new FaultDevice(await gptDisk(), (_, index) => (index > 0 ? { status: BlockStatus.Eio } : null));
    await assert.rejects(readPartitionTable(disk), { name: 'BlockError', status: BlockStatus.Eio });
  });

  it('ends, with partitions inside of the disk, whatever the disk says', async () => {
    const edit = fc.record({ lba: fc.constantFrom(0, 1, 2, 3, 1024, 2048), at: fc.nat(511), byte: fc.nat(255) });
    const field = fc.record({
      lba: fc.constantFrom(1),
      at: fc.constantFrom(12, 24, 40, 48, 72, 80, 84),
      value: fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.bigInt({ min: 0n, max: 40_000n })),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(edit, { maxLength: 30 }),
        fc.array(field, { maxLength: 3 }),
        fc.boolean(),
        async (edits, fields, gpt) => {
          const disk = gpt
            ? await gptDisk({ entries: [{ index: 0, first: 2048, last: 4095 }] })
            : new MemoryDevice({ sizeBytes: 16 * MIB });
          if (!gpt) await writeBytes(disk, 0, mbr(512, [{ type: 5, first: 1024, blocks: 4096 }]));
          for (const { lba, at, byte } of edits) await change(disk, lba, (b) => b.writeUInt8(byte, at));
          for (const { lba, at, value } of fields) {
            await change(disk, lba, (b) => {
              b.writeBigUInt64LE(value, at);
              if (gpt) sealedSafely(b);
            });
          }
          const { partitions } = await readPartitionTable(disk);
          for (const { start, length } of partitions) {
            assert.ok(start >= 512 && length > 0 && start + length <= disk.sizeBytes);
            assert.ok(start % 512 === 0 && length % 512 === 0);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Makes the checksum right where the header's length allows it. */
function sealedSafely(header: Buffer): void {
  if (header.readUInt32LE(12) <= header.length) sealed(header);
}

describe('tables that fdisk and sfdisk have written', () => {
  /** Runs `use` on an empty image of 64 MiB. */
  async function withImage(t: TestContext, use: (image: string) => Promise<void>): Promise<void> {
    if (spawnSync('sfdisk', ['--version']).error) {
      if (process.env.CI) assert.fail('sfdisk is missing: apt-get install fdisk');
      t.skip('sfdisk is missing: apt-get install fdisk');
      return;
    }
    const folder = await mkdtemp(join(tmpdir(), 'lunctl-fdisk-'));
    const image = join(folder, 'disk.img');
    await writeFile(image, '');
    await truncate(image, 64 * MIB);
    try {
      await use(image);
    } finally {
      await rm(folder, { recursive: true });
    }
  }
  async function tableOf(image: string, blockSize: 512 | 4096): Promise<PartitionTable> {
    const device = await openFileDevice(image, { readOnly: true, blockSize });
    const table = await readPartitionTable(device);
    await device.close();
    assert.equal(table.reason, null);
    return table;
  }

  const scripts: [string, string][] = [
    ['gpt', 'label: gpt\nsize=8MiB, type=linux, name="data"\nsize=4MiB, type=swap, name="swap space"\ntype=linux\n'],
    [
      'mbr',
      'label: dos\nsize=8MiB, type=83\nsize=30MiB, type=5\nsize=4MiB, type=82, bootable\nsize=4MiB\nsize=4MiB\nsize=4MiB\n',
    ],
  ];
  for (const [kind, script] of scripts) {
    it(`agrees with sfdisk on ${kind}`, async (t: TestContext) => {
      await withImage(t, async (image) => {
        execFileSync('sfdisk', ['--quiet', image], { input: script, stdio: ['pipe', 'ignore', 'pipe'] });
        const { partitiontable } = JSON.parse(execFileSync('sfdisk', ['--json', image], { encoding: 'utf8' }));
        const table = await tableOf(image, 512);
        assert.equal(table.kind, kind);
        const listed: { node: string; start: number; size: number; uuid?: string; name?: string; type: string }[] =
          partitiontable.partitions.filter(({ type }: { type: string }) => type !== '5');
        assert.ok(listed.length >= 3);
        assert.deepEqual(
          table.partitions.map(({ number, start, length }) => [number, start, length]),
          listed.map((p) => [Number(p.node.slice(image.length)), p.start * 512, p.size * 512]),
        );
        if (kind !== 'gpt') return;
        assert.deepEqual(
          table.partitions.map(({ uuid, name, type }) => [uuid, name, type]),
          listed.map((p) => [p.uuid?.toLowerCase(), p.name ?? '', p.type.toLowerCase()]),
        );
        assert.equal(table.uuid, partitiontable.id.toLowerCase());
      });
    });
  }

  const sessions: [string, string, number[]][] = [
    ['gpt', 'g n 1 - +8M n 2 - +4M n 3 - - w', [1, 2, 3]],
    ['mbr', 'o n p 1 - +8M n e 2 - +30M n l - +4M n l - +4M n p 3 - +4M w', [1, 3, 5, 6]],
  ];
  for (const [kind, keys, numbers] of sessions) {
    it(`agrees with fdisk on ${kind} with blocks of 4096`, async (t: TestContext) => {
      await withImage(t, async (image) => {
        const input = keys.split(' ').map((key) => (key === '-' ? '' : key));
        const made = spawnSync('fdisk', ['-b', '4096', image], { input: `${input.join('\n')}\n`, encoding: 'utf8' });
        assert.equal(made.status, 0, made.stderr);
        const listing = execFileSync('fdisk', ['-b', '4096', '-l', '-o', 'Device,Start,Sectors,Type', image], {
          encoding: 'utf8',
        });
        const rows = listing.split('\n').filter((line) => line.startsWith(`${image}`) && !line.includes('Extended'));
        const table = await tableOf(image, 4096);
        assert.equal(table.kind, kind);
        assert.deepEqual(
          table.partitions.map(({ number }) => number),
          numbers,
          listing,
        );
        assert.deepEqual(
          table.partitions.map(({ start, length }) => [start / 4096, length / 4096]),
          rows.map((row) => row.slice(image.length).trim().split(/\s+/).slice(1, 3).map(Number)),
        );
      });
    });
  }
});
