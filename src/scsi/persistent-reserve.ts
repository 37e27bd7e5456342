// PERSISTENT RESERVE IN parameter data and the PERSISTENT RESERVE OUT parameter list, SPC-4 §6.15 and §6.16, both ways.
// Reservation keys are 64-bit numbers that are only compared and printed: bigint.
import { ProtocolError } from '../util/errors.js';
import { CheckCondition, invalidFieldInParameterList, parameterListLengthError } from './check-condition.js';
import { buildTransportId, parseTransportId, type TransportId } from './transport-id.js';

/** Persistent reservation types, SPC-4 table 64. */
export const ReservationType = {
  WriteExclusive: 1,
  ExclusiveAccess: 3,
  WriteExclusiveRegistrantsOnly: 5,
  ExclusiveAccessRegistrantsOnly: 6,
  WriteExclusiveAllRegistrants: 7,
  ExclusiveAccessAllRegistrants: 8,
} as const;

/** Their names in words of the command line, SPC-4 §5.13.5. */
export const RESERVATION_TYPE_WORDS = {
  'write-exclusive': ReservationType.WriteExclusive,
  'exclusive-access': ReservationType.ExclusiveAccess,
  'write-exclusive-registrants-only': ReservationType.WriteExclusiveRegistrantsOnly,
  'exclusive-access-registrants-only': ReservationType.ExclusiveAccessRegistrantsOnly,
  'write-exclusive-all-registrants': ReservationType.WriteExclusiveAllRegistrants,
  'exclusive-access-all-registrants': ReservationType.ExclusiveAccessAllRegistrants,
} as const;

/** The word for a type; an unknown one as `type-4`. */
export function reservationTypeWord(type: number): string {
  return Object.entries(RESERVATION_TYPE_WORDS).find(([, value]) => value === type)?.[0] ?? `type-${type}`;
}

/** All of them as PERSISTENT RESERVATION TYPE MASK, §6.15.4. */
const ALL_TYPES = 0xea01;
/** The bit of each type in that mask. */
const TYPE_BITS: readonly (readonly [type: number, bit: number])[] = [
  [ReservationType.WriteExclusive, 0x0200],
  [ReservationType.ExclusiveAccess, 0x0800],
  [ReservationType.WriteExclusiveRegistrantsOnly, 0x2000],
  [ReservationType.ExclusiveAccessRegistrantsOnly, 0x4000],
  [ReservationType.WriteExclusiveAllRegistrants, 0x8000],
  [ReservationType.ExclusiveAccessAllRegistrants, 0x0001],
];

/** The data of PERSISTENT RESERVE IN at hand: PRGENERATION and what follows, both as far as they go. */
function listOf(data: Buffer): { generation: number; list: Buffer } {
  if (data.length < 8) throw new ProtocolError('SPC-4 §6.15', `PERSISTENT RESERVE IN data of ${data.length} bytes`);
  return { generation: data.readUInt32BE(0), list: data.subarray(8, 8 + data.readUInt32BE(4)) };
}

function buildPrIn(generation: number, list: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(generation, 0);
  header.writeUInt32BE(list.length, 4);
  return Buffer.concat([header, list]);
}

export interface ReservationKeys {
  readonly generation: number;
  readonly keys: readonly bigint[];
}

/** READ KEYS data. */
export function parseReadKeys(data: Buffer): ReservationKeys {
  const { generation, list } = listOf(data);
  const keys: bigint[] = [];
  for (let at = 0; at + 8 <= list.length; at += 8) keys.push(list.readBigUInt64BE(at));
  return { generation, keys };
}

/** READ KEYS data, whole: the caller cuts it to the allocation length. */
export function buildReadKeys({ generation, keys }: ReservationKeys): Buffer {
  const list = Buffer.alloc(8 * keys.length);
  for (const [index, key] of keys.entries()) list.writeBigUInt64BE(key, 8 * index);
  return buildPrIn(generation, list);
}

export interface Reservation {
  /** 0 for the all-registrants types. */
  readonly key: bigint;
  /** One of ReservationType. */
  readonly type: number;
}

/** READ RESERVATION data; null if nobody holds one. */
export function parseReadReservation(data: Buffer): { generation: number; reservation: Reservation | null } {
  const { generation, list } = listOf(data);
  if (list.length < 16) return { generation, reservation: null };
  return { generation, reservation: { key: list.readBigUInt64BE(0), type: list.readUInt8(13) & 0x0f } };
}

/** READ RESERVATION data. */
export function buildReadReservation(generation: number, reservation: Reservation | null): Buffer {
  const list = Buffer.alloc(reservation === null ? 0 : 16);
  if (reservation !== null) {
    list.writeBigUInt64BE(reservation.key, 0);
    list[13] = reservation.type & 0x0f;
  }
  return buildPrIn(generation, list);
}

