// The session worker's process. Its configuration is the first line on standard input, so that no secret is ever in an
// argument or an environment variable; answers go to standard output, a JSON object a line, until it is let go.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { errorToJson } from '../../transport/control.js';
import { delay } from '../../transport/timers.js';
import { AppError, messageOf } from '../../util/errors.js';
import { tellOfCleanUp } from '../attach/cleaned-up.js';
import { ourselves, readState, removeFolder, type SessionFolder, sessionFolder, writeState } from './folder.js';
import { openSessionLog, type SessionLog } from './log.js';
import { prepareForMemoryPressure } from './memory-pressure.js';
import { startSession } from './start.js';
import type { WorkerConfig } from './worker.js';
import { RELEASE, type WorkerAnswer } from './worker-protocol.js';

/** For a session that must end now to do so in order; then the process goes in any case. */
const EXIT_MS = 14_500;
const LARGEST_CONFIG = 2 ** 20;

void main();

async function main(): Promise<void> {
  process.umask(0o077);
  process.title = 'lunctl session';
  const abandoned = new AbortController();
  const config = await readConfig(abandoned);
  if (config === null) return process.exit(1);
  process.title = `lunctl session ${config.sid} ${config.request.targetName}`;
  const folder = sessionFolder(config.runDir, config.sid);
  const log = openSessionLog(folder.log);
  // Not before the folder is ours: a listing must never take it for one that a dead process left.
  await takeOver(folder);
  endOnSignals(abandoned, log);
  tellOfCleanUp((line) => log.warn(line));
  // Before anything is started that has to inherit it.
  for (const line of await prepareForMemoryPressure()) log.info(line);
  try {
    const worker = await startSession(config, {
      log,
      signal: abandoned.signal,
      onProgress: (progress) => answer({ progress }, abandoned),
    });
    const leave = () => worker.logout({ force: true }).catch((error: unknown) => log.error(messageOf(error)));
    abandoned.signal.addEventListener('abort', () => void leave());
    if (abandoned.signal.aborted) await leave();
    else answer({ ready: worker.info() }, abandoned);
    await worker.ended;
  } catch (error) {
    log.error(messageOf(error));
    await removeFolder(folder);
    answer({ error: errorToJson(error) }, abandoned);
  }
  process.exit(0);
}

/** Null if what came first is no configuration. Afterwards an end of input without RELEASE means: given up. */
async function readConfig(abandoned: AbortController): Promise<WorkerConfig | null> {
  let received = 0;
  process.stdin.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received > LARGEST_CONFIG) process.stdin.destroy();
  });
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  return new Promise((resolve) => {
    let config: WorkerConfig | null = null;
    let released = false;
    lines.on('line', (line) => {
      if (config !== null) {
        if (line === RELEASE) released = true;
        return;
      }
      try {
        config = JSON.parse(line) as WorkerConfig;
      } catch {
        // Nothing of the line may be shown: it holds secrets.
      }
      resolve(config);
    });
    lines.on('close', () => {
      resolve(config);
      if (!released) abandoned.abort();
    });
  });
}

/** The folder was made by the process that started us; from now on it is ours. */
async function takeOver(folder: SessionFolder): Promise<void> {
  const state = await readState(folder);
  if (state === null) throw new AppError('ERR_INTERNAL', `no session folder ${folder.path}`);
  await writeState(folder, { ...state, ...ourselves() });
}

/** One line to whoever started us. Nobody there means: given up. */
function answer(line: WorkerAnswer, abandoned: AbortController): void {
  try {
    writeSync(1, `${JSON.stringify(line)}\n`);
  } catch {
    abandoned.abort();
  }
}

/** Whatever the reason, devices and caches are seen to first; but the process does not outlive its bound. */
function endOnSignals(abandoned: AbortController, log: SessionLog): void {
  const end = (reason: string): void => {
    log.info(`ending: ${reason}`);
    void delay(EXIT_MS).then(() => process.exit(1));
    abandoned.abort();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end(signal));
  process.on('SIGHUP', () => {});
  process.on('uncaughtException', (error) => {
    log.error(`fault: ${error.stack ?? error.message}`);
    end('fault');
  });
}
