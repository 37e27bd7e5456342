// How soon a lost session tries again: at once, then short gaps with a cap, slower for targets that refuse.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RefusedLogin } from '../../src/initiator/login-refusal.js';
import { UnprovenTarget } from '../../src/iscsi/chap.js';
import { RecoveryPace } from '../../src/services/session/recovery-pace.js';
import { AppError } from '../../src/util/errors.js';

const away = new AppError('ERR_CONNECT', 'refused');
const refused = (status: number) => new RefusedLogin(status, 'ERR_FATAL_LOGIN', 'no', {});
const unproven = new AppError('ERR_LOGIN_AUTH', 'not ours', { cause: new UnprovenTarget() });

/** The waits before each of `tries` that end with `error` after `tookMs` each. */
function waits(pace: RecoveryPace, tries: number, error: unknown, { from = 0, tookMs = 0, expired = false } = {}) {
  const list: number[] = [];
  let now = from;
  for (let i = 0; i < tries; i++) {
    const wait = pace.delay(now);
    list.push(wait);
    now += wait;
    pace.begin(now);
    now += tookMs;
    pace.failed(error, now, expired);
  }
  return { list, now };
}

function lost(at: number, waitMs = 0): RecoveryPace {
  const pace = new RecoveryPace();
  pace.loggedIn(at - 60_000);
  pace.lost(at, waitMs);
  return pace;
}

describe('the pace of recovery', () => {
  it('is immediate, then 50 to 500 ms, and after ten minutes 2 s', () => {
    const pace = lost(0);
    const { list, now } = waits(pace, 8, away);
    assert.deepEqual(list, [0, 50, 100, 200, 400, 500, 500, 500]);
    const later = waits(pace, 1300, away, { from: now });
    assert.equal(later.list.at(-1), 2000);
    assert.ok(later.list.filter((wait) => wait === 500).length > 1150);
  });

  it('counts the gap from the start of a try: one that has taken long is followed at once', () => {
    assert.deepEqual(waits(lost(0), 7, away, { tookMs: 1000 }).list, [0, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual(waits(lost(0), 7, away, { tookMs: 150 }).list, [0, 0, 0, 50, 250, 350, 350]);
  });

  it('is immediate after each loss, and does not begin again for a session that was up for less than a second', () => {
    const pace = lost(0);
    const { now } = waits(pace, 5, away);
    pace.loggedIn(now);
    pace.lost(now + 10, 0);
    assert.deepEqual(waits(pace, 2, away, { from: now + 10 }).list, [0, 500], 'then the gap that would have come next');
    pace.begin(now + 1000);
    pace.loggedIn(now + 1000);
    pace.lost(now + 2000, 0);
    assert.deepEqual(waits(pace, 2, away, { from: now + 2000 }).list, [0, 50]);
  });

  for (const upMs of [0, 1, 30, 99]) {
    it(`tries a target that drops each session after ${upMs} ms eight times in its first second, then less often`, () => {
      const pace = lost(0);
      const tries: number[] = [];
      for (let now = 0; now < 60_000; ) {
        now += pace.delay(now);
        tries.push(now);
        pace.begin(now);
        pace.loggedIn(now);
        now += upMs;
        pace.lost(now, 0);
      }
      const within = (from: number, to: number) => tries.filter((at) => at >= from && at < to).length;
      assert.ok(within(0, 1000) <= 8, `${tries.slice(0, 12)}`);
      assert.ok(within(10_000, 60_000) <= 250, `${within(10_000, 60_000)} in 50 s`);
      assert.ok(within(10_000, 60_000) >= 100);
    });
  }

  it('tries a target that drops each session a little later no more than ten times a second', () => {
    const pace = lost(0);
    let tries = 0;
    for (let now = 0; now < 10_000; tries++) {
      now += pace.delay(now);
      pace.begin(now);
      pace.loggedIn(now);
      now += 100;
      pace.lost(now, 0);
    }
    assert.ok(tries <= 101, `${tries}`);
  });

  it('is 250 ms for twenty refusals, then 1 s, and 5 s once nothing waits', () => {
    const { list, now } = waits(lost(0), 24, refused(0x0203));
    assert.deepEqual(list, [0, ...Array(20).fill(250), 1000, 1000, 1000]);
    const pace = lost(now);
    assert.deepEqual(waits(pace, 3, refused(0x0201), { from: now, expired: true }).list, [0, 5000, 5000]);
  });

  it("takes class 3 and 'no such session' for trouble of the target, and is slow with one that cannot prove itself", () => {
    for (const status of [0x0300, 0x0301, 0x0302, 0x020a]) {
      assert.deepEqual(waits(lost(0), 3, refused(status)).list, [0, 50, 100]);
    }
    assert.deepEqual(waits(lost(0), 3, unproven).list, [0, 5000, 5000]);
    assert.deepEqual(waits(lost(0), 3, new Error('a fault of ours')).list, [0, 50, 100]);
  });

  it("obeys the target's pause, for the first try", () => {
    assert.deepEqual(waits(lost(0, 3000), 3, away).list, [3000, 50, 100]);
  });
});
