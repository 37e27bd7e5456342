// Commands that must not be sent twice: COMPARE AND WRITE and PERSISTENT RESERVE OUT. A second try of one that was
// executed would fail, or undo what another initiator has done since; so a lost answer is told as what it is.
import { parseSense } from '../scsi/sense.js';
import { classifySense } from '../scsi/sense-class.js';
import { ScsiStatus } from '../scsi/status.js';
import { AppError, messageOf } from '../util/errors.js';
import type { ScsiCommand, ScsiResult } from './execute.js';
import { type Gate, GateState } from './gate.js';
import { refusalText } from './questioner.js';
import type { InitiatorSession } from './session.js';

/** Unit attentions that the command may meet: a unit can queue several, and each is told once. */
const MOST_ATTENTIONS = 16;

/** The unit that such a command is for; a Lun is one. */
export interface OnceUnit {
  readonly address: Buffer;
  readonly gate: Gate;
}

/** A command, its name for messages, and how to find out what has become of it when its answer is lost. */
export interface OnceCommand extends ScsiCommand {
  readonly gate: Gate;
  readonly name: string;
  readonly howToCheck: string;
}

/**
 * Sends `command` and gives its status, whatever it is. After a unit attention it is sent again, because the unit has
 * not begun it then (SAM-5 §5.14.1), unless the unit may be another one now; after nothing else.
 * @throws AppError ERR_NOT_CONNECTED if it was never sent, ERR_AGAIN (outcome unknown) if it was and no status came, or
 * one that does not tell: TASK ABORTED, ABORTED COMMAND
 */
export async function executeOnce(session: InitiatorSession, command: OnceCommand): Promise<ScsiResult> {
  const { name } = command;
  if (session.state !== 'LOGGED_IN') {
    const reason = session.lastError?.message ?? 'the session is not logged in';
    throw new AppError('ERR_NOT_CONNECTED', `${name} was not sent: ${reason}`, { retriable: true });
  }
  for (let attentions = 0; ; attentions++) {
    if (command.gate.state !== GateState.Open) {
      const message = `${name} was not executed: whether the unit is still the same is not certain`;
      throw new AppError('ERR_NOT_CONNECTED', message, { retriable: true });
    }
    const result = await session.execute(command).catch((error: unknown) => {
      // All slots taken: it has not left.
      if (error instanceof AppError && error.code === 'ERR_BUSY') throw error;
      throw unknownOutcome(command, messageOf(error), error);
    });
    if (attentions < MOST_ATTENTIONS && isAttention(result)) continue;
    if (isAborted(result)) throw unknownOutcome(command, refusalText(result));
    return result;
  }
}

function unknownOutcome({ name, howToCheck }: OnceCommand, reason: string, cause?: unknown): AppError {
  return new AppError('ERR_AGAIN', `outcome unknown: ${name} may have been executed or not (${reason})`, {
    cause,
    hint: howToCheck,
  });
}

function isAttention({ status, sense }: ScsiResult): boolean {
  if (status !== ScsiStatus.CheckCondition || sense === null) return false;
  return classifySense(parseSense(sense)).kind === 'unit-attention';
}

function isAborted({ status, sense }: ScsiResult): boolean {
  if (status === ScsiStatus.TaskAborted) return true;
  if (status !== ScsiStatus.CheckCondition || sense === null) return false;
  return classifySense(parseSense(sense)).kind === 'aborted';
}
