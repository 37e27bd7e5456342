// Takes a kernel nbd device away at once when its worker is killed. The kernel fails new requests by itself once the socket
// is closed, but what the dead worker had been sent waits for an answer until somebody disconnects the device.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { hasTool } from '../../disk/run.js';
import { TOOL_ENVIRONMENT } from '../../disk/tools.js';
import type { NbdDevice } from './nbd-device.js';

/** Waits on a pipe that only the worker holds. A line on it is a release; its end alone means that the worker is dead. */
const SCRIPT = `trap "" HUP INT TERM; read -r line && exit
read -r pid </sys/block/$1/pid; [ "$pid" = "$2" ] || exit
[ -z "$3" ] || { read -r backend </sys/block/$1/backend; [ "$backend" = "$3" ] || exit; }
shift 3; exec "$@"`;

export interface AttachGuard {
  /** Ends the guard and leaves the device alone; resolves when its process is gone. Idempotent. */
  release(): Promise<void>;
}

/** Guards a device for as long as it is the one that was connected then: names are reused. */
export function guardNbd({ name, connectPid, backend }: NbdDevice): AttachGuard {
  const child = spawn(
    '/bin/sh',
    ['-c', SCRIPT, 'lunctl-guard', name, connectPid, backend ?? '', ...disconnection(name)],
    {
      ...{ cwd: '/', env: TOOL_ENVIRONMENT, stdio: ['pipe', 'ignore', 'ignore'] },
      // It must outlive the worker and whatever ended it.
      detached: true,
    },
  );
  // Without a shell the device works as well, and the next command cleans up instead.
  const gone = once(child, 'exit').catch(() => {});
  child.stdin.on('error', () => {});
  child.unref();
  return {
    async release() {
      child.ref();
      child.stdin.end('\n');
      await gone;
    },
  };
}

/** A shell waits in a few hundred kilobytes; Node is started only when it is needed, and only without nbd-client. */
function disconnection(name: string): string[] {
  if (hasTool('nbd-client')) return ['nbd-client', '-d', `/dev/${name}`];
  const ending = import.meta.url.slice(-'.ts'.length);
  const loader = ending === '.ts' ? ['--import', import.meta.resolve('tsx')] : [];
  return [process.execPath, ...loader, fileURLToPath(new URL(`./guard-main${ending}`, import.meta.url)), name];
}
