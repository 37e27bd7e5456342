// Starts a session: makes its folder, starts its worker and waits until every LUN is usable.
import { readdir, readFile } from 'node:fs/promises';
import { AppError } from '../util/errors.js';
import { checkTrustedFolder } from '../util/trusted-folder.js';
import { oneShotIsids } from './one-shot/folder.js';
import type { Paths } from './paths.js';
import {
  claimFolder,
  ourselves,
  ownerLives,
  readState,
  removeFolder,
  type SessionFolder,
  type SessionState,
  sessionFolder,
  sessionIds,
} from './session/folder.js';
import type { LoginRequest, SessionInfo } from './session/info.js';
import { isidFor, isidRandomPart } from './session/isid.js';
import { openSessionLog } from './session/log.js';
import { listSessions, type SessionList } from './session/registry.js';
import { startSession } from './session/start.js';
import type { WorkerConfig } from './session/worker.js';
import { runWorker } from './session/worker-process.js';

export interface LoginOptions {
  readonly paths: Pick<Paths, 'dbDir' | 'runDir'>;
  /** Where the kernel's own initiator shows its sessions; tests give their own. */
  readonly kernelSessions?: string;
  /** See RunWorkerOptions; tests give their own. */
  readonly systemd?: boolean | undefined;
  readonly undoMs?: number | undefined;
  /** Ends the login and leaves nothing; ERR_INTERRUPTED. */
  readonly signal?: AbortSignal | undefined;
  /** One line about what is being done now. */
  onProgress?(line: string): void;
}

/** A session that runs inside this process. */
export interface ForegroundSession {
  readonly info: SessionInfo;
  /** Settles when the session has ended and nothing of it is left. */
  readonly ended: Promise<void>;
  /** Ends it in order, as `logout` does; a device in use makes it throw ERR_BUSY unless `force`. */
  logout(options?: { readonly force?: boolean }): Promise<void>;
}

/**
 * Logs in and returns when the session is in full feature phase, every LUN has been found, its NBD socket accepts and
 * its device (if one is asked for) works. The session then lives in a process of its own. Throws ERR_SESSION_EXISTS for
 * a path that is logged in already or, without `also`, a target that the kernel's initiator uses; else what the login
 * failed with. Nothing is left then: no process, socket or folder. With `request.foreground` see `loginForeground`.
 */
export async function login(request: LoginRequest, options: LoginOptions): Promise<SessionInfo> {
  if (request.foreground) return (await loginForeground(request, options)).info;
  const { signal, systemd, undoMs, onProgress = () => {} } = options;
  const { config, folder } = await prepare(request, options);
  return runWorker(config, folder, { signal, systemd, undoMs, onProgress });
}

/** The same inside this process: the session lasts until it is logged out or the process ends. */
export async function loginForeground(request: LoginRequest, options: LoginOptions): Promise<ForegroundSession> {
  const { signal = new AbortController().signal, onProgress = () => {} } = options;
  const { config, folder } = await prepare(request, options);
  const log = openSessionLog(folder.log);
  try {
    const worker = await startSession(config, { log, signal, onProgress });
    return { info: worker.info(), ended: worker.ended, logout: (how) => worker.logout(how) };
  } catch (error) {
    log.close();
    await removeFolder(folder);
    throw error;
  }
}

/** Everything up to the worker: refusals, the folder with its number, the ISID. */
async function prepare(
  request: LoginRequest,
  { paths, signal, kernelSessions }: LoginOptions,
): Promise<{ config: WorkerConfig; folder: SessionFolder }> {
  checkTrustedFolder(paths.runDir);
  const list = await listSessions(paths, { signal });
  refuseDuplicate(request, [...list.sessions, ...list.silent.map(({ state }) => state)]);
  if (request.also !== true) await refuseKernelSession(request.targetName, kernelSessions);
  const random = await isidRandomPart(paths);
  const { folder, state } = await exclusively(paths.runDir, signal, () => claim(request, paths, random, list));
  return { config: { sid: state.sid, runDir: paths.runDir, isid: state.isid, request }, folder };
}

/** One claim at a time: of logins that run at once each sees the folders of those before it. */
async function exclusively<T>(runDir: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const { withDatabaseLock } = await import('../records/lock.js');
  return withDatabaseLock(runDir, { linkDir: null, signal: signal ?? new AbortController().signal }, work);
}

/** `list` is what was there a moment ago; folders that came since then have a state that says what they are for. */
async function claim(
  request: LoginRequest,
  paths: LoginOptions['paths'],
  random: number,
  list: SessionList,
): ReturnType<typeof claimFolder> {
  const sids = await sessionIds(paths.runDir);
  const states = await Promise.all(sids.map((sid) => readState(sessionFolder(paths.runDir, sid))));
  const living = states.filter((other): other is SessionState => other !== null && ownerLives(other));
  refuseDuplicate(request, living);
  const taken = new Set([...takenIsids(list), ...living.map(({ isid }) => isid), ...oneShotIsids(paths.runDir)]);
  const isid = isidFor(random, request, taken).toString('hex');
  const { targetName, portal, iface, index = 0, initiatorName } = request;
  return claimFolder(paths.runDir, {
    ...{ version: 1, ...ourselves(), phase: 'starting' },
    ...{ targetName, portal, iface, index, initiatorName, isid },
  });
}

type Nexus = Pick<SessionState, 'targetName' | 'portal' | 'iface'> & { readonly index?: number };

function sameNexus(a: Nexus, b: Nexus): boolean {
  const samePortal = a.portal.address === b.portal.address && a.portal.port === b.portal.port;
  const sameIface = a.iface === b.iface && (a.index ?? 0) === (b.index ?? 0);
  return samePortal && a.targetName === b.targetName && sameIface;
}

function refuseDuplicate(request: Nexus, others: readonly (Nexus & { readonly sid: number })[]): void {
  const other = others.find((session) => sameNexus(session, request));
  if (other === undefined) return;
  const { targetName, portal } = request;
  throw new AppError(
    'ERR_SESSION_EXISTS',
    `session ${other.sid} to ${targetName} at ${portal.address},${portal.port} exists`,
    {
      hint: `lunctl session show -r ${other.sid}`,
    },
  );
}

function takenIsids({ sessions, silent }: SessionList): Set<string> {
  return new Set([...sessions.map(({ isid }) => isid), ...silent.map(({ state }) => state.isid)]);
}

/** Two initiators on one host, one disk: each has a cache that knows nothing of the other. Throws ERR_SESSION_EXISTS. */
export async function refuseKernelSession(targetName: string, folder = '/sys/class/iscsi_session'): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    const theirs = await readFile(`${folder}/${name}/targetname`, 'utf8').catch(() => '');
    if (theirs.trim() !== targetName) continue;
    throw new AppError('ERR_SESSION_EXISTS', `the kernel's initiator is logged in to ${targetName} (${name})`, {
      fault: 'kernel-session',
      hint: `log it out first: iscsiadm -m node -T ${targetName} --logout; or, knowing that both write, --also`,
    });
  }
}
