// Messages to and from the kernel by byte vectors: linux/netlink.h, genetlink.h, nbd-netlink.h, on a little-endian machine.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseAnswers } from '../../../src/nbd/wire/netlink.js';
import {
  emitConnect,
  emitDisconnect,
  emitGetFamily,
  emitResize,
  parseFamily,
  parseIndex,
} from '../../../src/nbd/wire/netlink-nbd.js';
import { ProtocolError } from '../../../src/util/errors.js';

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s+|\/\/.*/g, ''), 'hex');
const to = { family: 0x1f, sequence: 2 };

describe('requests', () => {
  const requests: [name: string, made: Buffer, expected: string][] = [
    ['CTRL_CMD_GETFAMILY', emitGetFamily(1), '1c000000 1000 0500 01000000 00000000 03 01 0000  0800 0200 6e626400'],
    [
      'NBD_CMD_CONNECT',
      emitConnect(to, {
        sockets: [21, 22],
        sizeBytes: 0x1_0000_0200,
        blockSize: 4096,
        serverFlags: 0x10d,
        timeoutS: 604_800,
        backend: 'lunctl-1',
      }),
      `70000000 1f00 0500 02000000 00000000 01 01 0000
       0c00 0200 0002000001000000  0c00 0300 0010000000000000  0c00 0400 803a090000000000  0c00 0500 0d01000000000000
       0d00 0a00 6c756e63746c2d3100 000000
       1c00 0700  0c00 0100 0800 0100 15000000  0c00 0100 0800 0100 16000000`,
    ],
    [
      'NBD_CMD_DISCONNECT',
      emitDisconnect(to, 3),
      '1c000000 1f00 0500 02000000 00000000 02 01 0000  0800 0100 03000000',
    ],
    [
      'NBD_CMD_RECONFIGURE',
      emitResize(to, { index: 3, sizeBytes: 0x200, backend: 'abc' }),
      `30000000 1f00 0500 02000000 00000000 03 01 0000
       0800 0100 03000000  0c00 0200 0002000000000000  0800 0a00 61626300`,
    ],
  ];
  for (const [name, made, expected] of requests) {
    it(name, () => {
      assert.equal(made.toString('hex'), hex(expected).toString('hex'));
      assert.equal(made.readUInt32LE(0), made.length);
    });
  }
});

const FAMILY = hex('24000000 1000 0000 01000000 9a020000 01 02 0000  0800 0200 6e626400  0600 0100 1f00 0000');
const INDEX = hex('1c000000 1f00 0000 02000000 9a020000 01 00 0000  0800 0100 05000000');
const ACK = hex('24000000 0200 0001 02000000 9a020000 00000000  80000000 1f00 0500 02000000 00000000');
const BUSY = hex('24000000 0200 0000 02000000 9a020000 f0ffffff  80000000 1f00 0500 02000000 00000000');

describe('answers', () => {
  it('the number of the family', () => {
    const [answer] = parseAnswers(FAMILY);
    assert.ok(answer?.kind === 'message');
    assert.deepEqual([answer.family, answer.command, answer.sequence, parseFamily(answer)], [16, 1, 1, 31]);
  });
  it('the number of the device and the acknowledgement, in one datagram', () => {
    const [message, end] = parseAnswers(Buffer.concat([INDEX, ACK]));
    assert.ok(message?.kind === 'message');
    assert.equal(parseIndex(message), 5);
    assert.deepEqual(end, { kind: 'end', sequence: 2, errno: 0 });
  });
  it('a refusal: EBUSY', () => {
    assert.deepEqual(parseAnswers(BUSY), [{ kind: 'end', sequence: 2, errno: 16 }]);
  });
  it('one without what was asked for', () => {
    const [answer] = parseAnswers(INDEX);
    assert.ok(answer?.kind === 'message');
    assert.throws(() => parseIndex({ ...answer, attributes: new Map() }), ProtocolError);
    assert.throws(() => parseFamily({ ...answer, attributes: new Map([[1, Buffer.alloc(4)]]) }), ProtocolError);
  });

  const broken: [name: string, bytes: Buffer][] = [
    ['half a header', FAMILY.subarray(0, 8)],
    ['less than its length', FAMILY.subarray(0, 30)],
    ['a length of zero', hex('00000000 1000 0000 01000000 9a020000')],
    ['no genetlink header', hex('10000000 1f00 0000 01000000 9a020000')],
    ['an attribute of length zero', hex('18000000 1f00 0000 01000000 9a020000 01 02 0000 0000 0100')],
    ['an attribute longer than the message', hex('18000000 1f00 0000 01000000 9a020000 01 02 0000 0900 0100')],
    ['half an attribute', hex('16000000 1f00 0000 01000000 9a020000 01 02 0000 0400')],
    ['lost answers', hex('14000000 0400 0000 01000000 9a020000 00000000')],
  ];
  for (const [name, bytes] of broken) it(name, () => assert.throws(() => parseAnswers(bytes), ProtocolError));

  it('any bytes give answers or a ProtocolError', () => {
    const whole = fc.uint8Array({ maxLength: 96 });
    const changed = fc.tuple(fc.constantFrom(FAMILY, INDEX, ACK), fc.nat(35), fc.nat(255)).map(([bytes, at, value]) => {
      const copy = Uint8Array.from(bytes);
      copy[at % copy.length] = value;
      return copy;
    });
    fc.assert(
      fc.property(fc.oneof(whole, changed), (bytes) => {
        try {
          assert.ok(Array.isArray(parseAnswers(Buffer.from(bytes))));
        } catch (error) {
          assert.ok(error instanceof ProtocolError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
