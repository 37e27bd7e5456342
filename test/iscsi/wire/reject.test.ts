// Reject, RFC 7143 §11.17. Vectors by the layout of that clause.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Opcode } from '../../../src/iscsi/wire/bhs.js';
import { emitReject, parseReject, RejectReason, rejectReasonText } from '../../../src/iscsi/wire/reject.js';
import { codecTests, hex } from './codec.js';

codecTests('Reject', {
  opcode: Opcode.Reject,
  parse: parseReject,
  emit: emitReject,
  vectors: [
    [
      'an opcode that is not known, with its header',
      '3f800500 00000030 00000000 00000000 ffffffff 00000000 00000010 00000020 00000030 00000000 00000000 00000000',
      { reason: RejectReason.CommandNotSupported, statSn: 0x10, expCmdSn: 0x20, maxCmdSn: 0x30, dataSn: 0 },
      hex(`1e800000 ${'00'.repeat(44)}`),
    ],
    [
      'a data digest error',
      '3f800200 00000030 00000000 00000000 ffffffff 00000000 fffffffe ffffffff 0000003f 00000007 00000000 00000000',
      {
        reason: RejectReason.DataDigestError,
        statSn: 0xfffffffe,
        expCmdSn: 0xffffffff,
        maxCmdSn: 0x3f,
        dataSn: 7,
      },
    ],
  ],
});

describe('rejectReasonText', () => {
  it('has words for every reason, and a number for others', () => {
    const texts = Object.values(RejectReason).map(rejectReasonText);
    assert.equal(new Set(texts).size, texts.length);
    for (const text of texts) assert.doesNotMatch(text, /0x/);
    assert.equal(rejectReasonText(0x7f), 'reason 0x7f');
  });
});
