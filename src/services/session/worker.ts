// One session from login to logout: what a worker process does, and `login --foreground` inside its own process.
import { createHash } from 'node:crypto';
import { readBytes } from '../../block/promise.js';
import type { Lun } from '../../initiator/lun.js';
import { DEFAULT_PARAMS } from '../../iscsi/params.js';
import { type ControlHandler, type ControlServer, serveControl } from '../../transport/control.js';
import { delay } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import type { AttachPlan } from '../attach/attach.js';
import type { ExportServer } from '../export-server.js';
import { attachCommands } from './attach-commands.js';
import type { SessionAttachments } from './attachments.js';
import type { SessionClients } from './clients.js';
import type { OpenSession } from './connect.js';
import { endSession, lostWrites } from './end.js';
import { deviceInfo, type ExportedLun, type SessionExports } from './exports.js';
import { removeFolder, type SessionFolder } from './folder.js';
import type { DeviceInfo, LoginRequest, SessionInfo } from './info.js';
import { counted, type SessionLoad } from './load.js';
import type { SessionLog } from './log.js';
import { lunCommands } from './lun-commands.js';
import { readHeads } from './read-heads.js';
import { SessionRescan } from './rescan.js';

/** Largest range of one verify-block request, bytes. */
const LARGEST_PROOF = 2 ** 20;

type Params = Readonly<Record<string, unknown>>;

/** All that a worker is told. Crosses a process border as JSON. */
export interface WorkerConfig {
  readonly sid: number;
  readonly runDir: string;
  /** 12 hexadecimal digits. */
  readonly isid: string;
  readonly request: LoginRequest;
}

export interface SessionWorkerParts {
  readonly config: WorkerConfig;
  readonly log: SessionLog;
  readonly folder: SessionFolder;
  readonly open: OpenSession;
  readonly exports: SessionExports;
  /** The one for any client, then the one for attach helpers if there is any need of it. */
  readonly servers: ExportServer[];
  readonly clients: SessionClients;
  readonly attachments: SessionAttachments;
  /** How LUNs that appear become devices. */
  readonly plan: AttachPlan;
}

/** A session that is in use. Made by `startSession` in session-start.ts. */
export class SessionWorker {
  readonly #parts: SessionWorkerParts;
  readonly #scan: SessionRescan;
  readonly #loggedInAt = new Date().toISOString();
  #control: ControlServer | null = null;
  #ending: Promise<string[]> | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #resolveEnded: () => void = () => {};
  /** Settles when nothing of the session is left: no device, no socket, no folder. */
  readonly ended = new Promise<void>((resolve) => {
    this.#resolveEnded = resolve;
  });

