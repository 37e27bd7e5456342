// Where a running `serve` can be reached: RUN/t/KEY/control.sock, one for each configuration that is served.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { callControl, ServerGone } from '../../transport/control.js';
import { AppError } from '../../util/errors.js';
import { namesIn } from '../../util/names-in.js';

const HELLO_MS = 5000;
/** As `apply` may carry a whole configuration. */
export const LONGEST_TARGET_REQUEST = 16_777_216 + 65_536;

/** What a running `serve` says of itself. */
export interface ServeHello {
  readonly pid: number;
  /** The file that it saves to. */
  readonly configPath: string;
}

/** Of the `serve` that has this configuration; null: of one that was given its disks on the command line. */
export function servePlace(runDir: string, configPath: string | null): string {
  const key =
    configPath === null ? `p${process.pid}` : createHash('sha256').update(configPath).digest('hex').slice(0, 10);
  return join(runDir, 't', key, 'control.sock');
}

/** The sockets of those that have no configuration of their own. What dead ones have left is removed. */
export async function commandLineServes(runDir: string): Promise<string[]> {
  const sockets: string[] = [];
  for (const name of namesIn(join(runDir, 't'))) {
    const pid = /^p(\d+)$/.exec(name)?.[1];
    if (pid === undefined) continue;
    const socket = join(runDir, 't', name, 'control.sock');
    if (existsSync(`/proc/${pid}`)) sockets.push(socket);
    else await removePlace(socket);
  }
  return sockets;
}

/** The folder of a socket, and what is empty then above it. */
export async function removePlace(socket: string): Promise<void> {
  const folder = dirname(socket);
  await rm(folder, { recursive: true, force: true });
  for (const above of [dirname(folder), dirname(dirname(folder))]) await rmdir(above).catch(() => undefined);
}

/** Null where nobody answers. */
export async function greet(socket: string, signal?: AbortSignal): Promise<ServeHello | null> {
  try {
    const answer = await callControl(socket, 'hello', {}, { timeoutMs: HELLO_MS, signal });
    const { pid, configPath } = (answer ?? {}) as Partial<ServeHello>;
    if (typeof pid !== 'number' || typeof configPath !== 'string') {
      throw new AppError('ERR_PROTOCOL', `${socket} is no serve of lunctl`);
    }
    return { pid, configPath };
  } catch (error) {
    if (error instanceof ServerGone) return null;
    throw error;
  }
}
