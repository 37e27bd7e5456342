// LUNs for people: the list, one in full, who has reserved it, which blocks are mapped, what a rescan has found.

import type {
  BlockRun,
  LunAbilities,
  LunChange,
  LunDetails,
  LunLimits,
  LunProvisioning,
  ReservationInfo,
} from '../../services/lun/info.js';
import { wordOf } from '../../services/lun/question.js';
import type { DeviceInfo, SessionInfo } from '../../services/session/info.js';
import { printable } from '../../util/printable.js';
import { access } from './devices.js';
import { type Listing, sizeColumn } from './listing.js';
import { table } from './table.js';
import { formatSize, orDash } from './text.js';

/** A LUN, and the session that has it. */
export interface LunRow {
  readonly session: SessionInfo;
  readonly device: DeviceInfo;
}

/** `lun list`: one line for each LUN of each session. */
export const LUNS: Listing<LunRow> = [
  { head: 'SID', about: 'number of the session', align: 'right', text: ({ session }) => String(session.sid) },
  { head: 'LUN', about: 'logical unit number', align: 'right', text: ({ device }) => String(device.lun) },
  { head: 'TARGET', about: 'name of the target', text: ({ session }) => session.targetName },
  { head: 'DEVICE', about: 'device node', text: ({ device }) => orDash(device.path) },
  sizeColumn('SIZE', 'its size', ({ device }) => device.sizeBytes),
  { head: 'BLOCK', about: 'bytes of a logical block', align: 'right', text: ({ device }) => String(device.blockSize) },
  { head: 'ACCESS', about: 'rw or ro', text: ({ device }) => access(device) },
  { head: 'VENDOR', about: 'vendor of the INQUIRY data', text: ({ device }) => orDash(device.vendor) },
  { head: 'PRODUCT', about: 'product of the INQUIRY data', text: ({ device }) => orDash(device.product) },
  { head: 'SERIAL', about: 'unit serial number', text: ({ device }) => orDash(device.serial) },
  { head: 'REVISION', about: 'revision of the INQUIRY data', text: (row) => orDash(row.device.revision), extra: true },
  { head: 'WWN', about: 'lasting name of VPD page 83h', text: ({ device }) => orDash(device.designator), extra: true },
  { head: 'ATTACH', about: 'nbd, fuse or none', text: ({ device }) => device.attach, extra: true },
  {
    head: 'CACHE',
    about: 'on or off: volatile cache',
    text: (row) => (row.device.writeCache ? 'on' : 'off'),
    extra: true,
  },
  sizeColumn('OPTIO', 'preferred transfer size', ({ device }) => device.optimalIoSize, { extra: true }),
  { head: 'PARTS', about: 'how many partitions', align: 'right', text: partitionCount, extra: true },
  { head: 'STATE', about: 'state of the session', text: ({ session }) => session.state, extra: true },
  { head: 'EXPORT', about: 'name of the NBD export', text: ({ device }) => device.exportName, extra: true },
  { head: 'NBD', about: 'URI for NBD clients', text: ({ device }) => device.nbd, extra: true },
];

function partitionCount({ device }: LunRow): string {
  return String(device.partitions.length);
}

/** The node of an attached LUN, how it is attached, and what the kernel will have of its partitions. */
export function deviceText({ path, attach, readOnly, partitions }: DeviceInfo): string {
  const parts = partitions.map(({ number }) => `p${number}`).join(' ');
  const about = [attach, readOnly ? 'read-only' : '', parts].filter((part) => part !== '').join(', ');
  return `${orDash(path)} (${about})`;
}

/** One LUN in full: a name and a value a line. */
export function lunText(session: SessionInfo, details: LunDetails): string {
  const { device, can, blocks } = details;
  const of = `${blocks} blocks of ${device.blockSize} bytes`;
  const physical = details.physicalBlockSize === device.blockSize ? '' : `, physical ${details.physicalBlockSize}`;
  const lines: [string, string][] = [
    ['session', `${session.sid}, ${session.state}`],
    ['export', device.nbd],
    ['device', orDash(device.path)],
    ['identity', `${[device.vendor, device.product, device.revision].filter((part) => part !== '').join(' ')}`],
    ['serial', orDash(device.serial)],
    ['designator', orDash(device.designator)],
    ['size', `${formatSize(device.sizeBytes)}, ${device.sizeBytes} bytes, ${of}${physical}`],
    ['commands', `${details.use10 ? '10-byte only' : '16-byte'}${details.dpofua ? ', FUA' : ''}`],
    ['write cache', cacheText(details)],
    ['provisioning', provisioningText(details.provisioning)],
    ['limits', limitsText(details.limits)],
    ['reservation', reservationLine(details)],
    ['can', words(can)],
  ];
  if (details.rotationRate !== null && details.rotationRate > 1)
    lines.push(['rotation', `${details.rotationRate} rpm`]);
  if (device.note !== null) lines.push(['note', device.note]);
  const head = `${session.targetName} LUN ${device.lun}`;
  return `${printable(head)}\n${lines.map(([name, text]) => `  ${name.padEnd(13)} ${printable(text)}\n`).join('')}`;
}

