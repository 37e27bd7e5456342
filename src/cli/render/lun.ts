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
import { table } from './table.js';
import { formatSize, orDash } from './text.js';

/** One line for each LUN of each session. */
export function lunTable(luns: readonly { readonly session: SessionInfo; readonly device: DeviceInfo }[]): string {
  return table(
    [
      { head: 'SID', align: 'right' },
      { head: 'LUN', align: 'right' },
      { head: 'TARGET' },
      { head: 'DEVICE' },
      { head: 'SIZE', align: 'right' },
      { head: 'BLOCK', align: 'right' },
      { head: 'ACCESS' },
      { head: 'VENDOR' },
      { head: 'PRODUCT' },
      { head: 'SERIAL' },
    ],
    luns.map(({ session, device }) => [
      String(session.sid),
      String(device.lun),
      session.targetName,
      orDash(device.path),
      formatSize(device.sizeBytes),
      String(device.blockSize),
      device.readOnly ? 'ro' : 'rw',
      orDash(device.vendor),
      orDash(device.product),
      orDash(device.serial),
    ]),
  );
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

/** One line for each run. */
export function blockMapTable(runs: readonly BlockRun[], blockSize: number): string {
  return table(
    [
      { head: 'LBA', align: 'right' },
      { head: 'BLOCKS', align: 'right' },
      { head: 'SIZE', align: 'right' },
      { head: 'STATE' },
    ],
    runs.map(({ lba, blocks, state }) => [String(lba), String(blocks), formatSize(blocks * blockSize), state]),
  );
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
