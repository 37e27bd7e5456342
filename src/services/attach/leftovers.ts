// Cleans up after a session worker that was killed: it could not take its devices away itself.
import { readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { runTool } from '../../disk/run.js';
import { kernelName, kernelPartitions, loopDevices, mountPointsOf, mounts, sysAttribute } from '../../disk/sysfs.js';
import { messageOf } from '../../util/errors.js';
import { namesIn } from '../../util/names-in.js';
import { userId } from '../../util/user.js';
import { unmountFuse } from './fuse.js';
import { dropLoops, isOwnLoop, type OwnLoop } from './loop.js';
import { disconnectNbd, isOurs, nbdDeviceOf } from './nbd-device.js';
import { type AttachRecord, readAttachRecords, removeAttachRecord } from './record.js';

/** Every device left answers with EIO by now, so nothing here takes long. */
const STEP_MS = 1000;

/**
 * See `cleanLeftovers`. The kernel's own lists are trusted more than the records, which say only what was meant. Devices
 * are seen to side by side: each takes programs to be started, and all of them have 2 s.
 */
export async function removeLeftovers(runDir: string): Promise<string[]> {
  const loops = await leftLoops(runDir);
  const done: string[] = [];
  // Before all that could wait, so that every request still waiting in the kernel ends with an error instead of waiting on.
  for (const pid of nbdfuseProcesses(runDir)) {
    await step(done, `ended nbdfuse, process ${pid}`, async () => void process.kill(pid, 'SIGKILL'));
  }
  done.push(...(await linesOfAll(loops, removeLoop)));
  const files = mounts().filter(({ target }) => target.startsWith(`${runDir}/`));
  done.push(
    ...(await linesOfAll(files, ({ target }, lines) =>
      step(lines, `unmounted ${target}`, () => unmountFuse(target, true)),
    )),
  );
  const records = readAttachRecords(runDir);
  done.push(...(await linesOfAll(records, removeNbd)));
  for (const { exportName } of records) removeAttachRecord(runDir, exportName);
  removeMountFolders(runDir);
  return done;
}

/** Does `work`, and puts down that it is done, or why it is not. */
async function step(lines: string[], name: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
    lines.push(name);
  } catch (error) {
    lines.push(`${name}: ${messageOf(error)}`);
  }
}

/** Does `work` for all at once. Resolves with their lines in the order of `items`. */
async function linesOfAll<T>(
  items: readonly T[],
  work: (item: T, lines: string[]) => Promise<void>,
): Promise<string[]> {
  const of = async (item: T) => {
    const lines: string[] = [];
    await work(item, lines);
    return lines;
  };
  return (await Promise.all(items.map(of))).flat();
}

async function unmountAll(targets: readonly string[], lines: string[]): Promise<void> {
  for (const target of targets) await step(lines, `unmounted ${target}`, () => unmount(target));
}

async function removeLoop({ name, backingFile, own }: LeftLoop, lines: string[]): Promise<void> {
  await unmountAll(mountsOn(name), lines);
  await step(lines, `detached /dev/${name}`, () => dropLoops(backingFile, { own, force: true }));
}

async function removeNbd(record: AttachRecord, lines: string[]): Promise<void> {
  const name = await deadNbdDevice(record);
  if (name === null) return;
  // A device that is disconnected has no partitions any more.
  const targets = mountsOn(name);
  const before: string[] = [];
  await step(lines, `disconnected /dev/${name}`, () => disconnectNbd(name, () => unmountAll(targets, before)));
  lines.unshift(...before);
}

interface LeftLoop {
  readonly name: string;
  readonly backingFile: string;
  readonly own: OwnLoop | undefined;
}

/** Loop devices on files below the folder; and those of the records, whose files a lazy unmount has taken out of sight. */
async function leftLoops(runDir: string): Promise<LeftLoop[]> {
  const own = new Map<string, OwnLoop>();
  for (const { mode, path, backingFile: file, backing } of readAttachRecords(runDir)) {
    if (mode !== 'fuse' || path === null || file === null || backing === null) continue;
    if (await isOwnLoop({ path, file, backing })) own.set(kernelName(path), { path, file, backing });
  }
  return loopDevices()
    .filter(({ name, backingFile }) => own.has(name) || backingFile.startsWith(`${runDir}/`))
    .map(({ name, backingFile }) => ({ name, backingFile, own: own.get(name) }));
}

/** Processes with our own mount point as an argument; a run folder is one user's, so the name cannot be another's. */
function nbdfuseProcesses(runDir: string): number[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry) || statSync(`/proc/${entry}`, { throwIfNoEntry: false })?.uid !== userId()) return [];
    const [program, ...args] = commandLine(entry);
    const isOurs = program?.split('/').at(-1) === 'nbdfuse' && args.some((arg) => arg.startsWith(`${runDir}/`));
    return isOurs ? [Number(entry)] : [];
  });
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

export function mountsOn(name: string): string[] {
  const all = mounts();
  const nodes = [{ name, dev: sysAttribute(name, 'dev') ?? '' }, ...kernelPartitions(name)];
  // The newest mount first: one may lie below another.
  return nodes.flatMap((node) => mountPointsOf(`/dev/${node.name}`, node.dev, all)).reverse();
}

/** The file system has lost its disk: what could not be written is lost already, and a busy one is detached lazily. */
async function unmount(target: string): Promise<void> {
  try {
    await runTool('umount', ['--', target], { timeoutMs: STEP_MS });
  } catch {
    await runTool('umount', ['--lazy', '--', target], { timeoutMs: STEP_MS });
  }
}

/**
 * The name of the record's nbd device if the kernel still has it connected for the dead worker. A record without the
 * connecting process (killed in between) counts by the device's identifier, or if the device no longer answers.
 */
async function deadNbdDevice({ mode, path, connectPid, backend }: AttachRecord): Promise<string | null> {
  if (mode !== 'nbd') return null;
  if (path === null) return backend === null ? null : nbdDeviceOf(backend);
  const name = kernelName(path);
  if (sysAttribute(name, 'pid') === null) return null;
  if (connectPid !== null) return isOurs({ name, connectPid, backend }) ? name : null;
  const read = [`if=${path}`, 'of=/dev/null', 'bs=4096', 'count=1', 'iflag=direct', 'status=none'];
  const { status } = await runTool('dd', read, { timeoutMs: STEP_MS, okStatuses: [0, 1] });
  return status === 0 ? null : name;
}

function removeMountFolders(runDir: string): void {
  for (const entry of namesIn(runDir).filter((name) => name.startsWith('fuse-'))) {
    try {
      rmdirSync(`${runDir}/${entry}`);
    } catch {
      // Still mounted, which has been reported above.
    }
  }
}
