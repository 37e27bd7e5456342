// Initiator Session IDs, RFC 7143 §11.12.5.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { IsidType, makeIsid, parseIsid, randomIsidPart } from '../../src/iscsi/isid.js';

describe('ISID', () => {
  it('of type 10b holds a random part and a qualifier', () => {
    assert.equal(makeIsid(0x123456, 0x789a).toString('hex'), '80123456789a');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xff_ffff }), fc.integer({ min: 0, max: 0xffff }), (bc, qualifier) => {
        assert.deepEqual(parseIsid(makeIsid(bc, qualifier)), { type: IsidType.Random, a: 0, bc, qualifier });
      }),
    );
  });
  it('of open-iscsi is of the OUI type', () => {
    assert.deepEqual(parseIsid(Buffer.from('00023d000001', 'hex')), {
      type: IsidType.Oui,
      a: 0,
      bc: 0x023d00,
      qualifier: 1,
    });
  });
  it('has 24 random bits', () => {
    const parts = new Set(Array.from({ length: 64 }, randomIsidPart));
    assert.ok(parts.size > 60);
    for (const part of parts) assert.ok(part >= 0 && part <= 0xff_ffff);
  });
});
