// Whether a client may do what its request asks for, and the errno if not. NBD proto.md "Request types", "Error values".
import { BlockFlag, BlockOp, BlockStatus } from '../block/block-device.js';
import type { NbdLimits } from './limits.js';
import { Command, CommandFlag, TransmissionFlag } from './wire/constants.js';

/** What a request is judged by. */
export interface CommandContext {
  /** As negotiated. */
  readonly flags: number;
  readonly structuredReplies: boolean;
  /** Whether the client has selected base:allocation. */
  readonly allocation: boolean;
  /** The largest size of the export that the client may know of, in bytes, and the size now: the disk may have shrunk. */
  readonly sizeBytes: number;
  readonly presentBytes: number;
  readonly limits: NbdLimits;
}

/** The operation of the device that a command becomes; undefined for one that becomes none, or that is unknown. */
export function operationOf(command: number): BlockOp | undefined {
  switch (command) {
    case Command.Read:
      return BlockOp.Read;
    case Command.Write:
      return BlockOp.Write;
    case Command.Flush:
      return BlockOp.Flush;
    case Command.Trim:
      return BlockOp.Trim;
    case Command.WriteZeroes:
      return BlockOp.WriteZeroes;
    default:
      return undefined;
  }
}

/** The device's flags for a command's. FUA on a command that writes nothing has no meaning and may be ignored. */
export function blockFlags(op: BlockOp, commandFlags: number): number {
  if (op === BlockOp.Read || op === BlockOp.Flush) return 0;
  return (
    ((commandFlags & CommandFlag.Fua) !== 0 ? BlockFlag.Fua : 0) |
    ((commandFlags & CommandFlag.NoHole) !== 0 ? BlockFlag.NoHole : 0) |
    ((commandFlags & CommandFlag.FastZero) !== 0 ? BlockFlag.FastZero : 0)
  );
}

/** Ok, or the error with which the server must answer. `offset` may be rounded above 2^53: it is refused then. */
export function checkCommand(
  context: CommandContext,
  command: number,
  commandFlags: number,
  offset: number,
  length: number,
): BlockStatus {
  const { flags, limits } = context;
  if (!isOffered(context, command)) return BlockStatus.Einval;
  if ((commandFlags & ~allowedFlags(command, flags)) !== 0) return BlockStatus.Einval;
  if (command === Command.Flush) return offset === 0 && length === 0 ? BlockStatus.Ok : BlockStatus.Einval;
  if (changes(command) && (flags & TransmissionFlag.ReadOnly) !== 0) return BlockStatus.Eperm;
  if (command === Command.Read && length > limits.requestLength) {
    return context.structuredReplies ? BlockStatus.Eoverflow : BlockStatus.Einval;
  }
  if (command === Command.Write && length > limits.requestLength) return BlockStatus.Einval;
  // Its reply has at least one extent, and none is empty.
  if (command === Command.BlockStatus && length === 0) return BlockStatus.Einval;
  if (offset + length > context.sizeBytes) {
    return command === Command.Write || command === Command.WriteZeroes ? BlockStatus.Enospc : BlockStatus.Einval;
  }
  // Right by the size that the client was told.
  return offset + length > context.presentBytes ? BlockStatus.Eio : BlockStatus.Ok;
}

function isOffered({ flags, allocation }: CommandContext, command: number): boolean {
  switch (command) {
    case Command.Read:
    case Command.Write:
    case Command.Flush:
      return true;
    // A read-only export offers neither, but a client that tries is told EPERM and not EINVAL.
    case Command.Trim:
      return (flags & (TransmissionFlag.SendTrim | TransmissionFlag.ReadOnly)) !== 0;
    case Command.WriteZeroes:
      return (flags & (TransmissionFlag.SendWriteZeroes | TransmissionFlag.ReadOnly)) !== 0;
    case Command.Cache:
      return (flags & TransmissionFlag.SendCache) !== 0;
    case Command.BlockStatus:
      return allocation;
    default:
      return false;
  }
}
function changes(command: number): boolean {
  return command === Command.Write || command === Command.Trim || command === Command.WriteZeroes;
}

// FUA is valid on every command once SEND_FUA was set: clients are known to send it with reads.
function allowedFlags(command: number, flags: number): number {
  switch (command) {
    case Command.Read:
      return CommandFlag.Fua | ((flags & TransmissionFlag.SendDf) !== 0 ? CommandFlag.Df : 0);
    case Command.WriteZeroes: {
      const fastZero = (flags & TransmissionFlag.SendFastZero) !== 0 ? CommandFlag.FastZero : 0;
      return CommandFlag.Fua | CommandFlag.NoHole | fastZero;
    }
    case Command.BlockStatus:
      return CommandFlag.Fua | CommandFlag.ReqOne;
    default:
      return CommandFlag.Fua;
  }
}
