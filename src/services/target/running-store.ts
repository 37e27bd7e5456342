// The configuration of a `serve` that runs, over its control socket.

import type { SaveConfig } from '../../saveconfig/model.js';
import { checkSaveConfig } from '../../saveconfig/parse.js';
import { callControl } from '../../transport/control.js';
import { ProtocolError } from '../../util/errors.js';
import { LONGEST_TARGET_REQUEST } from './place.js';
import type { LiveStatus, SessionRow, Snapshot, TargetStore } from './store.js';

/** Disks are opened and flushed, and initiators are given time to log out. */
const CALL_MS = 90_000;

export class RunningStore implements TargetStore {
  readonly where = 'running';
  readonly path: string;
  readonly #socket: string;
  readonly #signal: AbortSignal;

  constructor(socket: string, configPath: string, signal: AbortSignal) {
    this.path = configPath;
    this.#socket = socket;
    this.#signal = signal;
  }

  async read(): Promise<Snapshot> {
    const { config, revision, status } = await this.#call<Snapshot>('read', {});
    return { config: checkSaveConfig(config), revision, status: status as LiveStatus };
  }
  async apply(config: SaveConfig, revision: number): Promise<{ revision: number }> {
    return await this.#call('apply', { config, revision });
  }
  async save(): Promise<{ path: string; backedUp: boolean }> {
    return await this.#call('save', {});
  }
  async sessions(): Promise<readonly SessionRow[]> {
    return await this.#call('sessions', {});
  }
  async grow(path: string, sizeBytes: number | null): Promise<{ sizeBytes: number }> {
    return await this.#call('grow', { path, sizeBytes });
  }
  async metrics(): Promise<string> {
    return await this.#call('metrics', {});
  }
  async close(): Promise<void> {}

  async #call<T>(op: string, params: object): Promise<T> {
    const options = { timeoutMs: CALL_MS, signal: this.#signal, longestRequest: LONGEST_TARGET_REQUEST };
    const answer = await callControl(this.#socket, op, params, options);
    if (answer === null || answer === undefined) throw new ProtocolError('control socket', `no answer to ${op}`);
    return answer as T;
  }
}
