// F09: every Asynchronous Message of RFC 7143 §11.9.1 in the middle of a write: which PDUs follow, in which order and when;
// and the write ends well, whatever it was.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { AsyncEvent, emitAsyncMessage } from '../../src/iscsi/wire/async-message.js';
import { NO_TAG, Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { CDB_AT } from '../../src/iscsi/wire/scsi-command.js';
import { buildResponseData } from '../../src/iscsi/wire/scsi-response.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense } from '../../src/scsi/sense.js';
import { pattern, until } from '../helpers/stream-core.js';
import { type FakeCommand, type FakeConnection, FakeServer } from './fake-server.js';
import { connect, type Initiator } from './initiator.js';

/** Far more than one R2T asks for. */
const LENGTH = 2 ** 19;

interface Event {
  readonly event: number;
  readonly parameter1?: number;
  readonly parameter2?: number;
  readonly parameter3?: number;
  readonly data?: Buffer;
}

function send({ target }: FakeConnection, { event, data, ...parameters }: Event): void {
  const pdu = {
    lun: Buffer.alloc(8),
    statSn: target.takeStatSn(),
    expCmdSn: target.expCmdSn,
    maxCmdSn: target.maxCmdSn,
    event,
    vendorCode: 0,
    parameter1: 0,
    parameter2: 0,
    parameter3: 0,
    ...parameters,
  };
  target.writer.send((b, at) => emitAsyncMessage(pdu, b, at), data ?? null);
}

/** What came on one connection after the event: when (milliseconds), and what. */
interface Seen {
  readonly ms: number;
  readonly opcode: number;
  readonly bhs: Buffer;
}

describe('F09 an asynchronous event in mid-write', () => {
  let server: FakeServer;
  let initiator: Initiator;
  /** What came after the event on the connection that it came by. */
  let seen: Seen[];
  let sentAt = 0;
  let old: FakeConnection;
  const bytes = pattern(LENGTH, 11);
  beforeEach(async () => {
    server = await new FakeServer(undefined, {
      wishes: { initialR2T: true, immediateData: false, maxBurstLength: 65_536 },
    }).start();
    initiator = await connect(server.port);
    seen = [];
    old = server.session;
  });
  afterEach(async () => {
    await initiator.close();
    await server.stop();
    assert.deepEqual(server.faults, []);
  });
  /** A write of which the target takes one sequence; then the event comes, and `then` decides about the rest. */
  const inMidWrite = (event: Event, then: (command: FakeCommand) => void = () => {}): Promise<void> => {
    let command: FakeCommand | null = null;
    let sequences = 0;
    server.script.onCommand = (next) => {
      if (command !== null || next.op !== ScsiOp.Write16) return 'serve';
      command = next;
      return 'serve';
    };
    server.script.onPdu = ({ opcode, bhs }, connection) => {
      if (connection !== old) return false;
      if (sentAt > 0) seen.push({ ms: performance.now() - sentAt, opcode, bhs: Buffer.from(bhs) });
      const isData = opcode === Opcode.DataOut && command !== null && tagOf(bhs) === command.itt;
      const isEnd = isData && (bhs.readUInt8(1) & 0x80) !== 0;
      if (!isEnd || ++sequences !== 2 || command === null) return false;
      sentAt = performance.now();
      send(connection, event);
      const { itt } = command;
      then(command);
      // Whatever it does not answer now it never answers.
      return connection.target.isRefused(itt);
    };
    sentAt = 0;
    return writeBytes(initiator.lun, 0, bytes);
  };
  const written = () => assert.deepEqual(server.disk().bytes.subarray(0, LENGTH), bytes);
  const of = (...opcodes: number[]) => seen.filter(({ opcode }) => opcodes.includes(opcode));

  it('0, SCSI: the unit is asked again, and the write ends', async () => {
    const capacities: number[] = [];
    const write = inMidWrite(
      { event: AsyncEvent.ScsiAsync, data: buildResponseData(buildFixedSense(Senses.CapacityChanged)) },
      () => server.disk().resize(2 ** 23),
    );
    await write;
    await until(() => initiator.lun.sizeBytes === 2 ** 23, 'the new size is known');
    written();
    for (const { bhs, opcode } of seen) {
      if (opcode === Opcode.ScsiCommand && bhs[CDB_AT] === ScsiOp.ServiceActionIn16) capacities.push(1);
    }
    assert.ok(capacities.length > 0, 'READ CAPACITY was asked');
    assert.equal(server.accepted, 1);
  });

  it('1, logout requested: no new command, a Logout in time, and the commands go on in the next session', async () => {
    const write = inMidWrite({ event: AsyncEvent.RequestLogout, parameter3: 3 }, ({ connection, itt }) => {
      connection.target.abandon(itt);
    });
    // A second one, which must wait for the next session.
    // What has been sent before the event is read is no fault of ours.
    const { session } = initiator.open;
    await until(() => session.connection?.state !== 'LOGGED_IN', 'the event is read');
    const second = writeBytes(initiator.lun, LENGTH, bytes);
    await Promise.all([write, second]);
    written();
    assert.deepEqual(server.disk().bytes.subarray(LENGTH, 2 * LENGTH), bytes);
    const [logout] = of(Opcode.LogoutRequest);
    assert.ok(logout !== undefined && logout.ms < 3000, `a Logout after ${logout?.ms} ms`);
    assert.deepEqual(of(Opcode.ScsiCommand), [], 'no command after the event');
    assert.equal(server.accepted, 2);
  });

  for (const event of [AsyncEvent.DropConnection, AsyncEvent.DropAllConnections]) {
    it(`${event}, dropped: the next login comes after Time2Wait, within Time2Retain`, async () => {
      const write = inMidWrite({ event, parameter1: 0, parameter2: 1, parameter3: 3 }, ({ connection, itt }) => {
        connection.target.abandon(itt);
        setTimeout(() => connection.end(), 20);
      });
      await write;
      written();
      const login = (server.logins[1]?.at ?? 0) - sentAt;
      assert.ok(login >= 990 && login < 3000, `a login after ${login} ms`);
      assert.deepEqual(of(Opcode.ScsiCommand, Opcode.DataOut), [], 'nothing more on the dropped connection');
      assert.equal(server.logins[1]?.isid, server.logins[0]?.isid);
    });
  }

  it('4, negotiation requested: a Text Request or a Logout within the time, and the write ends', async () => {
    await inMidWrite({ event: AsyncEvent.RequestNegotiation, parameter3: 3 });
    written();
    await until(() => of(Opcode.TextRequest, Opcode.LogoutRequest).length > 0, 'the target is answered');
    const [answer] = of(Opcode.TextRequest, Opcode.LogoutRequest);
    assert.ok((answer?.ms ?? Number.NaN) < 3000);
  });

  it('5, tasks terminated: no more data for them, a NOP-Out, and then the commands again', async () => {
    let itt = NO_TAG;
    const write = inMidWrite({ event: AsyncEvent.TasksTerminated }, (command) => {
      ({ itt } = command);
      command.connection.target.abandon(itt);
    });
    await write;
    written();
    const data = of(Opcode.DataOut).filter(({ bhs }) => tagOf(bhs) === itt);
    const nop = seen.findIndex(({ opcode }) => opcode === Opcode.NopOut);
    const again = seen.findIndex(({ opcode, bhs }) => opcode === Opcode.ScsiCommand && bhs[CDB_AT] === ScsiOp.Write16);
    assert.deepEqual(data, [], 'no data for a task that is gone');
    assert.ok(nop >= 0 && again > nop, `NOP-Out ${nop}, the command again ${again}`);
    assert.ok((seen[nop]?.ms ?? Number.NaN) < 1000);
    assert.equal(server.accepted, 1);
  });

  for (const event of [77, AsyncEvent.Vendor]) {
    it(`${event}, unknown: logged, and the write ends`, async () => {
      await inMidWrite({ event });
      written();
      assert.equal(server.accepted, 1);
      await until(() => initiator.lines.some((line) => line.includes(`asynchronous event ${event}`)), 'it is logged');
      assert.deepEqual(await readBytes(initiator.lun, 0, LENGTH), bytes);
    });
  }
});
