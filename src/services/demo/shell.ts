// Runs the demo's command lines as a person would type them, in folders of their own, and shows what came back.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { runTool } from '../../disk/run.js';
import { shellLine } from '../../disk/shell.js';
import { TOOL_PATH, type Tool } from '../../disk/tools.js';
import { bounded } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';

export interface DemoReporter {
  /** A step begins: what it is about, and the command line. */
  step(title: string, command: string): void;
  /** What the command printed. */
  output(text: string): void;
  /** A remark between steps. */
  note(text: string): void;
}

export interface DemoStep {
  readonly title: string;
  readonly command: string;
  readonly seconds: number;
}

const BIN = fileURLToPath(new URL('../../../bin/run.js', import.meta.url));
/** One command of the demo: seconds, on a slow emulated machine a minute and more for mkfs. */
const COMMAND_MS = 180_000;
/** `serve` says where it listens within this time, and ends within the other. */
const LISTEN_MS = 60_000;
const STOP_MS = 4000;
/** From SIGTERM to SIGKILL, for a command that is interrupted. */
const KILL_MS = 2000;
const MESSAGE_LENGTH = 300;
/** The longest part of a socket path below the run folder, with room to spare: sun_path holds 108 bytes. */
const LONGEST_BASE = 70;

export interface ServedTarget {
  readonly port: number;
  /** Ends it as Ctrl-C would and returns what it printed at the end. Idempotent. */
  stop(): Promise<string>;
}

export class DemoShell {
  readonly folder: string;
  readonly runDir: string;
  readonly steps: DemoStep[] = [];
  readonly #reporter: DemoReporter;
  readonly #signal: AbortSignal;

  constructor(reporter: DemoReporter, signal: AbortSignal) {
    this.#reporter = reporter;
    this.#signal = signal;
    const base = tmpdir().length > LONGEST_BASE ? '/tmp' : tmpdir();
    // 0700 by mkdtemp: the sockets and the secret below it are for this user alone.
    this.folder = mkdtempSync(`${base}/lunctl-demo-`);
    this.runDir = `${this.folder}/run`;
    for (const name of ['etc', 'db', 'run', 'mnt']) mkdirSync(`${this.folder}/${name}`, { mode: 0o700 });
  }

  /** The variables that make `lunctl` use the demo's folders. */
  get variables(): Record<string, string> {
    return {
      LUNCTL_CONFIG_DIR: `${this.folder}/etc`,
      LUNCTL_DB_DIR: `${this.folder}/db`,
      LUNCTL_RUN_DIR: this.runDir,
    };
  }

  /** Writes a file that only its owner may read. */
  writePrivate(name: string, text: string): string {
    const path = `${this.folder}/${name}`;
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' });
    return path;
  }

  /** A step by our own command line. Returns what it printed; throws ERR_HELPER when it fails. */
  async lunctl(
    title: string,
    args: readonly string[],
    show: (text: string) => string = (text) => text,
  ): Promise<string> {
    return this.#step(title, shellLine('lunctl', args), show, () => this.quiet(args, this.#signal));
  }

