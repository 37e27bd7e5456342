// A session's driver against targets that come back in every way but the simple one.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { AsyncEvent, emitAsyncMessage } from '../../src/iscsi/wire/async-message.js';
import { DEFAULT_TIMERS } from '../../src/services/session/info.js';
import { FakeServer } from '../faults/fake-server.js';
import { connect, type Initiator } from '../faults/initiator.js';
import { pattern, until } from '../helpers/stream-core.js';

const TIMERS = { ...DEFAULT_TIMERS, loginTimeoutMs: 2000, replacementTimeoutMs: 60_000 };
const redirect = (port: number, status: number) => ({
  status,
  pairs: [['TargetAddress', `127.0.0.1:${port},1`]] as [string, string][],
});

describe('a session whose target comes back', () => {
  let server: FakeServer;
  let initiator: Initiator;
  beforeEach(async () => {
    server = await new FakeServer().start();
    initiator = await connect(server.port, { timers: TIMERS });
    server.logins.length = 0;
  });
  afterEach(async () => {
    await initiator.close();
    await server.stop();
    assert.deepEqual(server.faults, []);
  });
  const lose = () => server.session.reset();
  /** A second and a half, or longer where three logins take longer: not more than eight in a second. */
  const triedForAWhile = async () => {
    const began = performance.now();
    await sleep(1500);
    await until(() => server.logins.length >= 3, 'three logins were tried');
    const most = 12 * Math.ceil((performance.now() - began) / 1500);
    assert.ok(server.logins.length <= most, `${server.logins.length} logins`);
  };
  const works = async () => assert.equal((await readBytes(initiator.lun, 0, 4096)).length, 4096);

  it('after a reset goes on at once, with its ISID and TSIH 0', { timeout: 20_000 }, async () => {
    const began = performance.now();
    lose();
    await works();
    // A second try would come later; I/O waits for 60 s.
    assert.ok(performance.now() - began < 10_000);
    assert.equal(server.logins.length, 1);
    assert.equal(server.logins[0]?.tsih, 0);
    assert.equal(server.logins[0]?.isid, initiator.open.session.isid.toString('hex'));
    assert.equal(initiator.lines.filter((line) => /connection lost/.test(line)).length, 1);
    assert.equal(initiator.lines.filter((line) => /the session is back after/.test(line)).length, 1);
    assert.equal(initiator.open.lostSince, null);
  });

  it('that ends every login half way for a second is tried again, not hammered', { timeout: 20_000 }, async () => {
    server.script = {
      onLogin: () => {
        for (const connection of server.connections) connection.reset();
        return undefined;
      },
    };
    const writing = writeBytes(initiator.lun, 0, pattern(4096)).then(() => 'written');
    lose();
    await triedForAWhile();
    assert.notEqual(initiator.open.lostSince, null);
    assert.equal(initiator.open.session.state, 'FAILED');
    server.script = {};
    assert.equal(await writing, 'written');
    assert.ok(server.disk().bytes.subarray(0, 4096).equals(pattern(4096)));
  });

  it('that ends the session right after each login is not hammered either', { timeout: 20_000 }, async () => {
    server.script = { onLoggedIn: (connection) => connection.reset() };
    lose();
    await triedForAWhile();
    server.script = {};
    await works();
  });

  it('that refuses logins while it is set up is asked four times a second', { timeout: 20_000 }, async () => {
    for (const status of [0x0203, 0x020a, 0x0301]) {
      server.logins.length = 0;
      server.script = { onLogin: () => ({ status }) };
      lose();
      await triedForAWhile();
      server.script = {};
      const began = performance.now();
      await works();
      assert.ok(performance.now() - began < 5000, `${performance.now() - began} ms`);
    }
    const told = initiator.lines.filter((line) => /not back yet.*0x0203/.test(line));
    assert.equal(told.length, 1, 'once, however often it is refused');
  });

  it('that asks for a pause gets it', { timeout: 20_000 }, async () => {
    const { target } = server.session;
    const began = performance.now();
    const event = { event: AsyncEvent.DropAllConnections, vendorCode: 0, parameter1: 0, parameter2: 2, parameter3: 5 };
    const numbers = { statSn: target.statSn, expCmdSn: target.expCmdSn, maxCmdSn: target.expCmdSn + 127 };
    target.writer.send((b, at) => emitAsyncMessage({ lun: Buffer.alloc(8), ...numbers, ...event }, b, at));
    await until(() => initiator.open.session.state === 'FAILED', 'the loss is seen');
    await works();
    const first = (server.logins[0]?.at ?? 0) - began;
    // Time2Wait, and before the end of Time2Retain.
    assert.ok(first >= 1990 && first < 7000, `login after ${first} ms`);
  });

  it('at another address for now is looked for at the first one again; at another for good, there', {
    timeout: 30_000,
  }, async () => {
    const other = await new FakeServer(Object.fromEntries(server.disks)).start();
    try {
      server.script = { onLogin: () => redirect(other.port, 0x0101) };
      lose();
      await works();
      assert.equal(initiator.open.portal.port, other.port);
      server.logins.length = 0;
      server.script = {};
      other.session.reset();
      await works();
      assert.equal(initiator.open.portal.port, server.port, 'asked first, and it has the target again');
      server.script = { onLogin: () => redirect(other.port, 0x0102) };
      lose();
      await works();
      server.logins.length = 0;
      other.session.reset();
      await works();
      assert.equal(server.logins.length, 0, 'it has moved for good');
    } finally {
      await initiator.close();
      await other.stop();
    }
  });

  it('that redirects in a circle for a while is left at the fourth turn and tried again', {
    timeout: 20_000,
  }, async () => {
    server.script = { onLogin: () => redirect(server.port, 0x0101) };
    lose();
    const circled = () => /redirects more than 3 times/.test(initiator.open.lastError?.message ?? '');
    await until(circled, 'the circle is noticed');
    server.script = {};
    await works();
  });

  it('whose port is served by nobody for a while is evidence of a restart for the flush', {
    timeout: 20_000,
  }, async () => {
    await writeBytes(initiator.lun, 0, pattern(4096));
    await server.stop();
    await until(() => initiator.open.session.state === 'FAILED', 'the loss is seen');
    await until(() => /refused/.test(initiator.open.lastError?.message ?? ''), 'a login was refused');
    await server.start();
    await works();
    assert.equal(initiator.lun.writeLosses, 1);
  });
});

describe('a session that ends while its target is away', () => {
  let server: FakeServer;
  before(async () => {
    server = await new FakeServer().start();
  });
  after(() => server.stop());

  it('ends at once where nobody listens, and its requests with it', { timeout: 20_000 }, async () => {
    const initiator = await connect(server.port, { timers: TIMERS });
    await server.stop();
    const reading = assert.rejects(readBytes(initiator.lun, 0, 512));
    await until(() => initiator.open.session.state === 'FAILED', 'the loss is seen');
    const began = performance.now();
    await initiator.close();
    await reading;
    // Not after the 60 s for which I/O waits.
    assert.ok(performance.now() - began < 10_000);
    assert.equal(initiator.open.session.state, 'FREE');
    await server.start();
    await sleep(700);
    assert.equal(server.sessions.length, 0, 'nobody tries any more');
  });

  it('ends in time where logins get no answer', { timeout: 20_000 }, async () => {
    const initiator = await connect(server.port, { timers: TIMERS });
    server.script = { onAccept: () => false };
    server.session.reset();
    await until(() => initiator.open.session.recovery === 'logging-in', 'a login hangs');
    const began = performance.now();
    await initiator.close();
    assert.ok(performance.now() - began < 10_000);
    server.script = {};
  });
});
