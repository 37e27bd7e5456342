// A process that says so, takes the lock of the folder in its argument, says that too, and lets go when it is told to end.
import { withDatabaseLock } from '../../src/records/lock.js';

const [folder = ''] = process.argv.slice(2);
const { signal } = new AbortController();
process.stdout.write('waiting\n');
void withDatabaseLock(folder, { linkDir: null, signal }, () => {
  process.stdout.write('held\n');
  const alive = setInterval(() => {}, 1000);
  return new Promise<void>((resolve) => process.once('SIGTERM', () => resolve(clearInterval(alive))));
});
