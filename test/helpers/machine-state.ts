// What a test could leave on the machine: processes, loop and nbd devices, mounts and sockets, as the kernel lists them.
import { readdirSync, readFileSync } from 'node:fs';
import { loopDevices, mounts, sysAttribute } from '../../src/disk/sysfs.js';

/** Each thing by a name of its own: `loop device /dev/loop0 on /tmp/x`. */
export type MachineState = ReadonlySet<string>;

/** Programs that we start, by their names: helpers of devices, peers, and ourselves. */
const PROGRAMS = /^(?:nbdfuse|nbd-client|nbdkit|qemu-nbd|tgtd|istgt|lunctl.*)$/;

export function machineState(): MachineState {
  return new Set([...processNames(), ...devices(), ...fuseMounts(), ...sockets()]);
}

/** What is there now and was not before; with `about`, only what bears that in its name. */
export function newSince(before: MachineState, about = ''): string[] {
  return [...machineState()].filter((name) => !before.has(name) && name.includes(about));
}

function processNames(): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
        // A worker has a title instead of its command line.
        const program = (words[0] ?? '').split('/').at(-1)?.split(' ')[0] ?? '';
        const script = words[1] === undefined ? '' : (words[1].split('/').slice(-2).join('/') ?? '');
        const ours = PROGRAMS.test(program) || script === 'bin/run.js' || words.includes('lunctl-guard');
        return ours ? [`process ${pid} ${words.join(' ').trim()}`] : [];
      } catch {
        return [];
      }
    });
}

function devices(): string[] {
  const loops = loopDevices().map(({ name, backingFile }) => `loop device /dev/${name} on ${backingFile}`);
  const nbds = readdirSync('/sys/block').filter((name) => name.startsWith('nbd') && sysAttribute(name, 'pid') !== null);
  return [...loops, ...nbds.map((name) => `nbd device /dev/${name}`)];
}

function fuseMounts(): string[] {
  return mounts()
    .filter(({ fsType, source }) => fsType.startsWith('fuse') || /^\/dev\/(loop|nbd)/.test(source))
    .map(({ fsType, source, target }) => `mount ${target} (${fsType}, ${source})`);
}

/** Unix sockets that have a place in the file system. */
function sockets(): string[] {
  const lines = readFileSync('/proc/net/unix', 'latin1').split('\n').slice(1);
  return lines.flatMap((line) => {
    const path = /^\S+: \S+ \S+ \S+ \S+ \S+ +\d+ (\/.*)$/.exec(line)?.[1];
    return path === undefined ? [] : [`socket ${path}`];
  });
}
