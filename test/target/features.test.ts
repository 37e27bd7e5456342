// What a unit's features switch, and the commands that came with them: WRITE ATOMIC, GET LBA STATUS, READ DEFECT DATA, ALUA.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOp, type BlockRequest, BlockStatus } from '../../src/block/block-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { parseReadCapacity16 } from '../../src/scsi/capacity.js';
import { parseDesignators } from '../../src/scsi/designator.js';
import { parseInquiry } from '../../src/scsi/inquiry.js';
import { parseLbaStatus } from '../../src/scsi/lba-status.js';
import { parseAllOpcodes } from '../../src/scsi/report-opcodes.js';
import { parseTargetPortGroups } from '../../src/scsi/target-port-groups.js';
import { parseBlockLimits, parseProvisioning } from '../../src/scsi/vpd-block.js';
import { TargetContext } from '../../src/target/context.js';
import { LogicalUnit } from '../../src/target/logical-unit.js';
import { TargetNode } from '../../src/target/target-node.js';
import type { UnitFeatures } from '../../src/target/unit-features.js';
import { BufferPool } from '../../src/util/ref-buffer.js';
import { run } from './run-command.js';
import { INITIATOR, makeNode, NO_AUTH, pattern, ScriptedInitiator, TARGET } from './scripted-initiator.js';

const SIZE = 2 ** 22;

class LoggedDevice extends MemoryDevice {
  readonly log: string[] = [];
  override submit(request: BlockRequest): void {
    this.log.push(`${Object.keys(BlockOp)[request.op]} ${request.length}`);
    super.submit(request);
  }
}

function ready(features: UnitFeatures = {}, writeCache = true) {
  const device = new LoggedDevice({ sizeBytes: SIZE, writeCache });
  const unit = new LogicalUnit({ name: 'disk', serial: 'a0'.repeat(16), device, features });
  const initiator = new ScriptedInitiator(makeNode({ group: { luns: [{ lun: 0, unit }] } }));
  initiator.logIn();
  initiator.clearAttention();
  return { initiator, device, unit };
}
const page = async (initiator: ScriptedInitiator, code: string): Promise<Buffer> =>
  (await run(initiator, `12 01 ${code} 00ff 00`, { read: 255 })).data;

