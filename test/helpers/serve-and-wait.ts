// Our `serve` in a process of its own, for tests that measure or kill it: one memory disk, open to every initiator unless the
// argument (ServeOptions in JSON) says otherwise. It prints its port, and for each line on its input its memory in bytes.
import { createInterface } from 'node:readline';
import type { ServeOptions } from '../../src/services/serve/options.js';
import { startServe } from '../../src/services/serve/serve.js';

const changes = JSON.parse(process.argv[2] ?? '{}') as Partial<ServeOptions>;
const server = await startServe({
  disks: [{ kind: 'ramdisk', name: 'ram', sizeBytes: 32 * 2 ** 20 }],
  targetName: 'iqn.2022-08.com.test:own01',
  portals: [{ address: '127.0.0.1', port: 0 }],
  allow: [],
  open: true,
  account: null,
  mutual: null,
  readOnly: false,
  ...changes,
});
process.stdout.write(`${server.portals[0]?.port}\n`);
createInterface({ input: process.stdin })
  .on('line', () => process.stdout.write(`${JSON.stringify(process.memoryUsage())}\n`))
  .on('close', () => process.exit());
