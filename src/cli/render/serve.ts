// What `serve` says: where it listens, and a line for each login, refusal and end.

import { loginStatusHex } from '../../iscsi/login-status.js';
import { formatPortal, type Portal } from '../../iscsi/portal.js';
import type { ServedDisk, Server } from '../../services/serve/options.js';
import type { TargetEvent } from '../../target/events.js';
import { printable } from '../../util/printable.js';

export interface ServeAccess {
  /** Who may log in, and whether with a proof, in words. */
  of(disk: ServedDisk): { readonly acl: string; readonly chap: boolean };
  /** How other hosts reach it, or null. */
  readonly reachableAt: string | null;
  /** The configuration that is served, and the socket by which it is changed; null for disks of the command line. */
  readonly served: { readonly configuration: string; readonly control: string } | null;
}

export function listeningLines(server: Pick<Server, 'portals' | 'disks'>, access: ServeAccess): string {
  const lines: string[] = [];
  for (const { created, kind, path, sizeBytes } of server.disks) {
    if (created && kind === 'fileio') lines.push(`created ${printable(path ?? '')}, ${sizeBytes} bytes (sparse)`);
  }
  if (access.served !== null) {
    lines.push(`configuration ${printable(access.served.configuration)}`, `control ${access.served.control}`);
  }
  for (const portal of server.portals) lines.push(`listening on ${formatPortal(portal)}`);
  for (const disk of server.disks) {
    const { acl, chap } = access.of(disk);
    const what = `LUN ${disk.lun} = ${disk.kind} ${printable(disk.path ?? disk.name)}`;
    lines.push(`${disk.targetName}  tpg${disk.tag}  ${what}  ${acl}  auth ${chap ? 'CHAP' : 'none'}`);
  }
  const where = access.reachableAt;
  if (where !== null) lines.push(`on another host:  lunctl discovery sendtargets ${where}      (Ctrl-C stops)`);
  return `${lines.join('\n')}\n`;
}

/** `09:14:02  login   iqn…  192.168.219.102:51544  session 1`. */
export function eventLine(event: TargetEvent, remote: Portal, at: Date): string {
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map((n) => String(n).padStart(2, '0')).join(':');
  const who = 'initiatorName' in event && event.initiatorName !== null ? event.initiatorName : '-';
  return printable(`${clock}  ${event.kind.padEnd(6)}  ${who}  ${formatPortal(remote)}  ${detail(event)}`);
}

function detail(event: TargetEvent): string {
  switch (event.kind) {
    case 'login': {
      const what = event.targetName === null ? 'discovery' : `session ${event.session}`;
      return event.reinstated ? `${what}, in place of an older one` : what;
    }
    case 'refuse': {
      const isUnknown = event.status === 0x0202 && event.initiatorName !== null;
      const hint = isUnknown ? `; lunctl target explain-auth ${event.initiatorName} says more` : '';
      return `${event.reason} (${loginStatusHex(event.status)})${hint}`;
    }
    case 'end':
      if (event.targetName === null) return 'discovery over';
      return `session ${event.session}${event.cause === 'lost' ? ' lost' : ''}: ${event.reason}`;
    case 'fault':
      return event.reason;
    case 'omitted':
      return `${event.count} more of this address, too many to tell one by one`;
  }
}
