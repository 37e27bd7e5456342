// Where recordings are replayed: mounts, processes and, for our own target, a network of their own. All that they name is
// empty or absent there, as it was when they were made, nothing of this machine is touched, and what is left running ends with it.
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { FORGET_OTHERS } from '../helpers/mount-namespace.js';

const OWN = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
const NETWORK = ['--net'];
const EMPTY = `set -e
${FORGET_OTHERS}mount -t tmpfs -o mode=755 tmpfs /etc/iscsi
if [ -d /var/lib/iscsi ]; then mount -t tmpfs tmpfs /var/lib/iscsi; fi
`;
const EMPTY_NETWORK = `mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock
ip link set lo up
`;
// 10.77.0.9 is a host that is silent: what is sent to it comes back, and is no address of this one. The other is the guide's.
const ADDRESSES = `ip route replace 10.77.0.9/32 dev lo
ip address replace 192.168.219.101/32 dev lo
`;
// The shell stays: it is the first process, and takes in those whose parents have ended.
const RUN = `set +e
"$@"
exit $?`;

/** Why there can be no such place here, or null. */
export function missing(): string | null {
  if (process.getuid?.() !== 0) return 'needs root, for namespaces with an empty /etc/iscsi';
  if (!existsSync('/etc/iscsi')) return 'needs the folder /etc/iscsi: apt-get install open-iscsi';
  try {
    execFileSync('unshare', [...NETWORK, ...OWN, 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'ignore' });
    return null;
  } catch {
    return 'needs unshare and ip, and a kernel that allows namespaces';
  }
}

/** Starts a command there. Default paths are in force: no variable names others. */
export function spawnInside(
  command: readonly string[],
  { network }: { readonly network: boolean },
): ChildProcessByStdio<null, Readable, null> {
  const script = EMPTY + (network ? EMPTY_NETWORK : '') + ADDRESSES + RUN;
  const {
    NODE_EXTRA_CA_CERTS: _,
    LUNCTL_CONFIG_DIR: __,
    LUNCTL_DB_DIR: ___,
    LUNCTL_RUN_DIR: ____,
    ...env
  } = process.env;
  return spawn('unshare', [...(network ? NETWORK : []), ...OWN, 'bash', '-c', script, 'bash', ...command], {
    env: { ...env, LUNCTL_STATE_DIR: '/run/lunctl-state' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
