// One run of blkid for many files: what it says of each must be what it says of that one alone.
import assert from 'node:assert/strict';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { contentOf } from '../../src/disk/probe.js';
import { contentsOf } from '../../src/disk/probe-many.js';
import { hasTool, runTool } from '../../src/disk/run.js';
import type { Tool } from '../../src/disk/tools.js';

const NEEDED = ['blkid', 'mkfs.ext4', 'mkfs.vfat', 'mkfs.btrfs', 'sfdisk'] as const satisfies Tool[];
const missing = NEEDED.find((tool) => !hasTool(tool));

test('blank, unknown, ambiguous and ordinary files, in any order', {
  skip: missing && `${missing} is missing`,
}, async () => {
  const folder = mkdtempSync(`${tmpdir()}/lunctl-probe-`);
  try {
    const make = async (name: string, bytes: number, tool?: Tool, ...args: string[]) => {
      const path = `${folder}/${name}`;
      writeFileSync(path, '');
      truncateSync(path, bytes);
      const input = tool === 'sfdisk' ? { input: 'label: gpt\nsize=4096\n' } : {};
      if (tool !== undefined) await runTool(tool, [...args, path], input);
      return path;
    };
    const MIB = 2 ** 20;
    const blank = await make('blank', MIB);
    const ext4 = await make('ext4', 8 * MIB, 'mkfs.ext4', '-q', '-F', '-L', 'a =b');
    const vfat = await make('vfat', 8 * MIB, 'mkfs.vfat');
    const both = await make('both', 120 * MIB, 'mkfs.btrfs', '-q');
    // The superblock of ext4 has its place in front of that of btrfs.
    writeAt(both, 1024, readFileSync(ext4).subarray(1024, 2048));
    const random = await make('random', MIB);
    writeFileSync(random, Buffer.alloc(MIB, 'x'));
    const files = [...[blank, ext4, random, vfat, both, await make('gpt', 8 * MIB, 'sfdisk', '-q')]];
    for (const order of [
      files,
      [...files].reverse(),
      files.slice(0, 1),
      files.slice(1, 2),
      [blank, blank, random],
      [],
    ]) {
      const alone = [];
      for (const path of order) alone.push(await contentOf(path));
      assert.deepEqual(await contentsOf(order), alone);
    }
    assert.deepEqual(
      (await contentsOf(files)).map(({ type, table }) => type ?? table),
      [null, 'ext4', null, 'vfat', 'ambiguous', 'gpt'],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function writeAt(path: string, offset: number, bytes: Buffer): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}
