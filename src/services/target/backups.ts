// The last 10 configurations, as rtslib keeps them: backup/saveconfig-YYYYmmdd-HH:MM:SS-json.gz beside the file.
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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
  await writeTextFile(folder, await freeName(folder), await promisify(gzip)(text));
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

/** Two saves within a second are two backups: the later one is named by a later second. */
async function freeName(folder: string): Promise<string> {
  for (let at = Date.now(); ; at += 1000) {
    const path = join(folder, `saveconfig-${localTime(new Date(at))}-json.gz`);
    if ((await stat(path).catch(() => null)) === null) return path;
  }
}

function localTime(at: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const date = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}`;
  return `${date}-${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
