// nbd0 taken over by a stranger in the middle of disk commands. Run by identity.sh:
//   node dist-lab/test/lab/identity.js FOLDER TAKE
// FOLDER holds disk.img, which the target serves, and disks in several states; `TAKE` disconnects nbd0 and attaches the server of
// FOLDER/stranger.sock in its place. LAB_RACES: `few` (default), `all`, or a word of those that are meant
// (`same-pid`).
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { sysAttribute } from '../../src/disk/sysfs.js';
import { mountDisk } from '../../src/services/disk/mount.js';
import { type DiskJob, prepareFormat, prepareLabel, preparePartition } from '../../src/services/disk/prepare.js';
import { prepareWipe } from '../../src/services/disk/wipe.js';
import { login } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import { resolvePaths } from '../../src/services/paths.js';
import { attachLun, detachLun } from '../../src/services/session/control.js';
import { AppError } from '../../src/util/errors.js';
import { loginRequest } from '../helpers/session.js';
import { stopAt } from './at.js';

const [folder = '', take = ''] = process.argv.slice(2);
const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const paths = resolvePaths();
const dev = 'nbd0';

/** Everything that has a loss is agreed to: only the identity stands between a command and the stranger's disk. */
async function finish(prepared: Promise<DiskJob>): Promise<void> {
  const job = await prepared;
  try {
    await job.run(() => {});
  } finally {
    await job.close();
  }
}
const COMMANDS = {
  label: () => finish(prepareLabel({ dev, paths, type: 'gpt' })),
  partition: () => finish(preparePartition({ dev, paths, sizes: [{ kind: 'max' }] })),
  ext4: () => finish(prepareFormat({ dev: `${dev}p1`, paths, type: 'ext4', extra: [] })),
  // The disks are small, for they are read in full each time: mkfs.xfs wants 300 MiB else.
  xfs: () => finish(prepareFormat({ dev: `${dev}p1`, paths, type: 'xfs', extra: ['--unsupported'] })),
  wipe: () => finish(prepareWipe({ dev, paths, stateDir: folder, clear: null })),
  zero: () => finish(prepareWipe({ dev, paths, stateDir: folder, clear: 'zero' })),
  mount: () =>
    mountDisk({ dev: `${dev}p1`, paths, directory: '/mnt', mkdir: false, readOnly: false, extra: [], dryRun: false }),
} as const;

interface Race {
  /** The command and the state that our disk is in. */
  readonly command: keyof typeof COMMANDS;
  readonly ours: string;
  /** The stranger's disk, and how it comes: words for TAKE. */
  readonly stranger: string;
  readonly how?: readonly string[];
  /** A moment of at.ts; absent: before the command. */
  readonly when?: string;
}
const FEW: readonly Race[] = [
  { command: 'label', ours: 'blank', stranger: 'larger' },
  { command: 'label', ours: 'data', stranger: 'blank', when: 'spawn wipefs 1' },
  { command: 'label', ours: 'blank', stranger: 'data', when: 'exit wipefs 1' },
  { command: 'label', ours: 'blank', stranger: 'data', when: 'opened /dev/nbd0 1' },
  { command: 'label', ours: 'data', stranger: 'data', when: 'open /dev/nbd0 2' },
  { command: 'label', ours: 'data', stranger: 'random', how: ['same-pid'] },
  { command: 'xfs', ours: 'files', stranger: 'other' },
  { command: 'zero', ours: 'data', stranger: 'random', when: 'open /dev/nbd0 2' },
  { command: 'mount', ours: 'files', stranger: 'other', when: 'spawn mount 1' },
];
const MORE: readonly Race[] = [
  { command: 'label', ours: 'blank', stranger: 'blank' },
  { command: 'label', ours: 'blank', stranger: 'data' },
  { command: 'label', ours: 'blank', stranger: 'blank', how: ['read-only'] },
  { command: 'label', ours: 'blank', stranger: 'random', how: ['connections'] },
  { command: 'label', ours: 'blank', stranger: 'random', how: ['ioctl'] },
  { command: 'partition', ours: 'label', stranger: 'label' },
  { command: 'ext4', ours: 'table', stranger: 'table' },
  { command: 'ext4', ours: 'files', stranger: 'files' },
  { command: 'ext4', ours: 'files', stranger: 'other', how: ['same-pid'] },
  { command: 'label', ours: 'blank', stranger: 'data', when: 'open /dev/nbd0 1' },
  { command: 'label', ours: 'blank', stranger: 'data', when: 'claim /dev/nbd0 1' },
  { command: 'label', ours: 'blank', stranger: 'data', when: 'claimed /dev/nbd0 2' },
  { command: 'label', ours: 'blank', stranger: 'data', when: 'spawn dd 1' },
  { command: 'label', ours: 'data', stranger: 'data', when: 'exit dd 1' },
  { command: 'label', ours: 'data', stranger: 'data', how: ['ioctl'], when: 'exit dd 1' },
  { command: 'label', ours: 'blank', stranger: 'data', when: 'spawn sfdisk 1' },
  { command: 'partition', ours: 'label', stranger: 'label', when: 'running sfdisk 2' },
  { command: 'partition', ours: 'label', stranger: 'label', when: 'exit sfdisk 2' },
  { command: 'ext4', ours: 'table', stranger: 'table', when: 'running mkfs.ext4 1' },
  { command: 'ext4', ours: 'table', stranger: 'table', how: ['ioctl'], when: 'spawn mkfs.ext4 1' },
  { command: 'xfs', ours: 'files', stranger: 'files', when: 'open /dev/nbd0 2' },
  { command: 'xfs', ours: 'files', stranger: 'other', how: ['ioctl'], when: 'exit mkfs.xfs 1' },
  { command: 'mount', ours: 'files', stranger: 'other' },
  { command: 'wipe', ours: 'data', stranger: 'data' },
  { command: 'wipe', ours: 'data', stranger: 'data', when: 'open /dev/nbd0 1' },
];

