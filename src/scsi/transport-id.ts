// TransportIDs of iSCSI initiator ports, SPC-4 §7.6.4.6: how persistent reservations name a registrant.
import { invalidFieldInParameterList } from './check-condition.js';

export interface TransportId {
  /** iSCSI initiator name, lower case. */
  readonly name: string;
  /** ISID as 12 hex digits; null in the format that means every port of the device (00b). */
  readonly isid: string | null;
}

const ISCSI = 5;
const SEPARATOR = ',i,0x';
/** ADDITIONAL LENGTH is at least 20 and at most what a 223-byte name with separator and ISID takes. */
const LARGEST = 244;

/** A TransportID, padded with NULs to a multiple of 4. */
export function buildTransportId({ name, isid }: TransportId): Buffer {
  const text = isid === null ? name : `${name}${SEPARATOR}${isid}`;
  const length = Math.max(20, Buffer.byteLength(text) + 1);
  const b = Buffer.alloc(4 + length + (-length & 3));
  b[0] = (isid === null ? 0 : 0x40) | ISCSI;
  b.writeUInt16BE(b.length - 4, 2);
  b.write(text, 4);
  return b;
}

/**
 * The TransportID at b[at..] and the bytes that it takes. `inList` is the offset of b[0] in the parameter list, for
 * the sense data.
 * @throws CheckCondition 05/26/00 if it is cut off, too long, of another protocol or malformed
 */
export function parseTransportId(b: Buffer, at = 0, inList = 0): { id: TransportId; length: number } {
  const clause = 'SPC-4 §7.6.4.6';
  if (at + 4 > b.length) throw invalidFieldInParameterList(clause, inList + at);
  const byte0 = b.readUInt8(at);
  const format = byte0 >> 6;
  const length = b.readUInt16BE(at + 2);
  if ((byte0 & 0x0f) !== ISCSI || format > 1) throw invalidFieldInParameterList(clause, inList + at);
  if (length < 20 || length > LARGEST || (length & 3) !== 0 || at + 4 + length > b.length) {
    throw invalidFieldInParameterList(clause, inList + at + 2);
  }
  const field = b.subarray(at + 4, at + 4 + length);
  const nul = field.indexOf(0);
  const text = field.toString('utf8', 0, nul === -1 ? field.length : nul).toLowerCase();
  const [name = '', isid] = text.split(SEPARATOR);
  const wellFormed = format === 0 ? isid === undefined : isid !== undefined && /^[0-9a-f]{12}$/.test(isid);
  if (nul === -1 || name === '' || !wellFormed) throw invalidFieldInParameterList(clause, inList + at + 4);
  return { id: { name, isid: isid ?? null }, length: 4 + length };
}
