// What the demo must not leave behind, in any ending.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { loopDevices, mounts } from '../../src/disk/sysfs.js';

/** No folder, loop device, mount and process of the demo that lived in `folder`. */
export function nothingLeft(folder: string): void {
  assert.match(folder, /\/lunctl-demo-\w+$/);
  assert.ok(!existsSync(folder), `${folder} is still there`);
  assert.deepEqual(
    loopDevices().filter(({ backingFile }) => backingFile.startsWith(folder)),
    [],
  );
  assert.deepEqual(
    mounts().filter(({ target }) => target.startsWith(folder)),
    [],
  );
  const processes = readdirSync('/proc').filter((entry) => {
    try {
      // A worker has a title of its own instead of its command line: its environment names the folder.
      const mentions = ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${entry}/${file}`, 'latin1')).join(' ');
      return /^\d+$/.test(entry) && mentions.includes(folder);
    } catch {
      return false;
    }
  });
  assert.deepEqual(processes, []);
}
