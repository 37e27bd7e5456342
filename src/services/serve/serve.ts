// Shares disks as the LUNs of one iSCSI target: opens them, listens, joins sockets to target connections, ends in order.

import type { AclConfig, PortalConfig, TargetConfig } from '../../target/config.js';
import { TargetConnection } from '../../target/connection.js';
import { TargetContext } from '../../target/context.js';
import type { TargetEvent } from '../../target/events.js';
import { LIMITS } from '../../target/limits.js';
import { LogicalUnit } from '../../target/logical-unit.js';
import { TargetNode } from '../../target/target-node.js';
import { now } from '../../transport/clock.js';
import { type Listener, listenTcp } from '../../transport/listen.js';
import { delay } from '../../transport/timers.js';
import type { Wire } from '../../transport/wire.js';
import { AppError, ProtocolError } from '../../util/errors.js';
import { BufferPool } from '../../util/ref-buffer.js';
import { Admission, type Pending } from './admission.js';
import type { Backstore } from './backstores/backstore.js';
import { openServeDisk } from './backstores/serve-disk.js';
import type { ServedDisk, ServeOptions, Server } from './options.js';

/** Milliseconds of the 15 s that a shutdown may take: for initiators to log out, then for what they had started. */
const LOGOUT_WAIT_MS = LIMITS.logoutSeconds * 1000;
const TASKS_WAIT_MS = 5000;
const SHUTDOWN = 'the target is shutting down';

/**
 * Starts a target with one portal group and the given disks as LUN 0, 1 ….
 * @throws AppError for a disk or a portal that cannot be had; files made by this call are removed again then
 */
export async function startServe(options: ServeOptions): Promise<Server> {
  const pool = new BufferPool();
  const backstores: Backstore[] = [];
  const listeners: Listener[] = [];
  const server = new RunningServer(options, pool);
  try {
    for (const disk of options.disks) {
      options.signal?.throwIfAborted();
      backstores.push(await openServeDisk(disk, { targetName: options.targetName, readOnly: options.readOnly, pool }));
    }
    for (const { address, port } of options.portals) {
      options.signal?.throwIfAborted();
      listeners.push(await listenAt(address, port, (wire) => server.accept(wire)));
    }
    server.open(backstores, listeners);
    return server;
  } catch (error) {
    for (const listener of listeners) await listener.close();
    for (const backstore of backstores) await backstore.close(true);
    throw error;
  }
}

/** A host without IPv6 has no [::]; every IPv4 address is all it can mean there. */
async function listenAt(address: string, port: number, accept: (wire: Wire) => void): Promise<Listener> {
  try {
    return await listenTcp(address, port, accept);
  } catch (error) {
    const cause = error instanceof AppError ? error.cause : undefined;
    const noIpv6 = cause instanceof Error && 'code' in cause && cause.code === 'EAFNOSUPPORT';
    if (address !== '::' || !noIpv6) throw error;
    return await listenTcp('0.0.0.0', port, accept);
  }
}

class RunningServer implements Server {
  readonly #options: ServeOptions;
  readonly #context: TargetContext;
  readonly #admission = new Admission();
  readonly #connections = new Map<TargetConnection, Wire>();
  #early: Wire[] | null = [];
  #backstores: readonly Backstore[] = [];
  #listeners: readonly Listener[] = [];
  #closing: Promise<void> | null = null;

  constructor(options: ServeOptions, pool: BufferPool) {
    this.#options = options;
    this.#context = new TargetContext(new TargetNode({ alias: null, targets: [], discoveryAuth: null }), pool);
  }

