// The end of a session, in the order that loses nothing, each step with its share of 15 seconds.
import { flush } from '../block/promise.js';
import { bounded } from '../transport/timers.js';
import { AppError, messageOf } from '../util/errors.js';
import type { ExportServer } from './export-server.js';
import type { SessionAttachments } from './session-attachments.js';
import type { OpenSession } from './session-connect.js';
import type { SessionExports } from './session-exports.js';
import type { SessionLog } from './session-log.js';

const DETACH_MS = 5000;
const CLIENTS_MS = 2000;
const FLUSH_MS = 4000;
const LOGOUT_MS = 2500;
const CLOSE_MS = 1500;

export interface SessionParts {
  readonly log: SessionLog;
  readonly open: OpenSession;
  readonly exports: SessionExports;
  readonly servers: readonly ExportServer[];
  readonly attachments: SessionAttachments;
}

/**
 * Detaches the devices (their last writes still go through), turns NBD clients away, empties the target's caches, logs
 * out and closes the connection. Never throws: what a step cannot do is logged, and the next one is taken.
 */
export async function endSession({ log, open, exports, servers, attachments }: SessionParts): Promise<void> {
  const step = async (name: string, timeoutMs: number, work: () => Promise<unknown>) => {
    const onTimeout = () => new AppError('ERR_TIMEOUT', `not done within ${timeoutMs} ms`);
    await bounded(work(), { timeoutMs, onTimeout }).catch((error: unknown) => log.warn(`${name}: ${messageOf(error)}`));
  };
  await step('detach', DETACH_MS, () => attachments.detachAll());
  await Promise.all(servers.map((server) => server.shutdown(CLIENTS_MS)));
  if (open.session.state === 'LOGGED_IN') {
    const cached = exports.luns.filter(({ lun }) => lun.writeCache && !lun.readOnly);
    await Promise.all(cached.map(({ name, lun }) => step(`flush ${name}`, FLUSH_MS, () => flush(lun))));
    await step('logout', LOGOUT_MS, () => open.session.logout());
  }
  await step('close', CLOSE_MS, () => open.close());
  log.info('session ended');
}
