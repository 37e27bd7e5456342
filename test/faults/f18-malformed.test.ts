// F18: PDUs that break the rules, of every kind, in full feature phase: the session drops its connection, comes back and
// ends the command well, or passes the PDU over. Never a wrong byte, never a word to other sessions, never the process.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { BlockStatus } from '../../src/block/block-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { NO_TAG, Opcode } from '../../src/iscsi/wire/bhs.js';
import { DataInFlag } from '../../src/iscsi/wire/data-in.js';
import { buildResponseData } from '../../src/iscsi/wire/scsi-response.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { bounded } from '../../src/transport/timers.js';
import { AppError } from '../../src/util/errors.js';
import { pattern } from '../helpers/stream-core.js';
import { type FakeCommand, type FakeConnection, FakeServer } from './fake-server.js';
import { connect, type Initiator } from './initiator.js';

const LENGTH = 65_536;
const END = DataInFlag.Final | DataInFlag.Status;
/** A read or write has ended by then, whatever happened to it. */
const BOUND_MS = 8000;

type Misdeed = (command: FakeCommand) => void;
/** 'drop': the connection ends. 'pass': it must not. 'either': both are right. */
type Case = readonly [what: string, outcome: 'drop' | 'pass' | 'either', misdeed: Misdeed];

/** A header with these bytes set, and as many bytes of data as `data` has. */
function raw(opcode: number, fields: Readonly<Record<number, number>> = {}, data: Buffer | null = null): Misdeed {
  return ({ itt, connection }) => {
    connection.target.writer.send((b, at) => {
      b.fill(0, at, at + 48);
      b[at] = opcode;
      b[at + 1] = 0x80;
      b.writeUInt32BE(itt, at + 16);
      b.writeUInt32BE(NO_TAG, at + 20);
      b.writeUInt32BE(connection.target.takeStatSn(), at + 24);
      b.writeUInt32BE(connection.target.expCmdSn, at + 28);
      b.writeUInt32BE(connection.target.maxCmdSn, at + 32);
      for (const [index, value] of Object.entries(fields)) b[at + Number(index)] = value;
    }, data);
  };
}
const dataIn =
  (flags: number, dataSn: number, offset: number, length: number): Misdeed =>
  ({ itt, connection }) =>
    connection.target.dataIn(itt, { flags, dataSn, offset, data: Buffer.alloc(length, 0x5a) });
const r2t =
  (sn: number, offset: number, length: number, ttt = 1): Misdeed =>
  ({ itt, connection }) =>
    connection.target.r2t(itt, { ttt, sn, offset, length });
const bytes =
  (make: () => Buffer): Misdeed =>
  ({ connection }) =>
    connection.write(make());
/** Whole PDU headers with lengths that are not so. */
const header = (fields: Readonly<Record<number, number>>): Buffer => {
  const b = Buffer.alloc(48);
  b[0] = Opcode.NopIn;
  b[1] = 0x80;
  b.fill(0xff, 16, 24);
  for (const [index, value] of Object.entries(fields)) b[Number(index)] = value;
  return b;
};

