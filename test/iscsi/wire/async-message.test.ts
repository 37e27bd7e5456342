// Asynchronous Message, RFC 7143 §11.9. Vectors by the layout of that clause.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  AsyncEvent,
  emitAsyncMessage,
  parseAsyncData,
  parseAsyncMessage,
} from '../../../src/iscsi/wire/async-message.js';
import { Opcode } from '../../../src/iscsi/wire/bhs.js';
import { ProtocolError } from '../../../src/util/errors.js';
import { codecTests, hex } from './codec.js';

const sense = '70000600 0000000a 00000000 2a090000 0000';

codecTests('AsyncMessage', {
  opcode: Opcode.AsyncMessage,
  parse: parseAsyncMessage,
  emit: emitAsyncMessage,
  vectors: [
    [
      'SCSI event: capacity has changed',
      '32800000 00000014 00010000 00000000 ffffffff 00000000 00000064 000000c8 0000012c 00000000 00000000 00000000',
      {
        lun: hex('0001000000000000'),
        statSn: 100,
        expCmdSn: 200,
        maxCmdSn: 300,
        event: AsyncEvent.ScsiAsync,
        vendorCode: 0,
        parameter1: 0,
        parameter2: 0,
        parameter3: 0,
      },
      hex(`0012 ${sense}`),
    ],
    [
      'a request to log out within five seconds',
      '32800000 00000000 00000000 00000000 ffffffff 00000000 00000064 000000c8 0000012c 01000000 00000005 00000000',
      {
        lun: hex('0000000000000000'),
        statSn: 100,
        expCmdSn: 200,
        maxCmdSn: 300,
        event: AsyncEvent.RequestLogout,
        vendorCode: 0,
        parameter1: 0,
        parameter2: 0,
        parameter3: 5,
      },
    ],
    [
      'one connection dropped',
      '32800000 00000000 00000000 00000000 ffffffff 00000000 00000064 000000c8 0000012c 02000003 00020014 00000000',
      {
        lun: hex('0000000000000000'),
        statSn: 100,
        expCmdSn: 200,
        maxCmdSn: 300,
        event: AsyncEvent.DropConnection,
        vendorCode: 0,
        parameter1: 3,
        parameter2: 2,
        parameter3: 20,
      },
    ],
    [
      'a vendor event',
      '32800000 00000000 00000000 00000000 ffffffff 00000000 00000064 000000c8 0000012c ff420001 00020003 00000000',
      {
        lun: hex('0000000000000000'),
        statSn: 100,
        expCmdSn: 200,
        maxCmdSn: 300,
        event: AsyncEvent.Vendor,
        vendorCode: 0x42,
        parameter1: 1,
        parameter2: 2,
        parameter3: 3,
      },
    ],
  ],
});

describe('parseAsyncData', () => {
  it('splits sense and event data', () => {
    const { sense: found, eventData } = parseAsyncData(hex(`0012 ${sense} beef`));
    assert.deepEqual([found, eventData], [hex(sense), hex('beef')]);
    assert.equal(parseAsyncData(Buffer.alloc(0)).sense.length, 0);
  });
  it('refuses a SenseLength that runs past the end', () => {
    for (const data of ['00', '0001', `0013 ${sense}`]) assert.throws(() => parseAsyncData(hex(data)), ProtocolError);
  });
});
