// RESERVE(6), RELEASE(6) (SPC-2 §7.21, §7.16) and PERSISTENT RESERVE IN and OUT (SPC-4 §6.15, §6.16).
import type { PrimaryCdb } from '../scsi/cdb-parse.js';
import { invalidFieldInCdb, invalidFieldInParameterList, parameterListLengthError } from '../scsi/check-condition.js';
import { PersistentReserveIn as In, PersistentReserveOut as Out } from '../scsi/opcodes.js';
import {
  buildFullStatus,
  buildReadKeys,
  buildReadReservation,
  buildReportCapabilities,
  parseReserveOut,
  type ReserveOut,
} from '../scsi/persistent-reserve.js';
import { ScsiStatus } from '../scsi/status.js';
import { reply } from './block-commands.js';
import { gather } from './gather.js';
import { isReservationType } from './reservations.js';
import type { ScsiTask } from './scsi-task.js';
import type { Unit } from './unit.js';

type CdbOf<K extends PrimaryCdb['kind']> = Extract<PrimaryCdb, { kind: K }>;
/** Every list but that of REGISTER AND MOVE, which is not offered. */
const LIST_LENGTH = 24;

export function reserve(unit: Unit, task: ScsiTask): number {
  return unit.reservations.reserve(task.nexus) ? ScsiStatus.Good : ScsiStatus.ReservationConflict;
}

export function release(unit: Unit, task: ScsiTask): number {
  return unit.reservations.release(task.nexus) ? ScsiStatus.Good : ScsiStatus.ReservationConflict;
}

export function persistentReserveIn(unit: Unit, task: ScsiTask, cdb: CdbOf<'persistent-reserve-in'>): undefined {
  const { reservations } = unit;
  const { generation } = reservations;
  const send = (data: Buffer): void => reply(task, data, cdb.allocationLength);
  switch (cdb.serviceAction) {
    case In.ReadKeys:
      send(buildReadKeys({ generation, keys: reservations.keys }));
      return;
    case In.ReadReservation:
      send(buildReadReservation(generation, reservations.held));
      return;
    case In.ReportCapabilities:
      send(
        buildReportCapabilities({
          specifyInitiatorPorts: false,
          allTargetPorts: false,
          persistCapable: reservations.canPersist,
          persistActive: reservations.persistent,
        }),
      );
      return;
    case In.ReadFullStatus:
      send(buildFullStatus(generation, reservations.registrations()));
      return;
    default:
      throw invalidFieldInCdb('SPC-4 §6.15', 1, 4);
  }
}

export async function persistentReserveOut(
  unit: Unit,
  task: ScsiTask,
  cdb: CdbOf<'persistent-reserve-out'>,
): Promise<number> {
  if (cdb.serviceAction > Out.RegisterAndIgnoreExistingKey) throw invalidFieldInCdb('SPC-4 §6.16', 1, 4);
  if (cdb.parameterListLength !== LIST_LENGTH) throw parameterListLengthError('SPC-4 §6.16');
  const list = await gather(task, LIST_LENGTH);
  if (list.length < LIST_LENGTH) throw parameterListLengthError('SPC-4 §6.16');
  const out = parseReserveOut(list);
  // SIP_C and ATP_C are 0 in REPORT CAPABILITIES.
  if (out.initiatorPorts !== null) throw invalidFieldInParameterList('SPC-4 §6.16.3', 20, 3);
  if (out.allTargetPorts) throw invalidFieldInParameterList('SPC-4 §6.16.3', 20, 2);
  if (out.persist && isRegister(cdb.serviceAction) && !unit.reservations.canPersist) {
    throw invalidFieldInParameterList('SPC-4 §6.16.3', 20, 0);
  }
  const done = await act(unit, task, cdb, out);
  return done ? ScsiStatus.Good : ScsiStatus.ReservationConflict;
}

/** The service actions for which APTPL means something (SPC-4 table 213). */
function isRegister(serviceAction: number): boolean {
  return serviceAction === Out.Register || serviceAction === Out.RegisterAndIgnoreExistingKey;
}

/** False: RESERVATION CONFLICT. */
async function act(
  unit: Unit,
  task: ScsiTask,
  cdb: CdbOf<'persistent-reserve-out'>,
  out: ReserveOut,
): Promise<boolean> {
  const { reservations } = unit;
  const { nexus } = task;
  if (isRegister(cdb.serviceAction)) {
    const key = cdb.serviceAction === Out.Register ? out.reservationKey : null;
    return reservations.change(out.persist, () => reservations.register(nexus, key, out.serviceActionKey));
  }
  const change = <T>(make: () => T): Promise<T | false> =>
    reservations.change(null, () => reservations.isRegistered(nexus, out.reservationKey) && make());
  if (cdb.serviceAction === Out.Clear) {
    return change(() => {
      reservations.clear(nexus);
      return true;
    });
  }
  // A conflict comes before what is wrong with the type.
  if (!reservations.isRegistered(nexus, out.reservationKey)) return false;
  if (cdb.scope !== 0) throw invalidFieldInCdb('SPC-4 §5.12.3', 2, 7);
  if (!isReservationType(cdb.type)) throw invalidFieldInCdb('SPC-4 §5.12.3', 2, 3);
  if (cdb.serviceAction === Out.Reserve) return change(() => reservations.hold(nexus, cdb.type));
  if (cdb.serviceAction === Out.Release) {
    return change(() => {
      reservations.letGo(nexus, cdb.type);
      return true;
    });
  }
  const removed = await change(() => reservations.preempt(nexus, out.serviceActionKey, cdb.type) ?? false);
  if (removed === false) return false;
  if (cdb.serviceAction === Out.PreemptAndAbort) await unit.abortTasksOf(removed, task);
  return true;
}