  constructor(parts: SessionWorkerParts) {
    this.#parts = parts;
    const { open, exports, attachments, clients, log, config, plan, folder } = parts;
    this.#scan = new SessionRescan({
      ...{ session: open.session, exports, attachments, clients, log },
      readOnly: config.request.readOnly,
      attach: plan,
      socket: folder.nbdSocket,
      exclusive: (work) => this.#exclusive(work),
    });
  }

  /** Answers on the control socket from now on. */
  async serve(): Promise<void> {
    this.#parts.open.onUnitAttention = (sense) => this.#scan.noteAttention(sense);
    this.#control = await serveControl(this.#parts.folder.controlSocket, {
      info: () => this.info(),
      stats: () => ({ ...this.#parts.open.session.counters }),
      load: () => this.#load(),
      logout: () => this.#logoutByRequest(),
      'verify-block': (params) => this.#verifyBlock(params),
      'read-heads': (params) => readHeads(params, (range) => this.#entry(range)),
      'rescan-partitions': (params) => this.#onLun(params, (entry) => this.#rescan(entry)),
      'disk-users': (params) => this.#diskUsers(params),
      'helper-socket': (params) => this.#helperSocket(params),
      'helper-done': (params) => this.#helperDone(params),
      ...attachCommands(this.#parts.attachments, (params, work) => this.#onLun(params, work)),
      rescan: () => this.#scan.run(),
      ...this.#lunCommands(),
    });
  }

  #lunCommands(): Readonly<Record<string, ControlHandler>> {
    const { config, open, folder, exports, attachments, clients } = this.#parts;
    return lunCommands({
      session: open.session,
      self: { initiatorName: config.request.initiatorName, isid: config.isid },
      socket: folder.nbdSocket,
      attachments,
      clients,
      openExport: ({ name }) => exports.open.find(name),
      entry: (params) => this.#entry(params),
      exclusive: (work) => this.#exclusive(work),
    });
  }

  info(): SessionInfo {
    const { config, open, exports, folder } = this.#parts;
    const { request } = config;
    const { session, portal } = open;
    const luns = exports.luns;
    return {
      sid: config.sid,
      pid: process.pid,
      state: session.state,
      recovery: session.recovery,
      lostSince: open.lostSince,
      lastError: open.lastError?.message ?? null,
      targetName: request.targetName,
      portal: { address: portal.address, port: portal.port, tpgt: open.tpgt ?? request.portal.tpgt },
      iface: request.iface,
      index: request.index ?? 0,
      localAddress: session.state === 'LOGGED_IN' ? open.localAddress : null,
      initiatorName: request.initiatorName,
      isid: config.isid,
      tsih: session.tsih,
      authMethod: open.authMethod,
      chapUser: open.authMethod === 'CHAP' ? (request.credentials?.user ?? null) : null,
      mutualUser: open.authMethod === 'CHAP' ? (request.credentials?.mutual?.user ?? null) : null,
      readOnly: request.readOnly,
      params: session.params ?? DEFAULT_PARAMS,
      loggedInAt: this.#loggedInAt,
      socket: folder.nbdSocket,
      readBytes: sum(luns, (lun) => lun.readBytes),
      writtenBytes: sum(luns, (lun) => lun.writtenBytes),
      devices: luns.map((entry) => deviceInfo(entry, folder.nbdSocket)),
    };
  }

  /** What `session top` shows of it, but for rates: those take two answers. */
  #load(): SessionLoad {
    const { open, exports } = this.#parts;
    const { session } = open;
    const { commands: inFlight, most: mostInFlight } = session.inFlight;
    return {
      state: session.state,
      recovery: session.recovery,
      atMs: performance.now(),
      readBytes: sum(exports.luns, (lun) => lun.readBytes),
      writtenBytes: sum(exports.luns, (lun) => lun.writtenBytes),
      commands: counted(session.load.commands),
      failed: session.load.failed,
      times: counted(session.load.times),
      inFlight,
      mostInFlight,
      waiting: session.tasksInUse - inFlight,
    };
  }

  /**
   * Ends the session within 15 s: devices detached, clients refused, caches flushed, logged out, folder removed. Without
   * `force` it throws ERR_BUSY, with nothing changed, while a device is mounted or held. It throws ERR_LOGOUT once all
   * is over if writes may have been lost on the way. Idempotent.
   */
  async logout({ force = false } = {}): Promise<void> {
    const losses = await this.#end(force);
    await this.#leave();
    if (losses.length > 0) throw lostWrites(losses);
  }

  async #logoutByRequest(): Promise<object> {
    const losses = await this.#end(false);
    // After the answer has been written.
    void delay(1).then(() => this.#leave());
    if (losses.length > 0) throw lostWrites(losses);
    return {};
  }

  async #end(force: boolean): Promise<string[]> {
    if (this.#ending === null && !force) await this.#exclusive(() => this.#parts.attachments.refuseIfUsed());
    this.#scan.stop();
    this.#ending ??= endSession(this.#parts);
    return this.#ending;
  }

  /** Takes apart a session that did not become usable. Its folder stays with whoever made it. */
  async abandon(): Promise<void> {
    this.#scan.stop();
    this.#ending ??= endSession(this.#parts);
    await this.#ending;
    await this.#control?.close();
  }

  async #leave(): Promise<void> {
    await this.#control?.close();
    // What could not be taken away is named there, for the next command to do so.
    if (!this.#parts.attachments.anyLeft) await removeFolder(this.#parts.folder);
    this.#resolveEnded();
  }

  async #rescan(entry: ExportedLun): Promise<void> {
    await this.#parts.exports.rescan(entry);
    await this.#parts.attachments.rescan(entry);
  }

  async #verifyBlock(params: Params): Promise<object> {
    const { lun } = this.#entry(params);
    const offset = naturalNumber(params, 'offset');
    const length = naturalNumber(params, 'length');
    if (length === 0 || length > LARGEST_PROOF || typeof params.sha256 !== 'string') {
      throw new AppError('ERR_USAGE', `verify-block: 1 to ${LARGEST_PROOF} bytes and their sha256 are needed`);
    }
    const bytes = await readBytes(lun, offset, length);
    return { same: createHash('sha256').update(bytes).digest('hex') === params.sha256.toLowerCase() };
  }

  #diskUsers(params: Params): object {
    const { clients } = this.#parts;
    const name = this.#exportName(params);
    return { writers: clients.writers(name), commands: clients.isHeld(name) };
  }

  /** For a disk command that works without a device: its helper is told apart from other clients by its socket. */
  async #helperSocket(params: Params): Promise<object> {
    const name = this.#exportName(params);
    const command = { pid: naturalNumber(params, 'pid'), startTime: String(params.startTime) };
    let admitted = {};
    await this.#onLun(params, async (entry) => {
      admitted = await this.#parts.attachments.admitCommand(entry, name, command);
    });
    return admitted;
  }

  #helperDone(params: Params): object {
    this.#parts.attachments.releaseCommand(this.#entry(params), naturalNumber(params, 'hold'));
    return {};
  }

  async #onLun(params: Params, work: (entry: ExportedLun) => Promise<void>): Promise<DeviceInfo> {
    const entry = this.#entry(params);
    await this.#exclusive(async () => {
      if (this.#ending !== null) throw new AppError('ERR_NOT_CONNECTED', 'the session is ending');
      await work(entry);
    });
    return deviceInfo(entry, this.#parts.folder.nbdSocket);
  }

  /** One change of devices at a time. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Of the LUN that is asked for, or of one of its partitions. */
  #exportName(params: Params): string {
    const { name } = this.#entry(params);
    return params.partition === null ? name : `${name}p${naturalNumber(params, 'partition')}`;
  }

  #entry(params: Params): ExportedLun {
    const number = naturalNumber(params, 'lun');
    const entry = this.#parts.exports.find(number);
    if (entry === undefined)
      throw new AppError('ERR_NOT_FOUND', `session ${this.#parts.config.sid} has no disk at LUN ${number}`);
    return entry;
  }
}

function sum(luns: readonly ExportedLun[], bytes: (lun: Lun) => number): number {
  return luns.reduce((total, { lun }) => total + bytes(lun), 0);
}

function naturalNumber(params: Params, name: string): number {
  const value = params[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new AppError('ERR_USAGE', `${name} must be a natural number`);
}
