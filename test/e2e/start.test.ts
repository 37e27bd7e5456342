// What `npm start` shows to whoever tries lunctl for the first time: as root a mounted file system, without root as far
// as the kernel allows, and in each case what was left out, exit code 0, within a minute, nothing left behind.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { FORGET_OTHERS } from '../helpers/mount-namespace.js';
import { nothingLeft } from '../helpers/nothing-left.js';

const BIN = join(import.meta.dirname, '../../bin/run.js');
const skip =
  whyNoLoopDisks() ?? (existsSync(join(import.meta.dirname, '../../dist')) ? false : 'npm run build comes first');
/** The promise for two cores. */
const LONGEST_MS = 60_000;

interface Demo {
  readonly lines: readonly string[];
  /** Title of each step → its command line and what came back. */
  readonly steps: ReadonlyMap<string, string>;
}

/** Runs the demo behind `wrapper`, checks what is true in every case, and takes its output apart. */
async function demo(...wrapper: string[]): Promise<Demo> {
  const [program = '', ...args] = [...wrapper, process.execPath, BIN, 'demo'];
  const env = { PATH: process.env.PATH, HOME: '/', TMPDIR: tmpdir() };
  const started = performance.now();
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let complaints = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (complaints += chunk));
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.deepEqual([code, complaints], [0, ''], output);
  assert.ok(performance.now() - started < LONGEST_MS);
  assert.doesNotMatch(output, /a-demo-secret/);
  nothingLeft(/everything below lives in (\S+):/.exec(output)?.[1] ?? '');
  const steps = output.split(/^\[\d+\] /m).slice(1);
  return {
    lines: output.split('\n'),
    steps: new Map(steps.map((step) => [step.split('\n', 1)[0] ?? '', step])),
  };
}

/** The last lines: how far it went, and what was left out. */
function ending({ lines }: Demo): string {
  return lines.slice(lines.findIndex((line) => line.startsWith('done in '))).join('\n');
}

/** As nobody, with a /dev/fuse of the given mode; read access to everything stays, for a clone that only root can enter. */
async function asNobody(fuseMode: string): Promise<Demo> {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-fuse-'));
  const ownFuse = `${FORGET_OTHERS}mount -t tmpfs lunctl "$1" && mknod -m "$2" "$1/fuse" c 10 229 && mount --bind "$1/fuse" /dev/fuse && shift 2 && exec "$@"`;
  const keepReading = ['--inh-caps', '+dac_read_search', '--ambient-caps', '+dac_read_search'];
  const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', ...keepReading, '--'];
  try {
    return await demo('unshare', '--mount', 'sh', '-c', ownFuse, 'sh', folder, fuseMode, ...nobody);
  } finally {
    rmdirSync(folder);
  }
}

describe('the demo, from its command line', { skip }, () => {
  it('as root: a file system is mounted, and the file in it survives a remount', async () => {
    const shown = await demo();
    assert.match(
      shown.steps.get('Log in; it returns when the disk can be used') ?? '',
      /successful\.\n.*\/dev\/\w+ +10G/s,
    );
    const { steps } = shown;
    assert.match(steps.get('It is a file system like any other') ?? '', /^ {2}\/dev\/\w+p1 +xfs +10G .*\/mnt$/m);
    const sum = /^ {2}[0-9a-f]{64} /m;
    const before = sum.exec(steps.get('Its checksum') ?? '')?.[0];
    assert.ok(before !== undefined);
    assert.equal(sum.exec(steps.get('The file is still there, and the same') ?? '')?.[0], before);
    assert.match(
      ending(shown),
      /^done in [\d.]+ s: an xfs file system on an iSCSI disk was mounted, .*; nothing is left behind\n$/,
    );
  });

  it('without root: label, partition and format over NBD, and what root would add', async () => {
    const shown = await asNobody('666');
    assert.match([...shown.steps.values()].join(''), /\$ lunctl disk format \S+\/0p1 --type xfs /);
    assert.match(shown.steps.get('The disk as it is now') ?? '', /^ {2}- +10G +gpt .*\n.*p1 +10G/m);
    assert.match(
      ending(shown),
      /: an xfs file system was made on an iSCSI disk, over NBD; .*\nleft out: no block device and no mount: .*needs root/,
    );
  });

  it('without root and without FUSE: the disk is reached, and both things that are missing are named', async () => {
    const shown = await asNobody('600');
    assert.match(
      shown.steps.get('Log in; it returns when the disk can be used') ?? '',
      /nbd\+unix:\/\/\/lun0\?socket=/,
    );
    assert.ok(![...shown.steps.keys()].some((title) => /label|partition|file system/.test(title)));
    assert.match(
      ending(shown),
      /: an iSCSI disk was found and logged in to; .*\nleft out: .*needs root.*\nleft out: .*only root may use \/dev\/fuse/,
    );
  });
});
