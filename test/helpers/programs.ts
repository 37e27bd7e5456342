// Programs that tests run: tools, clients, peers. Never synchronously: what serves them is often this very process.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import type { TestContext } from 'node:test';

const MOST_MS = 120_000;

export interface Ran {
  /** −1: it was killed. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, in the folder of temporary files; it is killed after two minutes. One that is not there is an error. */
export function run(program: string, ...args: string[]): Promise<Ran> {
  return runWith({}, program, ...args);
}

/** The same with variables of its own. */
export function runWith(variables: Readonly<Record<string, string>>, program: string, ...args: string[]): Promise<Ran> {
  // The system's own Python has libnbd's bindings, whatever else is first.
  const env = { ...process.env, PATH: `/usr/bin:${process.env.PATH}`, ...variables };
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      ...{ env, cwd: tmpdir(), timeout: MOST_MS },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}

/** Runs a program that has to end well; resolves with its standard output, and fails with what it said otherwise. */
export async function succeed(program: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, ...args);
  assert.equal(code, 0, `${[program, ...args].join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

/** Whether `program` is there. If not the test is skipped with the reason, or fails where nothing may be missing. */
export function has(t: TestContext, program: string, debianPackage: string): boolean {
  if (spawnSync('sh', ['-c', `command -v ${program}`]).status === 0) return true;
  const reason = `${program} is missing: apt-get install ${debianPackage}`;
  if (process.env.CI) assert.fail(reason);
  t.skip(reason);
  return false;
}

/** Of a file, or of the bytes from `start` to `end` of it, that one included. */
export async function md5(
  path: string,
  range: { readonly start?: number; readonly end?: number } = {},
): Promise<string> {
  const hash = createHash('md5');
  for await (const chunk of createReadStream(path, range)) hash.update(chunk);
  return hash.digest('hex');
}
