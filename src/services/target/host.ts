// What the edits of a target's configuration ask of this host: what stands at a path, and that a backing file is made.
import { randomUUID } from 'node:crypto';
import { type BigIntStats, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { hostname, machine } from 'node:os';
import type { NewFile, PathFacts } from '../../saveconfig/edits/backstores.js';
import type { HostName } from '../../saveconfig/edits/targets.js';
import type { SaveConfig } from '../../saveconfig/model.js';
import { AppError } from '../../util/errors.js';

/** The host, as the target commands see it; tests give their own. */
export interface TargetHost extends HostName {
  /** `config`: whose storage objects are looked through for the same file. */
  look(path: string, config: SaveConfig): PathFacts;
  /** @throws AppError ERR_ACCESS, ERR_NOT_FOUND: targetcli's text */
  makeFile(file: NewFile): Promise<void>;
  /** Takes back what `makeFile` made. */
  dropFile(path: string): Promise<void>;
}

export const THIS_HOST: TargetHost = {
  hostname: hostname(),
  machine: machine(),
  uuid: randomUUID,
  look,
  makeFile,
  dropFile: async (path) => await unlink(path).catch(() => undefined),
};

const NOTHING = { sizeBytes: 0, readOnly: false, isDisk: false, isScsi: false };
/** The peripheral device type of a disk, SPC-4 table 149. */
const DISK = '0';
const SECTOR = 512;

function look(path: string, config: SaveConfig): PathFacts {
  const at = scsiPath(path) ?? path;
  const info = statOf(at);
  if (typeof info === 'string') return { ...NOTHING, path: at, kind: info, usedBy: [] };
  const usedBy = config.storage_objects.filter(
    (object) => 'dev' in object && typeof object.dev === 'string' && isSame(info, statOf(object.dev)),
  );
  if (info.isFile()) return { ...NOTHING, path: at, kind: 'file', sizeBytes: Number(info.size), usedBy };
  if (!info.isBlockDevice()) return { ...NOTHING, path: at, kind: 'other', isScsi: isGenericScsi(at), usedBy };
  const attribute = (name: string): string => attributeOf(info.rdev, name);
  return {
    path: at,
    kind: 'block',
    sizeBytes: sizeOf(info),
    readOnly: attribute('ro') === '1',
    isDisk: (attribute('device/type') || DISK) === DISK,
    isScsi: attribute('device/scsi_level') !== '',
    usedBy,
  };
}

/** The size of a block device in bytes; 0 for what is none. It is not opened. */
export function blockDeviceSize(path: string): number {
  const info = statOf(scsiPath(path) ?? path);
  return typeof info !== 'string' && info.isBlockDevice() ? sizeOf(info) : 0;
}

function sizeOf({ rdev }: BigIntStats): number {
  return Number(attributeOf(rdev, 'size')) * SECTOR;
}

/** The block device of `H:C:T:L`. */
function scsiPath(path: string): string | null {
  if (!/^\d+:\d+:\d+:\d+$/.test(path)) return null;
  try {
    const [name] = readdirSync(`/sys/class/scsi_device/${path}/device/block`);
    return name === undefined ? null : `/dev/${name}`;
  } catch {
    return null;
  }
}

function isGenericScsi(path: string): boolean {
  try {
    return /^\/dev\/sg\d+$/.test(realpathSync(path));
  } catch {
    return false;
  }
}

function statOf(path: string): BigIntStats | 'absent' | 'unreadable' {
  try {
    return statSync(path, { bigint: true });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return code === 'ENOENT' || code === 'ENOTDIR' ? 'absent' : 'unreadable';
  }
}

/** A device may have several nodes; a file may have several names. */
function isSame(a: BigIntStats, b: BigIntStats | 'absent' | 'unreadable'): boolean {
  if (typeof b === 'string') return false;
  if (a.isBlockDevice() && b.isBlockDevice()) return a.rdev === b.rdev;
  return a.dev === b.dev && a.ino === b.ino;
}

function attributeOf(rdev: bigint, name: string): string {
  const [major, minor] = [(rdev >> 8n) & 0xfffn, (rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n)];
  try {
    return readFileSync(`/sys/dev/block/${major}:${minor}/${name}`, 'utf8').trim();
  } catch {
    return '';
  }
}

async function makeFile({ path, sizeBytes, sparse }: NewFile): Promise<void> {
  const handle = await open(path, 'wx', 0o600).catch((cause: unknown) => {
    throw new AppError('ERR_NOT_FOUND', `Could not open ${path}`, { cause });
  });
  try {
    if (sparse) await handle.truncate(sizeBytes);
    else await writeZeros(handle, sizeBytes);
    await handle.sync();
  } catch (cause) {
    await unlink(path).catch(() => undefined);
    throw new AppError('ERR_REFUSED', `Could not expand file to ${sizeBytes} bytes`, { cause });
  } finally {
    await handle.close();
  }
}

const PIECE = 1_048_576;

async function writeZeros(handle: FileHandle, sizeBytes: number): Promise<void> {
  const zeros = Buffer.alloc(PIECE);
  for (let at = 0; at < sizeBytes; at += PIECE) await handle.write(zeros, 0, Math.min(PIECE, sizeBytes - at), at);
}
