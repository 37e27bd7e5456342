// A command line on a terminal of its own, which is script(1), and a person who answers one question.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { BIN } from './sandbox.js';

export const noTerminal = existsSync('/usr/bin/script')
  ? false
  : 'script(1) is not installed: apt-get install bsdutils';

export interface Dialogue {
  /** What is typed once `question` has been shown; `\r` ends a line. */
  readonly answer?: string | undefined;
  readonly question?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/** Runs `lunctl` with `args`, as a shell would read them. `output` is everything that the terminal has got. */
export function onTerminal(
  args: string,
  { question, answer, env }: Dialogue,
): Promise<{ code: number | null; output: string }> {
  const child = spawn('script', ['-qec', `stty cols 200; "${process.execPath}" "${BIN}" ${args}`, '/dev/null'], {
    env: { ...env, TERM: 'xterm' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let output = '';
  let answered = false;
  child.stdout.on('data', (chunk) => {
    output += chunk;
    if (question === undefined || answer === undefined || answered || !output.includes(question)) return;
    answered = true;
    // The prompt sets the terminal up right after it has drawn itself.
    setTimeout(() => child.stdin.write(answer), 200);
  });
  return new Promise((done) => child.on('close', (code) => done({ code, output })));
}
