// Runs beside a whole test run, and looks for the mark of test secrets where a secret must never be: in the arguments and the
// environment of our processes and of what they start, and in files of the run that others may read or that tell what a session
// does. When its input ends it names what it has found, and fails if there is anything. Arguments: the run's folder; the mark.
import { readdirSync, readFileSync } from 'node:fs';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MARK as CANARY } from '../helpers/canary.js';

const [folder = '', mark = CANARY] = process.argv.slice(2);
const PROCESSES_MS = 500;
const FILES_MS = 3000;
/** A file system of a test may hang; nobody waits for it. */
const LAST_MS = 5000;
const LARGEST = 2 ** 20;

const OURS = /\/bin\/(run|iscsiadm)\.js\0|\/(worker|guard)-main\.[jt]s\0|^lunctl[ -]/;
/** There a caller's secret may stand until the title of the process takes its place. */
const SHIM = /\/bin\/iscsiadm\.js\0|\/bin\/run\.js\0(iscsiadm|-m|--mode)/;

const found = new Set<string>();
const counts = { processes: 0, files: 0 };

interface Seen {
  readonly parent: number;
  readonly line: string;
}

function lookAtProcesses(): void {
  const seen = new Map<number, Seen>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const line = read(`/proc/${name}/cmdline`);
    const parent = Number(/\) \S (\d+) /.exec(read(`/proc/${name}/stat`))?.[1] ?? 0);
    if (line !== '') seen.set(Number(name), { parent, line });
  }
  for (const [pid, { line }] of seen) {
    if (!isOurs(pid, seen)) continue;
    counts.processes++;
    if (line.includes(mark) && !SHIM.test(line)) found.add(`arguments: ${line.replaceAll('\0', ' ')}`);
    if (read(`/proc/${pid}/environ`).includes(mark)) found.add(`environment of: ${line.replaceAll('\0', ' ')}`);
  }
}

/** It, or one that has started it. */
function isOurs(pid: number, seen: ReadonlyMap<number, Seen>): boolean {
  for (let at = seen.get(pid), steps = 0; at !== undefined && steps < 20; at = seen.get(at.parent), steps++) {
    if (OURS.test(at.line)) return true;
  }
  return false;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** What was read of a file, so that it is read once. */
const known = new Map<string, string>();

async function lookAtFiles(at: string, mounts: ReadonlySet<string>): Promise<void> {
  for (const entry of await readdir(at, { withFileTypes: true }).catch(() => [])) {
    const path = join(at, entry.name);
    if (entry.isDirectory() && !mounts.has(path)) await lookAtFiles(path, mounts);
    if (entry.isFile()) await lookAtFile(path).catch(() => {});
  }
}

async function lookAtFile(path: string): Promise<void> {
  const { mode, size, mtimeMs, ino } = await lstat(path);
  const telling = path.slice(folder.length).includes('/run/') || /\/log(\.1)?$/.test(path);
  if (size > LARGEST || ((mode & 0o044) === 0 && !telling)) return;
  const version = `${ino} ${size} ${mtimeMs} ${mode}`;
  if (known.get(path) === version) return;
  known.set(path, version);
  counts.files++;
  if ((await readFile(path, 'latin1')).includes(mark)) found.add(`file of mode ${(mode & 0o777).toString(8)}: ${path}`);
}

function mountPoints(): Set<string> {
  return new Set(
    read('/proc/self/mounts')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? ''),
  );
}

let looking = Promise.resolve();
const processes = setInterval(lookAtProcesses, PROCESSES_MS);
const files = setInterval(() => {
  looking = looking.then(() => lookAtFiles(folder, mountPoints()));
}, FILES_MS);
process.stdin.resume();
await new Promise((resolve) => process.stdin.once('end', resolve));
clearInterval(processes);
clearInterval(files);
const late = new Promise<void>((resolve) => setTimeout(resolve, LAST_MS));
await Promise.race([looking.then(() => lookAtFiles(folder, mountPoints())), late]);
for (const where of found) console.error(`a secret of the tests is in the ${where}`);
console.error(`looked for secrets in ${counts.processes} processes (as often as seen) and ${counts.files} files`);
process.exit(found.size > 0 ? 1 : 0);
