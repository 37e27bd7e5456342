// F24: a flush that fails. This SYNCHRONIZE CACHE says so, and every later one, and FUA: which writes were lost nobody knows. Until
// the LUN is opened again.
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ScsiStatus } from '../../src/scsi/status.js';
import { pattern } from '../block/contract.js';
import {
  FaultyDisk,
  fileioObject,
  missing,
  nbdObject,
  read10,
  SYNCHRONIZE_CACHE,
  serveStores,
  write10,
} from './store-rig.js';

describe('F24: a flush error sticks', () => {
  for (const kind of ['nbd', 'file', 'file, written through'] as const) {
    const skip = kind === 'nbd' ? missing('nbdkit') : missing('nbdkit', 'nbdfuse');
    it(`as ${kind}`, { skip }, async () => {
      const disk = new FaultyDisk();
      const trigger = join(disk.folder, 'broken');
      const data = join(disk.folder, 'data');
      writeFileSync(data, Buffer.alloc(2 ** 20));
      try {
        await disk.start(
          'eval',
          'get_size=echo 1M',
          'can_write=exit 0',
          'can_flush=exit 0',
          `pread=dd if=${data} bs=$3 skip=$4 count=1 iflag=skip_bytes,fullblock status=none`,
          `pwrite=dd of=${data} seek=$4 oflag=seek_bytes conv=notrunc status=none`,
          `flush=if [ -e ${trigger} ]; then echo EIO broken >&2; exit 1; fi`,
        );
        const object =
          kind === 'nbd'
            ? nbdObject('flaky', disk.socket)
            : fileioObject('flaky', await disk.file(), 2 ** 20, kind === 'file');
        let rig = await serveStores([object]);
        const write = (seed: number, fua = false) => rig.scsi(0, write10(0, 8, fua), { out: pattern(4096, seed) });
        const sync = () => rig.scsi(0, SYNCHRONIZE_CACHE);
        assert.equal((await write(1)).status, ScsiStatus.Good);
        assert.equal((await sync()).status, ScsiStatus.Good);
        if (kind !== 'file, written through') assert.equal((await write(2)).status, ScsiStatus.Good);
        writeFileSync(trigger, '');
        const first = kind === 'file, written through' ? await write(2) : await sync();
        assert.deepEqual([first.status, first.sense], [ScsiStatus.CheckCondition, '03/0c/00']);
        rmSync(trigger);
        for (let again = 0; again < 2; again++) {
          assert.equal(
            (await sync()).status,
            ScsiStatus.CheckCondition,
            'the medium works again, and this is no proof',
          );
          assert.equal((await write(3, true)).status, ScsiStatus.CheckCondition, 'FUA');
        }
        assert.equal((await rig.scsi(0, read10(0, 8), { in: 4096 })).status, ScsiStatus.Good, 'reads go on');
        await rig.close();
        rig = await serveStores([object]);
        assert.equal((await write(4)).status, ScsiStatus.Good);
        assert.equal((await sync()).status, ScsiStatus.Good, 'opened anew');
        await rig.close();
      } finally {
        await disk.remove();
      }
    });
  }
});
