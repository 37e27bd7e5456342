// A target with its control socket: what the command `serve` runs.
import type { TargetEvent } from '../../target/events.js';
import { now } from '../../transport/clock.js';
import { AppError } from '../../util/errors.js';
import type { OnEvent } from './connections.js';
import { type Place, takePlace } from './control.js';
import { EventLimit } from './event-limit.js';
import { Counters } from './metrics.js';
import type { Server } from './options.js';

export interface ControlledOptions {
  readonly runDir: string;
  /** The configuration that is served, and that nobody else may serve meanwhile; null for disks of a command line. */
  readonly ownConfig: string | null;
  /** The file that `target saveconfig` writes. */
  readonly configPath: string;
  readonly onEvent: OnEvent;
  /** Disks of a command line are served without a control socket where there can be none. */
  onNoControl(error: AppError): void;
}

export interface ControlledServer extends Server {
  /** The control socket, or null. */
  readonly control: string | null;
}

/** @throws AppError of `start`, or ERR_BUSY where another serve has the configuration */
export async function startControlled(
  start: (onEvent: OnEvent) => Promise<Server>,
  options: ControlledOptions,
): Promise<ControlledServer> {
  const counters = new Counters();
  const told = new EventLimit(options.onEvent, now);
  const place = await placeFor(options);
  try {
    const server = await start((event: TargetEvent, remote) => {
      counters.count(event);
      told.take(event, remote);
    });
    await place?.open({ live: server.live, counters, configPath: options.configPath });
    const close = async () => {
      try {
        await server.close();
      } finally {
        await place?.close();
      }
    };
    return { ...server, control: place?.socket ?? null, close };
  } catch (error) {
    await place?.close();
    throw error;
  }
}

async function placeFor({ runDir, ownConfig, onNoControl }: ControlledOptions): Promise<Place | null> {
  try {
    return await takePlace(runDir, ownConfig);
  } catch (error) {
    if (ownConfig !== null || !(error instanceof AppError)) throw error;
    onNoControl(error);
    return null;
  }
}
