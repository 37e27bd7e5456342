// A target that is served, and follows its configuration: what is new is opened first, then everything changes in one turn,
// then what is gone is closed. Sessions that a change does not concern notice nothing of it.
import { randomInt } from 'node:crypto';
import { type Remark, refuseContradictions } from '../../saveconfig/check.js';
import { EMPTY_CONFIG } from '../../saveconfig/defaults.js';
import { notHonoured } from '../../saveconfig/honour.js';
import type { Portal as PortalObject, SaveConfig } from '../../saveconfig/model.js';
import { backstorePath } from '../../saveconfig/paths.js';
import { TargetContext } from '../../target/context.js';
import { TargetNode } from '../../target/target-node.js';
import { AppError } from '../../util/errors.js';
import { BufferPool } from '../../util/ref-buffer.js';
import { changedMeanwhile } from '../target/saved-store.js';
import type { LiveStatus, SessionRow, Snapshot } from '../target/store.js';
import { Connections, type OnEvent } from './connections.js';
import { type ListenerChange, Listeners } from './listeners.js';
import { bareAddress, nodeConfig } from './node-config.js';
import {
  closeObject,
  isSameDisk,
  type ObjectOptions,
  openObject,
  refuseOtherDisk,
  type ServedObject,
  settled,
  TASKS_WAIT_MS,
} from './served-object.js';
import { sessionRows } from './session-rows.js';
import { unitFeatures } from './unit-settings.js';
import { within } from './within.js';

/** How long an answer to `apply` may wait for what is being closed: initiators are given 5 s to log out. */
const CLOSING_WAIT_MS = 12_000;

export interface LiveOptions {
  /** Nobody may write to anything. */
  readonly readOnly: boolean;
  /** See ObjectOptions.reservations. */
  readonly reservations?: string | undefined;
  readonly onEvent: OnEvent;
}

export interface ApplyOptions {
  /** Files of new fileio objects are made where there are none. */
  readonly create: boolean;
  /** Goes on without the objects that cannot be opened; they stay in the configuration. */
  readonly lenient?: boolean;
  /** Errors do not name storage objects: who asks has named files. */
  readonly unnamed?: boolean;
  /** Ends it while it can still be undone. */
  readonly signal?: AbortSignal | undefined;
}

export interface Applied {
  readonly revision: number;
  /** Objects that could not be opened, where that was allowed. */
  readonly failed: readonly Remark[];
}

/** What is ready to be put in force. */
interface Change {
  readonly config: SaveConfig;
  readonly node: TargetNode;
  readonly objects: ReadonlyMap<string, ServedObject>;
  readonly listening: ListenerChange;
  readonly failed: readonly Remark[];
}

export class LiveTarget {
  readonly connections: Connections;
  readonly #context: TargetContext;
  readonly #listeners: Listeners;
  readonly #readOnly: boolean;
  readonly #reservations: string | null;
  #config: SaveConfig = EMPTY_CONFIG;
  #revision = randomInt(2 ** 40);
  #objects: ReadonlyMap<string, ServedObject> = new Map();
  /** Changes are made one after another. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #closing = new Set<Promise<unknown>>();
  /** A disk was closed with writes that may be lost. */
  #lostWrites = false;
  #closed: Promise<void> | null = null;

