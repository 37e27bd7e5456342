// One LUN as an NBD export, without a record and without a session that others can see: what `lunctl nbd` runs.
import { rmSync } from 'node:fs';
import type { Lun } from '../../initiator/lun.js';
import { withDatabaseLock } from '../../records/lock.js';
import { classifySense } from '../../scsi/sense-class.js';
import { delay } from '../../transport/timers.js';
import { AppError, messageOf } from '../../util/errors.js';
import { checkTrustedFolder } from '../../util/trusted-folder.js';
import { ExportServer } from '../export-server.js';
import { refuseKernelSession } from '../login.js';
import { withoutRecord } from '../login-hints.js';
import type { Paths } from '../paths.js';
import { type OpenSession, openSession } from '../session/connect.js';
import { claimName, writeClaim } from '../session/disk-claims.js';
import { endSession, lostWrites } from '../session/end.js';
import { type ExportedLun, SessionExports } from '../session/exports.js';
import { ourselves } from '../session/folder.js';
import type { LoginRequest } from '../session/info.js';
import { isidFor, isidRandomPart } from '../session/isid.js';
import type { SessionLog } from '../session/log.js';
import { openLuns } from '../session/luns.js';
import { listSessions } from '../session/registry.js';
import { type Candidate, claimDisk } from '../session/second-path.js';
import { failure, settled } from '../session/start.js';
import { makeOneShotFolder, type OneShotFolder, oneShotIsids } from './folder.js';
import { checkPlace, type Place, placeFor, uriAt } from './place.js';

/** No session has it: of the claims on a disk none is our own yet when they are looked at. */
const NO_SESSION = -1;
/** A unit tells of a new size before it has answered what it is; then its table is read again. Milliseconds. */
const SETTLE_MS = 500;

export interface OneShotRequest {
  readonly login: LoginRequest;
  readonly lun: number;
  /** What the export is called: `lunN` if null. The empty name is it too. */
  readonly exportName: string | null;
  readonly place: Place;
  /** Go on when the last client has gone. */
  readonly persistent: boolean;
}

export interface OneShotOptions {
  readonly paths: Pick<Paths, 'dbDir' | 'runDir'>;
  readonly log: SessionLog;
  readonly signal: AbortSignal;
  /** Where the kernel's own initiator shows its sessions; tests give their own. */
  readonly kernelSessions?: string;
}

export interface OneShotExport {
  readonly name: string;
  readonly uri: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
}

/** A LUN that is being served. */
export interface OneShot {
  /** The LUN, then its partitions, as they are now. */
  readonly exports: readonly OneShotExport[];
  /** Settles when the last client has gone; never if it is to be persistent. */
  readonly unused: Promise<void>;
  /**
   * Ends within 15 s: clients turned away, the cache flushed, logged out, socket removed. Throws ERR_LOGOUT once all is
   * over if writes may have been lost on the way. Idempotent.
   */
  close(): Promise<void>;
}

/**
 * Logs in and serves the LUN; clients can connect once this returns. Throws ERR_SESSION_EXISTS where another writes to the
 * disk, ERR_NOT_FOUND where there is no such disk, else what the login failed with; nothing is left then.
 */
export async function startOneShot(request: OneShotRequest, options: OneShotOptions): Promise<OneShot> {
  const { login, place } = request;
  const { paths, signal, log } = options;
  checkTrustedFolder(paths.runDir);
  await checkPlace(place);
  if (login.also !== true) await refuseKernelSession(login.targetName, options.kernelSessions);
  const { folder, isid } = await claimIsid(login, request.lun, paths, signal);
  const traces = [folder.path, ...(place.kind === 'unix' && place.path !== null ? [place.path] : [])];
  const forget = () => removeAll(traces);
  // A second Ctrl-C ends the process without waiting for anything.
  process.once('exit', forget);
  const left = () => {
    process.off('exit', forget);
    forget();
  };
  try {
    const open = await openSession({ login, isid, log, signal }).catch((error: unknown) => {
      throw withoutRecord(error);
    });
    return await serve(open, request, options, { folder, left });
  } catch (error) {
    left();
    throw error;
  }
}

/** An ISID of its own for every call that lives, and the same one again for a call that follows a killed one. */
async function claimIsid(
  login: LoginRequest,
  lun: number,
  paths: OneShotOptions['paths'],
  signal: AbortSignal,
): Promise<{ folder: OneShotFolder; isid: Buffer }> {
  const random = await isidRandomPart(paths);
  const { sessions, silent } = await listSessions(paths, { signal });
  return withDatabaseLock(paths.runDir, { linkDir: null, signal }, async () => {
    const others = [...sessions, ...silent.map(({ state }) => state)].map(({ isid }) => isid);
    const key = { ...login, iface: `nbd ${lun}` };
    const isid = isidFor(random, key, new Set([...others, ...oneShotIsids(paths.runDir)]));
    return { folder: await makeOneShotFolder(paths.runDir, isid.toString('hex')), isid };
  });
}

