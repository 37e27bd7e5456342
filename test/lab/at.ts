// Stops this process at an exact moment of its own work, for as long as another program runs from beginning to end:
//   spawn sfdisk 1         right before that helper is started for the first time
//   running mkfs.ext4 1    right after its start
//   exit wipefs 2          when it has ended for the second time
//   open /dev/nbd0 1       right before that path is opened to be held for the first time; `opened`: right after
//   claim /dev/nbd0 1      right before it is opened to see whether another program has it
import childProcess, { spawnSync } from 'node:child_process';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

interface Stop {
  /** `EVENT NAME COUNT` */
  readonly moment: string;
  readonly command: readonly [string, ...string[]];
}
let armed: Stop | null = null;
const seen = new Map<string, number>();

/** Runs `command` at that moment, which comes once at most. */
export function stopAt(moment: string, command: Stop['command']): void {
  armed = { moment, command };
  seen.clear();
}

function reached(event: string, name: string): void {
  const count = (seen.get(`${event} ${name}`) ?? 0) + 1;
  seen.set(`${event} ${name}`, count);
  if (armed?.moment !== `${event} ${name} ${count}`) return;
  const [file, ...args] = armed.command;
  armed = null;
  const { status, error } = spawnSync(file, args, { stdio: 'inherit' });
  if (status !== 0) throw error ?? new Error(`${file} ended with ${status}`);
}

/** The helper in question, behind whatever is put in front of it (setpriv, flock). */
function toolOf([file, args]: readonly unknown[]): string {
  const words = [file, ...(Array.isArray(args) ? args : [])].map(String);
  return words.find((word) => /^(wipefs|sfdisk|dd|blkdiscard|mount|mkfs\..*)$/.test(word)) ?? String(file);
}

const { spawn } = childProcess;
const { open } = fs;
Object.assign(childProcess, {
  spawn(...all: never[]) {
    const tool = toolOf(all);
    reached('spawn', tool);
    const child = Reflect.apply(spawn, childProcess, all) as ReturnType<typeof spawn>;
    child.prependListener('exit', () => reached('exit', tool));
    reached('running', tool);
    return child;
  },
});
Object.assign(fs, {
  async open(...args: Parameters<typeof open>) {
    const [path, flags] = [String(args[0]), args[1]];
    reached(flags === 'r' ? 'open' : 'claim', path);
    const handle = await open(...args);
    reached(flags === 'r' ? 'opened' : 'claimed', path);
    return handle;
  },
});
// Those who have imported the functions by name get ours too.
syncBuiltinESMExports();
