// F26: the same initiator name and ISID twice. The tasks of the old session stop before the new login completes, so that no late
// write of the old one can come after a write of the new one, whatever the network has held back.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { OWN_TARGET, type OwnTarget, startOwn } from '../helpers/own-target.js';
import { commandPdu, dataOutPdu, loginPdu, normalLogin, RawSession } from '../helpers/raw-initiator.js';
import { count, figure, within } from './rig.js';

const RUNS = count('F26_RUNS', 15);
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const OLD = 0x11;
const NEW = 0x22;
const BYTES = 65_536;
const GOOD = 0;
const isid = (n: number) => Buffer.from([0x80, 0, 0, 0, n >> 8, n & 0xff]);

describe('F26 a second login of one initiator port', () => {
  let target: OwnTarget;
  before(async () => {
    target = await startOwn();
  });
  after(() => target.stop());

  /** Logged in, its UNIT ATTENTION taken; the next CmdSN is 2. */
  async function logIn(id: Buffer): Promise<RawSession> {
    const session = new RawSession(target.port);
    const login = loginPdu(normalLogin(INITIATOR, OWN_TARGET, [['InitialR2T', 'No']]), { isid: id });
    assert.equal(await within(20_000, 'login', session.login(login)), GOOD);
    session.send(commandPdu('00', { itt: 1, cmdSn: 1 }));
    assert.equal(await session.status(), 0x02);
    return session;
  }
  function writePdu(cmdSn: number, value: number): Buffer {
    return commandPdu('2a 00 00000000 00 0080 00', {
      itt: cmdSn,
      cmdSn,
      write: BYTES,
      data: Buffer.alloc(BYTES, value),
    });
  }
  async function write(session: RawSession, cmdSn: number, value: number): Promise<void> {
    session.send(writePdu(cmdSn, value));
    assert.equal(await within(20_000, 'write', session.status()), GOOD);
    session.send(commandPdu('35', { itt: cmdSn + 1, cmdSn: cmdSn + 1 }));
    assert.equal(await within(20_000, 'flush', session.status()), GOOD);
  }
  const content = () => new Set(readFileSync(target.image).subarray(0, BYTES));

  it(`with the same ISID: the old connection is closed, and its held-back write never comes, ${RUNS} times`, async () => {
    for (let run = 0; run < RUNS; run++) {
      const old = await logIn(isid(1));
      // Half of it is on its way already in every other run.
      const late = writePdu(2, OLD);
      const sent = run % 2 === 0 ? 0 : 48 + ((run * 977) % BYTES);
      old.send(late.subarray(0, sent));
      const fresh = await logIn(isid(1));
      await write(fresh, 2, NEW);
      old.send(late.subarray(sent));
      assert.equal(await within(20_000, 'the end of the old connection', old.next()), null);
      assert.deepEqual(content(), new Set([NEW]), `run ${run}`);
      old.close();
      fresh.close();
    }
    figure('F26', `${RUNS} reinstatements with a write held back: 0 stale`);
  });

  it(`with the same ISID while the old one writes as fast as it can: the last word is the new one’s, ${RUNS} times`, async () => {
    for (let run = 0; run < RUNS; run++) {
      const old = await logIn(isid(2));
      const fresh = new RawSession(target.port);
      const login = loginPdu(normalLogin(INITIATOR, OWN_TARGET, [['InitialR2T', 'No']]), { isid: isid(2) });
      for (let n = 0; n < 48; n++) {
        const write = { itt: n + 2, cmdSn: n + 2, write: BYTES, final: false, data: Buffer.alloc(8192, OLD) };
        old.send(commandPdu('2a 00 00000000 00 0080 00', write));
        old.send(dataOutPdu(n + 2, 0xffffffff, 0, 8192, Buffer.alloc(BYTES - 8192, OLD), true));
        if (n === run % 48) fresh.send(login);
      }
      assert.equal((await within(20_000, 'login', fresh.next()))?.readUInt16BE(36), GOOD);
      fresh.send(commandPdu('00', { itt: 1, cmdSn: 1 }));
      assert.equal(await fresh.status(), 0x02);
      await write(fresh, 2, NEW);
      for (let pdu = await within(20_000, 'the end', old.next()); pdu !== null; ) pdu = await old.next();
      assert.deepEqual(content(), new Set([NEW]), `run ${run}`);
      old.close();
      fresh.close();
    }
    figure('F26', `${RUNS} reinstatements under a stream of writes: 0 stale`);
  });

  it('with another ISID: another session, and the first goes on', async () => {
    const [first, second] = [await logIn(isid(3)), await logIn(isid(4))];
    await write(second, 2, NEW);
    await write(first, 2, OLD);
    assert.deepEqual(content(), new Set([OLD]));
    first.close();
    second.close();
  });
});
