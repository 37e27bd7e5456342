// From what a person calls a LUN to the session that has it: TARGET/LUN, an export's name, a number, a device.
import { AppError } from '../../util/errors.js';
import { findDisk } from '../disk/name.js';
import type { DeviceInfo, SessionInfo } from '../session/info.js';

export interface LunTarget {
  readonly session: SessionInfo;
  readonly device: DeviceInfo;
  /** `IQN/1`. */
  readonly fullName: string;
}

/**
 * Finds NAME among the sessions: `IQN/1`, `lun1` or `1` where only one session has such a LUN, `/dev/nbd0`, `nbd0`.
 * @throws AppError ERR_USAGE for what is no LUN of ours, for a partition, and where several LUNs have that name
 */
export function findLun(name: string, sessions: readonly SessionInfo[]): LunTarget {
  const number = /^(?:lun)?(\d{1,8})$/.exec(name)?.[1];
  if (number !== undefined) return onlyOne(name, allLuns(sessions, Number(number)));
  const { session, device, partition } = findDisk(name, sessions);
  if (partition !== null) throw new AppError('ERR_USAGE', `${name} is a partition; a LUN is asked for`);
  return lunTarget(session, device);
}

function allLuns(sessions: readonly SessionInfo[], lun: number): LunTarget[] {
  return sessions.flatMap((session) =>
    session.devices.filter((device) => device.lun === lun).map((device) => lunTarget(session, device)),
  );
}

function onlyOne(name: string, found: readonly LunTarget[]): LunTarget {
  const [only, second] = found;
  if (only === undefined) {
    throw new AppError('ERR_NOT_FOUND', `no session has a disk at ${name}`, { hint: 'lunctl lun list shows them' });
  }
  if (second === undefined) return only;
  throw new AppError('ERR_USAGE', `${name} fits ${found.map(({ fullName }) => fullName).join(' and ')}`, {
    hint: 'name one of them as TARGET/LUN, or its session with -r',
  });
}

function lunTarget(session: SessionInfo, device: DeviceInfo): LunTarget {
  return { session, device, fullName: `${session.targetName}/${device.lun}` };
}
