// `lunctl-iscsiadm`: iscsiadm's command line, words and exit codes on top of our own sessions and records. Loads nothing
// that its mode does not need: scripts call it in loops.
import { AppError } from '../../util/errors.js';
import { SignalWatch } from '../signals.js';
import type { Call } from './call.js';
import { isMode, MODES, type Mode, Options, scanOptions } from './options.js';
import { Talk } from './talk.js';
import { OPEN_ISCSI_VERSION, TRY_HELP, USAGE } from './usage.js';

type Run = (call: Call) => Promise<void>;
const RUN: Readonly<Record<Mode, () => Promise<Run>>> = {
  discovery: async () => (await import('./discovery.js')).runDiscovery,
  discoverydb: async () => (await import('./discovery.js')).runDiscovery,
  node: async () => (await import('./node.js')).runNode,
  session: async () => (await import('./session.js')).runSession,
  iface: async () => (await import('./iface.js')).runIface,
  host: async () => (await import('./host.js')).runHost,
  fw: async () => (await import('./fw.js')).runFw,
};
const USAGE_ERROR = 7;

/** Runs one command line, the words after the program's name, and returns its exit code. Never throws. */
export async function main(argv: readonly string[]): Promise<number> {
  // A secret may stand behind -v: from here on nobody sees it in the list of processes.
  process.title = 'iscsiadm';
  const talk = new Talk();
  const signals = new SignalWatch();
  try {
    await dispatch(argv, talk, signals.signal);
  } catch (error) {
    const { aborted, reason } = signals.signal;
    talk.error(aborted && reason instanceof AppError ? reason : error);
  } finally {
    signals.stop();
  }
  return talk.exitCode;
}

async function dispatch(argv: readonly string[], talk: Talk, signal: AbortSignal): Promise<void> {
  const { options: given, problems } = scanOptions(argv);
  for (const { line } of problems) talk.complain(line);
  const options = new Options(given);
  const asked = given.find(({ letter }) => letter === 'h' || letter === 'V')?.letter;
  if (asked === 'h') return talk.out(USAGE);
  if (asked === 'V') return talk.out(`iscsiadm version ${OPEN_ISCSI_VERSION}\n`);
  const mode = options.text('m');
  const problem = problems[0];
  if (problem !== undefined && (mode === undefined || !isMode(mode))) {
    if (problem.optopt === '') talk.bare(TRY_HELP);
    else talk.complain(`unrecognized character '${problem.optopt}'`);
    return talk.fail(USAGE_ERROR);
  }
  if (options.has('k')) {
    talk.complain('can not connect to iSCSI daemon (111)!');
    talk.complain('initiator reported error (20 - could not connect to iscsid)');
    return talk.complain('Could not stop iscsid. Trying sending iscsid SIGTERM or SIGKILL signals manually');
  }
  if (mode === undefined) {
    talk.bare(TRY_HELP);
    return talk.fail(USAGE_ERROR);
  }
  if (!isMode(mode)) {
    talk.complain('mode -1 is not yet supported');
    return talk.fail(USAGE_ERROR);
  }
  const foreign = problem === undefined ? options.foreign(mode) : '?';
  if (foreign !== undefined) {
    talk.complain(`${MODES[mode].name} mode: option '-${foreign}' is not allowed/supported`);
    return talk.fail(USAGE_ERROR);
  }
  const run = await RUN[mode]();
  await run({ mode, options, talk, signal });
}
