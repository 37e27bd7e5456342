// The configuration wherever it is now: a shell outlives the start and the end of a `serve`.
import type { SaveConfig } from '../../saveconfig/model.js';
import { type OpenStoreOptions, openTargetStore } from './open-store.js';
import type { SessionRow, Snapshot, TargetStore } from './store.js';

export class FollowingStore implements TargetStore {
  #now: TargetStore;
  private constructor(
    private readonly options: OpenStoreOptions,
    first: TargetStore,
  ) {
    this.#now = first;
  }

  /** @throws as `openTargetStore` */
  static async open(options: OpenStoreOptions): Promise<FollowingStore> {
    return new FollowingStore(options, await openTargetStore(options));
  }

  get where(): 'running' | 'saved' {
    return this.#now.where;
  }
  get path(): string {
    return this.#now.path;
  }
  /** Looks for it anew: what is applied afterwards goes to the same place, or is refused. */
  async read(): Promise<Snapshot> {
    await this.#now.close();
    this.#now = await openTargetStore(this.options);
    return await this.#now.read();
  }
  async apply(config: SaveConfig, revision: number): Promise<{ readonly revision: number }> {
    return await this.#now.apply(config, revision);
  }
  async save(): Promise<{ readonly path: string; readonly backedUp: boolean }> {
    return await this.#now.save();
  }
  async sessions(): Promise<readonly SessionRow[]> {
    return await this.#now.sessions();
  }
  async close(): Promise<void> {
    await this.#now.close();
  }
}
