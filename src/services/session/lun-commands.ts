// What a session's worker does with one LUN on request: describe it, reserve it, map it, compare and write.
import { flush } from '../../block/promise.js';
import { readBlockMap } from '../../initiator/block-map.js';
import { compareAndWrite } from '../../initiator/compare-and-write.js';
import { changeReservation, type ReservationChange, readReservations } from '../../initiator/reservations.js';
import type { InitiatorSession } from '../../initiator/session.js';
import { readUnitDetails } from '../../initiator/unit-details.js';
import { transmissionFlags } from '../../nbd/export-view.js';
import type { NbdExport } from '../../nbd/exports.js';
import { TransmissionFlag as Flag } from '../../nbd/wire/constants.js';
import { LbaStatus } from '../../scsi/lba-status.js';
import { RESERVATION_TYPE_WORDS } from '../../scsi/persistent-reserve.js';
import type { ControlHandler } from '../../transport/control.js';
import { AppError, messageOf } from '../../util/errors.js';
import {
  type BlockRun,
  type LunAbilities,
  type LunDetails,
  limitsInfo,
  provisioningInfo,
  type ReservationInfo,
  reservationInfo,
} from '../lun/info.js';
import type { SessionAttachments } from './attachments.js';
import type { SessionClients } from './clients.js';
import { deviceInfo, type ExportedLun } from './exports.js';
import { ourselves } from './folder.js';

/** Bound of one command, milliseconds. */
const COMMAND_MS = 15_000;

type Params = Readonly<Record<string, unknown>>;

export interface LunCommandParts {
  readonly session: InitiatorSession;
  readonly self: { readonly initiatorName: string; readonly isid: string };
  readonly socket: string;
  readonly attachments: SessionAttachments;
  readonly clients: SessionClients;
  /** The LUN's export as a new client finds it. */
  openExport(entry: ExportedLun): NbdExport | undefined;
  /** The LUN that the parameters name. @throws AppError */
  entry(params: Params): ExportedLun;
  /** One change of devices at a time. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
}

/** The operations of the control socket, by name. */
export function lunCommands(parts: LunCommandParts): Readonly<Record<string, ControlHandler>> {
  const { session, entry } = parts;
  return {
    'lun-details': (params) => describe(parts, entry(params)),
    reservations: (params) => reservationsOf(parts, entry(params)),
    'reserve-out': async (params) => {
      await changeReservation(session, entry(params).lun, reservationChange(params), COMMAND_MS);
      return {};
    },
    'block-map': async (params) => {
      const { lun } = entry(params);
      const end = lun.sizeBytes / lun.blockSize;
      const lba = naturalNumber(params, 'lba');
      if (lba >= end) throw new AppError('ERR_USAGE', `LBA ${lba} is beyond the last block, ${end - 1}`);
      const runs = await readBlockMap(session, lun.info.address, { lba, end }, COMMAND_MS);
      return { runs: runs.map(({ status, ...run }): BlockRun => ({ ...run, state: stateWord(status) })), end };
    },
    'compare-and-write': (params) => parts.exclusive(() => runCompareAndWrite(parts, entry(params), params)),
  };
}

async function describe(parts: LunCommandParts, entry: ExportedLun): Promise<LunDetails> {
  const { lun } = entry;
  const { disk, address } = lun.info;
  const details = await readUnitDetails(parts.session, address, COMMAND_MS);
  const reservations = await reservationsOf(parts, entry).catch(notTold);
  const rate = details.characteristics?.rotationRate ?? 0;
  return {
    device: deviceInfo(entry, parts.socket),
    blocks: lun.sizeBytes / lun.blockSize,
    physicalBlockSize: lun.physicalBlockSize,
    use10: disk?.use10 ?? false,
    dpofua: disk?.dpofua ?? false,
    nonVolatileCache: disk?.nonVolatileCache ?? false,
    rotationRate: rate === 0 ? null : rate,
    limits: limitsInfo(details),
    provisioning: provisioningInfo(details),
    can: { ...abilitiesOf(parts.openExport(entry)), map: await tellsBlocks(parts, entry) },
    reservations: typeof reservations === 'string' ? null : reservations,
    reservationNote: typeof reservations === 'string' ? reservations : null,
  };
}

/** As the flags that a new client gets; nothing where the export has gone. */
function abilitiesOf(open: NbdExport | undefined): Omit<LunAbilities, 'map'> {
  const flags = open === undefined ? Flag.ReadOnly : transmissionFlags(open, true);
  const has = (flag: number) => (flags & flag) !== 0;
  return {
    ...{ read: open !== undefined, write: !has(Flag.ReadOnly), flush: has(Flag.SendFlush), fua: has(Flag.SendFua) },
    ...{ trim: has(Flag.SendTrim), zero: has(Flag.SendWriteZeroes), multiConn: has(Flag.CanMultiConn) },
    ...{ df: has(Flag.SendDf), cache: has(Flag.SendCache), fastZero: has(Flag.SendFastZero) },
  };
}

/** Asked of one block: units that do not know GET LBA STATUS refuse it. */
async function tellsBlocks({ session }: LunCommandParts, { lun }: ExportedLun): Promise<boolean> {
  try {
    await readBlockMap(session, lun.info.address, { lba: 0, end: 1, most: 1 }, COMMAND_MS);
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === 'ERR_NOT_CONNECTED') throw error;
    return false;
  }
}