describe('features', () => {
  test('what is left out is neither carried out nor listed', async () => {
    const off = { unmap: false, compareAndWrite: false, extendedCopy: false, reservations: false };
    const { initiator } = ready(off);
    const listed = parseAllOpcodes((await run(initiator, 'a30c 00 00 0000 00002000 0000', { read: 8192 })).data);
    for (const opcode of [0x42, 0x89, 0x83, 0x84, 0x5e, 0x5f, 0x16, 0x17, 0x9c]) {
      const hex = opcode.toString(16);
      assert.equal((await run(initiator, `${hex} 00`)).sense, '05/20/00', hex);
      assert.ok(!listed.some((command) => command.opcode === opcode), hex);
    }
    const inquiry = parseInquiry((await run(initiator, '12 00 00 00ff 00', { read: 255 })).data);
    assert.equal(inquiry.thirdPartyCopy, false);
    const limits = parseBlockLimits(await page(initiator, 'b0'));
    assert.deepEqual([limits.maxCompareAndWrite, limits.maxUnmapBlocks, limits.maxAtomic], [0, 0, 0]);
    assert.deepEqual(parseProvisioning(await page(initiator, 'b2')).unmap, false);
    const zeros = Buffer.alloc(512);
    assert.equal((await run(initiator, '41 08 00000000 00 0001 00', { data: zeros })).sense, '05/24/00');
    const capacity = parseReadCapacity16(
      (await run(initiator, '9e10 0000000000000000 00000020 0000', { read: 32 })).data,
    );
    assert.deepEqual([capacity.thin, capacity.unmappedReadsZero], [false, false]);
  });

  test('UNMAP and WRITE SAME with UNMAP are switched apart', async () => {
    const { initiator } = ready({ unmap: false, writeSameUnmap: true });
    const provisioning = parseProvisioning(await page(initiator, 'b2'));
    assert.deepEqual([provisioning.unmap, provisioning.writeSame16, provisioning.type], [false, true, 2]);
    assert.equal((await run(initiator, '41 08 00000000 00 0001 00', { data: Buffer.alloc(512) })).status, 0);
  });

  test('names and limits are said as they were given, and never beyond what can be done', async () => {
    const features = {
      vendor: 'ACME',
      product: 'alias',
      revision: '4.0',
      maxUnmapBlocks: 2 ** 30,
      maxUnmapDescriptors: 4,
    };
    const { initiator } = ready({ ...features, maxWriteSameBlocks: 8, unmapGranularity: 1, physicalBlockSize: 4096 });
    const inquiry = parseInquiry((await run(initiator, '12 00 00 00ff 00', { read: 255 })).data);
    assert.deepEqual([inquiry.vendor, inquiry.product, inquiry.revision], ['ACME', 'alias', '4.0']);
    const limits = parseBlockLimits(await page(initiator, 'b0'));
    assert.deepEqual([limits.maxUnmapBlocks, limits.maxUnmapDescriptors], [2 ** 20, 4]);
    assert.deepEqual([limits.maxWriteSame, limits.optimalUnmapGranularity], [8, 1]);
    assert.equal((await run(initiator, '41 00 00000000 00 0009 00', { data: Buffer.alloc(512) })).sense, '05/24/00');
    const capacity = parseReadCapacity16(
      (await run(initiator, '9e10 0000000000000000 00000020 0000', { read: 32 })).data,
    );
    assert.equal(capacity.physicalBlockSize, 4096);
  });

  test('without the write cache every write is flushed, and MODE SELECT cannot have it back', async () => {
    const { initiator, device } = ready({ writeCache: false });
    device.log.length = 0;
    await run(initiator, '2a 00 00000000 00 0001 00', { data: pattern(512) });
    assert.deepEqual(device.log, ['Write 512', 'Flush 0']);
    const caching = Buffer.from(`00000000 0812 04 ${'00'.repeat(17)}`.replaceAll(' ', ''), 'hex');
    assert.equal((await run(initiator, '15 10 0000 18 00', { data: caching })).sense, '05/26/00');
  });
});

describe('WRITE ATOMIC(16)', () => {
  const write = (blocks: number, lba = 0, flags = 0, boundary = 0): string =>
    `9c ${hex(flags, 1)} ${hex(lba, 8)} ${hex(boundary, 2)} ${hex(blocks, 2)} 0000`;
  const hex = (value: number, bytes: number): string => value.toString(16).padStart(2 * bytes, '0');

  test('reaches the device in one piece, and is flushed with FUA', async () => {
    const { initiator, device } = ready({ atomicWrite: true });
    assert.equal(parseBlockLimits(await page(initiator, 'b0')).maxAtomic, 2048);
    device.log.length = 0;
    const data = pattern(65_536);
    assert.equal((await run(initiator, write(128, 8, 0x08), { data })).status, 0);
    assert.deepEqual(device.log, ['Write 65536', 'Flush 0']);
    assert.ok((await readBytes(device, 4096, data.length)).equals(data));
  });

  test('ranges, boundaries and short data are refused, and write nothing', async () => {
    const { initiator, device } = ready({ atomicWrite: true });
    for (const [cdb, sense] of [
      [write(2049), '05/24/00'],
      [write(1, 0, 0, 8), '05/24/00'],
      [write(1, 0, 0x20), '05/24/00'],
      [write(2, SIZE / 512 - 1), '05/21/00'],
      [write(1, 2 ** 53), '05/21/00'],
      [write(3), '05/24/00'],
    ] as const) {
      assert.equal((await run(initiator, cdb, { data: pattern(1024) })).sense, sense, cdb);
    }
    assert.equal((await run(initiator, write(0))).status, 0);
    assert.equal(device.allocatedBytes, 0);
  });
});