const READS: readonly Case[] = [
  ['more data than was asked for', 'drop', dataIn(END, 0, 0, LENGTH + 512)],
  ['data beyond the buffer', 'drop', dataIn(0, 0, LENGTH, 512)],
  ['data with a gap', 'drop', dataIn(0, 0, 512, 512)],
  ['data whose offset and length overflow', 'drop', dataIn(0, 0, 0xffff_fe00, 1024)],
  ['a DataSN out of order', 'drop', dataIn(0, 1, 0, 512)],
  ['data of no length that ends it', 'either', dataIn(END, 0, 0, 0)],
  ['GOOD without the data', 'either', ({ itt, connection }) => connection.target.response(itt, 0)],
  ['an R2T', 'drop', r2t(0, 0, 512)],
  ['a segment larger than was agreed', 'drop', dataIn(0, 0, 0, 2 ** 20)],
  ['sense that runs past its segment', 'drop', raw(Opcode.ScsiResponse, { 3: 2 }, Buffer.from([0xff, 0xff, 0x70]))],
  ['a sense segment of one byte', 'drop', raw(Opcode.ScsiResponse, { 3: 2 }, Buffer.from([0]))],
  ['CHECK CONDITION without sense', 'either', raw(Opcode.ScsiResponse, { 3: 2 })],
  ['empty sense', 'either', raw(Opcode.ScsiResponse, { 3: 2 }, buildResponseData(Buffer.alloc(0)))],
  ['sense of one byte', 'either', raw(Opcode.ScsiResponse, { 3: 2 }, buildResponseData(Buffer.from([0x70])))],
  [
    'sense of 64 KiB of 0xff',
    'either',
    raw(Opcode.ScsiResponse, { 3: 2 }, buildResponseData(Buffer.alloc(65_535, 255))),
  ],
  ['a status that SAM does not know', 'either', raw(Opcode.ScsiResponse, { 3: 0x77 })],
  ['response 01h, target failure', 'either', raw(Opcode.ScsiResponse, { 2: 1 })],
  ['both residual bits', 'either', raw(Opcode.ScsiResponse, { 1: 0x86 })],
  ['a Login Response', 'drop', raw(Opcode.LoginResponse)],
  ['a Text Response to nothing', 'pass', raw(Opcode.TextResponse)],
  ['a Logout Response to nothing', 'either', raw(Opcode.LogoutResponse)],
  ['a Task Management Response to nothing', 'either', raw(Opcode.TaskManagementResponse)],
  ['a NOP-In with both tags', 'drop', raw(Opcode.NopIn, { 20: 0, 21: 0, 22: 0, 23: 7 })],
  ['a NOP-In with the tag of a command', 'either', raw(Opcode.NopIn)],
  ['a Reject without a header in it', 'either', raw(Opcode.Reject, { 2: 4, 16: 255, 17: 255, 18: 255, 19: 255 })],
  ['a Reject of 10 bytes', 'either', raw(Opcode.Reject, { 2: 4 }, Buffer.alloc(10))],
  ['an Async Message of an unknown event', 'pass', raw(Opcode.AsyncMessage, { 36: 77 })],
  ['an Async Message with half a sense', 'either', raw(Opcode.AsyncMessage, { 36: 0 }, Buffer.from([0, 18, 0x70]))],
  ['a request that only initiators send', 'drop', raw(Opcode.ScsiCommand)],
  ['an operation code that nobody knows', 'drop', raw(0x2e)],
  ['operation code 3Eh with data', 'drop', raw(0x3e, {}, Buffer.alloc(64))],
  ['a Reject of no known reason', 'either', raw(Opcode.Reject, { 2: 99 }, Buffer.alloc(64))],
  ['MaxCmdSN far behind ExpCmdSN', 'either', raw(Opcode.NopIn, { 16: 255, 17: 255, 18: 255, 19: 255, 32: 0, 33: 0 })],
  ['additional header segments', 'drop', bytes(() => Buffer.concat([header({ 4: 2 }), Buffer.alloc(8)]))],
  ['255 additional header words', 'drop', bytes(() => header({ 4: 255 }))],
  ['a data segment of 16 MiB', 'drop', bytes(() => header({ 5: 255, 6: 255, 7: 255 }))],
  ['4 KiB of noise', 'either', bytes(() => randomBytes(4096))],
  ['4 KiB of zeros', 'either', bytes(() => Buffer.alloc(4096))],
  ['4 KiB of 0xff', 'drop', bytes(() => Buffer.alloc(4096, 255))],
  ['half a header, then its end', 'drop', ({ connection }) => cut(connection, 20)],
  ['half a data segment, then its end', 'drop', ({ connection }) => cut(connection, 50)],
];
function cut(connection: FakeConnection, length: number): void {
  connection.write(Buffer.concat([header({ 0: Opcode.DataIn, 7: 100 }), Buffer.alloc(100)]).subarray(0, length));
  connection.end();
}

const WRITES: readonly Case[] = [
  ['an R2T beyond the buffer', 'drop', r2t(0, LENGTH - 512, 1024)],
  ['an R2T whose offset and length overflow', 'drop', r2t(0, 0xffff_ff00, 512)],
  ['an R2T of 4 GiB', 'drop', r2t(0, 0, 0xffff_ffff)],
  ['an R2T for nothing', 'drop', r2t(0, 0, 0)],
  ['an R2TSN out of order', 'drop', r2t(1, 0, 4096)],
  ['an R2T with the reserved tag', 'drop', r2t(0, 0, 4096, NO_TAG)],
  ['Data-In', 'drop', dataIn(0, 0, 0, 512)],
  ['Data-In with status', 'drop', dataIn(END, 0, 0, 512)],
];

