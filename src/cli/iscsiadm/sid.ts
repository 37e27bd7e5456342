// What -r says: a session's number, or a path in /sys that has it.
import { lstatSync } from 'node:fs';

/**
 * The number, or what iscsiadm says of a word that has none. Below /sys, session 8 is a folder named session8. Sessions of
 * ours are not there, but the path says which is meant.
 */
export function readSid(text: string): number | string {
  const digits =
    /^\s*\+?(\d{1,10})$/.exec(text)?.[1] ?? /^\/sys\/(?:[^/]+\/)*session(\d{1,10})(?:\/|$)/.exec(text)?.[1];
  const sid = Number(digits);
  if (Number.isSafeInteger(sid) && sid > 0) return sid;
  const isFile = lstatSync(text, { throwIfNoEntry: false })?.isFile() ?? false;
  return isFile ? `${text} is not a directory` : `${text} is an invalid session ID or path`;
}
