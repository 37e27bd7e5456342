// REPORT TARGET PORT GROUPS parameter data, SPC-4 §6.37, both ways.
import { ProtocolError } from '../util/errors.js';

/** Asymmetric access states, SPC-4 §5.15.2. */
export const AccessState = {
  ActiveOptimized: 0,
  ActiveNonOptimized: 1,
  Standby: 2,
  Unavailable: 3,
  LbaDependent: 4,
  Offline: 14,
  Transitioning: 15,
} as const;

export interface TargetPortGroup {
  readonly group: number;
  /** One of AccessState. */
  readonly state: number;
  /** PREF: the preferred group. */
  readonly preferred: boolean;
  /** The supported states as byte 1 has them: bit 7 transitioning, 6 offline, 4 LBA dependent, 3 … 0 as the states. */
  readonly supportedStates: number;
  /** STATUS CODE: 0 none, 1 changed by command, 2 implicitly. */
  readonly statusCode: number;
  /** Relative target port identifiers. */
  readonly ports: readonly number[];
}

/** The whole groups that the length field and the bytes at hand hold; either header format. */
export function parseTargetPortGroups(data: Buffer): TargetPortGroup[] {
  if (data.length < 4) throw new ProtocolError('SPC-4 §6.37', `REPORT TARGET PORT GROUPS data of ${data.length} bytes`);
  const end = Math.min(data.length, 4 + data.readUInt32BE(0));
  const groups: TargetPortGroup[] = [];
  // The extended header has its format (1) in bits 6–4 of a first byte that is otherwise the group's state.
  let at = end >= 8 && ((data.readUInt8(4) >> 4) & 7) === 1 ? 8 : 4;
  while (at + 8 <= end) {
    const count = data.readUInt8(at + 7);
    const next = at + 8 + 4 * count;
    if (next > end) break;
    const ports: number[] = [];
    for (let port = at + 8; port < next; port += 4) ports.push(data.readUInt16BE(port + 2));
    groups.push({
      group: data.readUInt16BE(at + 2),
      state: data.readUInt8(at) & 0x0f,
      preferred: (data.readUInt8(at) & 0x80) !== 0,
      supportedStates: data.readUInt8(at + 1),
      statusCode: data.readUInt8(at + 5),
      ports,
    });
    at = next;
  }
  return groups;
}

/**
 * REPORT TARGET PORT GROUPS data, whole: the caller cuts it to the allocation length. With `transitionSeconds` the
 * extended header, otherwise the length only.
 */
export function buildTargetPortGroups(groups: readonly TargetPortGroup[], transitionSeconds?: number): Buffer {
  const headerLength = transitionSeconds === undefined ? 4 : 8;
  const b = Buffer.alloc(headerLength + groups.reduce((sum, group) => sum + 8 + 4 * group.ports.length, 0));
  b.writeUInt32BE(b.length - 4, 0);
  if (transitionSeconds !== undefined) b.set([0x10, transitionSeconds], 4);
  let at = headerLength;
  for (const group of groups) {
    b[at] = (group.preferred ? 0x80 : 0) | (group.state & 0x0f);
    b[at + 1] = group.supportedStates;
    b.writeUInt16BE(group.group, at + 2);
    b[at + 5] = group.statusCode;
    b.writeUInt8(group.ports.length, at + 7);
    for (const [index, port] of group.ports.entries()) b.writeUInt16BE(port, at + 10 + 4 * index);
    at += 8 + 4 * group.ports.length;
  }
  return b;
}
