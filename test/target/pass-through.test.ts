// A unit whose commands a SCSI device of this host carries out: what reaches it, what never does, and what comes back.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { parseResponseData } from '../../src/iscsi/wire/scsi-response.js';
import { parseReportLuns } from '../../src/scsi/lun.js';
import { ScsiStatus } from '../../src/scsi/status.js';
import { LogicalUnit } from '../../src/target/logical-unit.js';
import type { PassedAnswer, PassedCommand } from '../../src/target/pass-through.js';
import { senseOf } from './ready.js';
import { makeNode, type Pdu, pattern, ScriptedInitiator } from './scripted-initiator.js';

class FakeDisk {
  readonly seen: PassedCommand[] = [];
  answer: Partial<PassedAnswer> | Error = {};
  async execute(command: PassedCommand): Promise<PassedAnswer> {
    this.seen.push(command);
    if (this.answer instanceof Error) throw this.answer;
    const data = pattern(command.dataInLength, 3);
    return { status: ScsiStatus.Good, sense: null, data, ...this.answer };
  }
}

function ready(readOnly = false) {
  const disk = new FakeDisk();
  const device = new MemoryDevice({ sizeBytes: 2 ** 20, readOnly });
  const unit = new LogicalUnit({ name: 'sdx', serial: '0123456789abcdef', device, passThrough: disk });
  const initiator = new ScriptedInitiator(makeNode({ group: { luns: [{ lun: 0, unit }] } }));
  initiator.logIn();
  initiator.clearAttention();
  return { disk, initiator };
}
async function run(
  initiator: ScriptedInitiator,
  cdb: string,
  options: { read?: number; data?: Buffer } = {},
): Promise<Pdu[]> {
  const { read, data } = options;
  initiator.command(cdb, data ? { write: data.length, data } : { read: read ?? 0 });
  return await initiator.settle();
}
const dataOf = (pdus: readonly Pdu[]) =>
  Buffer.concat(pdus.filter((pdu) => pdu.opcode === Opcode.DataIn).map((pdu) => pdu.data));

describe('pass-through', () => {
  it('hands commands on with their data, as long as their opcode says', async () => {
    const { disk, initiator } = ready();
    const inquiry = dataOf(await run(initiator, '12 00 00 0024 00', { read: 36 }));
    assert.ok(inquiry.equals(pattern(36, 3)), "the device's own answer");
    assert.ok(dataOf(await run(initiator, '28 00 00000004 00 0001 00', { read: 512 })).equals(pattern(512, 3)));
    await run(initiator, '2a 00 00000004 00 0001 00', { data: pattern(512, 9) });
    await run(initiator, '35');
    assert.deepEqual(
      disk.seen.map(({ cdb, dataOut, dataInLength }) => [cdb.toString('hex'), dataOut?.length ?? null, dataInLength]),
      [
        ['120000002400', null, 36],
        ['28000000000400000100', null, 512],
        ['2a000000000400000100', 512, 0],
        ['35000000000000000000', null, 0],
      ],
    );
    assert.ok(disk.seen[2]?.dataOut?.equals(pattern(512, 9)));
  });

  it('refuses what would reach past this target: the device never sees it', async () => {
    const { disk, initiator } = ready();
    // FORMAT UNIT, MODE SELECT, RESERVE, START STOP, SEND DIAGNOSTIC, PREVENT ALLOW, WRITE BUFFER, SANITIZE, PERSISTENT RESERVE
    // OUT, EXTENDED COPY, GET LBA STATUS, MAINTENANCE IN, vendor specific.
    for (const opcode of [
      '04',
      '15',
      '16',
      '1b',
      '1d',
      '1e',
      '3b',
      '48',
      '55',
      '5f',
      '83',
      '9e12',
      'a30c',
      'c0',
      'ff',
    ]) {
      const [answer] = await run(initiator, opcode);
      assert.equal(senseOf(answer), '05/20/00', opcode);
    }
    assert.deepEqual(disk.seen, []);
  });

  it('REPORT LUNS is ours: what the initiator may see of this target', async () => {
    const { disk, initiator } = ready();
    const luns = parseReportLuns(dataOf(await run(initiator, 'a0 00 00 000000 00000100 0000', { read: 256 })));
    assert.deepEqual([luns.luns.map(({ lun }) => lun), disk.seen.length], [[0], 0]);
  });

  it("sends the device's status and sense data as they are, and no data with them", async () => {
    const { disk, initiator } = ready();
    const sense = Buffer.from('f00003000010e10a00000000110000000000', 'hex');
    disk.answer = { status: ScsiStatus.CheckCondition, sense };
    const pdus = await run(initiator, '28 00 00000004 00 0001 00', { read: 512 });
    assert.deepEqual([pdus.length, pdus[0]?.header[3]], [1, ScsiStatus.CheckCondition]);
    assert.ok(parseResponseData(pdus[0]?.data ?? Buffer.alloc(0)).sense.equals(sense));
    disk.answer = { status: ScsiStatus.ReservationConflict };
    assert.equal((await run(initiator, '00'))[0]?.header[3], ScsiStatus.ReservationConflict);
    disk.answer = new Error('gone');
    assert.equal(senseOf((await run(initiator, '00'))[0]), '04/44/00');
  });

  it('a read-only unit passes no write on', async () => {
    const { disk, initiator } = ready(true);
    for (const opcode of ['0a', '2a', '41', '42', '8a', '93', 'aa']) {
      const [answer] = await run(initiator, opcode, { data: pattern(512) });
      assert.equal(senseOf(answer), '07/27/00', opcode);
    }
    assert.deepEqual(disk.seen, []);
    await run(initiator, '28 00 00000004 00 0001 00', { read: 512 });
    assert.equal(disk.seen.length, 1);
  });
});
