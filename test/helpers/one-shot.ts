// A `lunctl nbd` of a test's own.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { BIN, type Sandbox } from './sandbox.js';

export interface OneShotProcess {
  readonly child: ChildProcess;
  /** The first line of standard output. */
  readonly uri: string;
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<number | NodeJS.Signals>;
}

/** Starts it and waits, at most 30 s, until clients can connect; rejects with what it said where it does not get there. */
export function startNbd(sandbox: Sandbox, ...args: string[]): Promise<OneShotProcess> {
  const child = spawn(process.execPath, [BIN, 'nbd', ...args], { env: sandbox.env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'));
  });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
      if (!stdout.endsWith('\n')) return;
      clearTimeout(timer);
      resolve({ child, uri: stdout.split('\n')[0] ?? '', stdout: () => stdout, stderr: () => stderr, ended });
    });
    void ended.then((code) => reject(new Error(`nbd ended with ${code}: ${stderr}`)));
  });
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, within 60 s; −1 where it was killed. */
export function runTool(program: string, ...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 60_000, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr });
    });
  });
}
