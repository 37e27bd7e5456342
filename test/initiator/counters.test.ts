// What a session counts: every PDU by its kind, whatever connection it came by (the names are those of `iscsiadm -s`).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp } from '../../src/block/block-device.js';
import { BHS_LENGTH, DIGEST_LENGTH } from '../../src/iscsi/wire/bhs.js';
import { fakeLun, fakePair, reopen, start } from '../helpers/fake-pair.js';

const DIGESTS = { headerDigest: 'CRC32C', dataDigest: 'CRC32C' } as const;

test('reads and writes are counted by PDU and by octet, and go on being counted after a reconnect', () => {
  const pair = fakePair();
  const { counters } = pair.rig.session;
  assert.ok(counters.login_pdus > 0);
  const logins = counters.login_pdus;
  const octets = counters.txdata_octets;
  start(fakeLun(pair), BlockOp.Write, 0, 512, { payload: Buffer.alloc(512) });
  start(fakeLun(pair), BlockOp.Read, 0, 512);
  pair.rig.pump();
  assert.deepEqual([counters.scsicmd_pdus, counters.scsirsp_pdus + counters.datain_pdus], [2, 2]);
  assert.equal(counters.txdata_octets - octets, 2 * BHS_LENGTH + 512);
  assert.ok(counters.rxdata_octets >= 2 * BHS_LENGTH + 512);
  pair.rig.session.connection?.handleClosed(undefined);
  reopen(pair.rig, {});
  assert.equal(pair.rig.session.counters, counters);
  assert.ok(counters.login_pdus > logins);
  assert.equal(counters.timeout_err, 0);
});

for (const [part, offset] of [
  ['header', 40],
  ['data', BHS_LENGTH + DIGEST_LENGTH + 100],
] as const) {
  test(`a ${part} digest that does not match is counted once`, () => {
    const login = { negotiate: DIGESTS };
    const loggedIn = fakePair({ wishes: DIGESTS }, { login }).rig.link.back.arrived;
    const corrupt = { at: loggedIn + offset, mask: 0x10 };
    const pair = fakePair({ wishes: DIGESTS }, { login, back: { corrupt } });
    start(fakeLun(pair), BlockOp.Read, 0, 4096);
    pair.rig.pump();
    assert.deepEqual([pair.rig.session.state, pair.rig.session.counters.digest_err], ['FAILED', 1]);
  });
}