const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

/** A server that has the stranger's disk. */
async function serveStranger(kind: string, how: readonly string[]): Promise<ChildProcess> {
  const [image, socket] = [`${folder}/stranger.img`, `${folder}/stranger.sock`];
  copyFileSync(`${folder}/${kind}`, image);
  rmSync(socket, { force: true });
  const server = spawn(
    'nbdkit',
    ['--foreground', ...(how.includes('read-only') ? ['-r'] : []), '--unix', socket, 'file', image],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  while (!existsSync(socket)) {
    assert.equal(server.exitCode, null);
    await sleep(20);
  }
  return server;
}

/** Runs the command and returns the code it is refused with. */
async function refusal({ command, when, how = [] }: Race): Promise<string> {
  const takeOver = ['/bin/bash', take, ...how] as const;
  if (when !== undefined) stopAt(when, takeOver);
  else assert.equal(spawnSync(takeOver[0], takeOver.slice(1), { stdio: 'inherit' }).status, 0);
  try {
    await COMMANDS[command]();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    console.log(`  ${error.code}: ${error.message}`);
    return error.code;
  }
  return 'done';
}

/** Returns whether the stranger came in: while a command holds the device, the kernel does not have it. */
async function race(sid: number, one: Race): Promise<boolean> {
  const { ours, stranger, how = [], when = 'before' } = one;
  console.log(`${one.command} on a disk (${ours}); the stranger (${[stranger, ...how].join(', ')}) comes: ${when}`);
  writeFileSync(`${folder}/disk.img`, readFileSync(`${folder}/${ours}`), { flag: 'r+' });
  const { device } = await attachLun(paths, sid, { lun: 0, mode: 'nbd' });
  assert.equal(device.path, '/dev/nbd0');
  const server = await serveStranger(stranger, how);
  rmSync(`${folder}/took`, { force: true });
  const before = sha256(`${folder}/stranger.img`);
  const code = await refusal(one);
  assert.ok(existsSync(`${folder}/took`), `the moment has not come: ${when}`);
  const attached = readFileSync(`${folder}/took`, 'utf8') === 'attached\n';
  // A command that had done all its work before may say so; none may end well that had something to do.
  if (!/^exit sfdisk/.test(when)) assert.match(code, /^ERR_(USAGE|BUSY|HELPER|NOT_FOUND|ACCESS)$/);
  // What waits in the page cache of the stranger's device comes to light.
  spawnSync('blockdev', ['--flushbufs', '/dev/nbd0']);
  const pid = sysAttribute(dev, 'pid');
  await detachLun(paths, sid, 0);
  // By its process number alone a forged one is taken for ours, and detached: what is on the disk stays.
  const left = sysAttribute(dev, 'pid');
  if (!how.includes('same-pid')) assert.equal(left, pid, 'the stranger was taken away with our device');
  if (left !== null) assert.equal(spawnSync('nbd-client', ['-d', '/dev/nbd0']).status, 0);
  server.kill();
  await once(server, 'exit');
  assert.equal(sha256(`${folder}/stranger.img`), before, "the stranger's disk has changed");
  while (sysAttribute(dev, 'pid') !== null) await sleep(20);
  return attached;
}

/** One session for all of them. The process number of an nbd-client can be forged, that of a worker that lives cannot. */
async function session(races: readonly Race[], by: 'netlink' | 'nbd-client'): Promise<void> {
  if (by === 'nbd-client') process.env.LUNCTL_WITHOUT_KOFFI = '1';
  const { sid } = await login(loginRequest(TARGET, 3260, { attach: 'none' }), { paths });
  let attached = 0;
  for (const one of races) if (await race(sid, one)) attached++;
  await logout([sid], { paths });
  const times = `${races.length} times nbd0 was taken away (${by}), ${attached} times a stranger came in`;
  console.log(`FIGURE ${times}, and no byte of the stranger's disk changed`);
}

const { LAB_RACES = 'few' } = process.env;
const wanted = ({ ours, stranger, how = [] }: Race) => `${ours} ${stranger} ${how.join(' ')}`.includes(LAB_RACES);
const all = LAB_RACES === 'few' ? FEW : [...FEW, ...MORE].filter((one) => LAB_RACES === 'all' || wanted(one));
const isForged = ({ how = [] }: Race) => how.includes('same-pid');
await session(
  all.filter((one) => !isForged(one)),
  'netlink',
);
await session(all.filter(isForged), 'nbd-client');
