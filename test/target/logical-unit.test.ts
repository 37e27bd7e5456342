// The disk as SCSI sees it, through a whole connection: identity, data commands, sense, modes, reservations (SPC-4, SBC-3).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOp, type BlockRequest, BlockStatus } from '../../src/block/block-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBytes } from '../../src/block/promise.js';
import { parseReadCapacity16 } from '../../src/scsi/capacity.js';
import { designatorToText, parseDesignators } from '../../src/scsi/designator.js';
import { parseInquiry } from '../../src/scsi/inquiry.js';
import { parseReportLuns } from '../../src/scsi/lun.js';
import { findModePage, parseModeSense } from '../../src/scsi/mode.js';
import { parseCachingPage } from '../../src/scsi/mode-pages.js';
import { buildReserveOut } from '../../src/scsi/persistent-reserve.js';
import { parseAllOpcodes } from '../../src/scsi/report-opcodes.js';
import { parseSupportedPages } from '../../src/scsi/vpd.js';
import { run } from './run-command.js';
import { INITIATOR, makeNode, type NodeOptions, pattern, ScriptedInitiator } from './scripted-initiator.js';

/** A memory disk that fails as told and counts its flushes. */
class TestDevice extends MemoryDevice {
  fail = new Map<number, BlockStatus>();
  log: string[] = [];
  override submit(request: BlockRequest): void {
    const status = this.fail.get(request.op);
    this.log.push(Object.entries(BlockOp).find(([, op]) => op === request.op)?.[0] ?? '');
    if (status !== undefined) request.onDone(status);
    else super.submit(request);
  }
}

function ready(options: NodeOptions = {}, device = new TestDevice({ sizeBytes: 2 ** 20, writeCache: true })) {
  const node = makeNode({ device, ...options });
  const initiator = new ScriptedInitiator(node);
  initiator.logIn();
  initiator.clearAttention();
  device.log = [];
  return { node, initiator, device };
}

