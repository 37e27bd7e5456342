// Which sessions there are: every run folder is asked who owns it, and what a dead worker has left is removed.
import { basename } from 'node:path';
import { callControl } from '../../transport/control.js';
import { delay } from '../../transport/timers.js';
import { AppError, messageOf } from '../../util/errors.js';
import { namesIn } from '../../util/names-in.js';
import { cleanedUp } from '../attach/cleaned-up.js';
import type { Paths } from '../paths.js';
import {
  ownerLives,
  readState,
  removeFolder,
  type SessionFolder,
  type SessionState,
  sessionFolder,
  sessionIds,
} from './folder.js';
import type { SessionInfo } from './info.js';
import { dropLinks } from './links.js';

/** How long a worker may take to say who it is, unless the caller has more time. */
const ANSWER_MS = 2000;
/** How long a worker without its socket may still be on its way out. */
const DYING_MS = 300;
const LOOK_MS = 20;

/** A session whose worker had died: what it was, and one line for each thing removed. */
export interface PrunedSession {
  readonly sid: number;
  readonly state: SessionState | null;
  readonly removed: readonly string[];
}

/** A worker that runs but does not answer: it may be starting, ending or stuck. Nothing is removed. */
export interface SilentSession {
  readonly sid: number;
  readonly state: SessionState;
  readonly reason: string;
}

export interface SessionList {
  /** In ascending order of their numbers. */
  readonly sessions: readonly SessionInfo[];
  readonly silent: readonly SilentSession[];
  readonly pruned: readonly PrunedSession[];
}

type Found =
  | { readonly kind: 'live'; readonly info: SessionInfo }
  | { readonly kind: 'silent'; readonly session: SilentSession }
  | { readonly kind: 'pruned'; readonly session: PrunedSession }
  | { readonly kind: 'gone' };

export interface ListOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long a worker may take to say who it is, milliseconds. Default 2 s. */
  readonly answerMs?: number;
}

/**
 * All sessions below `paths.runDir`. A worker counts as alive if its process is the one that made the folder (pid and
 * start time); what it says about itself is taken from its own answer, never from a file.
 */
export async function listSessions(paths: Pick<Paths, 'runDir'>, options: ListOptions = {}): Promise<SessionList> {
  const sids = await sessionIds(paths.runDir);
  await removeAbandonedCommands(paths.runDir);
  await removeOneShots(paths.runDir);
  const found = await Promise.all(sids.map((sid) => examine(paths.runDir, sid, options)));
  return {
    sessions: found.flatMap((f) => (f.kind === 'live' ? [f.info] : [])),
    silent: found.flatMap((f) => (f.kind === 'silent' ? [f.session] : [])),
    pruned: found.flatMap((f) => (f.kind === 'pruned' ? [f.session] : [])),
  };
}

/** One session. Throws ERR_SESSION_NOT_FOUND, or ERR_TIMEOUT for a worker that does not answer. */
export async function getSession(
  paths: Pick<Paths, 'runDir'>,
  sid: number,
  options: ListOptions = {},
): Promise<SessionInfo> {
  const found = await examine(paths.runDir, sid, options);
  if (found.kind === 'live') return found.info;
  if (found.kind === 'silent')
    throw new AppError('ERR_TIMEOUT', `session ${sid} does not answer: ${found.session.reason}`);
  throw new AppError('ERR_SESSION_NOT_FOUND', `no session ${sid}`);
}

async function examine(runDir: string, sid: number, options: ListOptions): Promise<Found> {
  const folder = sessionFolder(runDir, sid);
  const state = await readState(folder);
  // Without a readable state the answer on the socket alone can tell a live worker.
  if (state !== null && !ownerLives(state)) return prune(runDir, folder, sid, state);
  try {
    const info = await askInfo(folder, options);
    if (info.sid !== sid || (state !== null && info.pid !== state.pid))
      throw new AppError('ERR_UNKNOWN', 'another process answers');
    return { kind: 'live', info };
  } catch (error) {
    if (error instanceof AppError && error.code === 'ERR_INTERRUPTED') throw error;
    return unanswered(runDir, folder, sid, error);
  }
}

async function askInfo(
  { controlSocket }: SessionFolder,
  { signal, answerMs: timeoutMs = ANSWER_MS }: ListOptions,
): Promise<SessionInfo> {
  return (await callControl(controlSocket, 'info', {}, { timeoutMs, signal })) as SessionInfo;
}

/** The worker may have ended in the meantime; only what is surely dead is removed. */
async function unanswered(runDir: string, folder: SessionFolder, sid: number, error: unknown): Promise<Found> {
  const state = await readState(folder);
  if (state === null) {
    const exists = (await sessionIds(runDir)).includes(sid);
    return exists && error instanceof AppError && error.code !== 'ERR_TIMEOUT'
      ? prune(runDir, folder, sid, null)
      : { kind: 'gone' };
  }
  // A process that was killed a moment ago lives until the kernel has taken its memory.
  const dying = state.phase === 'ready' && error instanceof AppError && error.code === 'ERR_NOT_CONNECTED';
  for (let waited = 0; dying && waited < DYING_MS && ownerLives(state); waited += LOOK_MS) await delay(LOOK_MS);
  if (!ownerLives(state)) return prune(runDir, folder, sid, state);
  return { kind: 'silent', session: { sid, state, reason: messageOf(error) } };
}

/** What killed disk commands have left: mostly nothing, and then nothing is loaded for it. The folder itself stays. */
async function removeAbandonedCommands(runDir: string): Promise<void> {
  if (namesIn(`${runDir}/disk`).length === 0) return;
  const { removeAbandoned } = await import('../attach/abandoned.js');
  await removeAbandoned(runDir);
}

/** What a `lunctl nbd` that was killed has left: mostly nothing, as above. */
async function removeOneShots(runDir: string): Promise<void> {
  if (namesIn(`${runDir}/n`).length === 0) return;
  const { removeDeadOneShots } = await import('../one-shot/folder.js');
  for (const path of await removeDeadOneShots(runDir)) {
    cleanedUp(`lunctl nbd, process ${basename(path)}`, [`removed ${path}`]);
  }
}

async function prune(runDir: string, folder: SessionFolder, sid: number, state: SessionState | null): Promise<Found> {
  // Rarely needed, and it brings half of the attach code with it.
  const { cleanLeftovers } = await import('../attach/attach.js');
  const removed = await cleanLeftovers(folder.path).catch((error: unknown) => [`left: ${messageOf(error)}`]);
  if (state !== null) await dropLinks(runDir, state);
  await removeFolder(folder);
  const all = [...removed, `removed ${folder.path}`];
  cleanedUp(`session ${sid}${state === null ? '' : ` to ${state.targetName}`}`, all);
  return { kind: 'pruned', session: { sid, state, removed: all } };
}
