// F21: a block that cannot be read. MEDIUM ERROR, UNRECOVERED READ ERROR with its LBA; nothing is made up in its place.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ScsiStatus } from '../../src/scsi/status.js';
import { FaultyDisk, fileioObject, missing, nbdObject, read10, serveStores } from './store-rig.js';

const UNREADABLE = '03/11/00';
/** Every byte of these blocks is 0x5a but for one block of 4096 bytes, at 1 MiB. */
const BAD = 2 ** 20;
const PLUGIN = [
  'eval',
  'get_size=echo 16M',
  'can_write=exit 0',
  'pwrite=cat >/dev/null',
  `pread=if [ $4 -le ${BAD} ] && [ $(($4 + $3)) -gt ${BAD} ]; then echo EIO unreadable >&2; exit 1; fi; head -c $3 /dev/zero | tr '\\0' Z`,
];

describe('F21: a read error', () => {
  for (const kind of ['nbd', 'file'] as const) {
    const skip = kind === 'nbd' ? missing('nbdkit') : missing('nbdkit', 'nbdfuse');
    it(`as ${kind}: 03h/11h with the LBA, and no data in place of what is not there`, { skip }, async () => {
      const disk = new FaultyDisk();
      try {
        await disk.start(...PLUGIN);
        const object = kind === 'nbd' ? nbdObject('bad', disk.socket) : fileioObject('bad', await disk.file(), 2 ** 24);
        const rig = await serveStores([object]);
        const lba = BAD / 512;
        const bad = await rig.scsi(0, read10(lba, 8), { in: 4096 });
        assert.deepEqual([bad.status, bad.sense, bad.information], [ScsiStatus.CheckCondition, UNREADABLE, lba]);
        assert.ok(!bad.data.includes(0), 'no zeros');
        const before = await rig.scsi(0, read10(lba - 16, 16), { in: 8192 });
        assert.ok(before.status === ScsiStatus.Good && before.data.equals(Buffer.alloc(8192, 'Z')), 'blocks beside it');
        const over = await rig.scsi(0, read10(lba - 64, 128), { in: 65_536 });
        assert.deepEqual([over.status, over.sense], [ScsiStatus.CheckCondition, UNREADABLE]);
        // A page of the page cache is read at once, so the block that fails is known as well as that.
        const told = over.information ?? -1;
        if (kind === 'file') assert.ok(told >= lba - 8 && told <= lba, `LBA ${told}, not ${lba}`);
        else assert.equal(told, lba - 64, 'an NBD server does not say where');
        await rig.close();
      } finally {
        await disk.remove();
      }
    });
  }
});
