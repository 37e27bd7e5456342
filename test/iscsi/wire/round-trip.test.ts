// Every PDU that can be built comes back the same, and the hot ones also through their field accessors.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc, { type Arbitrary } from 'fast-check';
import { emitAsyncMessage, parseAsyncMessage } from '../../../src/iscsi/wire/async-message.js';
import { BHS_LENGTH, Opcode, opcodeName, opcodeOf, pad4 } from '../../../src/iscsi/wire/bhs.js';
import * as dataIn from '../../../src/iscsi/wire/data-in.js';
import * as dataOut from '../../../src/iscsi/wire/data-out.js';
import { emitLoginRequest, parseLoginRequest } from '../../../src/iscsi/wire/login-request.js';
import { emitLoginResponse, parseLoginResponse } from '../../../src/iscsi/wire/login-response.js';
import * as logout from '../../../src/iscsi/wire/logout.js';
import { emitNopIn, parseNopIn } from '../../../src/iscsi/wire/nop-in.js';
import { emitNopOut, parseNopOut, wantsNopIn } from '../../../src/iscsi/wire/nop-out.js';
import * as r2t from '../../../src/iscsi/wire/r2t.js';
import { emitReject, parseReject } from '../../../src/iscsi/wire/reject.js';
import * as command from '../../../src/iscsi/wire/scsi-command.js';
import * as response from '../../../src/iscsi/wire/scsi-response.js';
import { emitSnackRequest, parseSnackRequest } from '../../../src/iscsi/wire/snack.js';
import * as tmf from '../../../src/iscsi/wire/task-management.js';
import { emitTextRequest, parseTextRequest } from '../../../src/iscsi/wire/text-request.js';
import { emitTextResponse, parseTextResponse } from '../../../src/iscsi/wire/text-response.js';

const u = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 });
const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array));
const flag = fc.boolean();
const lun = bytes(8);
const numbers = { statSn: u(32), expCmdSn: u(32), maxCmdSn: u(32) };
const request = { itt: u(32), cmdSn: u(32), expStatSn: u(32) };
const stages = { transit: flag, continues: flag, csg: u(2), nsg: u(2), isid: bytes(6), tsih: u(16), itt: u(32) };
const ordinary = { noNullPrototype: true };

function roundTrip<T>(
  name: string,
  opcode: number,
  emit: (pdu: T, b: Buffer, at?: number) => void,
  parse: (b: Buffer, at?: number) => T,
  pdus: Arbitrary<T>,
  also: (pdu: T, b: Buffer, at: number) => void = () => {},
): void {
  it(name, () => {
    fc.assert(
      fc.property(pdus, u(4), (pdu, at) => {
        const b = Buffer.alloc(BHS_LENGTH + 16, 0xa5);
        emit(pdu, b, at);
        assert.equal(opcodeOf(b, at), opcode);
        assert.deepEqual(parse(b, at), pdu);
        also(pdu, b, at);
      }),
    );
  });
}

