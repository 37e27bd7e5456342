// A `lunctl nbd` of a test's own.
import { type ChildProcess, spawn } from 'node:child_process';
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
