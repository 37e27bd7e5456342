// What two answers to one command may differ in although nothing is wrong. Everything else counts.
import type { Answer } from './recording.js';

/** Names and figures of the one machine that was recorded: versions, host numbers, disks, statistics. */
const OF_THE_MACHINE: readonly (readonly [RegExp, string])[] = [
  [/^(# BEGIN RECORD|iscsiadm version|version|iSCSI Transport Class version) \S+$/gm, '$1 VERSION'],
  [/^(\s*Host Number:) \d+/gm, '$1 HOST'],
  [/^(\s*)scsi\d+ (Channel)/gm, '$1scsiHOST $2'],
  [/^(tcp:) \[\d+\] (\S*,\[)/gm, '$1 [HOST] $2'],
  [/(Attached scsi disk) \S+\t/g, '$1 DISK\t'],
  [/\/dev\/(?:nbd|sd)\w+/g, '/dev/DISK'],
  [/^(\t[a-z0-9_]+:) \d+$/gm, '$1 COUNT'],
  [/^(iscsiadm: Max file limits) \d+ \d+$/gm, '$1 LIMITS'],
];

/**
 * Lines whose order is that of a folder's entries or of what ends first, in iscsiadm too: a run of them counts as a set.
 * A failed login is two lines.
 */
const IN_ANY_ORDER: readonly RegExp[] = [
  /^Logging in to .*\n/,
  /^Login to .*\n/,
  /^Logging out of .*\n/,
  /^Logout of .*\n/,
  /^Rescanning session .*\n/,
  /^tcp: \[\d+\] .*\n/,
  /^iscsiadm: Could not (?:login to|logout of) .*\niscsiadm: initiator reported error .*\n/,
  /^.* via sendtargets\n/,
];

export function normalise(answer: Answer): Answer {
  return { stdout: text(answer.stdout), stderr: text(answer.stderr), exit: answer.exit };
}

function text(printed: string): string {
  let out = printed;
  for (const [pattern, by] of OF_THE_MACHINE) out = out.replace(pattern, by);
  for (const unit of IN_ANY_ORDER) out = sortRuns(out, unit);
  // Links of stored discoveries come in the order of their folder.
  if (out.startsWith('SENDTARGETS:\n')) {
    out = sortBlocks(out, { head: /^\tPortal: / });
    out = sortBlocks(out, { head: /^Target: / });
    out = sortRuns(out, /^DiscoveryAddress: .*\n(?:(?:Target: |\t).*\n)*/);
  }
  // Of one target's sessions that with the smaller number comes first.
  const sid = (block: string): number => Number(/\tSID: (\d+)/.exec(block)?.[1]);
  return sortBlocks(out, { head: /^\t+Current Portal: /, level: true, keyOf: sid });
}

/** Sorts each run of neighbours that match `unit`. */
function sortRuns(out: string, unit: RegExp): string {
  const run = new RegExp(`(?:${unit.source}){2,}`, 'gm');
  const each = new RegExp(unit.source, 'gm');
  return out.replace(run, (found) => [...found.matchAll(each)].map(String).sort().join(''));
}

interface Blocks {
  /** The first line of each. */
  readonly head: RegExp;
  /** Whether lines that are indented as far as the head belong to its block. */
  readonly level?: boolean;
  readonly keyOf?: (block: string) => string | number;
}

/** Sorts neighbouring blocks of a tree that is drawn with tabs. */
function sortBlocks(out: string, { head, level = false, keyOf = (block) => block }: Blocks): string {
  let parts = '';
  let run: string[] = [];
  let depth = 0;
  const flush = (): void => {
    parts += run.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)).join('');
    run = [];
  };
  for (const line of out.split(/(?<=\n)/)) {
    const indent = /^\t*/.exec(line)?.[0].length ?? 0;
    if (head.test(line)) {
      if (indent !== depth) flush();
      depth = indent;
      run.push(line);
    } else if (run.length > 0 && (indent > depth || (level && indent === depth))) run.push(`${run.pop()}${line}`);
    else {
      flush();
      parts += line;
    }
  }
  flush();
  return parts;
}