/** Where it keeps its traces, and what removes them. */
interface Traces {
  readonly folder: OneShotFolder;
  left(): void;
}

async function serve(open: OpenSession, request: OneShotRequest, options: OneShotOptions, traces: Traces) {
  const { place, persistent } = request;
  const { log, signal } = options;
  const unused = withResolver();
  const ending = new AbortController();
  const exports = new SessionExports({
    targetName: request.login.targetName,
    ...{ shared: true, isHeld: () => false, secondPath: () => null, log },
  });
  const onUnused = () => {
    if (!persistent) unused.resolve();
    // Whoever has gone may have made partitions.
    else for (const entry of exports.luns) void exports.rescan(entry);
  };
  const listening = (async () => {
    const lun = await findLun(open, request, log);
    if (!lun.readOnly) await claimLun(lun, request.login, options, traces.folder);
    await exports.add(lun, request.exportName ?? undefined);
    const path = placeFor(place, traces.folder.socket);
    return ExportServer.listen({ path, exports: exports.open, pool: open.pool, log, onUnused });
  })();
  try {
    await Promise.race([failure(open, signal), listening]);
  } catch (error) {
    await open.close();
    await settled(listening.then((server) => server.shutdown(0)));
    throw error;
  }
  const server = await listening;
  watchSize(open, exports, ending.signal);
  const close = async () => {
    ending.abort();
    const attachments = { unmountAll: async () => {}, detachAll: async () => {} };
    const losses = await endSession({ log, open, exports, servers: [server], attachments });
    traces.left();
    if (losses.length > 0) throw lostWrites(losses);
  };
  let closing: Promise<void> | null = null;
  return {
    get exports() {
      return exports.luns.flatMap((entry) => describe(entry, (name) => uriAt(place, server, name)));
    },
    unused: unused.promise,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

async function findLun(open: OpenSession, { login, lun }: OneShotRequest, log: SessionLog): Promise<Lun> {
  const luns = await openLuns(open.session, { readOnly: login.readOnly, log });
  const found = luns.find(({ info }) => info.lun === lun);
  for (const other of luns) if (other !== found) open.session.leave(other);
  if (found !== undefined) return found;
  const numbers = luns.map(({ info }) => info.lun).join(', ');
  throw new AppError('ERR_NOT_FOUND', `${login.targetName} has no disk at LUN ${lun}`, {
    hint: numbers === '' ? 'it shows this initiator no disk at all' : `its disks are LUN ${numbers}`,
  });
}

/** From then on sessions of this host do not write to the disk. Without `shared` nobody else may be at it. */
async function claimLun(
  { info }: Lun,
  { targetName, shared = false }: LoginRequest,
  { paths, signal }: OneShotOptions,
  folder: OneShotFolder,
): Promise<void> {
  const candidate: Candidate = { sid: NO_SESSION, targetName, info };
  const { lun, designator } = info;
  const claim = { targetName, lun, designator, use: `served by lunctl nbd (process ${process.pid})` };
  const write = () => writeClaim(folder.path, claimName(lun), claim, ourselves());
  const user = await claimDisk(paths.runDir, candidate, { shared, signal }, write);
  if (user === null) return;
  throw new AppError('ERR_SESSION_EXISTS', `LUN ${lun} of ${targetName} is not served: ${user}`, {
    hint: 'take --read-only; or, knowing that both write, --shared',
  });
}

/** New clients see a new size by themselves; the partitions are read again. */
function watchSize(open: OpenSession, exports: SessionExports, ending: AbortSignal): void {
  const look = async () => {
    await delay(SETTLE_MS, ending);
    for (const entry of exports.luns) await exports.rescan(entry);
  };
  open.onUnitAttention = (sense) => {
    if (classifySense(sense).reason === 'capacity-changed') look().catch(() => {});
  };
}

function describe({ lun, name, partitions }: ExportedLun, uri: (name: string) => string): OneShotExport[] {
  const { readOnly } = lun;
  const parts = partitions.map(({ info }) => ({ name: info.exportName, sizeBytes: info.sizeBytes }));
  return [{ name, sizeBytes: lun.sizeBytes }, ...parts].map((entry) => ({ ...entry, uri: uri(entry.name), readOnly }));
}

function removeAll(paths: readonly string[]): void {
  for (const path of paths) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch (error) {
      process.stderr.write(`warning: ${path} is left: ${messageOf(error)}\n`);
    }
  }
}

function withResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
