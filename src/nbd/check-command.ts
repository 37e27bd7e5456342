// Whether a client may do what its request asks for, and the errno if not. NBD proto.md "Request types", "Error values".
import { BlockFlag, BlockOp, BlockStatus } from '../block/block-device.js';
import type { NbdLimits } from './limits.js';
import { Command, CommandFlag, TransmissionFlag } from './wire/constants.js';

/** What a request is judged by. */
export interface CommandContext {
  /** As negotiated. */
  readonly flags: number;
  readonly structuredReplies: boolean;
  /** The largest size of the export that the client may know of, in bytes, and the size now: the disk may have shrunk. */
  readonly sizeBytes: number;
  readonly presentBytes: number;
  readonly limits: NbdLimits;
}

/** The block operation of a command, or undefined for one that is unknown or was not offered. */
export function operationOf(command: number, flags: number): BlockOp | undefined {
  switch (command) {
    case Command.Read:
      return BlockOp.Read;
    case Command.Write:
      return BlockOp.Write;
    case Command.Flush:
      return BlockOp.Flush;
    // A read-only export offers neither, but a client that tries is told EPERM and not EINVAL.
    case Command.Trim:
      return (flags & (TransmissionFlag.SendTrim | TransmissionFlag.ReadOnly)) !== 0 ? BlockOp.Trim : undefined;
    case Command.WriteZeroes:
      return (flags & (TransmissionFlag.SendWriteZeroes | TransmissionFlag.ReadOnly)) !== 0
        ? BlockOp.WriteZeroes
        : undefined;
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
  op: BlockOp,
  commandFlags: number,
  offset: number,
  length: number,
): BlockStatus {
  if ((commandFlags & ~allowedFlags(op, context.flags)) !== 0) return BlockStatus.Einval;
  if (op === BlockOp.Flush) return offset === 0 && length === 0 ? BlockStatus.Ok : BlockStatus.Einval;
  if (op !== BlockOp.Read && (context.flags & TransmissionFlag.ReadOnly) !== 0) return BlockStatus.Eperm;
  if (op === BlockOp.Read && length > context.limits.requestLength) {
    return context.structuredReplies ? BlockStatus.Eoverflow : BlockStatus.Einval;
  }
  if (op === BlockOp.Write && length > context.limits.requestLength) return BlockStatus.Einval;
  if (offset + length > context.sizeBytes) {
    return op === BlockOp.Write || op === BlockOp.WriteZeroes ? BlockStatus.Enospc : BlockStatus.Einval;
  }
  // Right by the size that the client was told.
  return offset + length > context.presentBytes ? BlockStatus.Eio : BlockStatus.Ok;
}

// FUA is valid on every command once SEND_FUA was set: clients are known to send it with reads.
function allowedFlags(op: BlockOp, flags: number): number {
  if (op === BlockOp.Read) return CommandFlag.Fua | ((flags & TransmissionFlag.SendDf) !== 0 ? CommandFlag.Df : 0);
  if (op !== BlockOp.WriteZeroes) return CommandFlag.Fua;
  const fastZero = (flags & TransmissionFlag.SendFastZero) !== 0 ? CommandFlag.FastZero : 0;
  return CommandFlag.Fua | CommandFlag.NoHole | fastZero;
}
