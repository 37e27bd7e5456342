// A stand-in for a session worker: attaches what its argument says, prints the device, and waits to be killed.
import { attachDevice } from '../../src/services/attach/attach.js';
import type { AttachRequest } from '../../src/services/attach/attachment.js';

const request = JSON.parse(process.argv[2] ?? '') as AttachRequest;
const attachment = await attachDevice(request);
process.stdout.write(`${attachment.path}\n`);
setInterval(() => {}, 60_000);
