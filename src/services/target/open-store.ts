// Which configuration a target command means: that of the `serve` that runs, else the saved file.
import { AppError } from '../../util/errors.js';
import { commandLineServes, greet, servePlace } from './place.js';
import { RunningStore } from './running-store.js';
import { SavedStore } from './saved-store.js';
import type { TargetStore } from './store.js';

export interface OpenStoreOptions {
  readonly runDir: string;
  /** The saved configuration. */
  readonly targetConfig: string;
  /** The control socket of the `serve` that is meant, if it is to be that one. */
  readonly control?: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * In this order: the `serve` named by `control`; the one that has the saved configuration; the only one that runs without a
 * configuration of its own; the file. @throws AppError ERR_USAGE where there are several to choose from
 */
export async function openTargetStore(options: OpenStoreOptions): Promise<TargetStore> {
  const { runDir, targetConfig, control, signal } = options;
  return (await runningStore({ runDir, targetConfig, control, signal })) ?? new SavedStore(targetConfig, signal);
}

/** As `openTargetStore`, but null where nothing runs. */
export async function runningStore(options: OpenStoreOptions): Promise<RunningStore | null> {
  const { runDir, targetConfig, control, signal } = options;
  if (control !== undefined) {
    const hello = await greet(control, signal);
    if (hello === null) throw new AppError('ERR_NOT_CONNECTED', `no serve answers on ${control}`);
    return new RunningStore(control, hello.configPath, signal);
  }
  const own = servePlace(runDir, targetConfig);
  if ((await greet(own, signal)) !== null) return new RunningStore(own, targetConfig, signal);
  const found: { socket: string; configPath: string }[] = [];
  for (const socket of await commandLineServes(runDir)) {
    const hello = await greet(socket, signal);
    if (hello !== null) found.push({ socket, configPath: hello.configPath });
  }
  if (found.length > 1) {
    const sockets = found.map(({ socket }) => socket).join(', ');
    throw new AppError('ERR_USAGE', 'several targets are served on this host', {
      hint: `--control with one of ${sockets}`,
    });
  }
  const [only] = found;
  return only === undefined ? null : new RunningStore(only.socket, only.configPath, signal);
}
