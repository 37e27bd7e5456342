// REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS parameter data, SPC-4 §6.35 and
// §6.36, both ways.
import { ProtocolError } from '../util/errors.js';
import type { CommandUsage } from './command-usage.js';

const CLAUSE = 'SPC-4 §6.35';
const DESCRIPTOR = 8;
const TIMEOUTS = 12;

/** A command timeouts descriptor (§6.35.4) that states no time. */
function noTimeouts(): Buffer {
  const b = Buffer.alloc(TIMEOUTS);
  b.writeUInt16BE(TIMEOUTS - 2, 0);
  return b;
}

/** The all_commands format, whole: the caller cuts it to the allocation length. `timeouts` is RCTD. */
export function buildAllOpcodes(commands: readonly CommandUsage[], timeouts: boolean): Buffer {
  const parts = commands.map(({ opcode, serviceAction, usage }) => {
    const b = Buffer.alloc(DESCRIPTOR);
    b[0] = opcode;
    b.writeUInt16BE(serviceAction ?? 0, 2);
    b[5] = (timeouts ? 2 : 0) | (serviceAction === null ? 0 : 1);
    b.writeUInt16BE(usage.length, 6);
    return timeouts ? Buffer.concat([b, noTimeouts()]) : b;
  });
  const whole = Buffer.concat([Buffer.alloc(4), ...parts]);
  whole.writeUInt32BE(whole.length - 4, 0);
  return whole;
}

/** The one_command format: SUPPORT 3 with usage data, or 1 for a command that is not supported. */
export function buildOneOpcode(command: CommandUsage | null, timeouts: boolean): Buffer {
  const header = Buffer.alloc(4);
  if (command === null) {
    header[1] = 1;
    return header;
  }
  header[1] = (timeouts ? 0x80 : 0) | 3;
  header.writeUInt16BE(command.usage.length, 2);
  return Buffer.concat([header, command.usage, timeouts ? noTimeouts() : Buffer.alloc(0)]);
}

export interface SupportedOpcode {
  readonly opcode: number;
  readonly serviceAction: number | null;
  readonly cdbLength: number;
}

/** The all_commands format: the whole descriptors that the length field and the bytes at hand hold. */
export function parseAllOpcodes(data: Buffer): SupportedOpcode[] {
  if (data.length < 4) throw new ProtocolError(CLAUSE, `data of ${data.length} bytes`);
  const end = Math.min(data.length, 4 + data.readUInt32BE(0));
  const list: SupportedOpcode[] = [];
  let at = 4;
  while (at + DESCRIPTOR <= end) {
    const flags = data.readUInt8(at + 5);
    list.push({
      opcode: data.readUInt8(at),
      serviceAction: (flags & 1) === 0 ? null : data.readUInt16BE(at + 2),
      cdbLength: data.readUInt16BE(at + 6),
    });
    at += DESCRIPTOR + ((flags & 2) === 0 ? 0 : TIMEOUTS);
  }
  return list;
}

export interface OpcodeSupport {
  /** null: the unit cannot tell now. */
  readonly supported: boolean | null;
  /** The usage data at hand; empty unless supported. */
  readonly usage: Buffer;
}

/** The one_command format. */
export function parseOneOpcode(data: Buffer): OpcodeSupport {
  if (data.length < 4) throw new ProtocolError(CLAUSE, `data of ${data.length} bytes`);
  const support = data.readUInt8(1) & 7;
  const supported = support === 3 || support === 5;
  return {
    supported: support === 0 ? null : supported,
    usage: supported ? data.subarray(4, 4 + data.readUInt16BE(2)) : Buffer.alloc(0),
  };
}

/** Task management functions; ABORT TASK and LOGICAL UNIT RESET are mandatory. */
export interface SupportedTmfs {
  readonly abortTask: boolean;
  readonly abortTaskSet: boolean;
  readonly clearAca: boolean;
  readonly clearTaskSet: boolean;
  readonly logicalUnitReset: boolean;
  readonly queryTask: boolean;
  readonly queryTaskSet: boolean;
  readonly nexusReset: boolean;
}

/** 4 bytes, or 16 in the extended format (REPD), which states no timeouts. */
export function buildSupportedTmfs(tmfs: SupportedTmfs, extended: boolean): Buffer {
  const b = Buffer.alloc(extended ? 16 : 4);
  b[0] =
    (tmfs.abortTask ? 0x80 : 0) |
    (tmfs.abortTaskSet ? 0x40 : 0) |
    (tmfs.clearAca ? 0x20 : 0) |
    (tmfs.clearTaskSet ? 0x10 : 0) |
    (tmfs.logicalUnitReset ? 0x08 : 0) |
    (tmfs.queryTask ? 0x04 : 0);
  b[1] = (tmfs.queryTaskSet ? 2 : 0) | (tmfs.nexusReset ? 1 : 0);
  if (extended) b[3] = 12;
  return b;
}

/** Either format. */
export function parseSupportedTmfs(data: Buffer): SupportedTmfs {
  if (data.length < 2) throw new ProtocolError('SPC-4 §6.36', `data of ${data.length} bytes`);
  const [byte0, byte1] = [data.readUInt8(0), data.readUInt8(1)];
  return {
    abortTask: (byte0 & 0x80) !== 0,
    abortTaskSet: (byte0 & 0x40) !== 0,
    clearAca: (byte0 & 0x20) !== 0,
    clearTaskSet: (byte0 & 0x10) !== 0,
    logicalUnitReset: (byte0 & 0x08) !== 0,
    queryTask: (byte0 & 0x04) !== 0,
    queryTaskSet: (byte1 & 2) !== 0,
    nexusReset: (byte1 & 1) !== 0,
  };
}
