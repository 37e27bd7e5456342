// A process that takes the lock of the folder in its argument, says so, and never lets go.
import { withDatabaseLock } from '../../src/records/lock.js';

const [folder = ''] = process.argv.slice(2);
const { signal } = new AbortController();
void withDatabaseLock(folder, { linkDir: null, signal }, () => {
  process.stdout.write('held\n');
  return new Promise(() => setInterval(() => {}, 1000));
});