  /** A step by a program of the system. */
  async tool(title: string, tool: Tool, args: readonly string[]): Promise<string> {
    return this.#step(
      title,
      shellLine(tool, args),
      (text) => text,
      async () => (await runTool(tool, args, { signal: this.#signal, timeoutMs: COMMAND_MS })).stdout,
    );
  }

  /** Our own command line without showing it. */
  async quiet(args: readonly string[], signal?: AbortSignal, timeoutMs = COMMAND_MS): Promise<string> {
    const { execa } = await import('execa');
    const result = await execa(process.execPath, [BIN, ...args], {
      ...this.#childOptions(),
      timeout: timeoutMs,
      ...(signal === undefined ? {} : { cancelSignal: signal }),
    });
    if (result.isCanceled && signal?.reason instanceof AppError) throw signal.reason;
    if (result.exitCode === 0) return result.stdout;
    // With --json an error is an object on standard output.
    const said = result.stderr.trim().split('\n')[0] || result.stdout.replace(/\s+/g, ' ').slice(0, MESSAGE_LENGTH);
    const how = result.exitCode === undefined ? 'did not end by itself' : `ended with ${result.exitCode}`;
    throw new AppError('ERR_HELPER', `lunctl ${args.slice(0, 2).join(' ')} ${how}: ${said}`);
  }

  /** Starts `lunctl serve` in the background; resolves once it listens. */
  async serve(title: string, args: readonly string[]): Promise<ServedTarget> {
    const { execa } = await import('execa');
    this.#reporter.step(title, `${shellLine('lunctl', ['serve', ...args])} &`);
    const start = performance.now();
    const child = execa(process.execPath, [BIN, 'serve', ...args], {
      ...this.#childOptions(),
      all: true,
      buffer: false,
    });
    let printed = '';
    let shown = 0;
    const listening = new Promise<number>((resolve, reject) => {
      child.all.on('data', (chunk: Buffer | string) => {
        printed += String(chunk);
        const port = /listening on 127\.0\.0\.1:(\d+)[^\n]*\n/.exec(printed)?.[1];
        if (port !== undefined) resolve(Number(port));
      });
      void child.then(() => reject(new AppError('ERR_HELPER', `lunctl serve ended: ${printed.trim()}`)));
    });
    const late = () => new AppError('ERR_HELPER', `lunctl serve did not listen within ${LISTEN_MS / 1000} s`);
    const stop = async () => {
      child.kill('SIGINT');
      const ended = child.then(() => undefined);
      await bounded(ended, { timeoutMs: STOP_MS, onTimeout: late }).catch(() => child.kill('SIGKILL'));
      await ended;
      const rest = printed.slice(shown);
      shown = printed.length;
      return rest;
    };
    try {
      const port = await bounded(listening, { timeoutMs: LISTEN_MS, signal: this.#signal, onTimeout: late });
      this.#done(title, `lunctl serve ${args.join(' ')}`, start);
      this.#reporter.output(printed);
      shown = printed.length;
      return { port, stop };
    } catch (error) {
      await stop();
      throw this.#signal.aborted ? this.#signal.reason : error;
    }
  }

  /** A step that is no command of its own. */
  async custom(title: string, command: string, work: () => Promise<string>): Promise<void> {
    await this.#step(title, command, (text) => text, work);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #step(title: string, command: string, show: (text: string) => string, work: () => Promise<string>) {
    if (this.#signal.aborted) throw this.#signal.reason;
    this.#reporter.step(title, command);
    const start = performance.now();
    const output = await this.#orAbort(work());
    this.#done(title, command, start);
    this.#reporter.output(show(output));
    return output;
  }

  /** After an abort a program gets a moment to end; one that waits for a dead disk would take its time with it. */
  async #orAbort<T>(work: Promise<T>): Promise<T> {
    const late = () => new AppError('ERR_HELPER', 'the command did not end in time');
    try {
      return await bounded(work, { timeoutMs: COMMAND_MS + 2 * KILL_MS, signal: this.#signal, onTimeout: late });
    } catch (error) {
      if (!this.#signal.aborted) throw error;
      await bounded(work, { timeoutMs: 1.5 * KILL_MS, onTimeout: late }).catch(() => undefined);
      throw this.#signal.reason;
    }
  }

  #done(title: string, command: string, start: number): void {
    this.steps.push({ title, command, seconds: Math.round(performance.now() - start) / 1000 });
  }

  /** Ctrl-C is for the demo, which then ends its children in order: each is in a process group of its own. */
  #childOptions() {
    const env = { ...this.variables, PATH: process.env.PATH ?? TOOL_PATH, HOME: this.folder, LC_ALL: 'C.UTF-8' };
    return {
      env,
      extendEnv: false,
      stdin: 'ignore',
      reject: false,
      detached: true,
      cwd: this.folder,
      forceKillAfterDelay: KILL_MS,
    } as const;
  }
}
