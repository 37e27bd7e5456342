// Who keeps a mount from being unmounted, in words: mounts inside it, and processes by their open files, folders and
// maps. Only links in /proc are read, never the file system itself: its disk may be gone.
import { readFileSync, readlinkSync } from 'node:fs';
import { namesIn } from '../util/names-in.js';
import { oneLine } from '../util/printable.js';
import { loopDevices, mounts, swapFiles } from './sysfs.js';

const MOST_NAMED = 5;
const NAME_LARGEST = 32;

/** One clause for each kind of user; empty when nobody is found (a user in another mount namespace, or in the kernel). */
export function mountUsers(directory: string): string[] {
  const inside = (path: string) => path === directory || path.startsWith(`${directory}/`);
  const nested = mounts().filter(({ target }) => target !== directory && inside(target));
  const loops = loopDevices().filter(({ backingFile }) => inside(backingFile));
  const swaps = swapFiles().filter(inside);
  const processes = processesIn(inside);
  const named = processes.slice(0, MOST_NAMED).map(({ pid, name }) => `${name} (pid ${pid})`);
  const more = processes.length > MOST_NAMED ? ` and ${processes.length - MOST_NAMED} more` : '';
  return [
    ...nested.map(({ target }) => `${target} is mounted inside it`),
    ...loops.map(({ name, backingFile }) => `/dev/${name} is made of ${backingFile}`),
    ...swaps.map((path) => `${path} is swap space in use`),
    ...(named.length === 0 ? [] : [`used by ${named.join(', ')}${more}`]),
  ];
}

function processesIn(inside: (path: string) => boolean): { pid: number; name: string }[] {
  return namesIn('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry) || !usesAny(`/proc/${entry}`, inside)) return [];
    return [{ pid: Number(entry), name: oneLine(text(`/proc/${entry}/comm`)).slice(0, NAME_LARGEST) || '?' }];
  });
}

function usesAny(process: string, inside: (path: string) => boolean): boolean {
  const links = [
    ...['cwd', 'root', 'exe'].map((name) => `${process}/${name}`),
    ...namesIn(`${process}/fd`).map((fd) => `${process}/fd/${fd}`),
  ];
  if (links.some((path) => inside(link(path)))) return true;
  // proc_pid_maps(5): the sixth field is the file.
  return text(`${process}/maps`)
    .split('\n')
    .some((line) => inside(/^(?:\S+\s+){5}(\/.*)$/.exec(line)?.[1] ?? ''));
}

/** Where it leads to, or nothing: the process has ended, or is not ours to look into. */
function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
