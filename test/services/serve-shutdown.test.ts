// The end of a server with sessions: each is asked to log out (RFC 7143 §11.9.1), and those that do not are ended.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AsyncEvent, parseAsyncMessage } from '../../src/iscsi/wire/async-message.js';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { emitLogoutRequest, LogoutReason } from '../../src/iscsi/wire/logout.js';
import type { TargetEvent } from '../../src/target/events.js';
import { LIMITS } from '../../src/target/limits.js';
import { within } from '../faults/rig.js';
import { serveDisks } from '../helpers/own-target.js';
import { loginPdu, normalLogin, pduOf, RawSession } from '../helpers/raw-initiator.js';
import { INITIATOR } from '../helpers/session.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';

async function served() {
  const events: TargetEvent[] = [];
  const onEvent = (event: TargetEvent) => void events.push(event);
  const server = await serveDisks(TARGET, [{ kind: 'ramdisk', name: 'r', sizeBytes: 2 ** 20 }], { onEvent });
  const session = new RawSession(server.portals[0]?.port ?? 0);
  assert.equal(await session.login(loginPdu(normalLogin(INITIATOR, TARGET))), 0);
  const causes = () => events.flatMap((event) => (event.kind === 'end' ? [event.cause] : []));
  return { server, session, causes };
}

/** What asks it to log out. */
async function asked(session: RawSession): Promise<void> {
  const message = (await within(20_000, 'the message', session.next())) ?? assert.fail('closed without a word');
  assert.equal((message[0] ?? 0) & 0x3f, Opcode.AsyncMessage);
  const { event, parameter3 } = parseAsyncMessage(message);
  assert.deepEqual([event, parameter3], [AsyncEvent.RequestLogout, LIMITS.logoutSeconds]);
}

describe('the end of a server', { concurrency: true }, () => {
  it('comes as soon as those who are logged in have logged out', async () => {
    const { server, session, causes } = await served();
    const closed = server.close();
    await asked(session);
    const logout = { immediate: true, reason: LogoutReason.CloseSession, itt: 9, cid: 0, cmdSn: 1, expStatSn: 0 };
    session.send(pduOf((b) => emitLogoutRequest(logout, b)));
    const answer = (await within(20_000, 'the answer', session.next())) ?? assert.fail('closed without an answer');
    assert.equal((answer[0] ?? 0) & 0x3f, Opcode.LogoutResponse);
    await within(20_000, 'the end', closed);
    assert.deepEqual(causes(), ['logout']);
    session.close();
  });

  it('comes all the same where somebody does not', async () => {
    const { server, session, causes } = await served();
    const closed = server.close();
    await asked(session);
    await within(60_000, 'the end', closed);
    assert.equal(await within(20_000, 'the end of the connection', session.next()), null);
    assert.deepEqual(causes(), ['target']);
    session.close();
  });
});
