// Mode fw: no firmware has told us any target.
import type { Call } from './call.js';

const NO_OBJECTS = 21;

export async function runFw({ talk }: Call): Promise<void> {
  talk.complain(`Could not get list of targets from firmware. (err ${NO_OBJECTS})`);
  talk.fail(NO_OBJECTS);
}
