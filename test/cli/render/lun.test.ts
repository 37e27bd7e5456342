// LUNs as people see them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseKey } from '../../../src/cli/lun-command.js';
import { defaultColumns, listText } from '../../../src/cli/render/listing.js';
import { blockRuns, changesText, lunText, reservationsText } from '../../../src/cli/render/lun.js';
import type { LunDetails } from '../../../src/services/lun/info.js';
import type { SessionInfo } from '../../../src/services/session/info.js';
import { AppError } from '../../../src/util/errors.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const SESSION = { sid: 1, state: 'LOGGED_IN', targetName: TARGET } as unknown as SessionInfo;

const DETAILS = {
  device: {
    ...{ lun: 3, exportName: 'lun3', nbd: 'nbd+unix:///lun3?socket=/run/nbd.sock', path: null, attach: 'none' },
    ...{ sizeBytes: 3 * 2 ** 40, blockSize: 512, vendor: 'ACME', product: 'Disk\u001b[31m', revision: '1' },
    ...{ serial: 's-1', designator: 'naa.5', readOnly: false, writeCache: true, partitions: [], note: null },
  },
  ...{ blocks: 6_442_450_944, physicalBlockSize: 4096, use10: false, dpofua: true, nonVolatileCache: true },
  rotationRate: 7200,
  limits: {
    ...{ maxTransferBlocks: 8192, optimalTransferBlocks: null, optimalTransferGranularityBlocks: null },
    ...{ maxUnmapBlocks: 65_536, maxUnmapDescriptors: 1, unmapGranularityBlocks: 8, unmapAlignmentBlocks: null },
    ...{ maxWriteSameBlocks: null, maxCompareAndWriteBlocks: 1 },
  },
  provisioning: { type: 'thin', unmap: true, writeSame16: true, writeSame10: false, readsZero: true },
  can: {
    ...{ read: true, write: true, flush: true, fua: true, trim: true, zero: false },
    ...{ multiConn: true, df: true, cache: false, fastZero: false, map: false },
  },
  reservations: null,
  reservationNote: 'the unit knows no persistent reservations',
} as unknown as LunDetails;

test('one LUN in full, free of control characters', () => {
  assert.equal(
    lunText(SESSION, DETAILS),
    `${TARGET} LUN 3
  session       1, LOGGED_IN
  export        nbd+unix:///lun3?socket=/run/nbd.sock
  device        -
  identity      ACME Disk[31m 1
  serial        s-1
  designator    naa.5
  size          3T, 3298534883328 bytes, 6442450944 blocks of 512 bytes, physical 4096
  commands      16-byte, FUA
  write cache   on, keeps its contents without power
  provisioning  thin, unmapped by UNMAP, WRITE SAME(16), then reads as zeros
  limits        transfer 8192, UNMAP 65536, UNMAP descriptors 1, UNMAP granularity 8, COMPARE AND WRITE 1 (blocks)
  reservation   the unit knows no persistent reservations
  can           read, write, flush, fua, trim, multi-conn, df
  rotation      7200 rpm
`,
  );
});

test('reservations: with names, and as bare keys where the unit tells no names', () => {
  const reservation = { key: '0x000000000000000a', type: 'write-exclusive' };
  const info = { generation: 2, keys: ['0x000000000000000a'], reservation, capabilities: null };
  const registration = {
    ...{ key: '0x000000000000000a', initiatorName: 'iqn.a', isid: '800000123456', ours: true },
    ...{ holds: 'write-exclusive', allTargetPorts: false, relativePort: 1 },
  };
  assert.equal(
    reservationsText('nbd0', { ...info, registrations: [registration] }),
    `nbd0
  reservation   write-exclusive by 0x000000000000000a
  generation    2
  registered    1
KEY                 HOLDS            INITIATOR  ISID          SESSION
0x000000000000000a  write-exclusive  iqn.a      800000123456  this one
`,
  );
  assert.match(reservationsText('nbd0', { ...info, registrations: null }), /\n {2}key {11}0x000000000000000a\n$/);
  const all = { ...info, reservation: { key: null, type: 'exclusive-access-all-registrants' }, registrations: [] };
  assert.match(reservationsText('nbd0', all), /exclusive-access-all-registrants by all registrants/);
});

test('runs of blocks, and what a rescan has found', () => {
  assert.equal(
    listText(defaultColumns(blockRuns(512)), [
      { lba: 0, blocks: 8, state: 'mapped' },
      { lba: 8, blocks: 2040, state: 'deallocated' },
    ]),
    'LBA  BLOCKS   SIZE  STATE\n  0       8     4K  mapped\n  8    2040  1020K  deallocated\n',
  );
  assert.equal(changesText(SESSION, []), `session 1, ${TARGET}: unchanged\n`);
  const grown = { lun: 1, exportName: 'lun1', change: 'grown', sizeBytes: 20, oldSizeBytes: 10, path: null } as const;
  assert.equal(
    changesText(SESSION, [{ ...grown, note: 'look' }]),
    `session 1, ${TARGET} LUN 1: grown (lun1), 10 to 20 bytes; look\n`,
  );
});

test('reservation keys: decimal and hexadecimal, 64 bits, nothing else', () => {
  assert.equal(parseKey('4711'), '0x1267');
  assert.equal(parseKey('0xFFFFFFFFFFFFFFFF'), '0xffffffffffffffff');
  assert.equal(parseKey('0'), '0x0');
  for (const text of ['', '-1', '0x', '0x1ffffffffffffffff', '18446744073709551616', 'key', '1e3', ' 1']) {
    assert.throws(() => parseKey(text), AppError, text);
  }
});
