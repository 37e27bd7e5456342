// The blocks of `session show -P 1` to `-P 3` and of `-m host`, in iscsiadm's words and layout.

import { printable } from '../../util/printable.js';
import { portalText } from './iscsiadm.js';

/** What a block tells about one session; names as iscsiadm's. */
export interface SessionBlock {
  readonly sid: number;
  /** What stands where iscsiadm has a SCSI host's number. */
  readonly host: number;
  readonly targetName: string;
  /** Where it is connected to. */
  readonly portal: BlockPortal;
  /** Where its login began, if a redirection has led away from there. */
  readonly persistentPortal?: BlockPortal;
  readonly iface: string;
  readonly initiatorName: string;
  /** This end's address, null where it is not known. */
  readonly localAddress: string | null;
  /** The RFC's word: LOGGED_IN, FAILED, FREE. */
  readonly state: string;
  /** 'none' or what is being done about a lost connection. */
  readonly recovery: string;
  readonly chapUser: string | null;
  /** The name that the target proved, with mutual CHAP. */
  readonly mutualUser: string | null;
  /** Shown instead of stars. */
  readonly secrets?: BlockSecrets | undefined;
  readonly params: BlockParams;
  readonly timeouts: BlockTimeouts;
  readonly devices: readonly { readonly lun: number; readonly path: string | null; readonly exportName: string }[];
}

interface BlockPortal {
  readonly address: string;
  readonly port: number;
  readonly tpgt: number;
}

/** '' where there is none. */
export interface BlockSecrets {
  readonly password: string;
  readonly passwordIn: string;
}

export interface BlockParams {
  readonly headerDigest: string;
  readonly dataDigest: string;
  readonly maxRecvDataSegmentLength: number;
  readonly maxXmitDataSegmentLength: number;
  readonly firstBurstLength: number;
  readonly maxBurstLength: number;
  readonly immediateData: boolean;
  readonly initialR2T: boolean;
  readonly maxOutstandingR2T: number;
}

/** Seconds. */
export interface BlockTimeouts {
  readonly recovery: number;
  readonly targetReset: number;
  readonly lunReset: number;
  readonly abort: number;
}

/** Sessions of one target stand together below its name. `head` are the lines above level 3. */
export function sessionBlocks(sessions: readonly SessionBlock[], level: 1 | 2 | 3, head: string): string {
  const byTarget = new Map<string, SessionBlock[]>();
  for (const session of sessions) {
    const group = byTarget.get(session.targetName);
    if (group === undefined) byTarget.set(session.targetName, [session]);
    else group.push(session);
  }
  let text = level === 3 ? head : '';
  for (const [targetName, group] of byTarget) {
    text += `Target: ${printable(targetName)} (non-flash)\n`;
    for (const [i, session] of group.entries()) text += block(session, group[i - 1], OF_SESSION[level]);
  }
  return text;
}

/** The blocks of `-m host -P 1` to `-P 4`: every session stands for a host of its own. `head` are the lines above level 4. */
export function hostBlocks(sessions: readonly SessionBlock[], level: 1 | 2 | 3 | 4, head: string): string {
  return (level === 4 ? head : '') + sessions.map((session) => hostBlock(session, level)).join('');
}

function hostBlock(session: SessionBlock, level: 1 | 2 | 3 | 4): string {
  const lines = [
    `Host Number: ${session.host}`,
    '\tState: running',
    '\tTransport: tcp',
    '\tInitiatorname: <empty>',
    `\tIPaddress: ${hostAddress(session)}`,
    '\tHWaddress: <empty>',
    '\tNetdev: <empty>',
  ];
  if (level === 1) return lines.map((line) => `${line}\n`).join('');
  const target = `Target: ${printable(session.targetName)} (non-flash)\n${block(session, undefined, OF_HOST[level])}`;
  const inner = [...heading('Sessions:', '*********'), ...target.split('\n').slice(0, -1)];
  return [...lines, ...inner.map((line) => `\t${line}`)].map((line) => `${line}\n`).join('');
}

/** A line of `-m host`. */
export function hostLine(session: Pick<SessionBlock, 'host' | 'localAddress'>): string {
  return `tcp: [${session.host}] ${hostAddress(session)},[<empty>],<empty> <empty>\n`;
}

function hostAddress({ localAddress: address }: Pick<SessionBlock, 'localAddress'>): string {
  return address === null ? '<empty>' : localAddress(address);
}

/** What a block tells besides the interface. */
interface Parts {
  readonly timeouts?: true;
  readonly params?: true;
  readonly devices?: 'with host' | 'alone';
}
const OF_SESSION: Readonly<Record<1 | 2 | 3, Parts>> = {
  1: {},
  2: { timeouts: true, params: true },
  3: { timeouts: true, params: true, devices: 'with host' },
};
const OF_HOST: Readonly<Record<2 | 3 | 4, Parts>> = {
  2: {},
  3: { params: true },
  4: { params: true, devices: 'alone' },
};