describe('identity', () => {
  test('INQUIRY, serial number and designators are stable and name vendor and backstore', async () => {
    const { initiator } = ready();
    const inquiry = parseInquiry((await run(initiator, '12 00 00 00ff 00', { read: 255 })).data);
    assert.deepEqual([inquiry.vendor, inquiry.product, inquiry.deviceType], ['LUNCTL', 'disk01', 0]);
    const pages = parseSupportedPages((await run(initiator, '12 01 00 00ff 00', { read: 255 })).data);
    assert.deepEqual(pages, [0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2]);
    const names = parseDesignators((await run(initiator, '12 01 83 03ff 00', { read: 1023 })).data);
    assert.ok(names.some((name) => designatorToText(name) === 'naa.600140500112233445566778899aabbc'));
    for (const page of pages) {
      const { data, status } = await run(initiator, `12 01 ${page.toString(16).padStart(2, '0')} 00ff 00`, {
        read: 255,
      });
      assert.deepEqual([status, data[1]], [0, page]);
    }
    assert.equal((await run(initiator, '12 01 c7 00ff 00', { read: 255 })).sense, '05/24/00');
    assert.equal((await run(initiator, '12 00 80 00ff 00', { read: 255 })).sense, '05/24/00');
  });

  test('an answer never exceeds the allocation length', async () => {
    const { initiator } = ready();
    for (const length of [0, 1, 5, 36]) {
      const { data } = await run(initiator, `12 00 00 00${length.toString(16).padStart(2, '0')} 00`, { read: 255 });
      assert.equal(data.length, length);
    }
  });

  test('capacity, LUNs, supported commands', async () => {
    const { initiator } = ready();
    const capacity = parseReadCapacity16(
      (await run(initiator, '9e10 0000000000000000 00000020 0000', { read: 32 })).data,
    );
    assert.deepEqual([capacity.blocks, capacity.blockSize, capacity.thin], [2048, 512, true]);
    const small = (await run(initiator, '25', { read: 8 })).data;
    assert.deepEqual([small.readUInt32BE(0), small.readUInt32BE(4)], [2047, 512]);
    const luns = parseReportLuns((await run(initiator, 'a0 00 00 000000 00000100 0000', { read: 256 })).data);
    assert.deepEqual(
      luns.luns.map(({ lun }) => lun),
      [0],
    );
    const opcodes = parseAllOpcodes((await run(initiator, 'a30c 00 00 0000 00002000 0000', { read: 8192 })).data);
    assert.ok(opcodes.some(({ opcode }) => opcode === 0x89) && !opcodes.some(({ opcode }) => opcode === 0x9c));
  });

  test('every command that is said to be supported is, and no other is', async () => {
    const { initiator } = ready();
    const listed = parseAllOpcodes((await run(initiator, 'a30c 00 00 0000 00002000 0000', { read: 8192 })).data);
    for (let opcode = 0; opcode < 256; opcode++) {
      const own = listed.find((command) => command.opcode === opcode);
      const action = (own?.serviceAction ?? 0).toString(16).padStart(2, '0');
      const { sense } = await run(initiator, `${opcode.toString(16).padStart(2, '0')}${action}`);
      assert.equal(sense === '05/20/00', own === undefined, `0x${opcode.toString(16)}: ${sense}`);
      await run(initiator, '17');
    }
  });

  test('a number without a unit says so', async () => {
    const { initiator } = ready();
    assert.equal((await run(initiator, '12 00 00 00ff 00', { read: 255, lun: 5 })).data[0], 0x7f);
    assert.equal((await run(initiator, '00', { lun: 5 })).sense, '05/25/00');
    const luns = parseReportLuns((await run(initiator, 'a0 00 00 000000 00000100 0000', { read: 256, lun: 5 })).data);
    assert.equal(luns.luns.length, 1);
  });

  test('an ACL renumbers LUNs and makes them read-only', async () => {
    const mappedLuns = [{ mappedLun: 7, tpgLun: 0, readOnly: true }];
    const node = makeNode({ acls: [{ initiatorName: INITIATOR, auth: null, mappedLuns }] });
    const initiator = new ScriptedInitiator(node);
    initiator.logIn();
    assert.equal((await run(initiator, '00', { lun: 0 })).sense, '05/25/00');
    assert.equal((await run(initiator, '00', { lun: 7 })).sense, '06/29/00');
    for (const [cdb, length] of [
      ['2a 00 00000000 00 0001 00', 512],
      ['42 00 00000000 00 0018 00', 24],
      ['93 08 0000000000000000 00000001 0000', 512],
      ['89 00 0000000000000000 000000 01 0000', 1024],
    ] as const) {
      assert.equal((await run(initiator, cdb, { data: Buffer.alloc(length), lun: 7 })).sense, '07/27/00', cdb);
    }
    const modes = await run(initiator, '1a 00 3f 00 ff 00', { read: 255, lun: 7 });
    assert.ok(parseModeSense(modes.data, 6).writeProtected);
  });
});

