// Serves one file in a process of its own, so that strace can watch it: PATH SIZE WRITE_BACK. Prints the port, ends with its input.
import { startConfigured } from '../../src/services/serve/serve.js';
import { fileioObject, storeConfig } from './store-rig.js';

const [path = '', size = '', writeBack = ''] = process.argv.slice(2);
const server = await startConfigured(storeConfig([fileioObject('traced', path, Number(size), writeBack === 'true')]), {
  lenient: false,
});
process.stdout.write(`${server.portals[0]?.port}\n`);
process.stdin.resume().on('end', () => void server.close().then(() => process.exit(0)));
