// From a login request to a session that is in use, and back where that fails half way.
import { bounded } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import { type AttachPlan, planAttach } from '../attach/attach.js';
import { ExportServer } from '../export-server.js';
import { SessionAttachments } from './attachments.js';
import { SessionClients } from './clients.js';
import { type OpenSession, openSession } from './connect.js';
import { readClaims } from './disk-claims.js';
import { SessionExports } from './exports.js';
import { ourselves, sessionFolder, writeState } from './folder.js';
import type { SessionLog } from './log.js';
import { openLuns } from './luns.js';
import { secondPath } from './second-path.js';
import { SessionWorker, type SessionWorkerParts, type WorkerConfig } from './worker.js';

/** nbd-client's -C, nbdfuse's own choice of 4, and the short ones by which both look first. */
const CONNECTIONS_OF_A_DEVICE = 8;
/**
 * Of one connection of a device. The kernel asks for most of it at once just when memory is short: a quarter of what other
 * clients get keeps a target at a distance of 10 ms busy at 800 MB/s.
 */
const DEVICE_BYTES_IN_FLIGHT = 2 ** 23;
/** For a step that was interrupted to undo itself, milliseconds. */
const UNDO_MS = 10_000;

export interface WorkerEnvironment {
  readonly log: SessionLog;
  readonly signal: AbortSignal;
  onProgress(line: string): void;
}

/**
 * Logs in and makes every LUN usable: exports accept, devices work, the control socket answers. When it throws nothing
 * is left but the folder, which the caller made. A lost connection on the way is a failure like any other.
 */
export async function startSession(config: WorkerConfig, environment: WorkerEnvironment): Promise<SessionWorker> {
  const { log, signal, onProgress } = environment;
  const { request } = config;
  const folder = sessionFolder(config.runDir, config.sid);
  const plan = await planAttach(request.attach);
  onProgress(`connecting to ${request.portal.address}`);
  const isid = Buffer.from(config.isid, 'hex');
  const open = await openSession({ login: request, isid, log, signal });
  const servers: ExportServer[] = [];
  const clients = new SessionClients(servers);
  const claims = onceForAll(() => readClaims(config.runDir));
  const exports = new SessionExports({
    targetName: request.targetName,
    shared: request.shared ?? false,
    isHeld: (name) => clients.isHeld(name),
    secondPath: ({ info }) => secondPath({ sid: config.sid, targetName: request.targetName, info }, claims()),
    log,
  });
  const attachments = new SessionAttachments({
    sid: config.sid,
    folder,
    runDir: config.runDir,
    owner: request,
    exports,
    log,
    readOnly: request.readOnly,
    connections: request.connections ?? 1,
    shared: request.shared ?? false,
    clients,
    attachServer: async () => {
      const [, ready] = servers;
      if (ready !== undefined) return ready;
      const made = await ExportServer.listen({
        path: folder.attachSocket,
        exports: exports.forAttach,
        pool: open.pool,
        log,
        // Our own helpers, and each device may have all its connections.
        mostClients: CONNECTIONS_OF_A_DEVICE * Math.max(1, exports.luns.length),
        // e2fsprogs change single bytes of a superblock, and nbdfuse turns down what is less than a block.
        limits: { smallestBlock: 1, bytesInFlight: DEVICE_BYTES_IN_FLIGHT },
      });
      servers[1] = made;
      return made;
    },
  });
  const parts: SessionWorkerParts = { config, log, folder, open, exports, servers, clients, attachments, plan };
  const worker = new SessionWorker(parts);
  const undo = new AbortController();
  const usable = makeUsable(worker, parts, plan, { log, onProgress, signal: AbortSignal.any([signal, undo.signal]) });
  try {
    await Promise.race([failure(open, signal), usable]);
    log.info(`logged in to ${request.targetName}, ${exports.luns.length} disks`);
    return worker;
  } catch (error) {
    undo.abort();
    // What is half made must be whole or undone before it can be taken apart.
    await settled(usable);
    await worker.abandon();
    throw error;
  }
}

/** What `read` gives now, read once for all LUNs that ask within one call. */
function onceForAll<T>(read: () => T): () => T {
  let kept: { readonly value: T } | null = null;
  return () => {
    if (kept === null) {
      kept = { value: read() };
      queueMicrotask(() => {
        kept = null;
      });
    }
    return kept.value;
  };
}

/** Waits for what goes on although it was given up, within 10 s, however it ends. */
export async function settled(work: Promise<unknown>): Promise<void> {
  const onTimeout = () => new AppError('ERR_TIMEOUT', 'still at work');
  await bounded(work, { timeoutMs: UNDO_MS, onTimeout }).catch(() => {});
}

/** Rejects when the connection is lost, or the caller gives up, before the session is usable. */
export async function failure({ over }: OpenSession, signal: AbortSignal): Promise<never> {
  const aborted = new Promise<never>((_, reject) => {
    const give = () => reject(new AppError('ERR_INTERRUPTED', 'interrupted'));
    if (signal.aborted) give();
    signal.addEventListener('abort', give, { once: true });
  });
  const lost = over.then((error) => {
    throw error ?? new AppError('ERR_LOGIN', 'the target ended the session');
  });
  // Nobody may be listening any more when these settle.
  lost.catch(() => {});
  aborted.catch(() => {});
  return Promise.race([aborted, lost]);
}

async function makeUsable(
  worker: SessionWorker,
  parts: SessionWorkerParts,
  plan: AttachPlan,
  { log, signal, onProgress }: WorkerEnvironment,
): Promise<void> {
  const { open, exports, folder, servers, attachments, config } = parts;
  onProgress('looking for disks');
  for (const lun of await openLuns(open.session, { readOnly: config.request.readOnly, log })) await exports.add(lun);
  servers[0] = await ExportServer.listen({ path: folder.nbdSocket, exports: exports.open, pool: open.pool, log });
  if (plan.notice !== null) for (const entry of exports.luns) entry.note = plan.notice;
  if (plan.mode !== 'none') await attachments.attachAll(plan.mode, { signal, onProgress });
  await worker.serve();
  const { sid, isid, request } = config;
  const { targetName, iface, index = 0, initiatorName } = request;
  const portal = { ...request.portal, tpgt: open.tpgt ?? request.portal.tpgt };
  const owner = { version: 1, sid, ...ourselves(), phase: 'ready' } as const;
  await writeState(folder, { ...owner, targetName, portal, iface, index, initiatorName, isid });
}