describe('data', () => {
  test('every size of READ and WRITE reaches the same bytes', async () => {
    const { initiator } = ready();
    const data = pattern(1024);
    for (const [write, read] of [
      ['0a 000010 02 00', '08 000010 02 00'],
      ['2a 00 00000010 00 0002 00', '28 00 00000010 00 0002 00'],
      ['aa 00 00000010 00000002 0000', 'a8 00 00000010 00000002 0000'],
      ['8a 00 0000000000000010 00000002 0000', '88 00 0000000000000010 00000002 0000'],
      ['2e 00 00000010 00 0002 00', '28 08 00000010 00 0002 00'],
    ] as const) {
      const bytes = Buffer.from(data.map((byte, i) => byte ^ write.length ^ i));
      assert.equal((await run(initiator, write, { data: bytes })).status, 0);
      assert.deepEqual((await run(initiator, read, { read: 1024 })).data, bytes, read);
    }
  });

  test('FUA and SYNCHRONIZE CACHE flush before the status; plain writes do not', async () => {
    const { initiator, device } = ready();
    await run(initiator, '2a 00 00000000 00 0001 00', { data: Buffer.alloc(512) });
    assert.deepEqual(device.log.splice(0), ['Write']);
    await run(initiator, '2a 08 00000000 00 0001 00', { data: Buffer.alloc(512) });
    assert.deepEqual(device.log.splice(0), ['Write', 'Flush']);
    await run(initiator, '35');
    assert.deepEqual(device.log.splice(0), ['Flush']);
  });

  test('a failed flush is reported, and so is every later one', async () => {
    const { initiator, device } = ready();
    device.fail.set(BlockOp.Flush, BlockStatus.Eio);
    assert.equal((await run(initiator, '35')).sense, '03/0c/00');
    device.fail.clear();
    assert.equal((await run(initiator, '35')).sense, '03/0c/00');
    assert.equal((await run(initiator, '2a 08 00000000 00 0001 00', { data: Buffer.alloc(512) })).sense, '03/0c/00');
    assert.equal((await run(initiator, '28 00 00000000 00 0001 00', { read: 512 })).status, 0);
  });

  test('a read error is 03/11/00 with the LBA and no data', async () => {
    const { initiator, device } = ready();
    device.fail.set(BlockOp.Read, BlockStatus.Eio);
    const answer = await run(initiator, '28 00 00000123 00 0004 00', { read: 2048 });
    assert.deepEqual([answer.sense, answer.information, answer.data.length], ['03/11/00', 0x123, 0]);
  });

  test('a full file system is 07/27/07, and the unit goes on', async () => {
    const { initiator, device } = ready();
    device.fail.set(BlockOp.Write, BlockStatus.Enospc);
    assert.equal((await run(initiator, '2a 00 00000000 00 0001 00', { data: Buffer.alloc(512) })).sense, '07/27/07');
    device.fail.clear();
    assert.equal((await run(initiator, '2a 00 00000000 00 0001 00', { data: Buffer.alloc(512) })).status, 0);
  });

  test('ranges past the end and protection information are refused', async () => {
    const { initiator } = ready();
    assert.equal((await run(initiator, '28 00 00000800 00 0001 00', { read: 512 })).sense, '05/21/00');
    assert.equal((await run(initiator, '88 00 ffffffffffffffff 00000001 0000', { read: 512 })).sense, '05/21/00');
    assert.equal((await run(initiator, '28 20 00000000 00 0001 00', { read: 512 })).sense, '05/24/00');
    assert.equal((await run(initiator, '28 00 00000800 00 0000 00')).status, 0);
  });

  test('COMPARE AND WRITE writes what matches and tells where it does not', async () => {
    const { initiator, device } = ready();
    const cdb = '89 00 0000000000000004 000000 01 0000';
    const [zero, one] = [Buffer.alloc(512), Buffer.alloc(512, 1)];
    assert.equal((await run(initiator, cdb, { data: Buffer.concat([zero, one]) })).status, 0);
    assert.deepEqual(await readBytes(device, 2048, 512), one);
    const wrong = Buffer.from(one);
    wrong[300] = 9;
    const answer = await run(initiator, cdb, { data: Buffer.concat([wrong, zero]) });
    assert.deepEqual([answer.sense, answer.information], ['0e/1d/00', 300]);
    assert.deepEqual(await readBytes(device, 2048, 512), one);
    assert.equal((await run(initiator, cdb, { data: one })).sense, '05/24/00');
  });

  test('COMPARE AND WRITE and a write at the same moment: one of the two orders, never a mixture', async () => {
    const { initiator, device } = ready();
    const [zero, one, two] = [Buffer.alloc(512), Buffer.alloc(512, 1), Buffer.alloc(512, 2)];
    initiator.command('89 00 0000000000000000 000000 01 0000', { write: 1024, data: Buffer.concat([zero, one]) });
    initiator.command('2a 00 00000000 00 0001 00', { write: 512, data: two });
    assert.equal((await initiator.settle()).length, 2);
    assert.deepEqual(await readBytes(device, 0, 512), two);
  });

  test('VERIFY compares byte by byte, or one block with each', async () => {
    const { initiator } = ready();
    const data = pattern(1024);
    await run(initiator, '2a 00 00000000 00 0002 00', { data });
    assert.equal((await run(initiator, '2f 00 00000000 00 0002 00')).status, 0);
    assert.equal((await run(initiator, '2f 02 00000000 00 0002 00', { data })).status, 0);
    const wrong = Buffer.from(data);
    wrong[700] = (wrong[700] ?? 0) ^ 1;
    const answer = await run(initiator, '2f 02 00000000 00 0002 00', { data: wrong });
    assert.deepEqual([answer.sense, answer.information], ['0e/1d/00', 700]);
    assert.equal((await run(initiator, '2f 06 00000010 00 0004 00', { data: Buffer.alloc(512) })).status, 0);
    assert.equal((await run(initiator, '2f 06 00000000 00 0002 00', { data: Buffer.alloc(512) })).sense, '0e/1d/00');
  });

  test('WRITE SAME and UNMAP change their ranges and nothing beside them', async () => {
    const { initiator, device } = ready();
    const data = pattern(8 * 512);
    await run(initiator, '2a 00 00000000 00 0008 00', { data });
    assert.equal((await run(initiator, '41 00 00000001 00 0002 00', { data: Buffer.alloc(512, 7) })).status, 0);
    assert.equal((await run(initiator, '93 09 0000000000000004 00000001 0000')).status, 0);
    const list = Buffer.from('0016 0010 00000000 0000000000000006 00000001 00000000'.replace(/ /g, ''), 'hex');
    assert.equal((await run(initiator, '42 00 00000000 00 0018 00', { data: list })).status, 0);
    const expected = Buffer.from(data);
    expected.fill(7, 512, 1536).fill(0, 2048, 2560).fill(0, 3072, 3584);
    assert.deepEqual(await readBytes(device, 0, data.length), expected);
    assert.equal((await run(initiator, '41 00 00000001 00 0000 00', { data: Buffer.alloc(512) })).sense, '05/24/00');
    list.writeUInt32BE(0xffff, 16);
    assert.equal((await run(initiator, '42 00 00000000 00 0018 00', { data: list })).sense, '05/21/00');
  });

  test('a disk that grew is told once to each initiator', async () => {
    const { initiator, device } = ready();
    device.grow(2 ** 21);
    assert.equal((await run(initiator, '00')).sense, '06/2a/09');
    assert.equal((await run(initiator, '00')).status, 0);
    assert.equal((await run(initiator, '28 00 00000900 00 0001 00', { read: 512 })).status, 0);
  });
});

