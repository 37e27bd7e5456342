// Mode host: there is no iSCSI hardware below us, and nothing of it is in a flash memory.
import type { Call } from './call.js';

const NO_OBJECTS = 21;

export async function runHost({ talk }: Call): Promise<void> {
  talk.complain('No iSCSI hosts.');
  talk.fail(NO_OBJECTS);
}
