// A person at a real pseudo-terminal: tmux(1) is the terminal, a shell runs in it, and what is on the screen can be read.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const noTmux = existsSync('/usr/bin/tmux') ? false : 'tmux is not installed: apt-get install tmux';

/** For a command to start on a busy machine. */
const WAIT_MS = 30_000;

export class TmuxTerminal {
  readonly #folder = mkdtempSync(join(tmpdir(), 'lunctl-tmux-'));
  readonly #env: NodeJS.ProcessEnv;

  /** `env` is all that the shell has, with what a terminal needs. */
  constructor(env: NodeJS.ProcessEnv) {
    this.#env = { ...env, TERM: 'xterm-256color', LC_ALL: 'C.UTF-8', PS1: '$ ' };
    const config = join(this.#folder, 'tmux.conf');
    writeFileSync(config, 'set -g history-limit 5000\nset -g default-terminal screen-256color\n');
    this.#tmux('-f', config, 'new-session', '-d', '-x', '200', '-y', '50', '/bin/sh');
  }

  /** Runs `line` in the shell; resolves with its exit status once `dialogue` is over and the shell is back. */
  async run(line: string, dialogue: () => Promise<void> = async () => {}): Promise<number> {
    this.#tmux('send-keys', '-R');
    this.#tmux('clear-history');
    this.type(`${line}; echo "status=$?."\r`);
    await dialogue();
    await this.shows(/^status=\d+\.$/m);
    return Number(/^status=(\d+)\.$/m.exec(this.everything())?.[1]);
  }
  /** As a keyboard would; `\r` is Enter. By a file, so that no process has it in its arguments. */
  type(text: string): void {
    execFileSync('tmux', ['-S', this.#socket, 'load-buffer', '-'], { input: text, env: this.#env });
    this.#tmux('paste-buffer', '-d', '-r');
  }
  /** A key by tmux's name: C-c, Enter. */
  press(key: string): void {
    this.#tmux('send-keys', key);
  }
  /** Waits until the terminal has shown this. */
  async shows(text: RegExp): Promise<void> {
    for (const end = performance.now() + WAIT_MS; !text.test(this.everything()); await sleep(50)) {
      if (performance.now() > end) throw new Error(`no ${text} on the terminal:\n${this.everything()}`);
    }
  }
  /** Waits for a question, then answers it. The prompt sets the terminal up right after it has drawn itself. */
  async answer(question: RegExp, text: string): Promise<void> {
    await this.shows(question);
    await sleep(300);
    this.type(text);
  }
  /** All that has been shown since the last `run`, what has scrolled away too. */
  everything(): string {
    return this.#tmux('capture-pane', '-p', '-J', '-S', '-');
  }
  /** Whether the cursor can be seen. */
  get cursor(): boolean {
    return this.#tmux('display-message', '-p', '#{cursor_flag}').trim() === '1';
  }
  stop(): void {
    try {
      this.#tmux('kill-server');
    } catch {
      // Its shell has ended, and the server with it.
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #socket(): string {
    return join(this.#folder, 's');
  }
  #tmux(...args: string[]): string {
    return execFileSync('tmux', ['-S', this.#socket, ...args], { encoding: 'utf8', env: this.#env });
  }
}
