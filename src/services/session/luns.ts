// The disks behind a session, ready for I/O.
import { Lun } from '../../initiator/lun.js';
import { probeLuns } from '../../initiator/probe.js';
import type { InitiatorSession } from '../../initiator/session.js';
import type { SessionLog } from './log.js';

/** Bound of each probing command, milliseconds. */
const PROBE_MS = 15_000;

/** Every LUN that is a disk (device type 00h) and has answered, in the order of their numbers. Others are logged. */
export async function openLuns(
  session: InitiatorSession,
  { readOnly, log }: { readonly readOnly: boolean; readonly log: SessionLog },
): Promise<Lun[]> {
  const found = await probeLuns(session, PROBE_MS);
  const luns: Lun[] = [];
  for (const info of found) {
    if (info.disk === null)
      log.info(`LUN ${info.lun} is not exported: ${info.problem ?? `device type ${info.deviceType}`}`);
    else luns.push(new Lun(session, info, { readOnly }));
  }
  return luns.sort((a, b) => a.info.lun - b.info.lun);
}
