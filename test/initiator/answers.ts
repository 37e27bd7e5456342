// What a fake target may answer to SCSI commands.
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { commandEdtl } from '../../src/iscsi/wire/scsi-command.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense, type Sense } from '../../src/scsi/sense.js';
import type { FakeTarget, SeenPdu } from '../helpers/fake-target.js';

/** A target that says GOOD to every command once its data has come as immediate data, and takes no note of it. */
export function yesMan(pdu: SeenPdu, target: FakeTarget): boolean {
  if (pdu.opcode !== Opcode.ScsiCommand) return pdu.opcode === Opcode.DataOut;
  if ([ScsiOp.Read16, ScsiOp.Read10].some((op) => op === pdu.bhs[32])) {
    target.sendRead(tagOf(pdu.bhs), Buffer.alloc(commandEdtl(pdu.bhs)));
  } else target.response(tagOf(pdu.bhs), 0);
  return true;
}
/** A target that answers the first commands with these senses or statuses, the rest by the rules. */
export function trouble(...answers: (Sense | number)[]): (pdu: SeenPdu, target: FakeTarget) => boolean {
  return (pdu, target) => {
    if (pdu.opcode !== Opcode.ScsiCommand) return false;
    const answer = answers.shift();
    if (answer === undefined) return false;
    if (typeof answer === 'number') target.response(tagOf(pdu.bhs), answer);
    else target.response(tagOf(pdu.bhs), 0x02, { sense: buildFixedSense(answer) });
    return true;
  };
}
export const sense = (key: number, asc: number, ascq: number): Sense => ({ key, asc, ascq });
export const RESET = sense(6, 0x29, 0x00);