  get portals(): PortalConfig[] {
    return this.#listeners.map(({ address, port }) => ({ address, port }));
  }
  get targetName(): string {
    return this.#options.targetName;
  }
  get disks(): ServedDisk[] {
    return this.#backstores.map(({ object, name, path, device, created }, lun) => {
      return { lun, kind: object.plugin, name, path, sizeBytes: device.sizeBytes, created };
    });
  }

  /** Ports are known only once everything listens, so connections that came meanwhile have waited. */
  open(backstores: readonly Backstore[], listeners: readonly Listener[]): void {
    this.#backstores = backstores;
    this.#listeners = listeners;
    this.#context.node = new TargetNode(toConfig(this.#options, backstores, this.portals, this.#context.pool));
    const early = this.#early ?? [];
    this.#early = null;
    for (const wire of early) this.accept(wire);
  }

  accept(wire: Wire): void {
    if (this.#closing !== null) {
      wire.destroy();
      return;
    }
    if (this.#early !== null) {
      this.#early.push(wire);
      return;
    }
    this.#join(wire);
  }

  #join(wire: Wire): void {
    const remote = { address: wire.remoteAddress, port: wire.remotePort };
    const local = { address: wire.localAddress, port: wire.localPort };
    const connection: TargetConnection = new TargetConnection({
      context: this.#context,
      sink: wire.sink,
      addresses: { local, remote },
      host: {
        now,
        close: () => wire.end(),
        changed: () => wire.wake(),
        event: (event) => this.#onEvent(event, pending, remote),
        refusalDelayMs: () => this.#admission.delayFor(wire.remoteAddress, now()),
      },
    });
    const pending: Pending = {
      address: wire.remoteAddress,
      get begun() {
        return connection.state !== 'XPT_UP';
      },
      drop: (reason) => connection.drop(reason),
    };
    this.#admission.admit(pending);
    this.#connections.set(connection, wire);
    wire.attach(connection, {
      timed: [connection],
      onClose: (error) => {
        this.#admission.leave(pending);
        this.#connections.delete(connection);
        connection.onClosed(error?.message ?? 'closed by the initiator', error instanceof ProtocolError);
      },
    });
  }

  #onEvent(event: TargetEvent, pending: Pending, remote: { address: string; port: number }): void {
    if (event.kind === 'login') this.#admission.leave(pending);
    if (event.kind === 'refuse') this.#admission.failed(pending.address, now());
    this.#options.onEvent?.(event, remote);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const listener of this.#listeners) listener.stop();
    const wires = [...this.#connections.values()];
    for (const connection of [...this.#connections.keys()]) connection.requestLogout(SHUTDOWN);
    for (const wire of wires) wire.wake();
    await within(LOGOUT_WAIT_MS, Promise.all(wires.map((wire) => wire.gone())));
    const sessions = this.#context.sessions.sessions();
    const ended = sessions.map(
      (session) => new Promise<void>((resolve) => session.terminate(SHUTDOWN, 'target', resolve)),
    );
    await within(TASKS_WAIT_MS, Promise.all(ended));
    for (const listener of this.#listeners) await listener.close();
    const failures: unknown[] = [];
    for (const { device, close } of this.#backstores) {
      const flushed = device.readOnly || (await within(TASKS_WAIT_MS, flushDevice(device)));
      if (flushed !== true) failures.push(flushed);
      await within(TASKS_WAIT_MS, close(false));
    }
    if (failures.length > 0)
      throw new AppError('ERR_UNKNOWN', 'a disk could not be flushed: its last writes may be lost');
  }
}

async function flushDevice(device: LogicalUnit['device']): Promise<true | undefined> {
  const { flush } = await import('../../block/promise.js');
  return flush(device).then(
    () => true as const,
    () => undefined,
  );
}

/** What `work` settles to, or undefined after `ms`. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  const stop = new AbortController();
  const late = delay(ms, stop.signal).then(
    () => undefined,
    () => undefined,
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    stop.abort();
  }
}

function toConfig(
  options: ServeOptions,
  backstores: readonly Backstore[],
  portals: readonly PortalConfig[],
  pool: BufferPool,
): TargetConfig {
  const luns = backstores.map(({ name, serial, device }, lun) => {
    return { lun, unit: new LogicalUnit({ name, serial, device, pool }) };
  });
  const mappedLuns = options.readOnly ? luns.map(({ lun }) => ({ mappedLun: lun, tpgLun: lun, readOnly: true })) : null;
  const acls: AclConfig[] = options.allow.map((initiatorName) => ({ initiatorName, auth: null, mappedLuns }));
  const demoMode = options.open ? (options.readOnly ? 'read-only' : 'read-write') : 'off';
  const auth = { account: options.account, mutual: options.mutual };
  const authenticationRequired = options.account !== null;
  const group = { tag: 1, enabled: true, portals, luns, acls, auth, demoMode, authenticationRequired } as const;
  return { alias: null, targets: [{ name: options.targetName, portalGroups: [group] }], discoveryAuth: null };
}
