import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { blockSizes } from '../../src/nbd/export-view.js';
import { ExportTable, type NbdExport } from '../../src/nbd/exports.js';

function entry(name: string): NbdExport {
  return { name, description: '', device: new MemoryDevice({ sizeBytes: 2 ** 20 }), readOnly: false };
}

describe('ExportTable', () => {
  it('lists exports in the order in which they were added', () => {
    const table = new ExportTable([entry('lun1'), entry('lun0')]);
    table.add(entry('lun0p1'));
    assert.deepEqual(
      table.list().map(({ name }) => name),
      ['lun1', 'lun0', 'lun0p1'],
    );
    table.remove('lun1');
    assert.equal(table.find('lun1'), undefined);
  });

  it('takes the first export for the default one, unless one has the empty name', () => {
    const table = new ExportTable();
    assert.equal(table.find(''), undefined);
    table.add(entry('lun0'));
    assert.equal(table.find('')?.name, 'lun0');
    table.add(entry(''));
    assert.equal(table.find('')?.name, '');
  });

  it('replaces an export of the same name', () => {
    const table = new ExportTable([entry('lun0')]);
    const second = entry('lun0');
    table.add(second);
    assert.equal(table.find('lun0'), second);
    assert.equal(table.list().length, 1);
  });
});

describe('blockSizes', () => {
  const usual = { blockSize: 512, physicalBlockSize: 512, optimalIoSize: 0, maxTransfer: 2 ** 25 };
  const cases: [string, Partial<typeof usual>, [number, number, number]][] = [
    ['blocks of 512', {}, [512, 4096, 2 ** 25]],
    ['blocks of 4096', { blockSize: 4096, physicalBlockSize: 4096 }, [4096, 4096, 2 ** 25]],
    ['large physical blocks', { physicalBlockSize: 16_384 }, [512, 16_384, 2 ** 25]],
    ['an optimal size', { optimalIoSize: 65_536 }, [512, 65_536, 2 ** 25]],
    ['an optimal size that is no power of two', { optimalIoSize: 3 * 65_536 }, [512, 4096, 2 ** 25]],
    ['an optimal size of 8 MiB', { optimalIoSize: 2 ** 23 }, [512, 4096, 2 ** 25]],
    ['a small largest transfer', { maxTransfer: 2 ** 19 }, [512, 4096, 2 ** 19]],
    ['a huge largest transfer', { maxTransfer: 2 ** 31 }, [512, 4096, 2 ** 25]],
    ['a largest transfer that is no multiple', { blockSize: 4096, maxTransfer: 100_000 }, [4096, 4096, 98_304]],
  ];
  for (const [what, properties, [minimum, preferred, maximum]] of cases) {
    it(`follows the protocol's rules for ${what}`, () => {
      assert.deepEqual(blockSizes({ ...usual, ...properties }, 2 ** 25), { minimum, preferred, maximum });
    });
  }
});