export interface ReservationCapabilities {
  /** SIP_C: REGISTER may name other initiator ports. */
  readonly specifyInitiatorPorts: boolean;
  /** ATP_C: REGISTER may be for all target ports. */
  readonly allTargetPorts: boolean;
  /** PTPL_C: registrations can outlive power loss. */
  readonly persistCapable: boolean;
  /** PTPL_A: and they do now. */
  readonly persistActive: boolean;
}

/** REPORT CAPABILITIES data. */
export function parseReportCapabilities(data: Buffer): ReservationCapabilities {
  if (data.length < 4) throw new ProtocolError('SPC-4 §6.15.4', `REPORT CAPABILITIES data of ${data.length} bytes`);
  const [byte2, byte3] = [data.readUInt8(2), data.readUInt8(3)];
  return {
    specifyInitiatorPorts: (byte2 & 0x08) !== 0,
    allTargetPorts: (byte2 & 0x04) !== 0,
    persistCapable: (byte2 & 0x01) !== 0,
    persistActive: (byte3 & 0x01) !== 0,
  };
}

/** The reservation types that REPORT CAPABILITIES data names; null where it does not say (TMV is 0). */
export function parseReservationTypes(data: Buffer): number[] | null {
  if (data.length < 6 || (data.readUInt8(3) & 0x80) === 0) return null;
  const mask = data.readUInt16BE(4);
  return TYPE_BITS.filter(([, bit]) => (mask & bit) !== 0).map(([type]) => type);
}

/** REPORT CAPABILITIES data, 8 bytes: all reservation types. */
export function buildReportCapabilities(capabilities: ReservationCapabilities): Buffer {
  const b = Buffer.alloc(8);
  b.writeUInt16BE(8, 0);
  b[2] =
    (capabilities.specifyInitiatorPorts ? 0x08 : 0) |
    (capabilities.allTargetPorts ? 0x04 : 0) |
    (capabilities.persistCapable ? 0x01 : 0);
  b[3] = 0x80 | (capabilities.persistActive ? 0x01 : 0);
  b.writeUInt16BE(ALL_TYPES, 4);
  return b;
}

export interface Registration {
  readonly key: bigint;
  readonly allTargetPorts: boolean;
  /** The type of the reservation it holds, or null. */
  readonly holds: number | null;
  readonly relativePort: number;
  readonly transportId: TransportId;
}

/** READ FULL STATUS data, whole: the caller cuts it to the allocation length. */
export function buildFullStatus(generation: number, registrations: readonly Registration[]): Buffer {
  const parts = registrations.map((registration) => {
    const id = buildTransportId(registration.transportId);
    const b = Buffer.alloc(24);
    b.writeBigUInt64BE(registration.key, 0);
    b[12] = (registration.allTargetPorts ? 2 : 0) | (registration.holds === null ? 0 : 1);
    b[13] = (registration.holds ?? 0) & 0x0f;
    b.writeUInt16BE(registration.relativePort, 18);
    b.writeUInt32BE(id.length, 20);
    return Buffer.concat([b, id]);
  });
  return buildPrIn(generation, Buffer.concat(parts));
}

/** READ FULL STATUS data: the whole descriptors at hand. The name is empty where the TransportID is not iSCSI's. */
export function parseFullStatus(data: Buffer): { generation: number; registrations: Registration[] } {
  const { generation, list } = listOf(data);
  const registrations: Registration[] = [];
  let at = 0;
  while (at + 24 <= list.length) {
    const idLength = list.readUInt32BE(at + 20);
    if (at + 24 + idLength > list.length) break;
    const flags = list.readUInt8(at + 12);
    registrations.push({
      key: list.readBigUInt64BE(at),
      allTargetPorts: (flags & 2) !== 0,
      holds: (flags & 1) === 0 ? null : list.readUInt8(at + 13) & 0x0f,
      relativePort: list.readUInt16BE(at + 18),
      transportId: idOf(list.subarray(at + 24, at + 24 + idLength)),
    });
    at += 24 + idLength;
  }
  return { generation, registrations };
}

function idOf(b: Buffer): TransportId {
  try {
    return parseTransportId(b).id;
  } catch (error) {
    if (!(error instanceof CheckCondition)) throw error;
    // istgt leaves the header of the TransportID out.
    const [, name, isid] =
      /^((?:iqn|eui|naa)\.[^,\0]{1,219})(?:,i,0x([0-9a-f]{12}))?\0*$/i.exec(b.toString('utf8')) ?? [];
    return { name: name?.toLowerCase() ?? '', isid: isid?.toLowerCase() ?? null };
  }
}

