// What a session's worker tells about one LUN beyond a listing. Plain JSON values: keys of reservations are hexadecimal text.
import type { ReservationReport } from '../../initiator/reservations.js';
import type { UnitDetails } from '../../initiator/unit-details.js';
import { reservationTypeWord } from '../../scsi/persistent-reserve.js';
import type { DeviceInfo } from '../session/info.js';

/** VPD page B0h in logical blocks, SBC-3 §6.6.4. null: not stated, or no limit. */
export interface LunLimits {
  maxTransferBlocks: number | null;
  optimalTransferBlocks: number | null;
  optimalTransferGranularityBlocks: number | null;
  maxUnmapBlocks: number | null;
  maxUnmapDescriptors: number | null;
  unmapGranularityBlocks: number | null;
  unmapAlignmentBlocks: number | null;
  maxWriteSameBlocks: number | null;
  /** 0: the unit does not know COMPARE AND WRITE. */
  maxCompareAndWriteBlocks: number;
}

/** VPD page B2h, SBC-3 §6.6.6. */
export interface LunProvisioning {
  type: 'unknown' | 'resource' | 'thin';
  unmap: boolean;
  writeSame16: boolean;
  writeSame10: boolean;
  readsZero: boolean;
}

export interface RegistrationInfo {
  key: string;
  initiatorName: string;
  /** 12 hexadecimal digits; null for every port of that initiator. */
  isid: string | null;
  /** It is this session. */
  ours: boolean;
  /** The type of the reservation it holds; null: none. */
  holds: string | null;
  allTargetPorts: boolean;
  relativePort: number;
}

export interface ReservationInfo {
  generation: number;
  keys: string[];
  /** `key` is null where all registrants hold it. */
  reservation: { key: string | null; type: string } | null;
  /** null: the unit does not tell. */
  capabilities: {
    specifyInitiatorPorts: boolean;
    allTargetPorts: boolean;
    persistCapable: boolean;
    persistActive: boolean;
    types: string[] | null;
  } | null;
  /** null: the unit does not tell who is registered. */
  registrations: RegistrationInfo[] | null;
}

/** What a new client of the LUN's NBD export can have done now; NBD proto.md, "Transmission flags". */
export interface LunAbilities {
  read: boolean;
  write: boolean;
  flush: boolean;
  fua: boolean;
  trim: boolean;
  zero: boolean;
  multiConn: boolean;
  df: boolean;
  cache: boolean;
  fastZero: boolean;
  /** The unit tells which blocks storage is behind, by GET LBA STATUS. */
  map: boolean;
}

export interface LunDetails {
  device: DeviceInfo;
  blocks: number;
  physicalBlockSize: number;
  /** The unit takes 10-byte commands only. */
  use10: boolean;
  /** READ and WRITE know FUA. */
  dpofua: boolean;
  nonVolatileCache: boolean;
  /** Revolutions per minute, 1 for none; null where it does not say. */
  rotationRate: number | null;
  limits: LunLimits | null;
  provisioning: LunProvisioning | null;
  can: LunAbilities;
  /** null: the unit knows no persistent reservations, or could not be asked: see `reservationNote`. */
  reservations: ReservationInfo | null;
  reservationNote: string | null;
}

/** A run of blocks of one state. */
export interface BlockRun {
  lba: number;
  blocks: number;
  state: 'mapped' | 'deallocated' | 'anchored' | 'unknown';
}

/** What a rescan has found out about one LUN. */
export interface LunChange {
  lun: number;
  exportName: string;
  change: 'appeared' | 'vanished' | 'grown' | 'shrunk' | 'replaced' | 'not-ready';
  sizeBytes: number;
  /** Before; null where it was not there. */
  oldSizeBytes: number | null;
  /** The device node, if there is one. */
  path: string | null;
  /** What to know or to do about it, in one line; null when there is nothing. */
  note: string | null;
}

export interface RescanReport {
  changes: LunChange[];
  /** All LUNs as they are now. */
  devices: DeviceInfo[];
}

const NO_LIMIT = 0xffff_ffff;

/** 0 is "not stated", and the largest number "no limit". */
function limit(value: number): number | null {
  return value === 0 || value === NO_LIMIT || !Number.isSafeInteger(value) ? null : value;
}

export function limitsInfo({ limits }: UnitDetails): LunLimits | null {
  if (limits === null) return null;
  return {
    maxTransferBlocks: limit(limits.maxTransfer),
    optimalTransferBlocks: limit(limits.optimalTransfer),
    optimalTransferGranularityBlocks: limit(limits.optimalTransferGranularity),
    maxUnmapBlocks: limit(limits.maxUnmapBlocks),
    maxUnmapDescriptors: limit(limits.maxUnmapDescriptors),
    unmapGranularityBlocks: limit(limits.optimalUnmapGranularity),
    unmapAlignmentBlocks: limits.unmapAlignment,
    maxWriteSameBlocks: limit(limits.maxWriteSame),
    maxCompareAndWriteBlocks: limits.maxCompareAndWrite,
  };
}

export function provisioningInfo({ provisioning }: UnitDetails): LunProvisioning | null {
  if (provisioning === null) return null;
  const { type, unmap, writeSame16, writeSame10, readsZero } = provisioning;
  return {
    type: type === 1 ? 'resource' : type === 2 ? 'thin' : 'unknown',
    unmap,
    writeSame16,
    writeSame10,
    readsZero,
  };
}

/** A key as people write it. */
export function keyText(key: bigint): string {
  return `0x${key.toString(16).padStart(16, '0')}`;
}

/** `self` is the nexus that asks, by its name and ISID. */
export function reservationInfo(
  report: ReservationReport,
  self: { readonly initiatorName: string; readonly isid: string },
): ReservationInfo {
  const { generation, keys, reservation, capabilities, registrations } = report;
  return {
    generation,
    keys: keys.map(keyText),
    reservation: reservation && {
      key: reservation.type >= 7 ? null : keyText(reservation.key),
      type: reservationTypeWord(reservation.type),
    },
    capabilities: capabilities && {
      ...capabilities,
      types: capabilities.types?.map(reservationTypeWord) ?? null,
    },
    registrations:
      registrations?.map(({ key, transportId: { name, isid }, holds, allTargetPorts, relativePort }) => ({
        key: keyText(key),
        initiatorName: name,
        isid,
        ours: name === self.initiatorName.toLowerCase() && (isid === null || isid === self.isid),
        holds: holds === null ? null : reservationTypeWord(holds),
        allTargetPorts,
        relativePort,
      })) ?? null,
  };
}
