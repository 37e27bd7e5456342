// A place of its own for end-to-end tests: folders, the built command line, and proof that nothing is left behind.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assertQuiet } from './canary.js';

export const BIN = join(import.meta.dirname, '../../bin/run.js');

/** Debian's user and group of that name, and nogroup. */
const NOBODY = 65_534;

export interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
  ms: number;
}

export class Sandbox {
  readonly #children: ChildProcess[] = [];
  private constructor(
    readonly folder: string,
    readonly env: NodeJS.ProcessEnv,
    /** Who runs everything in it; undefined: whoever runs the test. */
    readonly user: { readonly uid: number; readonly gid: number } | undefined,
  ) {}

  /** `unprivileged`: a test that runs as root becomes nobody in here. */
  static async make(initiatorName: string, { unprivileged = false } = {}): Promise<Sandbox> {
    const folder = await mkdtemp(join(tmpdir(), 'lunctl-e2e-'));
    const env = {
      PATH: process.env.PATH,
      HOME: folder,
      LUNCTL_CONFIG_DIR: join(folder, 'etc'),
      LUNCTL_DB_DIR: join(folder, 'db'),
      LUNCTL_RUN_DIR: join(folder, 'run'),
      LUNCTL_STATE_DIR: join(folder, 'state'),
      LUNCTL_TARGET_CONFIG: join(folder, 'target/saveconfig.json'),
    };
    await mkdir(env.LUNCTL_CONFIG_DIR, { mode: 0o700 });
    const user = unprivileged && process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : undefined;
    const sandbox = new Sandbox(folder, env, user);
    const name = join(env.LUNCTL_CONFIG_DIR, 'initiatorname.iscsi');
    await writeFile(name, `InitiatorName=${initiatorName}\n`);
    if (user) for (const path of [folder, env.LUNCTL_CONFIG_DIR, name]) await chown(path, user.uid, user.gid);
    return sandbox;
  }

  /** Writes a file only its owner may read, and returns its path. */
  async secretFile(name: string, secret: string): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, secret, { mode: 0o600 });
    return path;
  }

  /** Runs `lunctl` to its end. */
  run(...args: string[]): Promise<Run> {
    const began = performance.now();
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [BIN, ...args], {
        ...{ env: this.env, ...this.user },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (chunk) => (stdout += chunk));
      child.stderr.on('data', (chunk) => (stderr += chunk));
      child.on('error', reject);
      child.on('close', (code) => {
        try {
          assertQuiet(args, stdout + stderr);
          resolve({ code, stdout, stderr, ms: performance.now() - began });
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** Runs `lunctl` and expects success. */
  async ok(...args: string[]): Promise<Run> {
    const run = await this.run(...args);
    assert.equal(run.code, 0, `lunctl ${args.join(' ')}\n${run.stdout}${run.stderr}`);
    return run;
  }

  /**
   * Asserts that `run` took less than `mostMs`, or that beyond what `idle`, a command with nothing to do, takes now: on a
   * machine on which that takes long, what is to be done takes longer too.
   */
  async assertQuick(run: Run, mostMs: number, ...idle: string[]): Promise<void> {
    if (run.ms < mostMs) return;
    const { ms } = await this.run(...idle);
    assert.ok(run.ms - ms < Math.max(mostMs, 2 * ms), `${run.ms} ms, where ${idle.join(' ')} takes ${ms} ms`);
  }

  /** Starts `lunctl serve …` on a port of the kernel's choice, unless there is a --portal or a --config; resolves with the port when it listens. */
  serve(...args: string[]): Promise<{ port: number; child: ChildProcess; output: () => string }> {
    const portal = args.includes('--portal') || args.includes('--config') ? [] : ['--portal', '127.0.0.1:0'];
    const child = spawn(process.execPath, [BIN, 'serve', ...portal, ...args], {
      ...{ env: this.env, ...this.user },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.push(child);
    let output = '';
    return new Promise((resolve, reject) => {
      const read = (chunk: Buffer): void => {
        output += chunk;
        const port = /(?:listening on 127\.[\d.]+:|"address":"127\.0\.0\.1","port":)(\d+)/.exec(output)?.[1];
        if (port) resolve({ port: Number(port), child, output: () => output });
      };
      child.stdout.on('data', read);
      child.stderr.on('data', read);
      child.on('close', (code) => reject(new Error(`serve ended with ${code}: ${output}`)));
    });
  }

  /** What processes and sockets carry this sandbox's name. */
  leftovers(): string[] {
    const left: string[] = [];
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const environ = readFileSync(`/proc/${pid}/environ`, 'latin1');
        if (environ.includes(this.folder))
          left.push(readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' '));
      } catch {
        // The process ended meanwhile.
      }
    }
    const sessions = join(this.folder, 'run/s');
    if (existsSync(sessions)) left.push(...readdirSync(sessions));
    return left;
  }

  async stop(): Promise<void> {
    await this.run('node', 'logout', '--all');
    await Promise.all(
      this.#children
        .filter((child) => child.exitCode === null && child.signalCode === null)
        .map((child) => {
          const closed = new Promise((resolve) => child.once('close', resolve));
          child.kill('SIGINT');
          return closed;
        }),
    );
    await rm(this.folder, { recursive: true, force: true });
  }
}
