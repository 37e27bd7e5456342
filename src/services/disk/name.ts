// From what a person calls a disk to the LUN of a running session. Anything that is no LUN of ours is refused here.
import { realpathSync } from 'node:fs';
import { AppError } from '../../util/errors.js';
import type { DeviceInfo, SessionInfo } from '../session/info.js';
import type { SessionList } from '../session/registry.js';

export interface DiskTarget {
  readonly session: SessionInfo;
  readonly device: DeviceInfo;
  /** null: the whole disk. */
  readonly partition: number | null;
  /** `nbd0p1`, or `IQN/0p1` where there is no device: what a person is asked to type. */
  readonly name: string;
  /** `IQN/0`: what --confirm takes. */
  readonly fullName: string;
}

const KERNEL_NAME = /^(?:\/dev\/)?((?:nbd|loop)\d{1,6})(?:p(\d{1,3}))?$/;
const LUN_NAME = /^([^/].*)\/(\d{1,5})(?:p(\d{1,3}))?$/;

/**
 * Finds DEV among the sessions: `/dev/nbd0`, `nbd0`, `loop0p1`, a link to such a device, `IQN/0` or `IQN/0p1`. A
 * partition may also be given as a number of its own.
 * @throws AppError ERR_USAGE for a device that belongs to no session, ERR_NOT_FOUND for a LUN that has none.
 */
export function findDisk(dev: string, sessions: readonly SessionInfo[], partition?: number): DiskTarget {
  const kernel = KERNEL_NAME.exec(dev) ?? KERNEL_NAME.exec(linkTarget(dev));
  if (kernel?.[1] !== undefined) {
    const path = `/dev/${kernel[1]}`;
    return target(
      dev,
      owners(sessions, ({ device }) => device.path === path),
      partitionOf(dev, kernel[2], partition),
    );
  }
  const lun = LUN_NAME.exec(dev);
  if (lun === null) throw notOurs(dev);
  const matches = owners(
    sessions,
    ({ session, device }) => session.targetName === lun[1] && device.lun === Number(lun[2]),
  );
  if (matches.length === 0) {
    throw new AppError('ERR_NOT_FOUND', `no session has ${dev}`, { hint: `lunctl node login -T ${lun[1]}` });
  }
  return target(dev, matches, partitionOf(dev, lun[3], partition));
}

/**
 * The same in a whole listing. @throws AppError ERR_TIMEOUT when it is not there and a session does not answer, which
 * may be the one that has it.
 */
export function findListed(
  dev: string,
  { sessions, silent }: Pick<SessionList, 'sessions' | 'silent'>,
  partition?: number,
): DiskTarget {
  try {
    return findDisk(dev, sessions, partition);
  } catch (cause) {
    throw maybeSilent(cause, dev, silent);
  }
}

/** `cause` says that `name` is nowhere; while a session does not answer nobody knows that. */
export function maybeSilent(cause: unknown, name: string, silent: SessionList['silent']): unknown {
  const [first] = silent;
  if (first === undefined) return cause;
  const why = `session ${first.sid} does not answer: ${first.reason}`;
  return new AppError('ERR_TIMEOUT', `${name} is not found, but ${why}`, { cause, retriable: true });
}

interface Owner {
  readonly session: SessionInfo;
  readonly device: DeviceInfo;
}

function owners(sessions: readonly SessionInfo[], matches: (owner: Owner) => boolean): Owner[] {
  return sessions.flatMap((session) => session.devices.map((device) => ({ session, device })).filter(matches));
}

function target(dev: string, matches: readonly Owner[], partition: number | null): DiskTarget {
  // Of several paths to one LUN at most one is attached, and that is the one to go through.
  const attached = matches.filter(({ device }) => device.path !== null);
  const [owner, second] = attached.length > 0 ? attached : matches;
  if (owner === undefined) throw notOurs(dev);
  if (second !== undefined) {
    throw new AppError('ERR_USAGE', `${dev} is reached by sessions ${owner.session.sid} and ${second.session.sid}`, {
      hint: 'name its device, or log out of one of them',
    });
  }
  const { session, device } = owner;
  const fullName = `${session.targetName}/${device.lun}`;
  const base = device.path === null ? fullName : device.path.replace(/^\/dev\//, '');
  return { session, device, partition, fullName, name: partition === null ? base : `${base}p${partition}` };
}

function partitionOf(dev: string, inName: string | undefined, flag: number | undefined): number | null {
  if (inName === undefined) return flag ?? null;
  if (flag !== undefined && flag !== Number(inName)) {
    throw new AppError('ERR_USAGE', `${dev} names partition ${Number(inName)}, --partition says ${flag}`);
  }
  return Number(inName);
}

function linkTarget(dev: string): string {
  try {
    return dev.startsWith('/') ? realpathSync(dev) : '';
  } catch {
    return '';
  }
}

function notOurs(dev: string): AppError {
  return new AppError('ERR_USAGE', `${dev} is not a disk of a lunctl session`, { hint: 'lunctl disk list shows them' });
}
