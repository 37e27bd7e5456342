// Mode fw: no firmware has told us any target.
import type { Call } from './call.js';
import { Reported } from './reported.js';

export async function runFw({ talk }: Call): Promise<void> {
  talk.complain(`Could not get list of targets from firmware. (err ${Reported.NoObjects})`);
  talk.fail(Reported.NoObjects);
}
