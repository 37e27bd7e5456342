// Tables of a target: who is logged in, and what an initiator would get.
import { loginStatusHex } from '../../iscsi/login-status.js';
import { formatAddress } from '../../iscsi/portal.js';
import type { AccessExplanation } from '../../saveconfig/explain.js';
import type { SessionRow } from '../../services/target/store.js';
import { printable } from '../../util/printable.js';
import type { Listing } from './listing.js';

/** `target sessions`: one line for each session. */
export const TARGET_SESSIONS: Listing<SessionRow> = [
  { head: 'SID', about: 'number of the session', align: 'right', text: ({ sid }) => String(sid) },
  { head: 'STATE', about: 'state of the session', text: ({ state }) => state },
  { head: 'INITIATOR', about: 'name of the initiator', text: ({ initiatorName }) => printable(initiatorName) },
  {
    head: 'TARGET',
    about: 'name of the target; - in a discovery session',
    text: ({ targetName }) => targetName ?? '-',
  },
  { head: 'TPG', about: 'tag of the portal group', align: 'right', text: ({ tag }) => String(tag) },
  {
    head: 'AUTH',
    about: 'chap once it has proved itself, else none',
    text: (row) => (row.authenticated ? 'chap' : 'none'),
  },
  { head: 'ACL', about: 'own, or demo for one without an ACL', text: (row) => (row.dynamic ? 'demo' : 'own') },
  {
    head: 'FROM',
    about: 'address and port of the initiator',
    text: (row) => row.connections.map(formatAddress).join(','),
  },
  { head: 'LUNS', about: 'how many LUNs it sees', align: 'right', text: ({ luns }) => String(luns.length) },
  { head: 'MAP', about: 'LUNs with what is behind them', text: ({ luns }) => luns.map(lunText).join(','), extra: true },
];

interface Shown {
  readonly lun: number;
  readonly backstore: string;
  readonly readOnly: boolean;
}

function lunText({ lun, backstore, readOnly }: Shown): string {
  return `${lun}=${backstore.replace('/backstores/', '')}(${readOnly ? 'ro' : 'rw'})`;
}

/** A session with all that is known of it. */
export function sessionDetail(row: SessionRow): string {
  const { sid, state, initiatorName, targetName, tag, authenticated, dynamic } = row;
  const lines = [
    `session ${sid}  ${state}  ${printable(initiatorName)}`,
    targetName === null ? '  discovery' : `  target ${targetName}  tpg${tag}`,
    `  ${authenticated ? 'authenticated by CHAP' : 'not authenticated'}, ${dynamic ? 'no ACL of its own (demo mode)' : 'by its ACL'}`,
    ...row.connections.map(
      ({ cid, address, port, state: its }) => `  connection ${cid}  ${formatAddress({ address, port })}  ${its}`,
    ),
    ...row.luns.map(({ lun, backstore, readOnly }) => `  LUN ${lun}  ${backstore}  ${readOnly ? 'ro' : 'rw'}`),
  ];
  return `${lines.join('\n')}\n`;
}

export function explanationText(initiatorName: string, groups: readonly AccessExplanation[]): string {
  return groups.map((group) => groupText(initiatorName, group)).join('\n');
}

function groupText(initiatorName: string, group: AccessExplanation): string {
  const { targetName, tag, allowed, reason, status, listed, chap, chapUser, portals, luns } = group;
  const verdict = allowed ? 'may log in' : `is refused (${loginStatusHex(status)})`;
  const proof = chap === 'none' ? 'no proof is asked' : `${chap} CHAP as ${chapUser ?? 'nobody'}`;
  const lines = [
    `${targetName}  tpg${tag}`,
    `  ${initiatorName} ${verdict}: ${reason}`,
    `  ${proof}; ${listed ? 'shown' : 'not shown'} by discovery; portals ${portals.join(' ') || 'none'}`,
    ...(allowed
      ? luns.map(({ lun, backstore, readOnly }) => `  LUN ${lun}  ${backstore}  ${readOnly ? 'ro' : 'rw'}`)
      : []),
  ];
  return `${lines.join('\n')}\n`;
}
