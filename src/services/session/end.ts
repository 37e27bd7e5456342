// The end of a session, in the order that loses nothing, each step with its share of 14 seconds.
import { flush } from '../../block/promise.js';
import { bounded } from '../../transport/timers.js';
import { AppError, messageOf } from '../../util/errors.js';
import type { ExportServer } from '../export-server.js';
import type { SessionAttachments } from './attachments.js';
import type { OpenSession } from './connect.js';
import type { SessionExports } from './exports.js';
import type { SessionLog } from './log.js';

const DETACH_MS = 5000;
const CLIENTS_MS = 2000;
const FLUSH_MS = 3500;
const LOGOUT_MS = 2000;
const CLOSE_MS = 1500;

export interface SessionParts {
  readonly log: SessionLog;
  readonly open: OpenSession;
  readonly exports: SessionExports;
  readonly servers: readonly ExportServer[];
  readonly attachments: Pick<SessionAttachments, 'detachAll'>;
}

/**
 * Detaches the devices (their last writes still go through), turns NBD clients away, empties the target's caches, logs
 * out and closes the connection. Never throws: what a step cannot do is logged, and the next one is taken. Returns the
 * steps that may have cost acknowledged writes, one line each; empty is the rule.
 */
export async function endSession({ log, open, exports, servers, attachments }: SessionParts): Promise<string[]> {
  const losses: string[] = [];
  const step = async (name: string, timeoutMs: number, work: () => Promise<unknown>, lossy = false) => {
    const onTimeout = () => new AppError('ERR_TIMEOUT', `not done within ${timeoutMs / 1000} s`);
    try {
      await bounded(work(), { timeoutMs, onTimeout });
    } catch (error) {
      const line = `${name}: ${messageOf(error)}`;
      log.warn(line);
      if (lossy) losses.push(line);
    }
  };
  const anyWritten = exports.luns.some(({ lun }) => lun.writtenBytes > 0);
  await step('detach', DETACH_MS, () => attachments.detachAll(), anyWritten);
  // Requests that wait for a connection end here, so that their clients hear of it.
  if (open.session.state !== 'LOGGED_IN') await step('give up', LOGOUT_MS, () => open.session.logout());
  await Promise.all(servers.map((server) => server.shutdown(CLIENTS_MS)));
  const cached = exports.luns.filter(({ lun }) => lun.writeCache && !lun.readOnly);
  if (open.session.state === 'LOGGED_IN') {
    await Promise.all(cached.map(({ name, lun }) => step(`flush ${name}`, FLUSH_MS, () => flush(lun), lun.unflushed)));
    await step('logout', LOGOUT_MS, () => open.session.logout());
  } else {
    losses.push(
      ...cached.filter(({ lun }) => lun.unflushed).map(({ name }) => `flush ${name}: the connection was lost before`),
    );
  }
  await step('close', CLOSE_MS, () => open.close());
  log.info('session ended');
  return losses;
}

/** For what `endSession` has returned: the session is over, and this is what to tell. */
export function lostWrites(losses: readonly string[]): AppError {
  return new AppError('ERR_LOGOUT', `the session has ended, but its last writes may be lost: ${losses.join('; ')}`);
}
