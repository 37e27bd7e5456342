// Takes a kernel nbd device away at once when its worker is killed. The kernel fails new requests by itself once the socket
// is closed, but what the dead worker had been sent waits for an answer until somebody disconnects the device.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { TOOL_ENVIRONMENT } from '../../disk/tools.js';

/** Waits on a pipe that only the worker holds. A line on it is a release; its end alone means that the worker is dead. */
const SCRIPT =
  'trap "" HUP INT TERM; read -r line && exit; read -r pid </sys/block/$1/pid; [ "$pid" != "$2" ] || exec nbd-client -d /dev/$1';

export interface AttachGuard {
  /** Ends the guard and leaves the device alone; resolves when its process is gone. Idempotent. */
  release(): Promise<void>;
}

/** Guards `name` (`nbd0`) for as long as it is the device that process `connectPid` connected: names are reused. */
export function guardNbd(name: string, connectPid: string): AttachGuard {
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'lunctl-guard', name, connectPid], {
    ...{ cwd: '/', env: TOOL_ENVIRONMENT, stdio: ['pipe', 'ignore', 'ignore'] },
    // It must outlive the worker and whatever ended it.
    detached: true,
  });
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
