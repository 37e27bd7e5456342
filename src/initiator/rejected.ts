// What a Reject refuses, and what that means for us at error recovery level 0. RFC 7143 §11.17.
import { BHS_LENGTH, NO_TAG, Opcode, opcodeName, opcodeOf, itt as tagOf } from '../iscsi/wire/bhs.js';
import { type Reject, RejectReason, rejectReasonText } from '../iscsi/wire/reject.js';

export interface Rejected {
  readonly message: string;
  /** The tag of the refused PDU, NO_TAG if its header did not come along. */
  readonly itt: number;
  /**
   * `task`: the command ends here, no status will come. `function`: a task management function is refused. `none`: refused
   * data ends its command by a status or by the command's deadline, a refused ping shows life all the same. `connection`:
   * an exchange of ours would wait forever, or all commands would.
   */
  readonly fate: 'task' | 'function' | 'none' | 'connection';
}

/** `data` is the Reject's data segment: the header of the PDU that was refused. */
export function rejectedPdu(pdu: Reject, data: Buffer): Rejected {
  const reason = rejectReasonText(pdu.reason);
  if (data.length < BHS_LENGTH) return { message: `the target rejected a PDU: ${reason}`, itt: NO_TAG, fate: 'none' };
  const opcode = opcodeOf(data);
  return {
    message: `the target rejected ${opcodeName(opcode)}: ${reason}`,
    itt: tagOf(data),
    fate: fateOf(opcode, pdu.reason),
  };
}

function fateOf(opcode: number, reason: number): Rejected['fate'] {
  switch (opcode) {
    case Opcode.ScsiCommand:
      // With its immediate data the command itself was thrown away, and its CmdSN is missing: nothing that follows would be
      // executed. To send it again under the same number is for higher recovery levels (§7.8, §7.2.1).
      return reason === RejectReason.DataDigestError ? 'connection' : 'task';
    case Opcode.TaskManagementRequest:
      return 'function';
    case Opcode.NopOut:
    case Opcode.DataOut:
      return 'none';
    default:
      return 'connection';
  }
}
