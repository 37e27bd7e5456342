// What iscsiadm does with its options before a mode runs: each in the order in which it stands, the first that is wrong ends it.

import { isOperation } from './operations.js';
import { type GivenOption, isMode, isProblem, MODES, type Mode, Options, type Step, scanOptions } from './options.js';
import { Reported } from './reported.js';
import { readSid } from './sid.js';
import type { Talk } from './talk.js';
import { OPEN_ISCSI_VERSION, TRY_HELP, USAGE } from './usage.js';

const LARGEST_HOST = 2 ** 32 - 1;
const LARGEST_INDEX = 2n ** 64n - 1n;
const IFACE_NAME_LARGEST = 64;

export interface CommandLine {
  readonly mode: Mode;
  readonly options: Options;
}

/** The mode and its options, or undefined when everything that was to say has been said. */
export function readCommandLine(argv: readonly string[], talk: Talk): CommandLine | undefined {
  const steps = scanOptions(argv);
  const given: GivenOption[] = [];
  let unknown = '';
  let stop = false;
  for (const step of steps) {
    if (isProblem(step)) {
      talk.complain(step.line);
      unknown = step.optopt;
      continue;
    }
    const goesOn = given.some(({ letter }) => letter === 'o') && step.letter === 'o';
    given.push(step);
    if (!goesOn && !takeStep(step.letter, step.value, steps, talk)) return undefined;
    stop ||= step.letter === 'k';
  }
  const options = new Options(given);
  const mode = options.text('m');
  if (unknown !== '') return refuse(talk, `unrecognized character '${unknown}'`);
  if (stop) return stopDaemon(talk);
  if (mode !== undefined && isMode(mode)) return { mode, options };
  talk.bare(TRY_HELP);
  talk.fail(Reported.Invalid);
  return undefined;
}

/** Whether to go on behind this option. */
function takeStep(letter: string, value: string, steps: readonly Step[], talk: Talk): boolean {
  if (letter === 'h') talk.out(USAGE);
  else if (letter === 'V') talk.out(`iscsiadm version ${OPEN_ISCSI_VERSION}\n`);
  else if (letter === 'm') return checkMode(value, steps, talk);
  else if (letter === 'I') return checkIfaceLength(value, talk);
  else {
    const wrong = WRONG[letter]?.(value);
    if (wrong !== undefined) refuse(talk, wrong, letter === 'r' ? Reported.Failure : Reported.Invalid);
    return wrong === undefined;
  }
  return false;
}

/** What is wrong with a value, by its option's letter. */
const WRONG: Readonly<Record<string, (value: string) => string | undefined>> = {
  k: (value) => {
    const priority = Number.parseInt(value, 10) || 0;
    if (priority >= 0) return undefined;
    return `Invalid killiscsid priority ${priority} Priority must be greater than or equal to zero.`;
  },
  o: (value) => (isOperation(value) ? undefined : `can not recognize operation: '${value}'`),
  H: (value) => {
    if (value.includes(':')) return 'Could not match MAC to host.';
    const number = Number.parseInt(value, 10) || 0;
    return number > LARGEST_HOST || number < 0 ? `Invalid host no ${value}. Numerical result out of range.` : undefined;
  },
  r: (value) => {
    const sid = readSid(value);
    return typeof sid === 'string' ? sid : undefined;
  },
  x: (value) => {
    const digits = /^\s*[+-]?(\d+)/.exec(value)?.[1] ?? '0';
    return BigInt(digits) > LARGEST_INDEX ? `Invalid index ${value}. Numerical result out of range.` : undefined;
  },
};

function checkMode(mode: string, steps: readonly Step[], talk: Talk): boolean {
  if (!isMode(mode)) {
    refuse(talk, 'mode -1 is not yet supported');
    return false;
  }
  const { name, letters } = MODES[mode];
  // iscsiadm goes through all its words once more here.
  for (const step of steps) {
    if (isProblem(step)) talk.complain(step.line);
    const letter = isProblem(step) ? '?' : step.letter;
    if (letters.includes(letter)) continue;
    refuse(talk, `${name} mode: option '-${letter}' is not allowed/supported`);
    return false;
  }
  return true;
}

function checkIfaceLength(name: string, talk: Talk): boolean {
  if (name !== '' && Buffer.byteLength(name) <= IFACE_NAME_LARGEST) return true;
  talk.out(`Invalid iface name ${name}. Must be from 1 to ${IFACE_NAME_LARGEST} characters.\n`);
  talk.fail(Reported.Invalid);
  return false;
}

/** There is no daemon: each session has a process of its own, and `-u` ends it. */
function stopDaemon(talk: Talk): undefined {
  talk.complain('can not connect to iSCSI daemon (111)!');
  talk.complain('initiator reported error (20 - could not connect to iscsid)');
  talk.complain('Could not stop iscsid. Trying sending iscsid SIGTERM or SIGKILL signals manually');
}

function refuse(talk: Talk, line: string, code: number = Reported.Invalid): undefined {
  talk.complain(line);
  talk.fail(code);
}
