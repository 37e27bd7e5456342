// The control socket of `serve`: what the target commands ask of it. One serve for each configuration.
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { checkSaveConfig } from '../../saveconfig/parse.js';
import { printSaveConfig } from '../../saveconfig/print.js';
import { type ControlHandler, serveControl } from '../../transport/control.js';
import { AppError, messageOf } from '../../util/errors.js';
import { backUp, readConfigText, withConfigLock, writeConfigText } from '../target/config-file.js';
import { LONGEST_TARGET_REQUEST, removePlace, type ServeHello, servePlace } from '../target/place.js';
import type { LiveTarget } from './live-target.js';
import { lockFile } from './lock.js';
import { type Counters, metricsText } from './metrics.js';

/** Nobody else has this configuration, for as long as this process lives. */
export interface Place {
  readonly socket: string;
  /** Answers from now on. */
  open(target: ServedTarget): Promise<void>;
  close(): Promise<void>;
}

export interface ServedTarget {
  readonly live: LiveTarget;
  readonly counters: Counters;
  /** The file that `save` writes. */
  readonly configPath: string;
}

/** @param configPath of the configuration that is served; null for disks of a command line. @throws AppError ERR_BUSY */
export async function takePlace(runDir: string, configPath: string | null): Promise<Place> {
  const socket = servePlace(runDir, configPath);
  const lock = await openLock(dirname(socket));
  try {
    await lockFile(configPath ?? socket, lock.fd, false);
  } catch (error) {
    await lock.close();
    throw error;
  }
  let server: { close(): Promise<void> } | null = null;
  return {
    socket,
    async open(target) {
      server = await serveControl(socket, handlersFor(target), { longestRequest: LONGEST_TARGET_REQUEST });
    },
    async close() {
      await server?.close();
      await removePlace(socket);
      await lock.close();
    },
  };
}

async function openLock(folder: string): Promise<FileHandle> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return await open(`${folder}/lock`, 'a', 0o600);
  } catch (cause) {
    throw new AppError('ERR_ACCESS', `no control socket in ${folder}: ${messageOf(cause)}`, { cause });
  }
}

function handlersFor({ live, counters, configPath }: ServedTarget): Readonly<Record<string, ControlHandler>> {
  return {
    hello: (): ServeHello => ({ pid: process.pid, configPath }),
    read: () => live.snapshot(),
    apply: async ({ config, revision }) => {
      if (typeof revision !== 'number') throw new AppError('ERR_USAGE', 'apply needs a revision');
      const applied = await live.apply(checkSaveConfig(config), revision, { create: true });
      return { revision: applied.revision };
    },
    save: (_params, gone) => saveTo(live, configPath, gone),
    sessions: () => live.sessions(),
    metrics: () => metricsText(live, counters),
    grow: async ({ path, sizeBytes }) => {
      const size = sizeBytes ?? null;
      if (typeof path !== 'string' || (size !== null && typeof size !== 'number')) {
        throw new AppError('ERR_USAGE', 'grow needs a path and a size');
      }
      return { sizeBytes: await live.grow(path, size) };
    },
  };
}

async function saveTo(
  live: LiveTarget,
  path: string,
  signal: AbortSignal,
): Promise<{ path: string; backedUp: boolean }> {
  return await withConfigLock(path, signal, async () => {
    const before = await readConfigText(path);
    const backedUp = before !== null && (await backUp(path, before));
    await writeConfigText(path, printSaveConfig(live.config));
    return { path, backedUp };
  });
}
