// The bench's own instruments on a target without faults: they work, and they notice what they are there to notice.
import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fio, fioMissing, footprint, Rig, tgtMissing } from './rig.js';
import { BLOCK, stamp } from './stamped-disk.js';

describe('the fault rig', { skip: tgtMissing() }, () => {
  it('writes and checks through proxy, worker and NBD', async () => {
    const rig = await Rig.start();
    try {
      const disk = await rig.stamped();
      const end = new AbortController();
      const run = disk.run({ signal: end.signal });
      await sleep(500);
      end.abort();
      await run;
      await disk.checkAll();
      assert.deepEqual([disk.problems, disk.failures], [[], []]);
      assert.ok(disk.completed > 50, `${disk.completed} requests`);
      const isids = new Set(rig.proxy.logins.map(({ isid }) => isid));
      assert.deepEqual([...isids], [rig.session.isid]);
      assert.ok(footprint(rig.session.pid).descriptors > 5);
    } finally {
      await rig.stop();
    }
  });

  it('notices a stale, a misplaced and a torn block', async () => {
    const rig = await Rig.start({ worker: 'inside', proxy: false });
    const file = openSync(rig.tgt.image, 'r+');
    try {
      const disk = await rig.stamped();
      for (const block of [0, 1, 2, 3]) await disk.write(block);
      await disk.write(0);
      writeSync(file, stamp(0, 1), 0, BLOCK, 0);
      writeSync(file, stamp(0, 2), 0, BLOCK, BLOCK);
      writeSync(file, stamp(2, 1), 0, 512, 2 * BLOCK + 512);
      await disk.checkAll();
      assert.equal(disk.problems.length, 3, disk.problems.join('\n'));
    } finally {
      closeSync(file);
      await rig.stop();
    }
  });

  it('runs fio --verify on the disk', { skip: fioMissing() }, async () => {
    const rig = await Rig.start();
    try {
      const { code, output } = await fio(rig.uri, [
        ...['--rw=randwrite', '--bs=4k', '--size=2M', '--iodepth=8', '--verify=crc32c', '--do_verify=1'],
      ]);
      assert.equal(code, 0, output);
    } finally {
      await rig.stop();
    }
  });
});
