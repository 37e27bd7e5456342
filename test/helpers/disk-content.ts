// What a disk may hold, made on an image of 64 MiB: by the programs that make it where they are, else by the bytes that every
// reader goes by.
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';

export const IMAGE_BYTES = 64 * 2 ** 20;
const SECTOR = 512;
const LINUX = '0FC63DAF-8483-4772-8E79-3D69D8477DE4';

/** Each makes its content on a blank image; the second value is a type that wipefs then names, or null for none. */
export const CONTENTS = {
  blank: [() => {}, null],
  'gpt without partitions': [(image: string) => sfdisk(image, 'label: gpt\n'), 'gpt'],
  'gpt with partitions': [(image: string) => sfdisk(image, gptWithOne), 'gpt'],
  'gpt with a damaged header': [damagedGpt, 'gpt'],
  'gpt of which only the backup is left': [lostGpt, 'gpt'],
  dos: [(image: string) => sfdisk(image, 'label: dos\nstart=2048, size=20480, type=83\n'), 'dos'],
  xfs: [makeXfs, 'xfs'],
  ext4: [(image: string) => mkfs(image, 'mkfs.ext4', '-q', '-F', '-L', 'old data'), 'ext4'],
  btrfs: [(image: string) => mkfs(image, 'mkfs.btrfs', '-q', '--mixed'), 'btrfs'],
  vfat: [(image: string) => mkfs(image, 'mkfs.vfat'), 'vfat'],
  swap: [(image: string) => mkfs(image, 'mkswap', '-q'), 'swap'],
  'an LVM volume': [makeLvm, 'LVM2_member'],
  'a member of an md array': [makeMd, 'linux_raid_member'],
  'a LUKS header': [(image: string) => put(image, 0, Buffer.from('4c554b53babe0001', 'hex')), 'crypto_LUKS'],
  'a member of a zfs pool': [makeZfs, 'zfs_member'],
  iso9660: [(image: string) => put(image, 0x8000, Buffer.from('\u0001CD001\u0001')), 'iso9660'],
  'ext4 under a LUKS header': [makeTwo, 'crypto_LUKS'],
} as const satisfies Record<string, readonly [(image: string) => void, string | null]>;
export type ContentName = keyof typeof CONTENTS;

const gptWithOne = `label: gpt\nstart=2048, size=20480, type=${LINUX}\n`;

/** Empties the image and makes `name` on it. The file stays the same one, for whoever has it open. */
export function makeContent(image: string, name: ContentName): void {
  execFileSync('fallocate', ['--punch-hole', '--offset', '0', '--length', String(IMAGE_BYTES), image]);
  CONTENTS[name][0](image);
}

function sfdisk(image: string, script: string): void {
  execFileSync('sfdisk', ['--quiet', '--wipe=never', image], { input: script, stdio: ['pipe', 'ignore', 'inherit'] });
}

function mkfs(image: string, program: string, ...args: string[]): void {
  execFileSync(program, [...args, image], { stdio: 'ignore' });
}

function put(image: string, offset: number, bytes: Buffer): void {
  const file = openSync(image, 'r+');
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}

function damagedGpt(image: string): void {
  sfdisk(image, gptWithOne);
  put(image, SECTOR + 16, Buffer.from('dead', 'hex'));
}

function lostGpt(image: string): void {
  sfdisk(image, gptWithOne);
  put(image, 0, Buffer.alloc(2 ** 20));
}

/** mkfs.xfs wants more room than the image has: what is at the start of a larger one. */
function makeXfs(image: string): void {
  const large = `${image}.xfs`;
  const file = openSync(large, 'w+');
  ftruncateSync(file, 320 * 2 ** 20);
  mkfs(large, 'mkfs.xfs', '-q');
  const start = Buffer.alloc(2 ** 20);
  readSync(file, start, 0, start.length, 0);
  closeSync(file);
  rmSync(large);
  put(image, 0, start);
}

/** A label in sector 1, with LVM's own start of the CRC and without its end. */
function makeLvm(image: string): void {
  const label = Buffer.alloc(SECTOR);
  label.write('LABELONE', 0);
  label.writeBigUInt64LE(1n, 8);
  label.writeUInt32LE(32, 20);
  label.write('LVM2 001', 24);
  label.write('0123456789abcdefghijklmnopqrstuv', 32);
  label.writeUInt32LE(~crc32(label.subarray(20), ~0xf597_a6cf >>> 0) >>> 0, 16);
  put(image, SECTOR, label);
}

/** A superblock of version 1.2, which stands at 4096 bytes. */
function makeMd(image: string): void {
  const block = Buffer.alloc(256);
  block.writeUInt32LE(0xa92b_4efc, 0);
  block.writeUInt32LE(1, 4);
  block.write('0123456789abcdef', 16);
  block.write('host:0', 32);
  block.writeUInt32LE(1, 72);
  block.writeBigUInt64LE(8n, 144);
  let sum = 0n;
  for (let at = 0; at < block.length; at += 4) sum += BigInt(block.readUInt32LE(at));
  block.writeUInt32LE(Number(((sum & 0xffff_ffffn) + (sum >> 32n)) & 0xffff_ffffn), 216);
  put(image, 4096, block);
}

/** Some uberblocks of the first label. */
function makeZfs(image: string): void {
  for (let i = 0; i < 8; i++) {
    const block = Buffer.alloc(1024);
    block.writeBigUInt64LE(0x00ba_b10cn, 0);
    block.writeBigUInt64LE(5000n, 8);
    put(image, 128 * 1024 + i * 1024, block);
  }
}

function makeTwo(image: string): void {
  mkfs(image, 'mkfs.ext4', '-q', '-F');
  put(image, 0, Buffer.from('4c554b53babe0001', 'hex'));
}
