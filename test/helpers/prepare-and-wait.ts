// A stand-in for a disk command that is killed: prepares a label as its argument says and waits.
import { prepareLabel } from '../../src/services/disk/prepare.js';

const job = await prepareLabel(JSON.parse(process.argv[2] ?? '') as Parameters<typeof prepareLabel>[0]);
process.stdout.write(`${job.path}\n`);
setInterval(() => {}, 60_000);
