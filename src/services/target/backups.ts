// The last 10 configurations, as rtslib keeps them: backup/saveconfig-YYYYmmdd-HH:MM:SS-json.gz beside the file.
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { namesIn, removeFile, writeTextFile } from '../../records/files.js';
import { CONFIG_LARGEST } from '../../saveconfig/parse.js';

const KEPT = 10;
const NAME = /^saveconfig-.*json.*$/;

export function backupFolder(path: string): string {
  return join(dirname(path), 'backup');
}

/** Null where there is none. */
export async function newestBackup(path: string): Promise<string | null> {
  const name = (await backupNames(path)).at(-1);
  return name === undefined ? null : join(backupFolder(path), name);
}

/** Writes `text` as the newest backup unless that says the same already. Whether it did. The oldest beyond 10 go. */
export async function addBackup(path: string, text: string): Promise<boolean> {
  const newest = await newestBackup(path);
  if (newest !== null && (await textOf(newest)) === text) return false;
  const folder = backupFolder(path);
  await writeTextFile(folder, join(folder, nameAfter(newest)), await promisify(gzip)(text));
  for (const old of (await backupNames(path)).slice(0, -KEPT)) await removeFile(join(folder, old));
  return true;
}

/** In the order of their age, by their names. */
async function backupNames(path: string): Promise<string[]> {
  return (await namesIn(backupFolder(path))).filter((name) => NAME.test(name));
}

/** A damaged one is like no other: it says nothing. */
async function textOf(backup: string): Promise<string | null> {
  try {
    const bytes = await readFile(backup);
    if (!backup.endsWith('.gz')) return bytes.toString();
    return (await promisify(gunzip)(bytes, { maxOutputLength: CONFIG_LARGEST })).toString();
  } catch {
    return null;
  }
}

/** Two saves within a second are two backups: the later one is named by a later second, so that names stay in order. */
function nameAfter(newest: string | null): string {
  const at = new Date(Math.max(Date.now(), (newest === null ? 0 : timeOf(newest)) + 1000));
  return `saveconfig-${localTime(at)}-json.gz`;
}

/** What a backup's name says, in milliseconds; 0 where it says nothing. */
function timeOf(backup: string): number {
  const parts = /^saveconfig-(\d{4})(\d\d)(\d\d)-(\d\d):(\d\d):(\d\d)-/.exec(basename(backup))?.slice(1).map(Number);
  if (parts === undefined) return 0;
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts;
  return new Date(year, month - 1, day, hour, minute, second).getTime();
}

function localTime(at: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const date = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}`;
  return `${date}-${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