describe('GET LBA STATUS', () => {
  const ask = (lba: number, room = 256): string =>
    `9e12 ${lba.toString(16).padStart(16, '0')} ${room.toString(16).padStart(8, '0')} 0000`;

  test('tells holes from data, from the block asked for, as far as there is room', async () => {
    const { initiator, device } = ready();
    await writeBytes(device, 65_536, pattern(65_536));
    const { data } = await run(initiator, ask(100), { read: 256 });
    assert.deepEqual(parseLbaStatus(data), [
      { lba: 100, blocks: 28, status: 1 },
      { lba: 128, blocks: 128, status: 0 },
      { lba: 256, blocks: SIZE / 512 - 256, status: 1 },
    ]);
    assert.equal(parseLbaStatus((await run(initiator, ask(130, 24), { read: 24 })).data).length, 1);
    assert.equal((await run(initiator, ask(0, 0))).status, 0);
    assert.equal((await run(initiator, ask(SIZE / 512), { read: 24 })).sense, '05/21/00');
    assert.equal((await run(initiator, ask(2 ** 53), { read: 24 })).sense, '05/21/00');
  });

  test('a block that is a hole in part is mapped; a device that cannot look is a medium error', async () => {
    const { initiator, device } = ready();
    const extents = [
      { length: 700, hole: true, zero: true },
      { length: 100, hole: false, zero: false },
      { length: SIZE - 800, hole: true, zero: true },
    ];
    device.allocation = () => Promise.resolve(extents);
    const { data } = await run(initiator, ask(0), { read: 256 });
    assert.deepEqual(parseLbaStatus(data), [
      { lba: 0, blocks: 1, status: 1 },
      { lba: 1, blocks: 1, status: 0 },
      { lba: 2, blocks: SIZE / 512 - 2, status: 1 },
    ]);
    device.allocation = () => Promise.reject(new Error(`errno ${BlockStatus.Eio}`));
    assert.equal((await run(initiator, ask(3), { read: 256 })).sense, '03/11/00');
  });
});

test('READ DEFECT DATA names the lists that were asked for, which are empty', async () => {
  const { initiator } = ready();
  assert.deepEqual([...(await run(initiator, '37 00 1d 00000000 00ff 00', { read: 255 })).data], [0, 0x1d, 0, 0]);
  const { data } = await run(initiator, 'b7 18 00000000 000000ff 00 00', { read: 255 });
  assert.deepEqual([...data], [0, 0x18, 0, 0, 0, 0, 0, 0]);
});

describe('ALUA', () => {
  test('each portal group that has the unit is a port and a group of its own, all of them optimized', async () => {
    const device = new MemoryDevice({ sizeBytes: SIZE });
    const unit = new LogicalUnit({ name: 'disk', serial: 'a0'.repeat(16), device });
    const other = new LogicalUnit({ name: 'other', serial: 'b0'.repeat(16), device });
    const group = (tag: number, port: number, served: LogicalUnit, enabled = true) => ({
      tag,
      enabled,
      portals: [{ address: '127.0.0.1', port }],
      luns: [{ lun: 0, unit: served }],
      acls: [{ initiatorName: INITIATOR, auth: null, mappedLuns: null }],
      auth: NO_AUTH,
      demoMode: 'off' as const,
      authenticationRequired: false,
    });
    const portalGroups = [
      group(7, 3260, unit),
      group(3, 3261, unit),
      group(4, 3262, other),
      group(5, 3263, unit, false),
    ];
    const node = new TargetNode({ alias: null, targets: [{ name: TARGET, portalGroups }], discoveryAuth: null });
    const initiator = new ScriptedInitiator({ context: new TargetContext(node, new BufferPool()), unit });
    initiator.logIn();
    initiator.clearAttention();
    const inquiry = parseInquiry((await run(initiator, '12 00 00 00ff 00', { read: 255 })).data);
    assert.equal(inquiry.tpgs, 1);
    for (const format of ['0a', '2a']) {
      const { data } = await run(initiator, `a3 ${format} 00000000 000000ff 0000`, { read: 255 });
      const groups = parseTargetPortGroups(data);
      assert.deepEqual(
        groups.map(({ group: tag, state, ports }) => ({ tag, state, ports })),
        [
          { tag: 3, state: 0, ports: [3] },
          { tag: 7, state: 0, ports: [7] },
        ],
      );
    }
    const names = parseDesignators(await page(initiator, '83'));
    const numbers = names.filter(({ type }) => type === 4 || type === 5).map(({ value }) => value.readUInt16BE(2));
    assert.deepEqual(numbers, [7, 7]);
  });
});
