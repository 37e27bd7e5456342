// Tables of devices and sessions for people; in a pipe they are the same, never cut.
import type { DeviceInfo, SessionInfo } from '../../services/session/info.js';
import { portalText } from './iscsiadm.js';
import { table } from './table.js';
import { formatAge, formatSize, orDash } from './text.js';

/** What a login has brought: one line for each LUN. */
export function deviceTable(devices: readonly DeviceInfo[]): string {
  return table(
    [
      { head: 'LUN', align: 'right' },
      { head: 'DEVICE' },
      { head: 'SIZE', align: 'right' },
      { head: 'BLOCK', align: 'right' },
      { head: 'VENDOR' },
      { head: 'PRODUCT' },
      { head: 'NBD' },
    ],
    devices.map((device) => [
      String(device.lun),
      orDash(device.path),
      formatSize(device.sizeBytes),
      String(device.blockSize),
      orDash(device.vendor),
      orDash(device.product),
      device.nbd,
    ]),
  );
}

/** All sessions, one line each. `now` is milliseconds of the wall clock. */
export function sessionTable(sessions: readonly SessionInfo[], now: number): string {
  return table(
    [
      { head: 'SID', align: 'right' },
      { head: 'STATE' },
      { head: 'TARGET' },
      { head: 'PORTAL' },
      { head: 'DEVICES' },
      { head: 'AGE', align: 'right' },
      { head: 'READ', align: 'right' },
      { head: 'WRITE', align: 'right' },
    ],
    sessions.map((session) => [
      String(session.sid),
      session.recovery === 'none' ? session.state : `${session.state},${session.recovery}`,
      session.targetName,
      portalText(session.portal),
      orDash(session.devices.map(({ path, exportName }) => path?.replace('/dev/', '') ?? exportName).join(',')),
      formatAge(ageSeconds(session, now)),
      formatSize(session.readBytes),
      formatSize(session.writtenBytes),
    ]),
  );
}

/** Seconds since the login; 0 when its time cannot be read. */
export function ageSeconds(session: Pick<SessionInfo, 'loggedInAt'>, now: number): number {
  const since = Date.parse(session.loggedInAt);
  return Number.isNaN(since) ? 0 : Math.max(0, Math.floor((now - since) / 1000));
}
