// F06: redirections in circles, and to places that want something else of us than the target did.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';
import { chap, INITIATOR } from '../helpers/session.js';
import { FAKE_TARGET, FakeServer } from './fake-server.js';
import { connect } from './initiator.js';

const CREDENTIALS = chap('username', 'canary-12345');

describe('F06 redirections', () => {
  let one: FakeServer;
  let two: FakeServer;
  before(async () => {
    one = await new FakeServer().start();
    two = await new FakeServer().start();
  });
  after(async () => {
    await Promise.all([one.stop(), two.stop()]);
    assert.deepEqual([...one.faults, ...two.faults], []);
  });
  const to = (port: number, status = 0x0101) => ({
    onLogin: () => ({ status, pairs: [['TargetAddress', `127.0.0.1:${port},1`]] as [string, string][] }),
  });
  /** Lets discovery in and sends every other login elsewhere. */
  const sends = (from: FakeServer, other: FakeServer) => {
    const { onLogin } = to(other.port);
    from.script = {
      onLogin: (_pdu, pairs, round) =>
        round > 0 || pairs.some(([, value]) => value === 'Discovery') ? undefined : onLogin(),
    };
  };

  it('two targets that redirect to each other are left at the fourth turn, within two seconds', async () => {
    one.script = to(two.port);
    two.script = to(one.port);
    // The quickest of at most five: what a busy machine adds is not the redirects' doing.
    let quickest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 5 && quickest > 2000; i++) {
      one.logins.length = two.logins.length = 0;
      const began = performance.now();
      await assert.rejects(connect(one.port), { code: 'ERR_CONNECT', message: /redirects more than 3 times/ });
      quickest = Math.min(quickest, performance.now() - began);
      assert.equal(one.logins.length + two.logins.length, 4);
    }
    assert.ok(quickest < 2000, `${quickest} ms`);
  });

  it('so does the command, with an error that names the portal, and nothing is left', async () => {
    const box = await Sandbox.make(INITIATOR);
    try {
      sends(one, two);
      sends(two, one);
      await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${one.port}`);
      const run = await box.run('node', 'login', FAKE_TARGET, '--attach', 'none');
      assert.equal(run.code, 8, run.stderr);
      assert.match(run.stderr, new RegExp(`127\\.0\\.0\\.1[:,]${one.port}.*redirects more than 3 times`));
      assert.equal(run.stderr.match(/redirects more than/g)?.length, 1);
      // Mostly the start of two processes, on a machine that others use too: the two seconds are held above.
      assert.ok(run.ms < 10_000, `${run.ms} ms`);
      assert.deepEqual(box.leftovers(), []);
    } finally {
      await box.stop();
    }
  });

  it('three turns are followed', async () => {
    let turns = 0;
    one.script = { onLogin: () => (turns++ < 3 ? to(one.port).onLogin() : undefined) };
    const initiator = await connect(one.port);
    assert.equal(initiator.lines.filter((line) => line.includes('redirected to')).length, 3, 'each is logged');
    await initiator.close();
  });

  it('a place that asks for no proof gets no session where credentials are configured', async () => {
    one.script = to(two.port);
    two.script = {};
    await assert.rejects(connect(one.port, { credentials: CREDENTIALS }), {
      code: 'ERR_LOGIN_AUTH',
      message: /offers no authentication/,
    });
    assert.equal(two.sessions.length, 0);
  });

  it('a place that cannot prove itself gets no session where mutual CHAP is configured', async () => {
    one.script = to(two.port, 0x0102);
    two.script = {
      chap: {
        algorithms: [5],
        find: () => ({ secret: CREDENTIALS.secret, mutual: { user: 'mutualuser', secret: 'guessed' } }),
      },
    };
    const credentials = { ...CREDENTIALS, mutual: { user: 'mutualuser', secret: 'canary-mutual' } };
    await assert.rejects(connect(one.port, { credentials }), { code: 'ERR_LOGIN_AUTH', message: /prove its identity/ });
    assert.equal(two.sessions.length, 0);
  });

  it('a place where nobody listens ends the login at once', async () => {
    await two.stop();
    one.script = to(two.port);
    const began = performance.now();
    await assert.rejects(connect(one.port), { code: 'ERR_CONNECT' });
    // Not after the 15 s that a login has.
    assert.ok(performance.now() - began < 10_000);
    await two.start();
  });
});
