// A stand-in for a `disk grow` that is killed: does as its argument says and kills itself after `dieAfter` steps.
import { type GrowOptions, growDisk } from '../../src/services/disk/grow.js';

const { dieAfter, ...options } = JSON.parse(process.argv[2] ?? '') as GrowOptions & { dieAfter: number };
let done = 0;
await growDisk({
  ...options,
  onStep({ name }) {
    process.stdout.write(`${name}\n`);
    done++;
    if (done === dieAfter) process.kill(process.pid, 'SIGKILL');
  },
});
