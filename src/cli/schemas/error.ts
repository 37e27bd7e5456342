// What every command prints under --json when it fails.
import * as v from 'valibot';
import { ERROR_CODES } from '../../util/errors.js';
import { document, text } from './parts.js';

export const error = v.strictObject({
  code: v.pipe(v.picklist(ERROR_CODES), v.description('Stable name of the failure.')),
  exit: v.pipe(
    v.number(),
    v.integer(),
    v.minValue(1),
    v.maxValue(255),
    v.description('Exit status of the command: EXIT STATUS in lunctl(8).'),
  ),
  message: text('One line that names the object, the reason and the status of the protocol.'),
  hint: v.exactOptional(text('One line that says what to try.')),
});

/** In what a command prints that has tried several objects: the first failure, which gives the exit status. */
export const firstError = v.exactOptional(
  v.pipe(error, v.description('Only there when something has failed: the first failure, which gives the exit status.')),
);

export const errorDocument = document('error', 'A failure of any command.', { error });
