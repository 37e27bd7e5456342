// The client's handshake: against our own server core, and against servers that say something else.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MemoryDevice } from '../../../src/block/memory-device.js';
import { type ExportTerms, openExport } from '../../../src/nbd/client/handshake.js';
import { TransmissionFlag as Flag } from '../../../src/nbd/wire/constants.js';
import { emitExportInfo, emitOptionReply, emitServerData } from '../../../src/nbd/wire/option.js';
import { AppError } from '../../../src/util/errors.js';
import { NbdDriver } from '../../helpers/nbd-driver.js';

const device = new MemoryDevice({ sizeBytes: 2 ** 20 });
const lun0 = { name: 'lun0', description: 'LIO-ORG disk01', device, readOnly: true };

/** Carries the handshake through with the bytes that `answer` gives; throws what it throws. */
function run(name: string, answer: (sent: Buffer, need: number) => Buffer): ExportTerms {
  const steps = openExport(name);
  let step = steps.next();
  while (!step.done) step = steps.next(answer(step.value.send, step.value.need));
  return step.value;
}
/** A server that says `bytes` whatever it is asked; an Error where it has no more. */
function saying(bytes: Buffer): (sent: Buffer, need: number) => Buffer {
  let at = 0;
  return (_, need) => {
    if (at + need > bytes.length) throw new AppError('ERR_CONNECT', 'the end');
    at += need;
    return bytes.subarray(at - need, at);
  };
}

const GREETING = Buffer.from('4e42444d41474943 49484156454f5054 0003'.replaceAll(' ', ''), 'hex');
const EXPORT = emitOptionReply(7, 3, emitExportInfo(2 ** 20, 0x103));
const ACK = emitOptionReply(7, 1);

describe('opening an export', () => {
  it('of our own server: size and flags, and not a byte more is read', () => {
    const driver = new NbdDriver([lun0]);
    let waiting = driver.take();
    const terms = run('lun0', (sent, need) => {
      driver.feed(sent);
      waiting = Buffer.concat([waiting, driver.take()]);
      const piece = waiting.subarray(0, need);
      waiting = waiting.subarray(need);
      return piece;
    });
    assert.equal(terms.sizeBytes, 2 ** 20);
    assert.equal(terms.flags & (Flag.HasFlags | Flag.ReadOnly), Flag.HasFlags | Flag.ReadOnly);
    assert.equal(terms.flags & Flag.SendDf, 0, 'structured replies are not asked for');
    assert.equal(waiting.length, 0);
    assert.equal(driver.core.exportName, 'lun0');
  });

  it('information of other kinds is passed over', () => {
    const more = [
      emitOptionReply(7, 3, Buffer.from([0, 9, 1])),
      emitOptionReply(7, 2, emitServerData('a', 'b')),
      EXPORT,
      ACK,
    ];
    assert.deepEqual(run('lun0', saying(Buffer.concat([GREETING, ...more]))), {
      sizeBytes: 2 ** 20,
      flags: 0x103,
      structuredReplies: false,
      allocation: null,
      blockSizes: null,
    });
  });

  const refusals: [name: string, bytes: Buffer, expected: object][] = [
    [
      'unknown',
      emitOptionReply(7, 0x8000_0006, Buffer.from('no such export')),
      { code: 'ERR_NOT_FOUND', message: /lun0 .*ErrUnknown.*no such export/ },
    ],
    ['no reason given', emitOptionReply(7, 0x8000_0002), { code: 'ERR_NOT_FOUND', message: /ErrPolicy/ }],
    ['an end without information', ACK, { code: 'ERR_PROTOCOL' }],
    ['a reply to another option', emitOptionReply(6, 1), { code: 'ERR_PROTOCOL' }],
    ['a reply without its magic', Buffer.alloc(20), { code: 'ERR_PROTOCOL' }],
    ['too long a reply', Buffer.concat([ACK.subarray(0, 16), Buffer.from([0, 1, 0, 1])]), { code: 'ERR_PROTOCOL' }],
    ['no type of information', emitOptionReply(7, 3, Buffer.from([0])), { code: 'ERR_PROTOCOL' }],
    ['short information', emitOptionReply(7, 3, Buffer.from([0, 0, 1])), { code: 'ERR_PROTOCOL' }],
    ['no flags', Buffer.concat([emitOptionReply(7, 3, emitExportInfo(512, 0)), ACK]), { code: 'ERR_PROTOCOL' }],
    [
      'an impossible size',
      emitOptionReply(7, 3, Buffer.from('0000ffffffffffffffff0001', 'hex')),
      { code: 'ERR_PROTOCOL' },
    ],
    ['no end', Buffer.concat(Array.from({ length: 100 }, () => EXPORT)), { code: 'ERR_PROTOCOL' }],
  ];
  for (const [name, bytes, expected] of refusals) {
    it(`ends in one error: ${name}`, () => {
      assert.throws(() => run('lun0', saying(Buffer.concat([GREETING, bytes]))), expected);
    });
  }
  for (const [name, at, value] of [
    ['old style', 8, 0],
    ['no NBD', 0, 0],
    ['no fixed newstyle', 17, 2],
  ] as const) {
    it(`ends in one error: ${name}`, () => {
      const greeting = Buffer.from(GREETING);
      greeting[at] = value;
      assert.throws(() => run('lun0', saying(greeting)), { code: 'ERR_PROTOCOL' });
    });
  }

  it('any bytes end in terms or an AppError', () => {
    const pieces = fc.array(fc.oneof(fc.constantFrom(EXPORT, ACK), fc.uint8Array({ maxLength: 60 })), { maxLength: 5 });
    fc.assert(
      fc.property(pieces, (parts) => {
        try {
          run('lun0', saying(Buffer.concat([GREETING, ...parts])));
        } catch (error) {
          assert.ok(error instanceof AppError, String(error));
        }
      }),
    );
  });
});