/** Reservations are beside the point of a description: what stands against them is a line of it. */
function notTold(error: unknown): string {
  if (error instanceof AppError && error.code !== 'ERR_NOT_CONNECTED') return messageOf(error);
  throw error;
}

async function reservationsOf({ session, self }: LunCommandParts, { lun }: ExportedLun): Promise<ReservationInfo> {
  return reservationInfo(await readReservations(session, lun.info.address, COMMAND_MS), self);
}

/** The rule of destruction (decided by what uses the LUN, not by what it holds: the caller names what it replaces). */
async function runCompareAndWrite(parts: LunCommandParts, entry: ExportedLun, params: Params): Promise<object> {
  const { lun, name } = entry;
  if (lun.readOnly) throw new AppError('ERR_ACCESS', `${name} is read-only; nothing was written`);
  const user = await usersOf(parts, entry);
  if (user !== null) {
    throw new AppError('ERR_BUSY', `${name} is in use: ${user}; nothing was written`, {
      hint: 'unmount it, or end the program that uses it: there is no override',
    });
  }
  if (entry.attach !== 'none') return swap(parts, entry, params);
  // As a disk command: nobody else may write here meanwhile, by whatever path.
  const { hold } = await parts.attachments.admitCommand(entry, name, ourselves());
  try {
    return await swap(parts, entry, params);
  } finally {
    parts.attachments.releaseCommand(entry, hold);
  }
}

async function swap(parts: LunCommandParts, { lun }: ExportedLun, params: Params): Promise<object> {
  const lba = naturalNumber(params, 'lba');
  const { blockSize } = lun;
  const job = { lba, compare: base64(params, 'compare'), write: base64(params, 'write'), blockSize };
  const fua = lun.info.disk?.dpofua ?? false;
  await compareAndWrite(parts.session, lun, { ...job, fua }, COMMAND_MS);
  if (lun.writeCache && !fua) await flush(lun);
  return { blocks: job.write.length / blockSize };
}

/** Who may have these blocks in a cache or write to them, in words, or null. */
async function usersOf({ attachments, clients }: LunCommandParts, entry: ExportedLun): Promise<string | null> {
  const use = await attachments.inUse(entry);
  if (use !== null) return use;
  const count = clients.writers(entry.name);
  return count === 0 ? null : `NBD clients have ${count} ${count === 1 ? 'connection' : 'connections'} to it`;
}

function stateWord(status: number): BlockRun['state'] {
  if (status === LbaStatus.Mapped) return 'mapped';
  if (status === LbaStatus.Deallocated) return 'deallocated';
  return status === LbaStatus.Anchored ? 'anchored' : 'unknown';
}

function reservationChange(params: Params): ReservationChange {
  const { action } = params;
  switch (action) {
    case 'register': {
      const [ignoreExisting, persist] = [params.ignoreExisting === true, params.persist === true];
      return { action, key: keyOf(params, 'key'), newKey: keyOf(params, 'newKey'), ignoreExisting, persist };
    }
    case 'reserve':
    case 'release':
      return { action, key: keyOf(params, 'key'), type: typeOf(params) };
    case 'preempt':
    case 'preempt-and-abort':
      return { action, key: keyOf(params, 'key'), victim: keyOf(params, 'victim'), type: typeOf(params) };
    case 'clear':
      return { action, key: keyOf(params, 'key') };
    default:
      throw new AppError('ERR_USAGE', 'reserve-out: unknown action');
  }
}

/** Of 64 bits, as `keyText` writes it. */
function keyOf(params: Params, name: string): bigint {
  const value = params[name];
  if (typeof value === 'string' && /^0x[0-9a-f]{1,16}$/.test(value)) return BigInt(value);
  throw new AppError('ERR_USAGE', `${name} must be a key of 64 bits in hexadecimal`);
}

function typeOf({ type }: Params): number {
  const found = Object.entries(RESERVATION_TYPE_WORDS).find(([word]) => word === type);
  if (found === undefined) throw new AppError('ERR_USAGE', 'type must be one of the six of SPC-4');
  return found[1];
}

function base64(params: Params, name: string): Buffer {
  const value = params[name];
  if (typeof value === 'string') return Buffer.from(value, 'base64');
  throw new AppError('ERR_USAGE', `${name} must be base64`);
}

function naturalNumber(params: Params, name: string): number {
  const value = params[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new AppError('ERR_USAGE', `${name} must be a natural number`);
}
