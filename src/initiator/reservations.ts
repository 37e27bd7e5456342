// Persistent reservations of one logical unit, SPC-4 §5.13: what there is (PERSISTENT RESERVE IN) and changes of it
// (PERSISTENT RESERVE OUT).
import { putPersistentReserveIn, putPersistentReserveOut } from '../scsi/cdb-primary.js';
import { PersistentReserveIn as In, PersistentReserveOut as Out } from '../scsi/opcodes.js';
import {
  buildReserveOut,
  parseFullStatus,
  parseReadKeys,
  parseReadReservation,
  parseReportCapabilities,
  parseReservationTypes,
  type Registration,
  type Reservation,
  type ReservationCapabilities,
} from '../scsi/persistent-reserve.js';
import { parseSense } from '../scsi/sense.js';
import { classifySense } from '../scsi/sense-class.js';
import { ScsiStatus } from '../scsi/status.js';
import { AppError } from '../util/errors.js';
import type { ScsiResult } from './execute.js';
import { executeOnce, type OnceUnit } from './once.js';
import { Questioner, Refusal, refusalText } from './questioner.js';
import type { InitiatorSession } from './session.js';

/** First room for a list, and the most that ALLOCATION LENGTH can say: 8,191 keys. */
const LIST_FIRST = 4096;
const LIST_LARGEST = 0xffff;

export interface ReservationReport {
  /** PRGENERATION: counts the changes of registrations. */
  readonly generation: number;
  /** One for each registered nexus. */
  readonly keys: readonly bigint[];
  readonly reservation: Reservation | null;
  /** Null where the unit does not know REPORT CAPABILITIES. */
  readonly capabilities: (ReservationCapabilities & { readonly types: readonly number[] | null }) | null;
  /** Null where the unit does not know READ FULL STATUS. */
  readonly registrations: readonly Registration[] | null;
}

/** @throws AppError ERR_NOT_SUPPORTED where the unit knows no persistent reservations, ERR_RESERVATION_CONFLICT under a RESERVE of old */
export async function readReservations(
  session: InitiatorSession,
  lun: Buffer,
  timeoutMs: number,
): Promise<ReservationReport> {
  const unit = new Questioner(session, lun, timeoutMs);
  const { generation, keys } = parseReadKeys(await readList(unit, In.ReadKeys).catch(explain));
  const { reservation } = parseReadReservation(await readList(unit, In.ReadReservation));
  const capabilities = await unit.optional(
    () => readList(unit, In.ReportCapabilities, 8),
    (data) => ({ ...parseReportCapabilities(data), types: parseReservationTypes(data) }),
  );
  const full = await unit.optional(() => readList(unit, In.ReadFullStatus), parseFullStatus);
  return { generation, keys, reservation, capabilities, registrations: full?.registrations ?? null };
}

/** The whole list: its header tells when the first room was too small. */
async function readList(unit: Questioner, serviceAction: number, room = LIST_FIRST): Promise<Buffer> {
  const ask = (length: number) => unit.read((cdb) => putPersistentReserveIn(cdb, 0, serviceAction, length), length);
  const data = await ask(room);
  if (serviceAction === In.ReportCapabilities || data.length < 8) return data;
  const whole = 8 + data.readUInt32BE(4);
  return whole <= room ? data : ask(Math.min(whole, LIST_LARGEST));
}

function explain(error: unknown): never {
  if (!(error instanceof Refusal)) throw error;
  if (error.status === ScsiStatus.ReservationConflict) {
    throw new AppError('ERR_RESERVATION_CONFLICT', 'RESERVATION CONFLICT: another initiator holds the unit by RESERVE');
  }
  throw new AppError('ERR_NOT_SUPPORTED', `the unit knows no persistent reservations: ${error.message}`);
}

