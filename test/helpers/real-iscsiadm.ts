// The real iscsiadm on a database of the test's own, in namespaces where that is /etc/iscsi and where a tcp transport seems to be.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { FORGET_OTHERS } from './mount-namespace.js';

/** Milliseconds. */
const MOST_MS = 10 * 60_000;
const REAL = '/usr/sbin/iscsiadm';

/** Why it cannot be run here, or false. */
export function whyNoIscsiadm(): string | false {
  if (process.getuid?.() !== 0) return 'needs root, for a folder of its own at /etc/iscsi';
  if (!existsSync(REAL)) return 'iscsiadm is missing: apt-get install open-iscsi';
  const { status } = spawnSync('unshare', ['--net', '--mount', 'true']);
  return status === 0 ? false : 'this machine allows no namespaces';
}

/** A shell command line that runs "$@" there; $0 is the folder. iscsiadm asks sysfs for the transport of an interface. */
export const IN_NAMESPACE = `set -e
${FORGET_OTHERS}mount --bind "$0" /etc/iscsi
if [ -d /var/lib/iscsi ]; then mount -t tmpfs tmpfs /var/lib/iscsi; fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock
mount -t tmpfs tmpfs /sys/class
mkdir -p /sys/class/iscsi_transport/tcp /sys/class/iscsi_host /sys/class/iscsi_session
echo 1 > /sys/class/iscsi_transport/tcp/handle
echo 0x1 > /sys/class/iscsi_transport/tcp/caps
exec "$@"`;

/** What it says only because there is no daemon. */
const NO_DAEMON = /^(iscsiadm: can not connect to iSCSI daemon.*|.*systemd.*|Failed to connect to bus.*)\n/gm;

export interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program there, to its end. */
export function inNamespace(root: string, ...command: readonly string[]): Said {
  const args = ['--net', '--mount', 'sh', '-c', IN_NAMESPACE, root, ...command];
  const { status, stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8', timeout: MOST_MS });
  return { code: status, stdout, stderr: stderr.replaceAll(NO_DAEMON, '') };
}

/** What the real iscsiadm answers to each command; it must have nothing to complain about. Their arguments hold no quotes. */
export function realIscsiadm(root: string, ...commands: readonly (readonly string[])[]): string[] {
  const line = (args: readonly string[]) => [REAL, ...args.map((arg) => `'${arg}'`)].join(' ');
  const script = commands.map((args) => `${line(args)}\nprintf '\\036'\n`).join('');
  const { code, stdout, stderr } = inNamespace(root, 'sh', '-ec', script);
  if (code === 0 && stderr === '') return stdout.split('\u001e').slice(0, -1);
  throw new Error(`exit ${code} from:\n${commands.map(line).join('\n')}\n${stdout}${stderr}`);
}
