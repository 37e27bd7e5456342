// F20: a full file system behind a thin disk. WRITE ends with DATA PROTECT, SPACE ALLOCATION FAILED WRITE PROTECT; reads and other
// LUNs go on; when space has come back writes work again.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ScsiStatus } from '../../src/scsi/status.js';
import { pattern } from '../block/contract.js';
import {
  FaultyDisk,
  fileioObject,
  missing,
  nbdObject,
  ramdiskObject,
  read10,
  type StoreRig,
  serveStores,
  unmap,
  write10,
} from './store-rig.js';

const FULL = '07/27/07';
const BLOCKS = 2048;

/** LUN 0 is full from now on, LUN 1 is not. */
async function checkFull(rig: StoreRig, lba: number): Promise<void> {
  const refused = await rig.scsi(0, write10(lba, BLOCKS), { out: pattern(BLOCKS * 512, 2) });
  assert.deepEqual([refused.status, refused.sense], [ScsiStatus.CheckCondition, FULL]);
  const read = await rig.scsi(0, read10(0, 8), { in: 4096 });
  assert.ok(
    read.status === ScsiStatus.Good && read.data.equals(pattern(BLOCKS * 512, 1).subarray(0, 4096)),
    'reads go on',
  );
  const other = await rig.scsi(1, write10(0, BLOCKS), { out: pattern(BLOCKS * 512, 3) });
  assert.equal(other.status, ScsiStatus.Good, 'the other LUN goes on');
}

describe('F20: no space left', () => {
  it('a sparse file on a full tmpfs: freed by UNMAP, by the initiator itself', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'lunctl-f20-'));
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder]);
    if (mounted.status !== 0) {
      rmSync(folder, { recursive: true });
      t.skip('mounting a small tmpfs is not allowed here');
      return;
    }
    try {
      const image = join(folder, 'disk.img');
      const file = openSync(image, 'w');
      ftruncateSync(file, 2 ** 26);
      closeSync(file);
      const rig = await serveStores([fileioObject('thin', image, 2 ** 26), ramdiskObject('other', 2 ** 22)]);
      let lba = 0;
      let last = await rig.scsi(0, write10(0, BLOCKS), { out: pattern(BLOCKS * 512, 1) });
      while (last.status === ScsiStatus.Good) {
        lba += BLOCKS;
        last = await rig.scsi(0, write10(lba, BLOCKS), { out: pattern(BLOCKS * 512, 2) });
      }
      assert.ok(last.sense === FULL && lba >= 6 * BLOCKS, `${last.sense} at ${lba}`);
      await checkFull(rig, lba);
      assert.equal((await rig.scsi(0, ...unmap(BLOCKS, 2 * BLOCKS))).status, ScsiStatus.Good);
      assert.equal(
        (await rig.scsi(0, write10(lba, BLOCKS), { out: pattern(BLOCKS * 512, 4) })).status,
        ScsiStatus.Good,
      );
      const [written, freed] = [
        await rig.scsi(0, read10(lba, BLOCKS), { in: BLOCKS * 512 }),
        await rig.scsi(0, read10(BLOCKS, 8), { in: 4096 }),
      ];
      assert.ok(written.data.equals(pattern(BLOCKS * 512, 4)));
      assert.ok(freed.data.equals(Buffer.alloc(4096)), 'what was unmapped reads as zeros');
      await rig.close();
    } finally {
      assert.equal(spawnSync('umount', [folder]).status, 0);
      rmSync(folder, { recursive: true });
    }
  });

  for (const kind of ['nbd', 'file'] as const) {
    const skip = kind === 'nbd' ? missing('nbdkit') : missing('nbdkit', 'nbdfuse');
    it(`an engine that says ENOSPC, as ${kind}`, { skip }, async () => {
      const disk = new FaultyDisk();
      const trigger = join(disk.folder, 'full');
      try {
        await disk.start(
          '--filter=error',
          'memory',
          '16M',
          'error-pwrite=ENOSPC',
          'error-pwrite-rate=100%',
          `error-file=${trigger}`,
        );
        const object =
          kind === 'nbd' ? nbdObject('full', disk.socket) : fileioObject('full', await disk.file(), 2 ** 24);
        const rig = await serveStores([object, ramdiskObject('other', 2 ** 22)]);
        assert.equal(
          (await rig.scsi(0, write10(0, BLOCKS), { out: pattern(BLOCKS * 512, 1) })).status,
          ScsiStatus.Good,
        );
        writeFileSync(trigger, '');
        await checkFull(rig, BLOCKS);
        rmSync(trigger);
        assert.equal(
          (await rig.scsi(0, write10(BLOCKS, BLOCKS), { out: pattern(BLOCKS * 512, 4) })).status,
          ScsiStatus.Good,
        );
        await rig.close();
      } finally {
        await disk.remove();
      }
    });
  }
});
