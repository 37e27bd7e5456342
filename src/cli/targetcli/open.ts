// The target shell on this host: its store, its preferences, standard output.

import { dirname } from 'node:path';
import { writeTextFile } from '../../records/files.js';
import { printSaveConfig } from '../../saveconfig/print.js';
import type { Paths } from '../../services/paths.js';
import { readConfig } from '../../services/target/config-file.js';
import { FollowingStore } from '../../services/target/following-store.js';
import { THIS_HOST } from '../../services/target/host.js';
import { readPreferences, writePreferences } from '../../services/target/preferences.js';
import type { TargetStore } from '../../services/target/store.js';
import { AppError } from '../../util/errors.js';
import { LARGEST_WIDTH } from './draw.js';
import { TargetShell } from './shell.js';

export interface OpenOptions {
  readonly paths: Paths;
  /** The socket of the `serve` that is meant, where there are several. */
  readonly control: string | undefined;
  readonly version: string;
  readonly signal: AbortSignal;
  readonly colour: boolean;
  readonly echoSecrets: boolean;
  /** Lines for standard output; the last line end is missing. */
  readonly say: (text: string) => void;
  /** What a person should know although it went well. */
  readonly warn: (text: string) => void;
}

/** @throws AppError when the configuration cannot be reached. The store is the caller's to close. */
export async function openShell(options: OpenOptions): Promise<{ shell: TargetShell; store: TargetStore }> {
  const { paths, control, version, signal, colour, echoSecrets, say, warn } = options;
  const { runDir, targetConfig } = paths;
  const store = await FollowingStore.open({ runDir, targetConfig, control, signal });
  const shell = new TargetShell({
    store,
    host: THIS_HOST,
    preferences: await readPreferences(paths.stateDir),
    keepPreferences: async (preferences) => await writePreferences(paths.stateDir, preferences),
    readSaved: async (file) => await readConfig(file).catch(nullIfMissing),
    // A link there is replaced, and not followed: the folder may be one that others write to.
    writeCopy: async (file, config) => await writeTextFile(dirname(file), file, printSaveConfig(config)),
    version,
    width: () => Math.min(process.stdout.columns ?? LARGEST_WIDTH, LARGEST_WIDTH),
    colour,
    echoSecrets,
    say,
    warn,
  });
  return { shell, store };
}

function nullIfMissing(error: unknown): null {
  if (error instanceof AppError && error.code === 'ERR_NOT_FOUND') return null;
  throw error;
}
