// F05: every login status of RFC 7143 §11.13.5, given at the initial login: which ends it, with which exit code, and which
// sends it elsewhere.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { exitCodeOf } from '../../src/cli/exit-codes.js';
import { AppError } from '../../src/util/errors.js';
import { FakeServer } from './fake-server.js';
import { connect } from './initiator.js';

/** Exit codes are iscsiadm's: 8 may pass, 19 must not be tried again, 24 is about who we are. */
const REFUSALS: readonly [status: number, exit: number, retriable: boolean][] = [
  [0x0200, 19, false],
  [0x0201, 24, false],
  [0x0202, 24, false],
  [0x0203, 19, false],
  [0x0204, 19, false],
  [0x0205, 19, false],
  [0x0206, 19, false],
  [0x0207, 19, false],
  [0x0208, 19, false],
  [0x0209, 19, false],
  [0x020a, 19, false],
  [0x020b, 19, false],
  // Details that the RFC does not know are their class's own.
  [0x02ff, 19, false],
  [0x0300, 8, true],
  [0x0301, 8, true],
  [0x0302, 8, true],
  [0x03ff, 8, true],
  [0x0400, 19, false],
];

describe('F05 login status', () => {
  let server: FakeServer;
  let elsewhere: FakeServer;
  before(async () => {
    server = await new FakeServer().start();
    elsewhere = await new FakeServer().start();
  });
  after(async () => {
    await Promise.all([server.stop(), elsewhere.stop()]);
    assert.deepEqual([...server.faults, ...elsewhere.faults], []);
  });

  for (const [status, exit, retriable] of REFUSALS) {
    const hex = `0x${status.toString(16).padStart(4, '0')}`;
    it(`${hex} at the first login ends it at once with ${exit}`, async () => {
      server.script = { onLogin: () => ({ status }) };
      const before = server.accepted;
      const began = performance.now();
      const error = await connect(server.port).then(
        () => assert.fail('logged in'),
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof AppError, String(error));
      assert.equal(exitCodeOf(error), exit, error.message);
      assert.equal(error.retriable, retriable);
      assert.match(error.message, new RegExp(hex));
      assert.equal(server.accepted - before, 1, 'one try');
      // One try; a login that is tried again goes on for 15 s.
      assert.ok(performance.now() - began < 10_000);
    });
  }

  for (const status of [0x0101, 0x0102]) {
    it(`0x0${status.toString(16)} sends the login to another portal, with the same ISID`, async () => {
      server.logins.length = elsewhere.logins.length = 0;
      server.script = {
        onLogin: () => ({ status, pairs: [['TargetAddress', `127.0.0.1:${elsewhere.port},1`]] }),
      };
      const initiator = await connect(server.port);
      assert.equal(initiator.open.portal.port, elsewhere.port);
      assert.deepEqual([server.logins.length, elsewhere.logins.length], [1, 1]);
      assert.equal(server.logins[0]?.isid, elsewhere.logins[0]?.isid);
      assert.ok(initiator.lines.some((line) => line.includes(`redirected to 127.0.0.1:${elsewhere.port}`)));
      await initiator.close();
    });
  }

  for (const [what, status, address] of [
    ['no address', 0x0101, null],
    ['an address that is none', 0x0101, '../../etc:3260,1'],
    ['port 0', 0x0101, '127.0.0.1:0,1'],
    ['a detail that the RFC does not know', 0x01ff, '127.0.0.1:3260,1'],
  ] as const) {
    it(`a redirection with ${what} ends the login in one error`, async () => {
      server.script = { onLogin: () => ({ status, pairs: address === null ? [] : [['TargetAddress', address]] }) };
      const before = server.accepted;
      await assert.rejects(connect(server.port), (error) => error instanceof AppError && exitCodeOf(error) !== 9);
      assert.equal(server.accepted - before, 1);
    });
  }
});
