// --no_wait: the logins go on in a process of their own, which nobody hears from.
import { spawn } from 'node:child_process';
import type { Options } from './options.js';

/** What of a login's command line says which records are meant. */
const KEPT = ['T', 'p', 'I', 'L'];

/** Runs the same login again, and waits there. */
export function goOnInBackground(options: Options): void {
  const [, entry = ''] = process.argv;
  const kept = KEPT.flatMap((letter) => options.all(letter).map((value) => `-${letter}${value}`));
  const login = options.has('L') ? [] : ['-l'];
  const args = [...process.execArgv, entry, '-m', 'node', ...kept, ...login];
  spawn(process.execPath, args, { detached: true, stdio: 'ignore' }).unref();
}