describe('modes and conditions', () => {
  test('WCE can be switched off: then every write is flushed; others are told', async () => {
    const { initiator, device, node } = ready();
    const other = new ScriptedInitiator(node, Buffer.from('80aabbcc0002', 'hex'));
    other.logIn();
    other.clearAttention();
    const sensed = await run(initiator, '1a 08 08 00 ff 00', { read: 255 });
    const page = findModePage(parseModeSense(sensed.data, 6), 0x08);
    assert.ok(page && parseCachingPage(page.data).writeCache);
    const list = Buffer.concat([Buffer.alloc(4), page.data]);
    list[6] = (list[6] ?? 0) & ~0x04;
    assert.equal((await run(initiator, '15 10 00 00 18 00', { data: list })).status, 0);
    device.log = [];
    await run(initiator, '2a 00 00000000 00 0001 00', { data: Buffer.alloc(512) });
    assert.deepEqual(device.log, ['Write', 'Flush']);
    assert.equal((await run(other, '00')).sense, '06/2a/01');
    list[6] = 0x01;
    assert.equal((await run(initiator, '15 10 00 00 18 00', { data: list })).sense, '05/26/00');
  });

  test('INQUIRY and REPORT LUNS pass a UNIT ATTENTION, REQUEST SENSE reports it', async () => {
    const node = makeNode();
    const initiator = new ScriptedInitiator(node);
    initiator.logIn();
    assert.equal((await run(initiator, '12 00 00 0024 00', { read: 36 })).data.length, 36);
    const { data } = await run(initiator, '03 00 00 00 12 00', { read: 18 });
    assert.deepEqual([(data[2] ?? 0) & 15, data[12]], [6, 0x29]);
    assert.equal((await run(initiator, '00')).status, 0);
  });
});

