// What most rows stand on: a tgtd of their own, the fault proxy in front of it, a session through the proxy (a worker
// process, or inside the test's own), and its disk over NBD.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ForegroundSession, login, loginForeground } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import { sessionFolder } from '../../src/services/session/folder.js';
import {
  DEFAULT_TIMERS,
  type LoginRequest,
  type SessionInfo,
  type SessionTimers,
} from '../../src/services/session/info.js';
import { getSession } from '../../src/services/session/registry.js';
import { loginRequest } from '../helpers/session.js';
import { startTgt, TGT_TARGET, type Tgt, type TgtOptions, tgtMissing } from '../helpers/tgt.js';
import { NbdClient } from './nbd-client.js';
import { FaultProxy } from './proxy.js';
import { BLOCK, StampedDisk } from './stamped-disk.js';

export { tgtMissing };

/** The count of a row: the environment variable `name` (as `npm run test:long` sets it), or the short form. */
export function count(name: string, short: number): number {
  const value = process.env[name];
  if (value === undefined || value === '') return short;
  assert.match(value, /^[0-9]+$/, `${name} must be a number`);
  return Number(value);
}

/** One line of a row's result, for the reader and for test/long/results.md. */
export function figure(row: string, text: string): void {
  console.log(`FIGURE ${row}: ${text}`);
}

/** The value below which `share` of `values` lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** p50, p99 and maximum of milliseconds, as seconds. */
export function spread(values: readonly number[]): string {
  const seconds = (ms: number) => (ms / 1000).toFixed(2);
  return `p50 ${seconds(percentile(values, 0.5))} s, p99 ${seconds(percentile(values, 0.99))} s, max ${seconds(Math.max(...values))} s (n=${values.length})`;
}

/** `work`, or an error once `ms` have passed: a row that waits in vain says for what. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

export interface RigOptions {
  readonly sizeBytes?: number;
  /** Default true. Without it the session goes straight to tgtd. */
  readonly proxy?: boolean;
  /** Default 'process': a worker, run from sources. */
  readonly worker?: 'process' | 'inside';
  readonly timers?: Partial<SessionTimers>;
  readonly negotiate?: LoginRequest['negotiate'];
  readonly tgt?: TgtOptions;
  readonly request?: Partial<LoginRequest>;
}

export class Rig {
  readonly runDir = mkdtempSync(join(tmpdir(), 'lunctl-fault-'));
  readonly paths = { runDir: join(this.runDir, 'run'), dbDir: join(this.runDir, 'db') };
  session!: SessionInfo;
  readonly #clients: NbdClient[] = [];
  #inside: ForegroundSession | null = null;

  private constructor(
    readonly tgt: Tgt,
    private readonly proxyOrNone: FaultProxy | null,
    private readonly options: RigOptions,
  ) {}

  static async start(options: RigOptions = {}): Promise<Rig> {
    const tgt = await startTgt(options.sizeBytes ?? 8 * 2 ** 20, options.tgt);
    const proxy =
      options.proxy === false ? null : await FaultProxy.start(tgt.port, { host: options.tgt?.host ?? '127.0.0.1' });
    const rig = new Rig(tgt, proxy, options);
    try {
      await rig.login();
    } catch (error) {
      await rig.stop();
      throw error;
    }
    return rig;
  }

  get proxy(): FaultProxy {
    if (this.proxyOrNone === null) throw new Error('this rig has no proxy');
    return this.proxyOrNone;
  }

  /** A new session to the same portal, as `lunctl login` would start it. */
  async login(): Promise<SessionInfo> {
    const { timers, negotiate = {}, worker = 'process', request = {} } = this.options;
    const full = loginRequest(TGT_TARGET, this.proxyOrNone?.port ?? this.tgt.port, {
      timers: { ...DEFAULT_TIMERS, ...timers },
      negotiate,
      foreground: worker === 'inside',
      ...(this.proxyOrNone === null && this.options.tgt?.host !== undefined
        ? { portal: { address: this.options.tgt.host, port: this.tgt.port, tpgt: 1 } }
        : {}),
      ...request,
    });
    if (worker === 'inside') {
      this.#inside = await loginForeground(full, { paths: this.paths });
      this.session = this.#inside.info;
    } else this.session = await login(full, { paths: this.paths });
    return this.session;
  }

  /** What the worker says about itself now. */
  info(): Promise<SessionInfo> {
    return getSession(this.paths, this.session.sid);
  }
  get log(): string {
    const { log } = sessionFolder(this.paths.runDir, this.session.sid);
    return existsSync(log) ? readFileSync(log, 'utf8') : '';
  }
  get uri(): string {
    return this.session.devices[0]?.nbd ?? '';
  }

  async connect(): Promise<NbdClient> {
    const client = await NbdClient.connect(this.session.socket, this.session.devices[0]?.exportName ?? 'lun0');
    this.#clients.push(client);
    return client;
  }
  /** A stamped disk on the first `blocks` blocks of the LUN, by a client of its own. */
  async stamped(blocks = (this.options.sizeBytes ?? 8 * 2 ** 20) / BLOCK): Promise<StampedDisk> {
    return new StampedDisk(await this.connect(), blocks);
  }

  /** Kills the worker -9 and waits until the kernel has taken it away. */
  async killWorker(): Promise<void> {
    const { pid } = this.session;
    process.kill(pid, 'SIGKILL');
    while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 2));
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    if (this.#inside !== null) await this.#inside.logout({ force: true }).catch(() => {});
    else if (this.session !== undefined) await logout([this.session.sid], { paths: this.paths });
    await this.proxyOrNone?.close();
    await this.tgt.stop();
    rmSync(this.runDir, { recursive: true, force: true });
  }
}

/** Whether a process runs; one that has ended and only waits for its parent does not. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** Resident memory in KiB and open descriptors of a process. */
export function footprint(pid: number): { rssKiB: number; descriptors: number } {
  const rssKiB = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
  return { rssKiB, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

export interface FioRun {
  readonly code: number | null;
  readonly output: string;
}

export function fioMissing(): string | false {
  return existsSync('/usr/bin/fio') ? false : 'fio is not installed: apt-get install fio';
}

/** fio on an NBD URI, to its end. `args` say the workload. */
export function fio(uri: string, args: readonly string[]): Promise<FioRun> {
  const all = ['--name=fault', '--ioengine=nbd', `--uri=${uri}`, '--verify_state_save=0', ...args];
  const child = spawn('fio', all, { cwd: tmpdir(), stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** Rounds of fio --verify on `size` bytes from `offset`, until `signal` aborts: how many, and what any failed one said. */
export async function fioRounds(
  uri: string,
  { offset, size, signal }: { offset: number; size: number; signal: AbortSignal },
): Promise<{ rounds: number; failed: string[] }> {
  const result = { rounds: 0, failed: [] as string[] };
  while (!signal.aborted) {
    const { code, output } = await fio(uri, [
      ...['--rw=randwrite', '--bs=4k', '--iodepth=8', `--offset=${offset}`, `--size=${size}`, '--thinktime=1000'],
      ...['--verify=crc32c', '--verify_fatal=1', `--randseed=${result.rounds + 1}`],
    ]);
    result.rounds++;
    if (code !== 0) result.failed.push(output);
    if (result.failed.length > 3) break;
  }
  return result;
}