function cacheText({ device, nonVolatileCache }: LunDetails): string {
  if (!device.writeCache) return 'none, or off';
  return nonVolatileCache ? 'on, keeps its contents without power' : 'on, volatile';
}

function provisioningText(provisioning: LunProvisioning | null): string {
  if (provisioning === null) return 'not told';
  const ways = [
    provisioning.unmap ? 'UNMAP' : '',
    provisioning.writeSame16 ? 'WRITE SAME(16)' : '',
    provisioning.writeSame10 ? 'WRITE SAME(10)' : '',
  ].filter((way) => way !== '');
  const type = { unknown: 'full or not told', resource: 'resource', thin: 'thin' }[provisioning.type];
  if (ways.length === 0) return `${type}, cannot be unmapped`;
  return `${type}, unmapped by ${ways.join(', ')}${provisioning.readsZero ? ', then reads as zeros' : ''}`;
}

const LIMIT_NAMES: readonly (readonly [keyof LunLimits, string])[] = [
  ['maxTransferBlocks', 'transfer'],
  ['optimalTransferBlocks', 'best transfer'],
  ['maxUnmapBlocks', 'UNMAP'],
  ['maxUnmapDescriptors', 'UNMAP descriptors'],
  ['unmapGranularityBlocks', 'UNMAP granularity'],
  ['unmapAlignmentBlocks', 'UNMAP alignment'],
  ['maxWriteSameBlocks', 'WRITE SAME'],
  ['maxCompareAndWriteBlocks', 'COMPARE AND WRITE'],
];

function limitsText(limits: LunLimits | null): string {
  if (limits === null) return 'not told';
  const told = LIMIT_NAMES.filter(([key]) => limits[key] !== null).map(([key, name]) => `${name} ${limits[key]}`);
  return told.length === 0 ? 'none' : `${told.join(', ')} (blocks)`;
}

function reservationLine({ reservations, reservationNote }: LunDetails): string {
  if (reservations === null) return orDash(reservationNote);
  const { keys, reservation } = reservations;
  const held = reservation === null ? 'none' : `${reservation.type}, ${reservation.key ?? 'all registrants'}`;
  return `${held}; ${keys.length} registered`;
}

function words(can: LunAbilities): string {
  const yes = Object.entries(can).flatMap(([name, able]) => (able ? [wordOf(name)] : []));
  return yes.join(', ');
}

/** Who is registered, and what is held. */
export function reservationsText(name: string, info: ReservationInfo): string {
  const { reservation, generation, keys, registrations } = info;
  const held = reservation === null ? 'none' : `${reservation.type} by ${reservation.key ?? 'all registrants'}`;
  const head = `${printable(name)}\n  reservation   ${held}\n  generation    ${generation}\n  registered    ${keys.length}\n`;
  if (registrations !== null && registrations.length > 0) {
    const columns = [{ head: 'KEY' }, { head: 'HOLDS' }, { head: 'INITIATOR' }, { head: 'ISID' }, { head: 'SESSION' }];
    const rows = registrations.map(({ key, holds, initiatorName, isid, ours }) => [
      key,
      orDash(holds),
      initiatorName,
      orDash(isid),
      ours ? 'this one' : '-',
    ]);
    return `${head}${table(columns, rows)}`;
  }
  return `${head}${keys.map((key) => `  key           ${key}\n`).join('')}`;
}

/** `lun map`: one line for each run of blocks. */
export function blockRuns(blockSize: number): Listing<BlockRun> {
  return [
    { head: 'LBA', about: 'the first block', align: 'right', text: ({ lba }) => String(lba) },
    { head: 'BLOCKS', about: 'how many blocks', align: 'right', text: ({ blocks }) => String(blocks) },
    sizeColumn('SIZE', 'the same as a size', ({ blocks }) => blocks * blockSize),
    { head: 'STATE', about: 'mapped, deallocated or anchored', text: ({ state }) => state },
    sizeColumn('OFFSET', 'where it begins', ({ lba }) => lba * blockSize, { extra: true }),
  ];
}

/** One line for each change of a session. */
export function changesText(session: Pick<SessionInfo, 'sid' | 'targetName'>, changes: readonly LunChange[]): string {
  const of = `session ${session.sid}, ${session.targetName}`;
  if (changes.length === 0) return `${printable(of)}: unchanged\n`;
  return changes.map((change) => `${printable(`${of} LUN ${change.lun}: ${changeText(change)}`)}\n`).join('');
}

function changeText({ change, sizeBytes, oldSizeBytes, path, note, exportName }: LunChange): string {
  const sizes = oldSizeBytes === null || oldSizeBytes === sizeBytes ? '' : `, ${oldSizeBytes} to ${sizeBytes} bytes`;
  const where = change === 'vanished' ? '' : ` (${path ?? exportName})`;
  return `${change}${where}${sizes}${note === null ? '' : `; ${note}`}`;
}