/** A change, as a person asks for it. Keys are numbers of 64 bits; `type` is one of ReservationType. */
export type ReservationChange =
  /** `key` is the one registered now, 0 for none. A `newKey` of 0 unregisters. `persist`: to outlive the unit's power. */
  | {
      readonly action: 'register';
      readonly key: bigint;
      readonly newKey: bigint;
      readonly ignoreExisting: boolean;
      readonly persist: boolean;
    }
  | { readonly action: 'reserve' | 'release'; readonly key: bigint; readonly type: number }
  | {
      readonly action: 'preempt' | 'preempt-and-abort';
      readonly key: bigint;
      readonly victim: bigint;
      readonly type: number;
    }
  | { readonly action: 'clear'; readonly key: bigint };

const SERVICE_ACTION = {
  register: Out.Register,
  reserve: Out.Reserve,
  release: Out.Release,
  clear: Out.Clear,
  preempt: Out.Preempt,
  'preempt-and-abort': Out.PreemptAndAbort,
} as const satisfies Record<ReservationChange['action'], number>;

/** What RESERVATION CONFLICT says about each, SPC-4 §5.13.7 to §5.13.11. */
const CONFLICT: Readonly<Record<ReservationChange['action'], string>> = {
  register: 'this session is registered with another key, or with none',
  reserve: 'another initiator holds a reservation, or this session is not registered with that key',
  release: 'this session is not registered with that key',
  clear: 'this session is not registered with that key',
  preempt: 'this session is not registered with that key, or nobody is with the one to preempt',
  'preempt-and-abort': 'this session is not registered with that key, or nobody is with the one to preempt',
};

/**
 * Resolves when the unit has done it.
 * @throws AppError ERR_RESERVATION_CONFLICT; ERR_AGAIN when nobody knows whether it was done; ERR_NOT_CONNECTED if it was
 * not even sent; ERR_NOT_SUPPORTED and ERR_USAGE with what the unit says
 */
export async function changeReservation(
  session: InitiatorSession,
  { address: lun, gate }: OnceUnit,
  change: ReservationChange,
  timeoutMs: number,
): Promise<void> {
  const name = `PERSISTENT RESERVE OUT (${change.action.toUpperCase().replaceAll('-', ' ')})`;
  const howToCheck = 'lunctl lun reservations shows whether it was';
  const command = { ...reserveOut(change), lun, gate, timeoutMs, name, howToCheck };
  const result = await executeOnce(session, command);
  if (result.status !== ScsiStatus.Good) throw refusal(name, change, result);
}

function reserveOut(change: ReservationChange): { cdb: Buffer; dataOut: Buffer } {
  const cdb = Buffer.alloc(16);
  const ignores = change.action === 'register' && change.ignoreExisting;
  const serviceAction = ignores ? Out.RegisterAndIgnoreExistingKey : SERVICE_ACTION[change.action];
  const serviceActionKey = 'newKey' in change ? change.newKey : 'victim' in change ? change.victim : 0n;
  const dataOut = buildReserveOut({
    reservationKey: ignores ? 0n : change.key,
    serviceActionKey,
    persist: change.action === 'register' && change.persist,
    allTargetPorts: false,
    initiatorPorts: null,
  });
  putPersistentReserveOut(cdb, 0, serviceAction, 'type' in change ? change.type : 0, dataOut.length);
  return { cdb, dataOut };
}

function refusal(name: string, change: ReservationChange, result: ScsiResult): AppError {
  if (result.status === ScsiStatus.ReservationConflict) {
    return new AppError('ERR_RESERVATION_CONFLICT', `${name}: RESERVATION CONFLICT: ${CONFLICT[change.action]}`, {
      hint: 'lunctl lun reservations shows who is registered and what is held',
    });
  }
  const sense = result.sense === null ? null : parseSense(result.sense);
  const { kind } = classifySense(sense);
  // A field of the CDB can only be the service action, or the type: both are the unit's choice to know.
  const unknown = kind === 'unsupported' || (kind === 'invalid-field' && sense?.asc === 0x24);
  const code = unknown ? 'ERR_NOT_SUPPORTED' : kind === 'invalid-field' ? 'ERR_USAGE' : 'ERR_UNKNOWN';
  return new AppError(code, `${name}: ${refusalText(result)}`);
}