describe('reservations', () => {
  function pair() {
    const { node, initiator: a } = ready();
    const b = new ScriptedInitiator(node, Buffer.from('80aabbcc0002', 'hex'));
    b.logIn();
    b.clearAttention();
    return { a, b };
  }
  const prOut = (initiator: ScriptedInitiator, action: number, type: number, key: bigint, saKey: bigint) => {
    const basic = { persist: false, allTargetPorts: false, initiatorPorts: null };
    const data = buildReserveOut({ reservationKey: key, serviceActionKey: saKey, ...basic });
    return run(
      initiator,
      `5f ${[action, type].map((n) => n.toString(16).padStart(2, '0')).join('')} 0000 00000018 00`,
      { data },
    );
  };
  const CONFLICT = 0x18;

  test('RESERVE(6) keeps others out until it is released or its session ends', async () => {
    const { a, b } = pair();
    assert.equal((await run(a, '16')).status, 0);
    assert.equal((await run(b, '16')).status, CONFLICT);
    assert.equal((await run(b, '28 00 00000000 00 0001 00', { read: 512 })).status, CONFLICT);
    assert.equal((await run(b, '17')).status, 0);
    assert.equal((await run(b, '00')).status, CONFLICT);
    a.connection.onClosed('gone');
    assert.equal((await run(b, '00')).status, 0);
  });

  test('Write Exclusive lets others read, Exclusive Access does not; both outlive the session', async () => {
    const { a, b } = pair();
    assert.equal((await prOut(a, 1, 1, 1n, 0n)).status, CONFLICT, 'not registered');
    assert.equal((await prOut(a, 0, 0, 0n, 1n)).status, 0);
    assert.equal((await prOut(a, 1, 1, 1n, 0n)).status, 0);
    assert.equal((await run(b, '28 00 00000000 00 0001 00', { read: 512 })).status, 0);
    assert.equal((await run(b, '2a 00 00000000 00 0001 00', { data: Buffer.alloc(512) })).status, CONFLICT);
    assert.equal((await prOut(a, 2, 1, 1n, 0n)).status, 0);
    assert.equal((await prOut(a, 1, 3, 1n, 0n)).status, 0);
    assert.equal((await run(b, '28 00 00000000 00 0001 00', { read: 512 })).status, CONFLICT);
    a.connection.onClosed('gone');
    assert.equal((await run(b, '28 00 00000000 00 0001 00', { read: 512 })).status, CONFLICT);
  });

  test('PREEMPT takes the reservation over and tells the one who lost it', async () => {
    const { a, b } = pair();
    await prOut(a, 0, 0, 0n, 1n);
    await prOut(a, 1, 1, 1n, 0n);
    await prOut(b, 0, 0, 0n, 2n);
    assert.equal((await prOut(b, 4, 3, 2n, 1n)).status, 0);
    assert.equal((await run(a, '00')).sense, '06/2a/05');
    assert.equal((await run(a, '28 00 00000000 00 0001 00', { read: 512 })).status, CONFLICT);
    assert.equal((await run(b, '28 00 00000000 00 0001 00', { read: 512 })).status, 0);
    assert.equal((await prOut(b, 4, 3, 2n, 77n)).status, CONFLICT);
  });

  test('what is not offered is refused: APTPL, other ports, unknown types', async () => {
    const { a } = pair();
    const list = Buffer.alloc(24);
    list[15] = 1;
    list[20] = 1;
    assert.equal((await run(a, '5f 00 00 0000 00000018 00', { data: list })).sense, '05/26/00');
    await prOut(a, 0, 0, 0n, 1n);
    assert.equal((await prOut(a, 1, 2, 1n, 0n)).sense, '05/24/00');
    assert.equal((await run(a, '5f 00 00 0000 00000010 00', { data: Buffer.alloc(16) })).sense, '05/1a/00');
  });
});
