// Questions to logical units of every kind: old, odd, busy, hostile (SPC-4 §6, §7.8; SBC-3 §5).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type LunInfo, probeLuns } from '../../src/initiator/probe.js';
import { lunOf, Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { DataInFlag } from '../../src/iscsi/wire/data-in.js';
import { commandEdtl } from '../../src/iscsi/wire/scsi-command.js';
import { buildReadCapacity10, buildReadCapacity16 } from '../../src/scsi/capacity.js';
import { buildDesignators, naaDesignator } from '../../src/scsi/designator.js';
import { buildInquiry } from '../../src/scsi/inquiry.js';
import { buildReportLuns, decodeLun } from '../../src/scsi/lun.js';
import { buildModeSense } from '../../src/scsi/mode.js';
import { buildCachingPage } from '../../src/scsi/mode-pages.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense, type Sense } from '../../src/scsi/sense.js';
import { buildExtendedInquiry, buildSupportedPages, buildUnitSerial } from '../../src/scsi/vpd.js';
import { buildBlockLimits, buildProvisioning } from '../../src/scsi/vpd-block.js';
import { AppError } from '../../src/util/errors.js';
import { type FakePair, fakePair } from '../helpers/fake-pair.js';
import type { FakeTarget, SeenPdu } from '../helpers/fake-target.js';

const UNKNOWN_OPCODE: Sense = { key: 5, asc: 0x20, ascq: 0 };
type Answer = Buffer | Sense | number | null;
/** What a unit says to a CDB: data, sense, a status, or nothing at all. */
type Unit = (cdb: Buffer, lun: number) => Answer;

const GEOMETRY = { lowestAlignedLba: 0, protectionType: 0, thin: true, unmappedReadsZero: true };
const INQUIRY = {
  qualifier: 0,
  deviceType: 0,
  removable: false,
  version: 6,
  normAca: false,
  hiSup: true,
  tpgs: 0,
  thirdPartyCopy: false,
  protect: false,
  multiPort: false,
  commandQueuing: true,
  vendor: 'ACME',
  product: 'Disk 9000',
  revision: '1.0',
  versionDescriptors: [],
};
const LIMITS = {
  writeSameNonZero: true,
  maxCompareAndWrite: 1,
  optimalTransferGranularity: 8,
  maxTransfer: 2048,
  optimalTransfer: 256,
  maxPrefetch: 0,
  maxUnmapBlocks: 4096,
  maxUnmapDescriptors: 1,
  optimalUnmapGranularity: 8,
  unmapAlignment: null,
  maxWriteSame: 8192,
  maxAtomic: 0,
};
const PAGES: Record<number, Buffer> = {
  0: buildSupportedPages([0x00, 0x80, 0x83, 0x86, 0xb0, 0xb2]),
  128: buildUnitSerial('serial-42'),
  131: buildDesignators([naaDesignator('600140512345678900000000abcdef01')]),
  134: buildExtendedInquiry({
    headOfQueue: true,
    ordered: true,
    simple: true,
    nonVolatileCache: true,
    volatileCache: true,
    nexusClear: true,
  }),
  176: buildBlockLimits(LIMITS),
  178: buildProvisioning({
    thresholdExponent: 0,
    unmap: true,
    writeSame16: true,
    writeSame10: false,
    readsZero: true,
    anchor: false,
    type: 2,
  }),
};
const CACHED = { size: 6, writeProtected: false, dpoFua: true, blockDescriptor: null } as const;
const CACHING = buildCachingPage({ writeCache: true, readCacheDisabled: false, readAheadDisabled: false });

/** A modern thin disk. */
const modern: Unit = (cdb) => {
  switch (cdb[0]) {
    case ScsiOp.ReportLuns:
      return buildReportLuns([0]);
    case ScsiOp.Inquiry:
      return (cdb[1] as number) & 1
        ? (PAGES[cdb[2] as number] ?? { key: 5, asc: 0x24, ascq: 0 })
        : buildInquiry(INQUIRY);
    case ScsiOp.TestUnitReady:
      return 0;
    case ScsiOp.ServiceActionIn16:
      return buildReadCapacity16({ ...GEOMETRY, blocks: 2 ** 33, blockSize: 512, physicalBlockSize: 4096 });
    case ScsiOp.ModeSense6:
      return buildModeSense({ ...CACHED, pages: [CACHING] });
    default:
      return UNKNOWN_OPCODE;
  }
};
/** `unit` with other answers to some operation codes. */
function but(answers: Record<number, Answer>, unit = modern): Unit {
  return (cdb, lun) =>
    answers[cdb[0] as number] === undefined ? unit(cdb, lun) : (answers[cdb[0] as number] as Answer);
}

function pairOf(unit: Unit): FakePair {
  const onPdu = (pdu: SeenPdu, target: FakeTarget): boolean => {
    if (pdu.opcode !== Opcode.ScsiCommand) return false;
    const answer = unit(pdu.bhs.subarray(32, 48), decodeLun(lunOf(pdu.bhs)));
    const itt = tagOf(pdu.bhs);
    if (answer === null) return true;
    if (typeof answer === 'number') target.response(itt, answer);
    else if (!Buffer.isBuffer(answer)) target.response(itt, 0x02, { sense: buildFixedSense(answer) });
    else {
      const room = commandEdtl(pdu.bhs);
      const residual = Math.abs(room - answer.length);
      const way = answer.length < room ? DataInFlag.Underflow : answer.length > room ? DataInFlag.Overflow : 0;
      const flags = DataInFlag.Final | DataInFlag.Status | way;
      target.dataIn(itt, { flags, dataSn: 0, offset: 0, data: answer.subarray(0, room), residual });
    }
    return true;
  };
  return fakePair({ onPdu, disk: Buffer.alloc(0) }, { timers: { noopIntervalMs: 0 } });
}
async function probe(unit: Unit): Promise<LunInfo[]> {
  const { rig } = pairOf(unit);
  rig.runByItself();
  return probeLuns(rig.session, 1000);
}
async function probeOne(unit: Unit): Promise<LunInfo> {
  const [info, ...more] = await probe(unit);
  assert.equal(more.length, 0);
  assert.ok(info);
  return info;
}

test('a modern thin disk', async () => {
  assert.deepEqual(await probeOne(modern), {
    lun: 0,
    address: Buffer.alloc(8),
    deviceType: 0,
    vendor: 'ACME',
    product: 'Disk 9000',
    revision: '1.0',
    serial: 'serial-42',
    designator: 'naa.600140512345678900000000abcdef01',
    worldwide: true,
    problem: null,
    disk: {
      blocks: 2 ** 33,
      blockSize: 512,
      physicalBlockSize: 4096,
      optimalIoSize: 256 * 512,
      maxTransfer: 2048 * 512,
      readOnly: false,
      writeCache: true,
      dpofua: true,
      use10: false,
      thin: {
        unmap: true,
        writeSameUnmap: true,
        readsZeros: true,
        maxUnmapBlocks: 4096,
        maxWriteSameBlocks: 8192,
        granule: { blocks: 8, alignment: 0 },
      },
      nonVolatileCache: true,
    },
  });
});

test('an old disk: no VPD, READ CAPACITY(10) only, no mode pages', async () => {
  const old = but({
    [ScsiOp.ServiceActionIn16]: UNKNOWN_OPCODE,
    [ScsiOp.ReadCapacity10]: buildReadCapacity10({ blocks: 1000, blockSize: 512 }),
    [ScsiOp.ModeSense6]: UNKNOWN_OPCODE,
    [ScsiOp.ModeSense10]: UNKNOWN_OPCODE,
    [ScsiOp.ReportLuns]: UNKNOWN_OPCODE,
  });
  const info = await probeOne((cdb, lun) =>
    cdb[0] === ScsiOp.Inquiry && (cdb[1] as number) & 1 ? { key: 5, asc: 0x24, ascq: 0 } : old(cdb, lun),
  );
  assert.equal(info.problem, null);
  assert.equal(info.serial, '');
  assert.equal(info.designator, '');
  assert.equal(info.disk?.use10, true);
  assert.equal(info.disk?.blocks, 1000);
  assert.equal(info.disk?.writeCache, true, 'nothing known of a cache means that there is one');
  assert.equal(info.disk?.readOnly, false);
  assert.equal(info.disk?.thin.unmap, false);
});

test('a disk too large for READ CAPACITY(10) that knows no other is told, not guessed', async () => {
  const info = await probeOne(
    but({
      [ScsiOp.ServiceActionIn16]: UNKNOWN_OPCODE,
      [ScsiOp.ReadCapacity10]: Buffer.from('ffffffff00000200', 'hex'),
    }),
  );
  assert.equal(info.disk, null);
  assert.match(info.problem ?? '', /READ CAPACITY/);
});

test('write protection and a cache that is off, by MODE SENSE(10) where (6) is refused', async () => {
  const off = buildCachingPage({ writeCache: false, readCacheDisabled: false, readAheadDisabled: false });
  const list = { size: 10, writeProtected: true, dpoFua: false, blockDescriptor: null, pages: [off] } as const;
  const info = await probeOne(but({ [ScsiOp.ModeSense6]: UNKNOWN_OPCODE, [ScsiOp.ModeSense10]: buildModeSense(list) }));
  assert.equal(info.disk?.readOnly, true);
  assert.equal(info.disk?.writeCache, false);
  assert.equal(info.disk?.dpofua, false);
});

test('what is no disk is listed with the reason', async () => {
  const kinds: Record<number, { deviceType: number; qualifier: number }> = {
    0: { deviceType: 0x0c, qualifier: 0 },
    1: { deviceType: 0x05, qualifier: 0 },
    2: { deviceType: 0x00, qualifier: 1 },
    3: { deviceType: 0x1f, qualifier: 3 },
    4: { deviceType: 0x00, qualifier: 0 },
  };
  const infos = await probe((cdb, lun) => {
    if (cdb[0] === ScsiOp.ReportLuns) return buildReportLuns([4, 3, 2, 1, 0]);
    return cdb[0] === ScsiOp.Inquiry && !((cdb[1] as number) & 1)
      ? buildInquiry({ ...INQUIRY, ...kinds[lun] })
      : modern(cdb, lun);
  });
  assert.deepEqual(
    infos.map(({ lun, disk }) => [lun, disk !== null]),
    [
      [0, false],
      [1, false],
      [2, false],
      [3, false],
      [4, true],
    ],
  );
  assert.match(infos[0]?.problem ?? '', /type 0x0c/);
  assert.match(infos[2]?.problem ?? '', /no unit/);
});

test('a long list of LUNs is asked for again with room for it, and cut at 1024', async () => {
  const many = Array.from({ length: 3000 }, (_, i) => i);
  const lengths: number[] = [];
  const infos = await probe((cdb, lun) => {
    if (cdb[0] !== ScsiOp.ReportLuns) {
      return cdb[0] === ScsiOp.Inquiry ? buildInquiry({ ...INQUIRY, deviceType: 0x0c }) : modern(cdb, lun);
    }
    lengths.push(cdb.readUInt32BE(6));
    return buildReportLuns(many);
  });
  assert.equal(infos.length, 1024);
  assert.equal(infos[300]?.lun, 300);
  assert.deepEqual(lengths, [16 + 8 * 64, 8 + 8 * 1024]);
});

test('unit attentions are drained and told; a unit that never stops is given up', async () => {
  let left = 5;
  const ua: Sense = { key: 6, asc: 0x29, ascq: 0x01 };
  const pair = pairOf((cdb, lun) => (left-- > 0 ? ua : modern(cdb, lun)));
  const probing = probeLuns(pair.rig.session, 1000);
  await pair.rig.advance(1000);
  const [info] = await probing;
  assert.ok(info?.disk);
  assert.equal(pair.rig.all('unit-attention').length, 5);
  const endless = pairOf((cdb, lun) => (cdb[0] === ScsiOp.TestUnitReady ? ua : modern(cdb, lun)));
  const patient = probeLuns(endless.rig.session, 1000);
  await endless.rig.advance(12_000);
  const [never] = await patient;
  assert.equal(never?.disk, null);
  assert.match(never?.problem ?? '', /29\/01/i);
  assert.equal(endless.rig.all('unit-attention').length, 99);
});

test('a unit that another initiator has reserved is a disk all the same: its reservation may be ours to preempt', async () => {
  const info = await probeOne(but({ [ScsiOp.TestUnitReady]: 0x18, [ScsiOp.ModeSense6]: 0x18 }));
  assert.equal(info.disk?.blocks, 2 ** 33);
  assert.equal(info.disk?.writeCache, true, 'what cannot be asked is taken for the worse');
});

test('a unit that is not ready or strangely formatted is listed with the reason', async () => {
  const reasons: [Unit, RegExp][] = [
    [but({ [ScsiOp.TestUnitReady]: { key: 2, asc: 0x3a, ascq: 0 } }), /medium/i],
    [but({ [ScsiOp.Inquiry]: Buffer.alloc(3) }), /INQUIRY/],
    [
      but({
        [ScsiOp.ServiceActionIn16]: buildReadCapacity16({
          ...GEOMETRY,
          blocks: 1000,
          blockSize: 520,
          physicalBlockSize: 520,
        }),
      }),
      /520 bytes/,
    ],
  ];
  for (const [unit, text] of reasons) {
    const info = await probeOne(unit);
    assert.equal(info.disk, null);
    assert.match(info.problem ?? '', text);
  }
});

test('a unit that never answers costs its time and is listed; a lost session rejects', async () => {
  const silent = pairOf((cdb, lun) => (cdb[0] === ScsiOp.TestUnitReady ? null : modern(cdb, lun)));
  silent.rig.runByItself();
  const probing = probeLuns(silent.rig.session, 1000);
  await silent.rig.advance(2000);
  const [info] = await probing;
  assert.match(info?.problem ?? '', /no answer to TEST UNIT READY within 1 s/);
  const lost = pairOf((cdb, lun) => {
    if (cdb[0] !== ScsiOp.TestUnitReady) return modern(cdb, lun);
    setImmediate(() => lost.rig.link.close('gone'));
    return null;
  });
  lost.rig.runByItself();
  await assert.rejects(probeLuns(lost.rig.session, 1000), (error) => error instanceof AppError);
});

test('whatever bytes a unit answers with, probing ends with a list', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 12 }), async (noise) => {
      let turn = 0;
      const infos = await probe((cdb) => {
        const junk = Buffer.from(noise[turn++ % noise.length] as Uint8Array);
        // Enough truth to get further than the first answer.
        if (cdb[0] === ScsiOp.ReportLuns) return buildReportLuns([0]);
        if (cdb[0] === ScsiOp.Inquiry && cdb[1] === 0 && junk.length > 0) junk[0] = 0;
        if (cdb[0] === ScsiOp.TestUnitReady) return 0;
        return junk.length === 0 ? UNKNOWN_OPCODE : junk;
      });
      assert.equal(infos.length, 1);
      const disk = infos[0]?.disk ?? null;
      if (disk !== null) assert.ok(Number.isSafeInteger(disk.blocks * disk.blockSize) && disk.maxTransfer >= 0);
    }),
    { numRuns: 60 },
  );
});