describe('any PDU survives emit and parse', () => {
  roundTrip(
    'NOP-Out',
    Opcode.NopOut,
    emitNopOut,
    parseNopOut,
    fc.record({ immediate: flag, lun, ttt: u(32), ...request }, ordinary),
    (pdu, b, at) => assert.equal(wantsNopIn(b, at), pdu.itt !== 0xffff_ffff),
  );
  roundTrip(
    'NOP-In',
    Opcode.NopIn,
    emitNopIn,
    parseNopIn,
    fc.record({ lun, itt: u(32), ttt: u(32), ...numbers }, ordinary),
  );
  roundTrip(
    'SCSI Command',
    Opcode.ScsiCommand,
    command.emitScsiCommand,
    command.parseScsiCommand,
    fc.record(
      {
        immediate: flag,
        final: flag,
        read: flag,
        write: flag,
        attribute: u(3),
        lun,
        expectedDataTransferLength: u(32),
        ...request,
        cdb: bytes(16),
      },
      ordinary,
    ),
    (pdu, b, at) => {
      assert.equal(command.commandEdtl(b, at), pdu.expectedDataTransferLength);
      assert.equal(command.commandCmdSn(b, at), pdu.cmdSn);
      assert.equal(command.commandExpStatSn(b, at), pdu.expStatSn);
      assert.equal((command.commandFlags(b, at) & command.CommandFlag.Write) !== 0, pdu.write);
    },
  );
  roundTrip(
    'SCSI Response',
    Opcode.ScsiResponse,
    response.emitScsiResponse,
    response.parseScsiResponse,
    fc.record(
      {
        bidiOverflow: flag,
        bidiUnderflow: flag,
        overflow: flag,
        underflow: flag,
        response: u(8),
        status: u(8),
        itt: u(32),
        snackTag: u(32),
        ...numbers,
        expDataSn: u(32),
        bidiResidual: u(32),
        residual: u(32),
      },
      ordinary,
    ),
    (pdu, b, at) => {
      assert.equal(response.responseCode(b, at), pdu.response);
      assert.equal(response.responseStatus(b, at), pdu.status);
      assert.equal(response.responseStatSn(b, at), pdu.statSn);
      assert.equal(response.responseExpCmdSn(b, at), pdu.expCmdSn);
      assert.equal(response.responseMaxCmdSn(b, at), pdu.maxCmdSn);
      assert.equal(response.responseExpDataSn(b, at), pdu.expDataSn);
      assert.equal(response.responseResidual(b, at), pdu.residual);
    },
  );
  roundTrip(
    'Data-In',
    Opcode.DataIn,
    dataIn.emitDataIn,
    dataIn.parseDataIn,
    fc.record(
      {
        final: flag,
        acknowledge: flag,
        overflow: flag,
        underflow: flag,
        hasStatus: flag,
        status: u(8),
        lun,
        itt: u(32),
        ttt: u(32),
        ...numbers,
        dataSn: u(32),
        bufferOffset: u(32),
        residual: u(32),
      },
      ordinary,
    ),
    (pdu, b, at) => {
      assert.equal(dataIn.dataInStatus(b, at), pdu.status);
      assert.equal(dataIn.dataInTtt(b, at), pdu.ttt);
      assert.equal(dataIn.dataInStatSn(b, at), pdu.statSn);
      assert.equal(dataIn.dataInExpCmdSn(b, at), pdu.expCmdSn);
      assert.equal(dataIn.dataInMaxCmdSn(b, at), pdu.maxCmdSn);
      assert.equal(dataIn.dataInDataSn(b, at), pdu.dataSn);
      assert.equal(dataIn.dataInBufferOffset(b, at), pdu.bufferOffset);
      assert.equal(dataIn.dataInResidual(b, at), pdu.residual);
      assert.equal((dataIn.dataInFlags(b, at) & dataIn.DataInFlag.Status) !== 0, pdu.hasStatus);
    },
  );
  roundTrip(
    'Data-Out',
    Opcode.DataOut,
    dataOut.emitDataOut,
    dataOut.parseDataOut,
    fc.record(
      { final: flag, lun, itt: u(32), ttt: u(32), expStatSn: u(32), dataSn: u(32), bufferOffset: u(32) },
      ordinary,
    ),
  );
  roundTrip(
    'R2T',
    Opcode.R2T,
    r2t.emitR2T,
    r2t.parseR2T,
    fc.record(
      {
        lun,
        itt: u(32),
        ttt: u(32),
        ...numbers,
        r2tSn: u(32),
        bufferOffset: u(32),
        desiredDataTransferLength: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
      },
      ordinary,
    ),
  );
  roundTrip(
    'Task Management Request',
    Opcode.TaskManagementRequest,
    tmf.emitTaskManagementRequest,
    tmf.parseTaskManagementRequest,
    fc.record(
      {
        immediate: flag,
        function: u(7),
        lun,
        referencedTaskTag: u(32),
        ...request,
        refCmdSn: u(32),
        expDataSn: u(32),
      },
      ordinary,
    ),
  );
  roundTrip(
    'Task Management Response',
    Opcode.TaskManagementResponse,
    tmf.emitTaskManagementResponse,
    tmf.parseTaskManagementResponse,
    fc.record({ response: u(8), itt: u(32), ...numbers }, ordinary),
  );
  roundTrip(
    'Login Request',
    Opcode.LoginRequest,
    emitLoginRequest,
    parseLoginRequest,
    fc.record({ ...stages, versionMax: u(8), versionMin: u(8), cid: u(16), cmdSn: u(32), expStatSn: u(32) }, ordinary),
  );
  roundTrip(
    'Login Response',
    Opcode.LoginResponse,
    emitLoginResponse,
    parseLoginResponse,
    fc.record(
      { ...stages, versionMax: u(8), versionActive: u(8), ...numbers, statusClass: u(8), statusDetail: u(8) },
      ordinary,
    ),
  );
  roundTrip(
    'Text Request',
    Opcode.TextRequest,
    emitTextRequest,
    parseTextRequest,
    fc.record({ immediate: flag, final: flag, continues: flag, lun, ttt: u(32), ...request }, ordinary),
  );
  roundTrip(
    'Text Response',
    Opcode.TextResponse,
    emitTextResponse,
    parseTextResponse,
    fc.record({ final: flag, continues: flag, lun, itt: u(32), ttt: u(32), ...numbers }, ordinary),
  );
  roundTrip(
    'Logout Request',
    Opcode.LogoutRequest,
    logout.emitLogoutRequest,
    logout.parseLogoutRequest,
    fc.record({ immediate: flag, reason: u(7), cid: u(16), ...request }, ordinary),
  );
  roundTrip(
    'Logout Response',
    Opcode.LogoutResponse,
    logout.emitLogoutResponse,
    logout.parseLogoutResponse,
    fc.record({ response: u(8), itt: u(32), ...numbers, time2Wait: u(16), time2Retain: u(16) }, ordinary),
  );
  roundTrip(
    'SNACK Request',
    Opcode.SnackRequest,
    emitSnackRequest,
    parseSnackRequest,
    fc.record({ type: u(4), lun, itt: u(32), ttt: u(32), expStatSn: u(32), begRun: u(32), runLength: u(32) }, ordinary),
  );
  roundTrip(
    'Reject',
    Opcode.Reject,
    emitReject,
    parseReject,
    fc.record({ reason: u(8), ...numbers, dataSn: u(32) }, ordinary),
  );
  roundTrip(
    'Asynchronous Message',
    Opcode.AsyncMessage,
    emitAsyncMessage,
    parseAsyncMessage,
    fc.record(
      { lun, ...numbers, event: u(8), vendorCode: u(8), parameter1: u(16), parameter2: u(16), parameter3: u(16) },
      ordinary,
    ),
  );
});

describe('what all headers share', () => {
  it('opcodes have names', () => {
    assert.equal(opcodeName(Opcode.DataIn), 'DataIn');
    assert.equal(opcodeName(0x1c), 'opcode 0x1c');
  });
  it('segments are padded to four bytes', () => {
    assert.deepEqual([0, 1, 3, 4, 5, 2 ** 24 - 1].map(pad4), [0, 4, 4, 4, 8, 2 ** 24]);
  });
});
