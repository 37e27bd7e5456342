// Starts a session worker as a process of its own and waits for its answer.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { errorFromJson } from '../../transport/control.js';
import { bounded } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import { isRoot } from '../../util/user.js';
import { cleanLeftovers } from '../attach/attach.js';
import { ownerLives, readState, removeFolder, type SessionFolder } from './folder.js';
import type { SessionInfo } from './info.js';
import { becomeIoFlusher } from './memory-pressure.js';
import type { WorkerConfig } from './worker.js';
import { RELEASE, type WorkerAnswer } from './worker-protocol.js';
import { workerCommand } from './worker-unit.js';

/** For finding the disks and making their devices, once logged in. */
const USABLE_MS = 120_000;
const UNDO_MS = 20_000;
const LOG_TAIL = 4096;
/** What a worker gets of the environment: never all of it. */
const KEPT_VARIABLES = [
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TZ',
  'NODE_V8_COVERAGE',
  'UV_THREADPOOL_SIZE',
  'LUNCTL_PLAIN_SOCKETS',
  'LUNCTL_WITHOUT_KOFFI',
  'LUNCTL_CONFIG_DIR',
  'LUNCTL_DB_DIR',
  'LUNCTL_RUN_DIR',
];

export interface RunWorkerOptions {
  readonly signal: AbortSignal | undefined;
  /** Whether the worker becomes a systemd unit of its own. Default: as root, where systemd runs. */
  readonly systemd?: boolean | undefined;
  /** For a worker that was told to give up to undo what it has done, milliseconds. Default 20 s. */
  readonly undoMs?: number | undefined;
  onProgress(line: string): void;
}

/**
 * Runs the worker for `config` and returns when its session is usable; it then goes on alone. When it fails, when time
 * is up or `signal` aborts, the worker is ended and its folder removed before this throws.
 */
export async function runWorker(
  config: WorkerConfig,
  folder: SessionFolder,
  { signal, onProgress, systemd = isSystemdRoot(), undoMs = UNDO_MS }: RunWorkerOptions,
): Promise<SessionInfo> {
  if (isRoot()) await becomeIoFlusher();
  const child = start(config, folder, systemd);
  try {
    const info = await bounded(answerOf(child, folder, onProgress), {
      timeoutMs: config.request.timeoutMs + USABLE_MS,
      signal,
      onTimeout: () => new AppError('ERR_TIMEOUT', `session ${config.sid} did not become usable in time`),
    });
    child.stdin?.end(`${RELEASE}\n`);
    letGo(child);
    return info;
  } catch (error) {
    await giveUp(child, folder, undoMs);
    throw error;
  }
}

function isSystemdRoot(): boolean {
  return isRoot() && existsSync('/run/systemd/system');
}

function start(config: WorkerConfig, folder: SessionFolder, systemd: boolean): ChildProcess {
  const environment = keptEnvironment();
  const [program, ...args] = workerCommand(config.sid, workerEntry(), { systemd, environment });
  // A crash of Node itself speaks on standard error; its own log is closed to it then.
  const log = openSync(folder.log, 'a', 0o600);
  try {
    const child = spawn(program, args, { cwd: '/', env: environment, detached: true, stdio: ['pipe', 'pipe', log] });
    child.stdin?.on('error', () => {});
    child.stdin?.write(`${JSON.stringify(config)}\n`);
    return child;
  } finally {
    closeSync(log);
  }
}

/** The script beside this one; from sources it needs the loader that runs us. */
function workerEntry(): string[] {
  if (!import.meta.url.endsWith('.ts')) return [fileURLToPath(new URL('./worker-main.js', import.meta.url))];
  return ['--import', import.meta.resolve('tsx'), fileURLToPath(new URL('./worker-main.ts', import.meta.url))];
}

function keptEnvironment(): Record<string, string> {
  return Object.fromEntries(
    KEPT_VARIABLES.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

async function answerOf(
  child: ChildProcess,
  folder: SessionFolder,
  onProgress: (line: string) => void,
): Promise<SessionInfo> {
  const failed = new Promise<never>((_, reject) => {
    child.once('error', (cause) =>
      reject(new AppError('ERR_INTERNAL', `cannot start the session worker: ${cause.message}`, { cause })),
    );
  });
  const answered = (async () => {
    if (child.stdout === null) throw new Error('the worker has no standard output');
    for await (const line of createInterface({ input: child.stdout })) {
      const answer = JSON.parse(line) as WorkerAnswer;
      if ('ready' in answer) return answer.ready;
      if ('error' in answer) throw errorFromJson({ ...answer.error });
      onProgress(answer.progress);
    }
    throw new AppError('ERR_INTERNAL', `the session worker ended without an answer${await lastWords(folder)}`);
  })();
  // Of the two the later one must not be an unhandled rejection.
  failed.catch(() => {});
  answered.catch(() => {});
  return Promise.race([answered, failed]);
}

/** From here on this process may end without the worker, and the worker without it. */
function letGo(child: ChildProcess): void {
  child.stdout?.destroy();
  child.unref();
}

/** An end of its input makes the worker undo everything; one that cannot any more is killed and cleaned up after. */
async function giveUp(child: ChildProcess, folder: SessionFolder, undoMs: number): Promise<void> {
  child.stdin?.end();
  if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    const onTimeout = () => new AppError('ERR_TIMEOUT', 'the worker does not end');
    await bounded(once(child, 'exit'), { timeoutMs: undoMs, onTimeout }).catch(async () => kill(child, folder));
  }
  child.stdout?.destroy();
  if (!existsSync(folder.path)) return;
  await cleanLeftovers(folder.path);
  await removeFolder(folder);
}

/** Under systemd-run the worker is not our child; its folder names it. */
async function kill(child: ChildProcess, folder: SessionFolder): Promise<void> {
  const state = await readState(folder);
  const owner = state !== null && ownerLives(state) ? state.pid : undefined;
  for (const pid of new Set([child.pid, owner])) {
    if (pid === undefined || pid === process.pid) continue;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has gone by itself.
    }
  }
}

async function lastWords(folder: SessionFolder): Promise<string> {
  const text = await readFile(folder.log, 'utf8').catch(() => '');
  const line = text
    .slice(-LOG_TAIL)
    .trim()
    .split('\n')
    .findLast((candidate) => /error/i.test(candidate));
  return line === undefined ? '' : `: ${line.trim()}`;
}
