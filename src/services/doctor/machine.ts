// What this machine has for sessions, devices and disks: Node, rights, the kernel's drivers, helper programs, the clock.
import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { hasTool, missingTool, runTool } from '../../disk/run.js';
import type { Tool } from '../../disk/tools.js';
import { messageOf } from '../../util/errors.js';
import { isRoot } from '../../util/user.js';
import { requireFuseFile } from '../attach/fuse.js';
import { requireWay } from '../attach/nbd-device.js';
import { type Check, type Finding, fail, ok, warn } from './finding.js';

const TOOL_MS = 5000;

export const MACHINE_CHECKS: readonly Check[] = [
  { name: 'node', run: () => [ok('node', `node ${process.versions.node}`)] },
  { name: 'rights', run: () => [rightsFinding(isRoot())] },
  { name: 'devices', run: async () => devicesFindings(await deviceFacts()) },
  { name: 'tools', run: () => toolsFindings() },
  { name: 'clock', run: () => [clockFinding(Date.now(), builtAt())] },
];

export function rightsFinding(root: boolean): Finding {
  if (root) return ok('rights', 'root: devices and mounts are allowed');
  return warn(
    'rights',
    'not root: sessions, NBD sockets and rootless disk commands work, devices and mounts do not',
    'sudo lunctl …',
  );
}

export interface DeviceFacts {
  readonly nbd: 'loaded' | 'loadable' | 'missing';
  /** Why the driver could not be used although it is there; null when nothing is missing. */
  readonly nbdLacks: string | null;
  /** Why nbdfuse and a loop device would not do; null when they would. */
  readonly fuseLacks: string | null;
}

/** Without the kernel's NBD client there may still be FUSE; without both a LUN is an NBD socket and no device. */
export function devicesFindings({ nbd, nbdLacks, fuseLacks }: DeviceFacts): Finding[] {
  const sockets = 'lunctl login --attach none gives NBD sockets and needs no kernel';
  const usable = nbd !== 'missing' && nbdLacks === null;
  const other = fuseLacks === null ? warn : fail;
  const kernel =
    nbd === 'missing'
      ? other('nbd', 'nbd kernel module: not there', `modprobe nbd (in a container: on its host); ${sockets}`)
      : nbdLacks !== null
        ? other('nbd', nbdLacks, `apt-get install nbd-client; ${sockets}`)
        : ok('nbd', `nbd kernel module: ${nbd === 'loaded' ? 'loaded' : 'not loaded yet, will be when it is needed'}`);
  const fuse =
    fuseLacks === null
      ? ok('fuse', 'fuse: nbdfuse, fusermount3 and loop devices')
      : usable
        ? ok('fuse', `fuse: ${fuseLacks}; not needed beside nbd`)
        : warn('fuse', `fuse: ${fuseLacks}`, 'for --attach fuse: apt-get install libnbd-bin fuse3');
  return [kernel, fuse];
}

async function deviceFacts(): Promise<DeviceFacts> {
  return {
    nbd: existsSync('/sys/module/nbd') ? 'loaded' : (await isLoadable('nbd')) ? 'loadable' : 'missing',
    nbdLacks: await reasonOf(requireWay),
    fuseLacks: (await reasonOf(requireFuseFile)) ?? (existsSync('/dev/loop-control') ? null : 'no loop devices'),
  };
}

/** Only asks: nothing is loaded. */
async function isLoadable(module: string): Promise<boolean> {
  if (!hasTool('modprobe')) return false;
  const dryRun = ['--dry-run', '--quiet', '--', module];
  return (await reasonOf(() => runTool('modprobe', dryRun, { timeoutMs: TOOL_MS }))) === null;
}

async function reasonOf(attempt: () => unknown): Promise<string | null> {
  try {
    await attempt();
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** How each says its version, and whether the disk commands can do without it. */
const TOOLS: readonly (readonly [Tool, readonly string[], 'needed' | 'optional'])[] = [
  ['sfdisk', ['--version'], 'needed'],
  ['wipefs', ['--version'], 'needed'],
  ['mount', ['--version'], 'needed'],
  ['mkfs.xfs', ['-V'], 'optional'],
  ['mkfs.ext4', ['-V'], 'optional'],
  ['mkfs.btrfs', ['--version'], 'optional'],
];

/** One line for those that are there, one for each that is not. */
async function toolsFindings(): Promise<Finding[]> {
  const there = TOOLS.filter(([tool]) => hasTool(tool));
  const versions = await Promise.all(there.map(([tool, args]) => versionOf(tool, args)));
  const names = there.map(([tool], i) => `${tool} ${versions[i]}`);
  const missing = TOOLS.filter(([tool]) => !hasTool(tool)).map(([tool, , need]) => {
    const { message, hint = null } = missingTool(tool);
    return need === 'needed'
      ? fail('tools', `${message}: the disk commands need it`, hint)
      : warn('tools', message, hint);
  });
  return [...(names.length === 0 ? [] : [ok('tools', names.join(', '))]), ...missing];
}

async function versionOf(tool: Tool, args: readonly string[]): Promise<string> {
  try {
    const { stdout, stderr } = await runTool(tool, args, { timeoutMs: TOOL_MS });
    return /\d+(?:\.\d+)+/.exec(stdout + stderr)?.[0] ?? '(version unknown)';
  } catch (error) {
    return `(${messageOf(error)})`;
  }
}

/** Times of logs, records and states are worth nothing where the clock has lost its battery. Milliseconds. */
export function clockFinding(now: number, built: number): Finding {
  const time = new Date(now).toISOString();
  if (now >= built) return ok('clock', `clock ${time}`);
  return warn(
    'clock',
    `the clock says ${time}, which is before this program was installed`,
    'timedatectl set-ntp true',
  );
}

function builtAt(): number {
  return statSync(fileURLToPath(import.meta.url)).ctimeMs;
}