describe('F18 malformed PDUs', () => {
  let server: FakeServer;
  let beside: FakeServer;
  let initiator: Initiator;
  let neighbour: Initiator;
  /** The command that was answered with a misdeed. */
  let kept: FakeCommand | null = null;
  const content = pattern(LENGTH, 7);
  before(async () => {
    // R2Ts for all of a write, so that there is a place for wrong ones.
    const wishes = { initialR2T: true, immediateData: false, maxOutstandingR2T: 1 };
    server = await new FakeServer(undefined, { wishes }).start();
    beside = await new FakeServer().start();
    for (const { bytes } of [server.disk(), beside.disk()]) content.copy(bytes);
    neighbour = await connect(beside.port);
  });
  // A session of its own for each: one that is lost again and again waits before it logs in.
  beforeEach(async () => {
    initiator = await connect(server.port);
  });
  afterEach(() => initiator.close());
  after(async () => {
    await neighbour.close();
    await Promise.all([server.stop(), beside.stop()]);
    assert.deepEqual([...server.faults, ...beside.faults], []);
    assert.equal(beside.accepted, 1, 'the session beside it has never lost its connection');
  });
  const soon = <T>(work: Promise<T>) =>
    bounded(work, { timeoutMs: BOUND_MS, onTimeout: () => new AppError('ERR_TIMEOUT', `not over in ${BOUND_MS} ms`) });
  /** Answers the next command `op` with the misdeed, and nothing more for now. */
  const commit = (op: number, misdeed: Misdeed) => {
    kept = null;
    server.script.onCommand = (command) => {
      if (kept !== null || command.op !== op) return 'serve';
      kept = command;
      misdeed(command);
      return 'keep';
    };
  };
  /** The right answer after all, if the connection has passed the misdeed over. */
  const answer = () => {
    if (kept?.connection.open) kept.connection.serve(kept);
  };
  /** What holds after every misdeed. */
  const goesOn = async () => {
    delete server.script.onCommand;
    assert.deepEqual(await soon(readBytes(initiator.lun, 0, LENGTH)), content);
    assert.deepEqual(await soon(readBytes(neighbour.lun, 0, LENGTH)), content);
    assert.equal(initiator.open.session.state, 'LOGGED_IN');
  };
  const isDropped = (before: number, outcome: Case[1]) => {
    const dropped = server.accepted - before;
    if (outcome === 'drop') assert.equal(dropped, 1, 'connections made anew');
    if (outcome === 'pass') assert.equal(dropped, 0, 'connections made anew');
  };

  for (const [what, outcome, misdeed] of READS) {
    it(`a read answered with ${what}`, async () => {
      const before = server.accepted;
      commit(ScsiOp.Read16, misdeed);
      const read = readBytes(initiator.lun, 0, LENGTH);
      const later = setTimeout(answer, 200);
      const result = await soon(read.catch(() => null)).finally(() => clearTimeout(later));
      if (result !== null) assert.deepEqual(result, content);
      else assert.notEqual(outcome, 'drop', 'a command that may be sent again was not');
      isDropped(before, outcome);
      await goesOn();
    });
  }

  for (const [what, outcome, misdeed] of WRITES) {
    it(`a write answered with ${what}`, async () => {
      const before = server.accepted;
      const fresh = pattern(LENGTH, before);
      commit(ScsiOp.Write16, misdeed);
      await soon(writeBytes(initiator.lun, 2 ** 20, fresh));
      assert.deepEqual(server.disk().bytes.subarray(2 ** 20, 2 ** 20 + LENGTH), fresh);
      isDropped(before, outcome);
      await goesOn();
    });
  }

  it('the same misdeed every time ends the command in one error, and the session lives', async () => {
    const before = server.accepted;
    server.script.onCommand = (command) => {
      if (command.op !== ScsiOp.Read16) return 'serve';
      dataIn(0, 1, 0, 512)(command);
      return 'keep';
    };
    await assert.rejects(soon(readBytes(initiator.lun, 0, LENGTH)), { status: BlockStatus.Eio });
    const tries = server.accepted - before;
    assert.ok(tries >= 2 && tries <= 10, `${tries} connections`);
    await goesOn();
  });
});
