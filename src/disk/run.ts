// Runs helper programs: no shell, a fixed PATH, a minimal environment, a time limit, and errors that say which program failed and why.
import type { ChildProcess } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import type { Options } from 'execa';
import { AppError } from '../util/errors.js';
import { oneLine } from '../util/printable.js';
import { LOCKED, lockArguments } from './lock.js';
import { TOOL_ENVIRONMENT, TOOL_PACKAGES, TOOL_PATH, type Tool } from './tools.js';

export interface RunOptions {
  /** Written to the program's standard input, which is empty otherwise. */
  readonly input?: string;
  /** The program gets SIGTERM after this time, SIGKILL two seconds later. Default 60 s. */
  readonly timeoutMs?: number;
  /** Aborting sends SIGTERM; the call still waits until the program is gone. */
  readonly signal?: AbortSignal | undefined;
  /** Exit statuses that are answers and no failures. Default: only 0. */
  readonly okStatuses?: readonly number[];
  /** `hex`: standard output is binary and comes back as hexadecimal digits. Default utf8. */
  readonly encoding?: 'utf8' | 'hex';
  /** Told the program's process number once it runs. */
  readonly onStart?: (pid: number) => void;
  /** Told what the program prints, on either stream, while it runs. */
  readonly onOutput?: (text: string) => void;
  /** Variables beside the usual ones. */
  readonly env?: Readonly<Record<string, string>>;
  /** The whole disk whose lock the program holds while it runs, also if it works on a partition; see `lockArguments`. */
  readonly lock?: string | undefined;
  /** The program gets SIGTERM when this process dies, however it dies. */
  readonly diesWithUs?: boolean;
}

export interface RunResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What this file reads of execa's result, which is the same whatever its options were. */
interface Ended {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly code?: string | undefined;
  readonly timedOut: boolean;
  readonly isCanceled: boolean;
  readonly stdout?: unknown;
  readonly stderr?: unknown;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const KILL_AFTER_MS = 2000;
/** More output than this from a helper is a fault of the helper. */
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;
const MESSAGE_BYTES = 400;

/** Whether `tool` is installed in one of the fixed folders. */
export function hasTool(tool: Tool): boolean {
  return TOOL_PATH.split(':').some((folder) => isExecutable(`${folder}/${tool}`));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Runs one helper to its end. Throws AppError ERR_HELPER with name, exit status and standard error when it fails or
 * is not installed, and ERR_INTERRUPTED when `signal` ended it.
 */
export async function runTool(tool: Tool, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  checkInterrupted(options.signal);
  if (!hasTool(tool)) throw missingTool(tool);
  const { execa } = await import('execa');
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const [program, ...rest] = wrapped(tool, args, options);
  const child = execa(program, rest, {
    ...baseOptions(options.env),
    encoding: options.encoding ?? 'utf8',
    ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    timeout: timeoutMs,
  });
  if (child.pid !== undefined) options.onStart?.(child.pid);
  if (options.onOutput !== undefined) tellOutput(child, options.onOutput);
  const result = plainErrors(await child, options.encoding);
  if (result.isCanceled) checkInterrupted(options.signal);
  const status = result.exitCode;
  if (status === LOCKED && options.lock !== undefined) throw lockedError(options.lock);
  if (status === undefined || !(options.okStatuses ?? [0]).includes(status)) throw helperError(tool, result, timeoutMs);
  return { status, stdout: text(result.stdout), stderr: text(result.stderr) };
}

/**
 * The command line that runs `tool`, with what holds the lock and what ends it with us in front. Both replace
 * themselves by the next program, so that there is one process, and it is the tool's.
 */
function wrapped(
  tool: Tool,
  args: readonly string[],
  { lock, diesWithUs = false }: Pick<RunOptions, 'lock' | 'diesWithUs'>,
): [string, ...string[]] {
  const locked = lock === undefined ? [] : lockArguments(lock);
  // Where it is missing the next command still names what is left.
  const tied = diesWithUs && hasTool('setpriv') ? ['setpriv', '--pdeathsig', 'TERM', '--'] : [];
  const [first = tool, ...rest] = [...tied, ...locked, tool, ...args];
  return [first, ...rest];
}

function lockedError(path: string): AppError {
  return new AppError('ERR_BUSY', `${path} is locked by another program; nothing was changed by this step`, {
    hint: `lslocks and fuser -v ${path} name it`,
    retriable: true,
  });
}

function tellOutput(child: Pick<ChildProcess, 'stdout' | 'stderr'>, tell: (text: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: unknown) => tell(String(chunk)));
}

export interface BackgroundTool {
  readonly pid: number;
  /** Settles once the program has ended and is reaped; never rejects. */
  readonly ended: Promise<AppError>;
  /** SIGTERM now, SIGKILL after two seconds; resolves when it is reaped. */
  stop(): Promise<void>;
}

/**
 * Starts a helper that stays (nbdfuse). It is killed when this process exits in an orderly way. Throws ERR_HELPER when
 * it cannot be started.
 */
export async function startTool(
  tool: Tool,
  args: readonly string[],
  options: Pick<RunOptions, 'diesWithUs'> = {},
): Promise<BackgroundTool> {
  if (!hasTool(tool)) throw missingTool(tool);
  const { execa } = await import('execa');
  const [program, ...rest] = wrapped(tool, args, options);
  // A process group of its own: Ctrl-C in the terminal of a foreground session must not pull the disk away.
  const child = execa(program, rest, { ...baseOptions(), stdin: 'ignore', stdout: 'ignore', detached: true });
  const pid = child.pid;
  const killAtExit = () => child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const ended = child.then((result: Ended) => {
    process.removeListener('exit', killAtExit);
    return helperError(tool, result, 0);
  });
  if (pid === undefined) throw await ended;
  return {
    pid,
    ended,
    async stop() {
      child.kill();
      await ended;
    },
  };
}

/** Throws the signal's own reason, or ERR_INTERRUPTED, once the caller has given up. */
export function checkInterrupted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw signal.reason instanceof AppError ? signal.reason : new AppError('ERR_INTERRUPTED', 'interrupted');
}

