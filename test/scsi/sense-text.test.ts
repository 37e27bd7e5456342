import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CheckCondition, invalidFieldInCdb, parameterListLengthError, Senses } from '../../src/scsi/check-condition.js';
import { senseCodeName, senseKeyName, senseToText } from '../../src/scsi/sense-text.js';
import { ProtocolError } from '../../src/util/errors.js';

test('sense data in words', () => {
  for (const [sense, text] of [
    [{ key: 5, asc: 0x24, ascq: 0 }, 'Illegal Request: invalid field in CDB (05/24/00)'],
    [
      { key: 5, asc: 0x24, ascq: 0, field: { inCdb: true, byte: 1, bit: 7 } },
      'Illegal Request: invalid field in CDB (05/24/00), at CDB byte 1 bit 7',
    ],
    [
      { key: 5, asc: 0x26, ascq: 0, field: { inCdb: false, byte: 20 } },
      'Illegal Request: invalid field in parameter list (05/26/00), at parameter list byte 20',
    ],
    [{ key: 3, asc: 0x11, ascq: 0, information: 4096 }, 'Medium Error: unrecovered read error (03/11/00), at LBA 4096'],
    [
      { key: 3, asc: 0x11, ascq: 0, information: Number.POSITIVE_INFINITY },
      'Medium Error: unrecovered read error (03/11/00), at LBA above 2^53',
    ],
    [
      { key: 6, asc: 0x29, ascq: 0, information: 0 },
      'Unit Attention: power on, reset, or bus device reset occurred (06/29/00)',
    ],
    [
      { key: 4, asc: 0x44, ascq: 0, deferred: true },
      'Hardware Error: internal target failure (04/44/00), of an earlier command',
    ],
    [{ key: 9, asc: 0x80, ascq: 0x81 }, 'Vendor Specific (09/80/81)'],
  ] as const) {
    assert.equal(senseToText(sense), text);
  }
});

test('every sense that the target sends has a name', () => {
  for (const [name, sense] of Object.entries(Senses)) {
    assert.notEqual(senseCodeName(sense.asc, sense.ascq), undefined, name);
  }
  assert.equal(senseKeyName(0x1e), 'Miscompare');
});

test('a CheckCondition is a ProtocolError that carries its sense', () => {
  const error = invalidFieldInCdb('SBC-3 §5.8', 1, 7);
  assert.ok(error instanceof ProtocolError && error instanceof CheckCondition);
  assert.equal(error.message, 'Illegal Request: invalid field in CDB (05/24/00), at CDB byte 1 bit 7 (SBC-3 §5.8)');
  assert.deepEqual(parameterListLengthError('SPC-4 §6.9').sense, { key: 5, asc: 0x1a, ascq: 0 });
});
