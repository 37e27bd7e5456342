// What the lun commands and `session rescan` print under --json.
import * as v from 'valibot';
import { RESERVATION_TYPE_WORDS } from '../../scsi/persistent-reserve.js';
import type {
  BlockRun,
  LunAbilities,
  LunChange,
  LunDetails,
  LunLimits,
  LunProvisioning,
  RegistrationInfo,
  ReservationInfo,
} from '../../services/lun/info.js';
import {
  bytes,
  choice,
  count,
  type Describes,
  devicePath,
  document,
  flag,
  list,
  lun,
  sid,
  targetName,
  text,
  textOrNull,
} from './parts.js';
import { device, sessionState } from './session.js';

const place = { sid, targetName, lun };
const key = v.pipe(v.string(), v.regex(/^0x[0-9a-f]{16}$/), v.description('Reservation key, 64 bits.'));
const words = Object.keys(RESERVATION_TYPE_WORDS).join(', ');
const type = text(`Type of a reservation, SPC-4 §5.13.5: ${words}; type-N for others.`);
const typeOrNull = textOrNull(`Type of the reservation that it holds: ${words}; null: none.`);

function limit(about: string) {
  return v.pipe(v.nullable(v.number()), v.description(`${about} Logical blocks; null: none is stated.`));
}

const limits = v.strictObject({
  maxTransferBlocks: limit('The most that one command moves.'),
  optimalTransferBlocks: limit('What one command moves best.'),
  optimalTransferGranularityBlocks: limit('What a transfer is best a multiple of.'),
  maxUnmapBlocks: limit('The most that one UNMAP takes.'),
  maxUnmapDescriptors: v.pipe(v.nullable(v.number()), v.description('Ranges of one UNMAP; null: none is stated.')),
  unmapGranularityBlocks: limit('What is unmapped together.'),
  unmapAlignmentBlocks: limit('Where the first such group begins.'),
  maxWriteSameBlocks: limit('The most that one WRITE SAME takes.'),
  maxCompareAndWriteBlocks: count('The most that one COMPARE AND WRITE takes, in logical blocks; 0: it is not known.'),
}) satisfies Describes<LunLimits>;

const provisioning = v.strictObject({
  type: choice(['unknown', 'resource', 'thin'], 'PROVISIONING TYPE.'),
  unmap: flag('UNMAP is known.'),
  writeSame16: flag('WRITE SAME(16) unmaps.'),
  writeSame10: flag('WRITE SAME(10) unmaps.'),
  readsZero: flag('What is unmapped reads as zeros.'),
}) satisfies Describes<LunProvisioning>;

const registration = v.strictObject({
  key,
  initiatorName: text('iSCSI name of the initiator, RFC 7143 §4.2.7; empty if it is none of iSCSI.'),
  isid: textOrNull('ISID of the session, 12 hexadecimal digits; null: every session of that initiator.'),
  ours: flag('It is the session that was asked.'),
  holds: typeOrNull,
  allTargetPorts: flag('It holds for all ports of the target.'),
  relativePort: count('Relative target port identifier.'),
}) satisfies Describes<RegistrationInfo>;

const reservationEntries = {
  generation: count('PRGENERATION: counts the changes of registrations.'),
  keys: list(key, 'One for each session that is registered.'),
  reservation: v.pipe(
    v.nullable(
      v.strictObject({
        key: v.pipe(v.nullable(key), v.description('Key of the holder; null: all registrants hold it.')),
        type,
      }),
    ),
    v.description('The one that is held; null: none.'),
  ),
  capabilities: v.pipe(
    v.nullable(
      v.strictObject({
        specifyInitiatorPorts: flag('SIP_C.'),
        allTargetPorts: flag('ATP_C.'),
        persistCapable: flag('PTPL_C: registrations can outlive a loss of power.'),
        persistActive: flag('PTPL_A: and they do now.'),
        types: v.pipe(v.nullable(v.array(type)), v.description('Types that can be reserved; null: not told.')),
      }),
    ),
    v.description('REPORT CAPABILITIES; null: the unit does not know it.'),
  ),
  registrations: v.pipe(
    v.nullable(v.array(registration)),
    v.description('READ FULL STATUS; null: the unit does not know it.'),
  ),
};
const reservations = v.strictObject(reservationEntries) satisfies Describes<ReservationInfo>;

export const lunList = document('lun-list', 'The LUNs of all sessions.', {
  luns: list(v.strictObject({ sid, targetName, state: sessionState, ...device.entries }), 'One for each LUN.'),
});

