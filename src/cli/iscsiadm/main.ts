// `lunctl-iscsiadm`: iscsiadm's command line, words and exit codes on top of our own sessions and records. Loads nothing
// that its mode does not need: scripts call it in loops.
import { AppError } from '../../util/errors.js';
import { SignalWatch } from '../signals.js';
import type { Call } from './call.js';
import { readCommandLine } from './command-line.js';
import type { Mode } from './options.js';
import { Talk } from './talk.js';

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
/** Runs one command line, the words after the program's name, and returns its exit code. Never throws. */
export async function main(argv: readonly string[]): Promise<number> {
  // A secret may stand behind -v: from here on nobody sees it in the list of processes.
  process.title = 'lunctl-iscsiadm';
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
  const line = readCommandLine(argv, talk);
  if (line === undefined) return;
  const run = await RUN[line.mode]();
  await run({ ...line, talk, signal });
}