/** The parameter list of every service action but REGISTER AND MOVE, §6.16.3. */
export interface ReserveOut {
  readonly reservationKey: bigint;
  readonly serviceActionKey: bigint;
  /** APTPL: registrations outlive power loss. */
  readonly persist: boolean;
  /** ALL_TG_PT: register on every target port. */
  readonly allTargetPorts: boolean;
  /** The additional initiator ports of SPEC_I_PT, or null where it is 0. */
  readonly initiatorPorts: readonly TransportId[] | null;
}

const BASIC = 24;
/** Of SPEC_I_PT's list, so that one command cannot make a unit register without bound. */
const PORTS_LARGEST = 64;

/**
 * @throws CheckCondition 05/1A/00 unless the list is 24 bytes (with SPEC_I_PT: 28 and the TransportIDs), 05/26/00 for
 * a TransportID that is malformed or one too many
 */
export function parseReserveOut(list: Buffer): ReserveOut {
  const clause = 'SPC-4 §6.16.3';
  if (list.length < BASIC) throw parameterListLengthError(clause);
  const flags = list.readUInt8(20);
  const specified = (flags & 0x08) !== 0;
  if (!specified && list.length !== BASIC) throw parameterListLengthError(clause);
  return {
    reservationKey: list.readBigUInt64BE(0),
    serviceActionKey: list.readBigUInt64BE(8),
    persist: (flags & 0x01) !== 0,
    allTargetPorts: (flags & 0x04) !== 0,
    initiatorPorts: specified ? parseInitiatorPorts(list) : null,
  };
}

function parseInitiatorPorts(list: Buffer): TransportId[] {
  const clause = 'SPC-4 §6.16.3';
  if (list.length < BASIC + 4) throw parameterListLengthError(clause);
  if (list.readUInt32BE(BASIC) !== list.length - BASIC - 4) throw parameterListLengthError(clause);
  const ports: TransportId[] = [];
  let at = BASIC + 4;
  while (at < list.length) {
    if (ports.length === PORTS_LARGEST) throw invalidFieldInParameterList(clause, BASIC);
    const { id, length } = parseTransportId(list, at);
    ports.push(id);
    at += length;
  }
  return ports;
}

/** The parameter list of every service action but REGISTER AND MOVE. */
export function buildReserveOut(out: ReserveOut): Buffer {
  const b = Buffer.alloc(BASIC);
  b.writeBigUInt64BE(out.reservationKey, 0);
  b.writeBigUInt64BE(out.serviceActionKey, 8);
  b[20] = (out.initiatorPorts === null ? 0 : 0x08) | (out.allTargetPorts ? 0x04 : 0) | (out.persist ? 0x01 : 0);
  if (out.initiatorPorts === null) return b;
  const ids = Buffer.concat(out.initiatorPorts.map(buildTransportId));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(ids.length, 0);
  return Buffer.concat([b, length, ids]);
}

/** The parameter list of REGISTER AND MOVE, §6.16.4. */
export interface RegisterAndMove {
  readonly reservationKey: bigint;
  readonly serviceActionKey: bigint;
  readonly persist: boolean;
  /** UNREG: unregister the nexus that asks. */
  readonly unregister: boolean;
  readonly relativePort: number;
  readonly destination: TransportId;
}

/** @throws CheckCondition 05/1A/00 for a wrong length, 05/26/00 for a TransportID that is malformed */
export function parseRegisterAndMove(list: Buffer): RegisterAndMove {
  const clause = 'SPC-4 §6.16.4';
  if (list.length < BASIC || list.readUInt32BE(20) !== list.length - BASIC) throw parameterListLengthError(clause);
  const { id, length } = parseTransportId(list, BASIC);
  if (length !== list.length - BASIC) throw parameterListLengthError(clause);
  const flags = list.readUInt8(17);
  return {
    reservationKey: list.readBigUInt64BE(0),
    serviceActionKey: list.readBigUInt64BE(8),
    persist: (flags & 1) !== 0,
    unregister: (flags & 2) !== 0,
    relativePort: list.readUInt16BE(18),
    destination: id,
  };
}

/** The parameter list of REGISTER AND MOVE. */
export function buildRegisterAndMove(move: RegisterAndMove): Buffer {
  const id = buildTransportId(move.destination);
  const b = Buffer.alloc(BASIC);
  b.writeBigUInt64BE(move.reservationKey, 0);
  b.writeBigUInt64BE(move.serviceActionKey, 8);
  b[17] = (move.unregister ? 2 : 0) | (move.persist ? 1 : 0);
  b.writeUInt16BE(move.relativePort, 18);
  b.writeUInt32BE(id.length, 20);
  return Buffer.concat([b, id]);
}
