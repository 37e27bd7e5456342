// Sessions as targetcli shows them.
import type { SessionRow } from '../../services/target/store.js';
import { printable } from '../../util/printable.js';

/** Lines without the last line end. */
export function sessionsText(rows: readonly SessionRow[], detail: boolean): string {
  return rows.flatMap((row) => [firstLine(row), ...(detail ? detailLines(row) : [])]).join('\n');
}

function firstLine({ alias, sid, type, state }: SessionRow): string {
  return `alias: ${printable(alias, 255)}\tsid: ${sid} type: ${type} session-state: ${state}`;
}

function detailLines({ initiatorName, authenticated, luns, connections }: SessionRow): string[] {
  return [
    `name: ${initiatorName} (${authenticated ? 'authenticated' : 'NOT AUTHENTICATED'})`,
    ...luns.map(
      ({ lun, backstore, readOnly }) =>
        `mapped-lun: ${lun} backstore: ${backstore.replace('/backstores/', '')} mode: ${readOnly ? 'r' : 'rw'}`,
    ),
    ...connections.map(
      ({ address, transport, cid, state }) =>
        `address: ${address} (${transport})  cid: ${cid} connection-state: ${state}`,
    ),
  ].map((line) => `    ${line}`);
}