  constructor(options: LiveOptions) {
    this.#readOnly = options.readOnly;
    this.#reservations = options.reservations ?? null;
    const nothing = new TargetNode({ alias: null, targets: [], discoveryAuth: null });
    this.#context = new TargetContext(nothing, new BufferPool());
    this.connections = new Connections(this.#context, options.onEvent);
    this.#listeners = new Listeners((wire) => this.connections.accept(wire));
  }

  get portals(): { address: string; port: number }[] {
    return this.#listeners.portals;
  }
  get config(): SaveConfig {
    return this.#config;
  }
  /** By path of the storage object. */
  get objects(): ReadonlyMap<string, ServedObject> {
    return this.#objects;
  }
  /** Write data that is held for all sessions, in bytes. */
  get heldBytes(): number {
    return this.#context.memory.held;
  }

  snapshot(): Snapshot {
    return { config: this.#config, revision: this.#revision, status: this.#status() };
  }
  sessions(): SessionRow[] {
    return sessionRows(this.connections.loggedIn(), this.#config, this.#objects);
  }
  /** What the configuration says and is not done. */
  remarks(): Remark[] {
    return notHonoured(this.#config);
  }

  /** See TargetStore.apply. `revision` null: whatever it is. */
  apply(config: SaveConfig, revision: number | null, options: ApplyOptions): Promise<Applied> {
    return this.#inTurn(() => this.#apply(config, revision, options));
  }

  /** Takes the size that the backing of an object has now, or makes it `sizeBytes`. Initiators learn of it by UNIT ATTENTION 2Ah/09h. */
  grow(path: string, sizeBytes: number | null): Promise<number> {
    return this.#inTurn(async () => {
      const served = this.#objects.get(path);
      if (served === undefined) throw new AppError('ERR_NOT_FOUND', `there is no ${path}`);
      const { backstore } = served;
      const size = sizeBytes === null ? await backstore.refreshSize() : await backstore.grow(sizeBytes);
      this.#become(withSettled(this.#config, this.#objects));
      return size;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(() => {
      if (this.#closed !== null) throw new AppError('ERR_NOT_CONNECTED', 'the target is shutting down');
      return work();
    });
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #apply(config: SaveConfig, revision: number | null, options: ApplyOptions): Promise<Applied> {
    if (revision !== null && revision !== this.#revision) throw changedMeanwhile();
    refuseContradictions(config);
    const change = await this.#prepare(config, options);
    await this.#swap(change);
    return { revision: this.#revision, failed: change.failed };
  }

  /** Everything that can fail. What it has opened is closed again then. */
  async #prepare(config: SaveConfig, options: ApplyOptions): Promise<Change> {
    const opened = new Map<string, ServedObject>();
    let listening: ListenerChange | null = null;
    try {
      const failed = await this.#open(config, opened, options);
      const objects = this.#objectsFor(config, opened);
      listening = await this.#listeners.prepare(portalsOf(config));
      options.signal?.throwIfAborted();
      const next = withPorts(config, listening.chosen);
      const node = new TargetNode(nodeConfig(next, (path) => objects.get(path)?.unit));
      await this.#grow(config, objects);
      return { config: withSettled(next, objects), node, objects, listening, failed };
    } catch (error) {
      await listening?.undo();
      for (const { backstore } of opened.values()) await backstore.close(true);
      throw error;
    }
  }

  /** Opens the storage objects that are not open, into `opened`. */
  async #open(config: SaveConfig, opened: Map<string, ServedObject>, options: ApplyOptions): Promise<Remark[]> {
    const failed: Remark[] = [];
    const refused: AppError[] = [];
    const known = new Set(this.#config.storage_objects.map(backstorePath));
    for (const object of config.storage_objects) {
      options.signal?.throwIfAborted();
      const path = backstorePath(object);
      const served = this.#objects.get(path);
      if (served !== undefined) {
        const now = settled(served.backstore.object, served);
        refuseOtherDisk(now, object);
        if (isSameDisk(now, object)) continue;
      }
      try {
        opened.set(path, await openObject(object, this.#openOptions(options)));
      } catch (error) {
        // What did not work before a change does not stand in its way.
        const old = served === undefined && known.has(path);
        if (!(error instanceof AppError)) throw error;
        if (old || options.lenient === true) failed.push({ path, reason: error.message.replace(`${path}: `, '') });
        else refused.push(error);
      }
    }
    if (refused.length > 0) throw allOf(refused);
    return failed;
  }

  #openOptions({ create, unnamed }: ApplyOptions): ObjectOptions {
    const [reservations, { pool }] = [this.#reservations, this.#context];
    return { create, readOnly: this.#readOnly, pool, unnamed: unnamed ?? false, reservations };
  }

  #objectsFor(config: SaveConfig, opened: ReadonlyMap<string, ServedObject>): Map<string, ServedObject> {
    const objects = new Map<string, ServedObject>();
    for (const object of config.storage_objects) {
      const path = backstorePath(object);
      const served = opened.get(path) ?? this.#objects.get(path);
      if (served !== undefined) objects.set(path, served);
    }
    return objects;
  }

  /** Last of all that can fail: a file that has grown stays grown. */
  async #grow(config: SaveConfig, objects: ReadonlyMap<string, ServedObject>): Promise<void> {
    for (const object of config.storage_objects) {
      const served = objects.get(backstorePath(object));
      if (served === undefined || !('size' in object) || typeof object.size !== 'number' || object.size === 0) continue;
      const { sizeBytes } = served.backstore.device;
      if (object.size > sizeBytes) await served.backstore.grow(object.size);
    }
  }

  /** One turn, then the wait for what goes. */
  async #swap({ config, node, objects, listening }: Change): Promise<void> {
    const kept = new Set(objects.values());
    const gone = [...this.#objects.values()].filter((served) => !kept.has(served));
    for (const object of config.storage_objects)
      objects.get(backstorePath(object))?.unit.setFeatures(unitFeatures(object));
    this.#objects = objects;
    this.#context.reconfigure(node);
    this.#become(config);
    listening.commit();
    const closing = gone.map(async (served) => {
      if (!(await closeObject(served))) this.#lostWrites = true;
    });
    const all = Promise.all(closing);
    this.#closing.add(all);
    void all.finally(() => this.#closing.delete(all));
    await within(CLOSING_WAIT_MS, all);
  }

  #become(config: SaveConfig): void {
    this.#config = config;
    this.#revision++;
  }

  #status(): LiveStatus {
    const portals: Record<string, { listening: boolean }> = {};
    for (const portal of this.#config.targets.flatMap(({ tpgs }) => tpgs.flatMap((tpg) => tpg.portals))) {
      const listening = this.#listeners.covers({ address: bareAddress(portal), port: portal.port });
      portals[`${portal.ip_address}:${portal.port}`] = { listening };
    }
    const backstores = this.#config.storage_objects.map(backstorePath).map((path) => {
      return [path, { sizeBytes: this.#objects.get(path)?.backstore.device.sizeBytes ?? null }] as const;
    });
    return { portals, backstores: Object.fromEntries(backstores) };
  }

  /**
   * Asks initiators to log out, ends every session, flushes, releases the files. At most 15 s. Idempotent.
   * @throws AppError if the last writes of a disk may be lost
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#listeners.stop();
    await this.connections.close(TASKS_WAIT_MS);
    await this.#listeners.close();
    const flushed = await Promise.all([...this.#objects.values()].map(closeObject));
    await within(TASKS_WAIT_MS, Promise.all(this.#closing));
    if (this.#lostWrites || flushed.includes(false)) {
      throw new AppError('ERR_UNKNOWN', 'a disk could not be flushed: its last writes may be lost');
    }
  }
}

/** Whoever has to put a configuration right wants to hear of all that is wrong. */
function allOf(errors: readonly AppError[]): AppError {
  const [first] = errors;
  if (first === undefined || errors.length === 1) return first ?? new AppError('ERR_INTERNAL', 'no error');
  const text = errors.map(({ message }) => message).join('; ');
  return new AppError(first.code, `${errors.length} storage objects cannot be had: ${text}`, { cause: first });
}

function portalsOf(config: SaveConfig): { address: string; port: number }[] {
  const portals = config.targets
    .filter(({ fabric }) => fabric === 'iscsi')
    .flatMap(({ tpgs }) => tpgs.flatMap((tpg) => tpg.portals));
  return portals.map((portal) => ({ address: bareAddress(portal), port: portal.port }));
}

function withSettled(config: SaveConfig, objects: ReadonlyMap<string, ServedObject>): SaveConfig {
  const storage_objects = config.storage_objects.map((object) => {
    const served = objects.get(backstorePath(object));
    return served === undefined ? object : settled(object, served);
  });
  return { ...config, storage_objects };
}

/** Portals that asked for any port say which one it is. */
function withPorts(config: SaveConfig, chosen: readonly number[]): SaveConfig {
  const left = [...chosen];
  const portal = (from: PortalObject): PortalObject =>
    from.port === 0 ? { ...from, port: left.shift() ?? from.port } : from;
  const targets = config.targets.map((target) => {
    if (target.fabric !== 'iscsi') return target;
    const tpgs = target.tpgs.map((tpg) => ({ ...tpg, portals: tpg.portals.map(portal) }));
    return { ...target, tpgs };
  });
  return { ...config, targets };
}
