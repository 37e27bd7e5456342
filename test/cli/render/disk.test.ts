// Disks and mounts as text.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DISKS, diskRows, mountedText } from '../../../src/cli/render/disk.js';
import { chosenColumns, defaultColumns, listText } from '../../../src/cli/render/listing.js';
import type { ListedDisk, ListedPartition } from '../../../src/services/disk/list.js';

const G = 1024 ** 3;

test('a mount reads as df -hT prints it', () => {
  const mounted = {
    source: '/dev/nbd0p1',
    type: 'xfs',
    target: '/mnt',
    sizeBytes: 10_668_212_224,
    usedBytes: 103_006_208,
    availableBytes: 10_565_206_016,
  };
  assert.equal(
    mountedText(mounted),
    'Filesystem   Type  Size  Used  Avail  Use%  Mounted on\n/dev/nbd0p1  xfs    10G   99M   9.9G    1%  /mnt\n',
  );
  const full = { ...mounted, sizeBytes: 512, usedBytes: 512, availableBytes: 0 };
  assert.match(mountedText(full), /xfs {3} 512 {3}512 {6}0 {2}100% {2}\/mnt/);
});

const nothing = { probed: true, type: null, label: null, uuid: null, mounts: [] };
const disk = (values: Partial<ListedDisk>): ListedDisk => ({
  ...nothing,
  sid: 1,
  state: 'LOGGED_IN',
  recovery: 'none',
  targetName: 'iqn.2022-08.com.test:dlp.target01',
  lun: 0,
  path: '/dev/nbd0',
  attach: 'nbd',
  nbd: '',
  sizeBytes: 10 * G,
  blockSize: 512,
  ...{ vendor: '', product: '', note: null },
  serial: '',
  designator: '',
  readOnly: false,
  table: 'gpt',
  partitions: [],
  ...values,
});
const part = (values: Partial<ListedPartition>): ListedPartition => {
  const names = { partitionType: null, partitionUuid: null, partitionName: null };
  return {
    ...nothing,
    ...names,
    number: 1,
    path: '/dev/nbd0p1',
    nbd: null,
    startBytes: 0,
    sizeBytes: 5 * G,
    ...values,
  };
};

test('a tree of disks, partitions and mounts; hostile labels show no control characters', () => {
  const mounts = [{ target: '/mnt', usedBytes: 1, sizeBytes: 100 }];
  const disks = [
    disk({
      partitions: [part({ type: 'xfs', label: 'da\u001b[31mta', mounts }), part({ number: 2, path: '/dev/nbd0p2' })],
    }),
    disk({
      lun: 1,
      path: null,
      table: null,
      sizeBytes: 2 * 1024 * G,
      state: 'FAILED',
      recovery: 'waiting',
      probed: false,
      partitions: [part({ path: null, probed: false })],
    }),
    disk({ lun: 2, path: '/dev/nbd1', table: null, type: 'ext4' }),
  ];
  assert.equal(
    listText(defaultColumns(DISKS), diskRows(disks)),
    `DEVICE    SIZE  TYPE  FSTYPE  LABEL     MOUNT  USED  FROM
nbd0       10G  gpt   -       -         -         -  iqn.2022-08.com.test:dlp.target01/0
├─nbd0p1    5G  part  xfs     da[31mta  /mnt     1%
└─nbd0p2    5G  part  -       -         -         -
-           2T  ?     ?       ?         -         -  iqn.2022-08.com.test:dlp.target01/1 (session reopening)
└─p1        5G  part  ?       ?         -         -
nbd1       10G  disk  ext4    -         -         -  iqn.2022-08.com.test:dlp.target01/2
`,
  );
});

test('sizes in bytes, and what a session is doing', () => {
  const rows = diskRows([disk({ recovery: 'expired' }), disk({ lun: 1, state: 'FREE' })]);
  const text = listText(defaultColumns(DISKS), rows, { bytes: true });
  assert.match(text, /^nbd0 +10737418240 {2}gpt .*\/0 \(session reopening, I\/O fails\)$/m);
  assert.match(text, /\/1 \(FREE\)$/m);
});

test('chosen columns keep the tree', () => {
  const rows = diskRows([
    disk({ serial: 'S1', partitions: [part({ uuid: 'u-1', probed: true }), part({ number: 2 })] }),
  ]);
  assert.equal(
    listText(chosenColumns(DISKS, { output: 'serial,device,uuid,start' }), rows, { bytes: true, headings: false }),
    'S1  nbd0      -    0\n    ├─nbd0p1  u-1  0\n    └─nbd0p1  -    0\n',
  );
});
