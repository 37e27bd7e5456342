// F05, in recovery: what each login status does to a session that was there before: nothing that is not final is final, and
// commands wait as long as the replacement timeout lets them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockStatus } from '../../src/block/block-device.js';
import { writeBytes } from '../../src/block/promise.js';
import { DEFAULT_TIMERS } from '../../src/services/session/info.js';
import { lateness } from '../helpers/lateness.js';
import { pattern, until } from '../helpers/stream-core.js';
import { FakeServer } from './fake-server.js';
import { connect, type Initiator } from './initiator.js';

const BLOCK = 4096;
const REFUSALS = [
  0x0200, 0x0201, 0x0202, 0x0203, 0x0204, 0x0205, 0x0206, 0x0207, 0x0208, 0x0209, 0x020a, 0x020b, 0x0300, 0x0301,
  0x0302,
];
const hex = (status: number) => `0x${status.toString(16).padStart(4, '0')}`;

async function rig(use: (server: FakeServer, initiator: Initiator) => Promise<void>, login = {}): Promise<void> {
  const server = await new FakeServer().start();
  const initiator = await connect(server.port, login);
  try {
    await use(server, initiator);
  } finally {
    await initiator.close();
    await server.stop();
  }
  assert.deepEqual(server.faults, []);
}
const atFirstRequest =
  <T>(answer: () => T) =>
  (_pdu: unknown, _pairs: unknown, round: number) =>
    round === 0 ? answer() : undefined;

describe('F05 in recovery', { concurrency: 4 }, () => {
  for (const status of REFUSALS) {
    it(`${hex(status)} twice, then a login: the write that waited succeeds`, () =>
      rig(async (server, initiator) => {
        let refusals = 2;
        server.script.onLogin = atFirstRequest(() => (refusals-- > 0 ? { status } : undefined));
        server.session.reset();
        const bytes = pattern(BLOCK, status);
        await writeBytes(initiator.lun, 0, bytes);
        assert.deepEqual(server.disk().bytes.subarray(0, BLOCK), bytes);
        assert.ok(refusals < 0);
        assert.equal(new Set(server.logins.map(({ isid }) => isid)).size, 1, 'one ISID');
        assert.deepEqual([...new Set(server.logins.map(({ tsih }) => tsih))], [0], 'TSIH 0');
        const told = initiator.lines.filter((line) => line.includes(hex(status)));
        assert.equal(told.length, 1, initiator.lines.join('\n'));
      }));
  }

  for (const status of [0x0201, 0x0301]) {
    it(`${hex(status)} for ever: EIO when the replacement timeout is over, and logins go on`, () =>
      rig(
        async (server, initiator) => {
          let refuse = true;
          server.script.onLogin = atFirstRequest(() => (refuse ? { status } : undefined));
          server.session.reset();
          const late = lateness();
          const began = performance.now();
          await assert.rejects(writeBytes(initiator.lun, 0, pattern(BLOCK)), { status: BlockStatus.Eio });
          const took = performance.now() - began;
          assert.ok(Math.abs(took - 1500) < 1000 + late(), `${took} ms`);
          await assert.rejects(writeBytes(initiator.lun, 0, pattern(BLOCK)), { status: BlockStatus.Eio });
          refuse = false;
          const before = server.logins.length;
          const end = performance.now() + 7000;
          while (initiator.open.session.state !== 'LOGGED_IN' && performance.now() < end) await wait(20);
          assert.ok(server.logins.length > before, 'it is still tried');
          await until(() => initiator.open.session.recovery === 'none', 'the session is back');
          await writeBytes(initiator.lun, 0, pattern(BLOCK, 9));
        },
        { timers: { ...DEFAULT_TIMERS, replacementTimeoutMs: 1500 } },
      ));
  }

  for (const [status, lasting] of [
    [0x0101, false],
    [0x0102, true],
  ] as const) {
    it(`${hex(status)} is followed${lasting ? ' and kept' : ', and the next loss begins at the portal of the record'}`, () =>
      rig(async (server, initiator) => {
        const other = await new FakeServer({ 0: server.disk() }).start();
        try {
          server.script.onLogin = atFirstRequest(() => ({
            status,
            pairs: [['TargetAddress', `127.0.0.1:${other.port},1`]] as [string, string][],
          }));
          server.session.reset();
          await writeBytes(initiator.lun, 0, pattern(BLOCK, 1));
          assert.equal(other.logins.length, 1);
          const asked = server.logins.length;
          other.session.reset();
          await writeBytes(initiator.lun, 0, pattern(BLOCK, 2));
          assert.equal(server.logins.length > asked, !lasting);
          assert.equal(other.logins.length, 2);
          assert.equal(new Set([...server.logins, ...other.logins].map(({ isid }) => isid)).size, 1, 'one ISID');
          await initiator.close();
        } finally {
          await other.stop();
        }
        assert.deepEqual(other.faults, []);
      }));
  }
});

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
