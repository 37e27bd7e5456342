// How a failure is shown: one line that can be grepped whole, a hint below it, or one JSON object.
import { AppError, messageOf } from '../../util/errors.js';
import { oneLine } from '../../util/printable.js';
import { exitCodeOf } from '../exit-codes.js';
import type { error as errorSchema } from '../schemas/error.js';
import type { Output } from '../schemas/parts.js';

export type ErrorJson = Output<typeof errorSchema>;

/** An allow-list: nothing of the command line, no stack and no cause gets into JSON. */
export function errorJson(error: unknown): ErrorJson {
  const hint = error instanceof AppError ? error.hint : undefined;
  return {
    code: error instanceof AppError ? error.code : 'ERR_UNKNOWN',
    exit: exitCodeOf(error),
    message: oneLine(messageOf(error)),
    ...(hint === undefined ? {} : { hint: oneLine(hint) }),
  };
}

/** `lunctl: message [exit]` and, if there is one, `hint: …`; each line ended, none wrapped. */
export function errorText(error: unknown): string {
  const { message, exit, hint } = errorJson(error);
  return `lunctl: ${message} [${exit}]\n${hint === undefined ? '' : `hint: ${hint}\n`}`;
}

/** The chain of causes below an error, one indented line each, for --verbose. At most eight. */
export function causesText(error: unknown): string {
  let text = '';
  let cause = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; cause !== undefined && depth < 8; depth++) {
    text += `  caused by: ${oneLine(messageOf(cause))}\n`;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return text;
}
