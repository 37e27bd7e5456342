// Sessions for tests: a run folder of their own, a complete request, and proof that nothing is left behind.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Credentials, DEFAULT_TIMERS, type LoginRequest } from '../../src/services/session/info.js';

export const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';

/** A login to 127.0.0.1 without a device. */
export function loginRequest(targetName: string, port: number, changes: Partial<LoginRequest> = {}): LoginRequest {
  return {
    targetName,
    portal: { address: '127.0.0.1', port, tpgt: 1 },
    iface: 'default',
    initiatorName: INITIATOR,
    credentials: null,
    attach: 'none',
    readOnly: false,
    foreground: false,
    timeoutMs: 10_000,
    negotiate: {},
    timers: DEFAULT_TIMERS,
    ...changes,
  };
}

export function chap(user: string, secret: string, algorithms = [8, 5, 7, 6]): Credentials {
  return { user, secret, algorithms };
}

export interface RunFolder {
  readonly paths: { readonly runDir: string; readonly dbDir: string };
  /** Numbers of the sessions whose folders exist. */
  sids(): string[];
  /** Session workers that were given this folder. */
  workers(): number[];
  remove(): void;
}

export function makeRunFolder(): RunFolder {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-run-'));
  const paths = { runDir: join(folder, 'run'), dbDir: join(folder, 'db') };
  const before = process.env.LUNCTL_RUN_DIR;
  // Workers inherit it, which is how a test finds its own.
  process.env.LUNCTL_RUN_DIR = paths.runDir;
  return {
    paths,
    sids: () => readFolder(join(paths.runDir, 's')),
    workers: () =>
      processes(
        (pid) =>
          readProc(pid, 'environ').includes(`LUNCTL_RUN_DIR=${paths.runDir}`) &&
          /^lunctl session|worker-main/.test(readProc(pid, 'cmdline')),
      ),
    remove() {
      if (before === undefined) delete process.env.LUNCTL_RUN_DIR;
      else process.env.LUNCTL_RUN_DIR = before;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Process ids, except our own, for which `matches` holds. */
export function processes(matches: (pid: number) => boolean): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => pid !== process.pid && matches(pid));
}

/** A file of /proc/PID, or nothing once the process has gone. */
export function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}

function readFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