/** The error for a helper program that is not installed; names the Debian package that brings it. */
export function missingTool(tool: Tool): AppError {
  return new AppError('ERR_HELPER', `${tool} is not installed`, {
    hint: `on Debian it is in the package ${TOOL_PACKAGES[tool]}: apt-get install ${TOOL_PACKAGES[tool]}`,
  });
}

function baseOptions(env: Readonly<Record<string, string>> = {}) {
  return {
    cwd: '/',
    env: { ...TOOL_ENVIRONMENT, ...env },
    extendEnv: false,
    reject: false,
    stripFinalNewline: false,
    maxBuffer: MAX_OUTPUT_BYTES,
    forceKillAfterDelay: KILL_AFTER_MS,
  } as const satisfies Options;
}

function helperError(tool: Tool, result: Ended, timeoutMs: number): AppError {
  if (result.code === 'ENOENT') return missingTool(tool);
  const said = lastWords(text(result.stderr) || text(result.stdout));
  const why = result.timedOut
    ? `did not end within ${timeoutMs / 1000} s`
    : result.signal !== undefined
      ? `was ended by ${result.signal}`
      : result.exitCode === undefined
        ? `could not be started (${result.code ?? 'unknown reason'})`
        : `failed with exit status ${result.exitCode}`;
  return new AppError('ERR_HELPER', `${tool} ${why}${said === '' ? '' : `: ${said}`}`);
}

/** What a program said, on one line and without control characters. */
function lastWords(output: string): string {
  const lines = output.split('\n').map((line) => oneLine(line));
  return lines
    .filter((line) => line !== '')
    .join('; ')
    .slice(0, MESSAGE_BYTES);
}

/** execa encodes both outputs alike; what a program says of its failure is text in any case. */
function plainErrors(result: Ended, encoding: RunOptions['encoding']): Ended {
  return encoding === 'hex' ? { ...result, stderr: Buffer.from(text(result.stderr), 'hex').toString() } : result;
}

function text(output: unknown): string {
  return typeof output === 'string' ? output : '';
}
