// Loaded into one lunctl command (node --import): stops it at an exact moment of its work, runs another program from beginning to
// end, and lets it go on. LAB_AT is the moment, `EVENT NAME COUNT`, LAB_AT_COMMAND the program:
//   spawn sfdisk 1   right before the helper is started for the first time
//   running mkfs.ext4 1   right after its start
//   exit wipefs 2    when it has ended for the second time
//   open /dev/nbd0 1 right before the command itself opens that path; `opened`: right after
import { spawnSync } from 'node:child_process';
import childProcess from 'node:child_process';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const [event = '', name = '', count = '1'] = (process.env.LAB_AT ?? '').split(' ');
const command = process.env.LAB_AT_COMMAND ?? '';
let seen = 0;

/** Blocks the whole command, which therefore stands at this very point. */
function reached(what: string, subject: string): void {
  if (what !== event || subject !== name || ++seen !== Number(count)) return;
  const { status, error } = spawnSync('/bin/bash', ['-c', command], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw error ?? new Error(`${command} failed: ${status}`);
}

const { spawn } = childProcess;
Object.assign(childProcess, {
  spawn(file: string, ...rest: never[]) {
    reached('spawn', file);
    const child = Reflect.apply(spawn, childProcess, [file, ...rest]) as ReturnType<typeof spawn>;
    child.prependListener('exit', () => reached('exit', file));
    reached('running', file);
    return child;
  },
});
const { open } = fs;
Object.assign(fs, {
  async open(...args: Parameters<typeof open>) {
    reached('open', String(args[0]));
    const handle = await open(...args);
    reached('opened', String(args[0]));
    return handle;
  },
});
syncBuiltinESMExports();
