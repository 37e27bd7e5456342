// Tables of devices and sessions for people; in a pipe they are the same, never cut.
import { formatPortal } from '../../iscsi/portal.js';
import type { DeviceInfo, SessionInfo } from '../../services/session/info.js';
import { type Listing, sizeColumn } from './listing.js';
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

/** A session, and the seconds since its login. */
export interface SessionRow extends SessionInfo {
  readonly ageSeconds: number;
}

const digests = ({ params: { headerDigest, dataDigest } }: SessionInfo) => `${headerDigest},${dataDigest}`;

/** `session show`: one line for each session. */
export const SESSIONS: Listing<SessionRow> = [
  { head: 'SID', about: 'number of the session', align: 'right', text: ({ sid }) => String(sid) },
  {
    head: 'STATE',
    about: 'state by RFC 7143, and what is being done about a lost connection',
    text: ({ state, recovery }) => (recovery === 'none' ? state : `${state},${recovery}`),
  },
  { head: 'TARGET', about: 'name of the target', text: ({ targetName }) => targetName },
  {
    head: 'PORTAL',
    about: 'where it is reached, and the portal group tag',
    text: ({ portal }) => formatPortal({ ...portal, tpgt: portal.tpgt === -1 ? null : portal.tpgt }),
  },
  {
    head: 'DEVICES',
    about: 'device nodes; NBD exports of LUNs that have none',
    text: ({ devices }) =>
      orDash(devices.map(({ path, exportName }) => path?.replace('/dev/', '') ?? exportName).join(',')),
  },
  {
    head: 'AGE',
    about: 'time since the login',
    align: 'right',
    text: (row) => formatAge(row.ageSeconds),
    exact: (row) => row.ageSeconds,
  },
  sizeColumn('READ', 'read since the login', ({ readBytes }) => readBytes),
  sizeColumn('WRITE', 'written since the login', ({ writtenBytes }) => writtenBytes),
  { head: 'IFACE', about: 'interface record', text: ({ iface }) => iface, extra: true },
  { head: 'INITIATOR', about: 'name of the initiator', text: (row) => row.initiatorName, extra: true },
  { head: 'LOCAL', about: "this end's address", text: ({ localAddress }) => orDash(localAddress), extra: true },
  { head: 'ISID', about: 'ISID, hexadecimal', text: ({ isid }) => isid, extra: true },
  {
    head: 'TSIH',
    about: 'target session identifying handle',
    align: 'right',
    text: (row) => `${row.tsih}`,
    extra: true,
  },
  { head: 'AUTH', about: 'None or CHAP', text: ({ authMethod }) => authMethod, extra: true },
  { head: 'USER', about: 'CHAP user name', text: ({ chapUser }) => orDash(chapUser), extra: true },
  { head: 'ACCESS', about: 'rw, or ro for a login without writes', text: (row) => access(row), extra: true },
  { head: 'DIGESTS', about: 'header and data digest', text: digests, extra: true },
  { head: 'SINCE', about: 'when the login was complete', text: ({ loggedInAt }) => loggedInAt, extra: true },
  { head: 'LOST', about: 'when the connection was lost', text: ({ lostSince }) => orDash(lostSince), extra: true },
  { head: 'PID', about: 'process that holds it', align: 'right', text: ({ pid }) => String(pid), extra: true },
  { head: 'SOCKET', about: 'NBD socket of all its LUNs', text: ({ socket }) => socket, extra: true },
];

/** Whether writes are allowed. */
export function access({ readOnly }: { readonly readOnly: boolean }): string {
  return readOnly ? 'ro' : 'rw';
}

/** Seconds since the login; 0 when its time cannot be read. */
export function ageSeconds(session: Pick<SessionInfo, 'loggedInAt'>, now: number): number {
  const since = Date.parse(session.loggedInAt);
  return Number.isNaN(since) ? 0 : Math.max(0, Math.floor((now - since) / 1000));
}
