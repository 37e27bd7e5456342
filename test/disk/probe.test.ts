// What util-linux programs print, recorded from version 2.38.1 and read back.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { describeSignature, isTable, parseBlkid, parseSfdisk, parseWipefs } from '../../src/disk/probe.js';
import { mountPointsOf, parseMountInfo } from '../../src/disk/sysfs.js';
import { AppError } from '../../src/util/errors.js';

const LABELLED = `{
   "signatures": [
      {
         "device": "loop0",
         "offset": "0x200",
         "type": "gpt",
         "uuid": null,
         "label": null
      },{
         "device": "loop0",
         "offset": "0x1fe",
         "type": "PMBR",
         "uuid": null,
         "label": null
      },{
         "device": "loop0p1",
         "offset": "0x438",
         "type": "ext4",
         "uuid": "c004fef2-1bb7-41fd-a78f-10cba49ca0f8",
         "label": "old data"
      }
   ]
}
`;

describe('wipefs --json', () => {
  test('signatures', () => {
    const found = parseWipefs(LABELLED);
    assert.deepEqual(found[2] && { ...found[2] }, {
      type: 'ext4',
      offset: 0x438,
      uuid: 'c004fef2-1bb7-41fd-a78f-10cba49ca0f8',
      label: 'old data',
    });
    assert.deepEqual(found.map(isTable), [true, true, false]);
    assert.deepEqual(found.map(describeSignature), [
      'gpt, partition table at 0x200',
      'PMBR, partition table at 0x1fe',
      'ext4 "old data", signature at 0x438',
    ]);
  });
  test('a blank disk', () => {
    assert.deepEqual(parseWipefs(''), []);
    assert.deepEqual(parseWipefs('{\n   "signatures": [\n\n   ]\n}\n'), []);
  });
  for (const text of ['{', '[]', '{"signatures":{}}', '{"signatures":[{"type":"xfs"}]}', 'wipefs: error']) {
    test(`${text} is not taken for a blank disk`, () => assert.throws(() => parseWipefs(text), { code: 'ERR_HELPER' }));
  }
});

describe('blkid --probe --output export', () => {
  test('a file system', () => {
    const text =
      'DEVNAME=/dev/loop0p1\nLABEL=old\\ data\\\\\nUUID=936bd052\nBLOCK_SIZE=4096\nTYPE=xfs\nUSAGE=filesystem\n';
    assert.deepEqual(parseBlkid(text), { type: 'xfs', table: null, label: 'old data\\', uuid: '936bd052' });
  });
  test('a table, and nothing', () => {
    assert.equal(parseBlkid('PTUUID=ef9d\nPTTYPE=gpt\n').table, 'gpt');
    assert.deepEqual(parseBlkid(''), { type: null, table: null, label: null, uuid: null });
  });
});

describe('sfdisk --json', () => {
  test('a table with and without partitions', () => {
    const partitions = [{ node: '/dev/loop0p12', start: 256, size: 512, type: 'x' }];
    const table = { label: 'gpt', sectorsize: 4096, lastlba: 1018, partitions };
    assert.deepEqual(parseSfdisk(JSON.stringify({ partitiontable: table })), {
      label: 'gpt',
      sectorSize: 4096,
      lastUsable: 1018,
      ranges: [{ number: 12, start: 256, length: 512, type: 'x' }],
    });
    assert.deepEqual(parseSfdisk('{"partitiontable":{"label":"dos"}}'), {
      label: 'dos',
      sectorSize: 512,
      lastUsable: null,
      ranges: [],
    });
    assert.throws(() => parseSfdisk('{}'), { code: 'ERR_HELPER' });
  });
});

describe('mountinfo', () => {
  const TEXT = [
    '22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p1 rw,errors=remount-ro',
    '90 22 43:1 / /mnt/my\\040disk rw,nosuid shared:50 master:2 - xfs /dev/nbd0p1 rw,attr2',
    '91 22 0:55 /sub /srv/b rw shared:51 - btrfs /dev/loop3p2 rw,space_cache=v2',
    '92 22 0:60 / /run/x rw - fuse /dev/fuse rw,user_id=0',
    'not a line',
    '',
  ].join('\n');
  test('mounts, with and without optional fields', () => {
    const all = parseMountInfo(TEXT);
    assert.deepEqual(
      all.map(({ target, fsType }) => [target, fsType]),
      [
        ['/', 'ext4'],
        ['/mnt/my disk', 'xfs'],
        ['/srv/b', 'btrfs'],
        ['/run/x', 'fuse'],
      ],
    );
    assert.deepEqual(mountPointsOf('/dev/nbd0p1', '43:1', all), ['/mnt/my disk']);
    assert.deepEqual(mountPointsOf('/dev/loop3p2', '259:9', all), ['/srv/b']);
    assert.deepEqual(mountPointsOf('/dev/nbd0', '43:0', all), []);
  });
});

test('whatever a program prints ends in a result or an AppError', () => {
  const parsers = [parseWipefs, parseBlkid, parseSfdisk, parseMountInfo];
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), fc.constantFrom(...parsers), (text, parse) => {
      try {
        parse(text);
      } catch (error) {
        assert.ok(error instanceof AppError);
      }
    }),
  );
});