const abilities = v.strictObject({
  read: flag('It can be read.'),
  write: flag('It can be written.'),
  flush: flag('What has been written can be made to last.'),
  fua: flag('The same for a single write.'),
  trim: flag('Blocks can be given back.'),
  zero: flag('Zeros can be written without sending them.'),
  multiConn: flag('Several NBD connections agree on what has been flushed.'),
  df: flag('A read can be asked for in one piece.'),
  cache: flag('Blocks can be read ahead into the cache.'),
  fastZero: flag('Zeros are written only where that is faster than sending them, if that is asked for.'),
  map: flag('The unit tells which blocks storage is behind.'),
}) satisfies Describes<LunAbilities>;

const details = v.strictObject({
  device,
  blocks: count('Size in logical blocks.'),
  physicalBlockSize: bytes('Physical block length.'),
  use10: flag('The unit takes 10-byte commands only.'),
  dpofua: flag('READ and WRITE take the FUA bit.'),
  nonVolatileCache: flag('NV_SUP: the cache keeps its contents without power.'),
  rotationRate: v.pipe(
    v.nullable(v.number()),
    v.description('Revolutions per minute; 1: it does not rotate; null: not told.'),
  ),
  limits: v.pipe(v.nullable(limits), v.description('VPD page B0h; null: the unit does not have it.')),
  provisioning: v.pipe(v.nullable(provisioning), v.description('VPD page B2h; null: the unit does not have it.')),
  can: abilities,
  reservations: v.pipe(
    v.nullable(reservations),
    v.description('Persistent reservations; null: reservationNote says why.'),
  ),
  reservationNote: textOrNull('Why reservations are not told; null when they are.'),
}) satisfies Describes<LunDetails>;

export const lunShow = document('lun-show', 'LUNs in full.', {
  luns: list(
    v.strictObject({ sid, targetName, state: sessionState, ...details.entries }),
    'Those that were asked for.',
  ),
});

const deviceChange = {
  sid,
  targetName,
  changed: flag('Something had to be done; false: it was so already.'),
  device,
};
export const lunAttach = document('lun-attach', 'A LUN with its device.', deviceChange);
export const lunDetach = document('lun-detach', 'A LUN without a device.', deviceChange);

export const lunReservations = document('lun-reservations', 'Persistent reservations of a LUN.', {
  ...place,
  ...reservationEntries,
});

const change = {
  ...place,
  action: choice(
    ['register', 'reserve', 'release', 'preempt', 'preempt-and-abort', 'clear'],
    'PERSISTENT RESERVE OUT: what was done.',
  ),
};
export const lunRegister = document('lun-register', 'A registration.', change);
export const lunReserve = document('lun-reserve', 'A reservation.', change);
export const lunRelease = document('lun-release', 'The end of a reservation.', change);
export const lunPreempt = document('lun-preempt', 'The end of a registration of somebody else.', change);
export const lunClear = document('lun-clear', 'The end of all registrations.', change);

export const lunCompareAndWrite = document('lun-compare-and-write', 'Blocks that were compared and written.', {
  ...place,
  lba: count('The first block.'),
  blocks: count('How many.', 1),
});

const run = v.strictObject({
  lba: count('The first block.'),
  blocks: count('How many.', 1),
  state: choice(
    ['mapped', 'deallocated', 'anchored', 'unknown'],
    'Mapped: storage is behind them. Deallocated: none is. Anchored: it is reserved.',
  ),
}) satisfies Describes<BlockRun>;

export const lunMap = document('lun-map', 'Which blocks of a LUN have storage behind them.', {
  ...place,
  blockSize: bytes('Logical block length.'),
  mappedBytes: bytes('Sum of the mapped runs.'),
  runs: list(run, 'Without gap, in ascending order.'),
});

const lunChange = v.strictObject({
  lun,
  exportName: text('Name of the NBD export.'),
  change: choice(
    ['appeared', 'vanished', 'grown', 'shrunk', 'replaced', 'not-ready'],
    'Replaced: another unit is at that number now. Not-ready: it cannot be used at present.',
  ),
  sizeBytes: bytes('Its size, the last known one if it has vanished.'),
  oldSizeBytes: v.pipe(v.nullable(bytes('Its size before; null when it was not there.'))),
  path: devicePath,
  note: textOrNull('What to know or to do about it; null when there is nothing to say.'),
}) satisfies Describes<LunChange>;

export const sessionRescan = document('session-rescan', 'What has changed behind the sessions.', {
  sessions: list(
    v.strictObject({
      sid,
      targetName,
      changes: list(lunChange, 'Empty when nothing has changed.'),
      devices: list(device, 'All LUNs as they are now.'),
    }),
    'Those that could be asked, by number.',
  ),
});