/** A session by the same portal as the one before it has an empty line instead of the portal's. */
function block(session: SessionBlock, before: SessionBlock | undefined, parts: Parts): string {
  const portal = currentPortal(session.portal);
  const again = before !== undefined && currentPortal(before.portal) === portal;
  const state = sessionState(session);
  const lines = [
    ...(again
      ? []
      : [
          `\tCurrent Portal: ${portal}`,
          `\tPersistent Portal: ${portalText(session.persistentPortal ?? session.portal)}`,
        ]),
    ...heading('Interface:', '**********'),
    `Iface Name: ${session.iface}`,
    'Iface Transport: tcp',
    `Iface Initiatorname: ${session.initiatorName}`,
    `Iface IPaddress: ${session.localAddress === null ? '[default]' : localAddress(session.localAddress)}`,
    'Iface HWaddress: default',
    'Iface Netdev: default',
    `SID: ${session.sid}`,
    `iSCSI Connection State: ${CONNECTION_STATES[session.state] ?? printable(session.state)}`,
    `iSCSI Session State: ${printable(state)}`,
    `Internal iscsid Session State: ${session.recovery === 'none' ? 'NO CHANGE' : 'REOPEN'}`,
    ...(parts.timeouts ? secondsAndSecrets(session) : []),
    ...(parts.params ? negotiated(session) : []),
    ...(parts.devices === undefined ? [] : devices(session, parts.devices)),
  ];
  return `${again ? '\n' : ''}${lines.map((line) => `${line.startsWith('\t') ? '' : '\t\t'}${line}\n`).join('')}`;
}

/** The kernel calls a session FREE when nobody waits for its connection any more. */
function sessionState({ state, recovery }: SessionBlock): string {
  return state === 'FAILED' && recovery === 'expired' ? 'FREE' : state;
}

const CONNECTION_STATES: Readonly<Record<string, string>> = {
  LOGGED_IN: 'LOGGED IN',
  FAILED: 'TRANSPORT WAIT',
  FREE: 'FREE',
};

function secondsAndSecrets({ timeouts, chapUser, mutualUser, secrets }: SessionBlock): string[] {
  return [
    ...heading('Timeouts:', '*********'),
    `Recovery Timeout: ${timeouts.recovery}`,
    `Target Reset Timeout: ${timeouts.targetReset}`,
    `LUN Reset Timeout: ${timeouts.lunReset}`,
    `Abort Timeout: ${timeouts.abort}`,
    ...heading('CHAP:', '*****'),
    `username: ${chapUser === null ? '<empty>' : printable(chapUser)}`,
    `password: ${shownSecret(secrets?.password)}`,
    `username_in: ${mutualUser === null ? '<empty>' : printable(mutualUser)}`,
    `password_in: ${shownSecret(secrets?.passwordIn)}`,
  ];
}

function negotiated({ params }: SessionBlock): string[] {
  return [
    ...heading('Negotiated iSCSI params:', '************************'),
    `HeaderDigest: ${params.headerDigest}`,
    `DataDigest: ${params.dataDigest}`,
    `MaxRecvDataSegmentLength: ${params.maxRecvDataSegmentLength}`,
    `MaxXmitDataSegmentLength: ${params.maxXmitDataSegmentLength}`,
    `FirstBurstLength: ${params.firstBurstLength}`,
    `MaxBurstLength: ${params.maxBurstLength}`,
    `ImmediateData: ${yesNo(params.immediateData)}`,
    `InitialR2T: ${yesNo(params.initialR2T)}`,
    `MaxOutstandingR2T: ${params.maxOutstandingR2T}`,
  ];
}

function shownSecret(secret: string | undefined): string {
  return secret === undefined ? '********' : printable(secret) || '<empty>';
}

/** A disk that is not attached is named by its NBD export. */
function devices(session: SessionBlock, how: Parts['devices']): string[] {
  const { host, devices: luns } = session;
  const lines = heading('Attached SCSI devices:', '************************');
  if (how === 'with host') lines.push(`Host Number: ${host}\tState: running`);
  for (const { lun, path, exportName } of luns) {
    lines.push(`scsi${host} Channel 00 Id 0 Lun: ${lun}`);
    const disk = path === null ? exportName : path.replace('/dev/', '');
    lines.push(`\t\t\tAttached scsi disk ${disk}\t\tState: ${diskState(session)}`);
  }
  return lines;
}

function diskState(session: SessionBlock): string {
  if (session.state === 'LOGGED_IN') return 'running';
  return session.state === 'FAILED' && session.recovery !== 'expired' ? 'blocked' : 'transport-offline';
}

function heading(title: string, stars: string): string[] {
  return [stars, title, stars];
}

function yesNo(value: boolean): string {
  return value ? 'Yes' : 'No';
}

/** iscsiadm writes the current portal's IPv6 address in full. */
function currentPortal(portal: SessionBlock['portal']): string {
  if (!portal.address.includes(':')) return portalText(portal);
  return `[${fullIpv6(portal.address)}]:${portal.port},${portal.tpgt >>> 0}`;
}

function localAddress(address: string): string {
  return address.includes(':') ? `[${fullIpv6(address)}]` : address;
}

/** Eight groups of four digits; an address with a zone or an IPv4 tail stays as it is. */
export function fullIpv6(address: string): string {
  if (!/^[0-9a-fA-F:]+$/.test(address)) return address;
  const [head = '', tail] = address.split('::', 2);
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const missing = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const all = [...before, ...Array<string>(missing).fill('0'), ...after];
  return all.map((group) => group.padStart(4, '0').toLowerCase()).join(':');
}
