// The configuration in its file, for as long as no `serve` runs that has it: an edit is checked and written.
import { createHash } from 'node:crypto';
import { refuseContradictions } from '../../saveconfig/check.js';
import { EMPTY_CONFIG } from '../../saveconfig/defaults.js';
import type { SaveConfig, StorageObject } from '../../saveconfig/model.js';
import { backstorePath } from '../../saveconfig/paths.js';
import { printSaveConfig } from '../../saveconfig/print.js';
import { AppError } from '../../util/errors.js';
import { backUp, parseConfig, readConfigText, withConfigLock, writeConfigText } from './config-file.js';
import { blockDeviceSize } from './host.js';
import type { LiveStatus, SessionRow, Snapshot, TargetStore } from './store.js';

export class SavedStore implements TargetStore {
  readonly where = 'saved';
  readonly path: string;
  readonly #signal: AbortSignal;

  constructor(path: string, signal: AbortSignal) {
    this.path = path;
    this.#signal = signal;
  }

  async read(): Promise<Snapshot> {
    const text = await readConfigText(this.path);
    const config = text === null ? EMPTY_CONFIG : await parseConfig(text, this.path);
    return { config, revision: revisionOf(text), status: statusOf(config) };
  }

  async apply(config: SaveConfig, revision: number): Promise<{ revision: number }> {
    refuseContradictions(config);
    const text = printSaveConfig(config);
    return await withConfigLock(this.path, this.#signal, async () => {
      if (revisionOf(await readConfigText(this.path)) !== revision) throw changedMeanwhile();
      await writeConfigText(this.path, text);
      return { revision: revisionOf(text) };
    });
  }

  async save(): Promise<{ path: string; backedUp: boolean }> {
    return await withConfigLock(this.path, this.#signal, async () => {
      const text = (await readConfigText(this.path)) ?? printSaveConfig(EMPTY_CONFIG);
      await parseConfig(text, this.path);
      await writeConfigText(this.path, text);
      return { path: this.path, backedUp: await backUp(this.path, text) };
    });
  }

  async sessions(): Promise<readonly SessionRow[]> {
    return [];
  }
  async close(): Promise<void> {}
}

export function changedMeanwhile(): AppError {
  return new AppError('ERR_BUSY', 'the configuration has been changed by somebody else meanwhile', { retriable: true });
}

/** 48 bits of the content; 0 where there is no file. */
function revisionOf(text: string | null): number {
  return text === null ? 0 : createHash('sha256').update(text).digest().readUIntBE(0, 6);
}

function statusOf(config: SaveConfig): LiveStatus {
  const sizes = config.storage_objects.map((object) => [backstorePath(object), { sizeBytes: sizeOf(object) }] as const);
  return { portals: {}, backstores: Object.fromEntries(sizes) };
}

function sizeOf(object: StorageObject): number | null {
  if ('size' in object && typeof object.size === 'number' && object.size > 0) return object.size;
  const bytes = 'dev' in object && typeof object.dev === 'string' ? blockDeviceSize(object.dev) : 0;
  return bytes > 0 ? bytes : null;
}
