// The end of a session, in the order that loses nothing, each step with its share of 14 seconds.
import { flush } from '../../block/promise.js';
import { now } from '../../transport/clock.js';
import { bounded } from '../../transport/timers.js';
import { AppError, messageOf } from '../../util/errors.js';
import type { ExportServer } from '../export-server.js';
import type { SessionAttachments } from './attachments.js';
import type { OpenSession } from './connect.js';
import type { SessionExports } from './exports.js';
import type { SessionLog } from './log.js';

const UNMOUNT_MS = 3000;
/** With the unmounting before it. */
const DETACH_MS = 5000;
const CLIENTS_MS = 1500;
const FLUSH_MS = 3500;
const LOGOUT_MS = 2000;
const CLOSE_MS = 1000;
/** For devices whose last requests have waited for the connection: they have ended with an error by then. */
const STUCK_MS = 1000;

export interface SessionParts {
  readonly log: SessionLog;
  readonly open: OpenSession;
  readonly exports: SessionExports;
  readonly servers: readonly ExportServer[];
  readonly attachments: Pick<SessionAttachments, 'unmountAll' | 'detachAll'>;
}

/**
 * Unmounts what is still mounted, detaches the devices (their last writes still go through), turns NBD clients away,
 * empties the target's caches, logs out and closes the connection. Never throws: what a step cannot do is logged, and
 * the next one is taken. Returns the steps that may have cost acknowledged writes, one line each; empty is the rule.
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
  // A session that is not asked whether its disks are in use: with the connection there is a way for what is not written yet.
  const began = now();
  if (open.session.state === 'LOGGED_IN') {
    await step('unmount', UNMOUNT_MS, () => attachments.unmountAll(UNMOUNT_MS), anyWritten);
  }
  const detached = attachments.detachAll();
  await step('detach', DETACH_MS - Math.round(now() - began), () => detached, anyWritten);
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
  await step('detach late', STUCK_MS, () => detached);
  log.info('session ended');
  return losses;
}

/** For what `endSession` has returned: the session is over, and this is what to tell. */
export function lostWrites(losses: readonly string[]): AppError {
  return new AppError('ERR_LOGOUT', `the session has ended, but its last writes may be lost: ${losses.join('; ')}`);
}
