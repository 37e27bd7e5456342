// `session top` as a picture: widths, order, what a minute leaves, and what is shown when the sessions cannot be asked.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sparkline } from '../../src/cli/render/load.js';
import { TopScreen } from '../../src/cli/top-screen.js';
import type { LoadRates, SessionLoad, SessionSample } from '../../src/services/session/load.js';

const sample = (sid: number, load: Partial<SessionLoad> = {}, name = `target0${sid}`): SessionSample =>
  ({
    session: { sid, pid: 1, loggedInAt: '', targetName: `iqn.2022-08.com.test:dlp.${name}` },
    counters: {},
    load: { state: 'LOGGED_IN', recovery: 'none', inFlight: 24, mostInFlight: 128, waiting: 0, ...load },
  }) as unknown as SessionSample;
const rates = (commandsPerSecond: number, p99 = 2100): LoadRates => ({
  ...{ seconds: 1, commandsPerSecond, readBytesPerSecond: 432_013_312, writtenBytesPerSecond: 0, p50: 400, p99 },
});
const WIDE = { columns: 200, rows: 24 };

test('a line for each session, the busiest first; a session that is being recovered holds commands', () => {
  const top = new TopScreen();
  const lost = sample(1, { state: 'FAILED', recovery: 'waiting', inFlight: 0, mostInFlight: 0, waiting: 7 });
  top.update([lost, sample(2, { waiting: 3 })], [rates(0), rates(18_200)]);
  assert.deepEqual(top.lines(WIDE).slice(2), [
    'SID  TARGET                             STATE            IOPS    READ  WRITE    P50    P99  QUEUE      LAST 60 s',
    '  2  iqn.2022-08.com.test:dlp.target02  LOGGED_IN       18.2k  412M/s   0B/s  0.4ms  2.1ms  24/128 +3  █',
    '  1  iqn.2022-08.com.test:dlp.target01  FAILED,waiting      0  412M/s   0B/s  0.4ms  2.1ms  7 held     ▁',
  ]);
});

test('sorted by something else with each s', () => {
  const top = new TopScreen();
  top.update([sample(1), sample(2)], [rates(10, 9000), rates(20, 100)]);
  const first = () => top.lines(WIDE)[3]?.trim()[0];
  const seen = [];
  for (let i = 0; i < 5; i++) {
    seen.push(`${/by (\S+)/.exec(top.lines(WIDE)[0] ?? '')?.[1]} ${first()}`);
    top.nextOrder();
  }
  assert.deepEqual(seen, ['IOPS 2', 'bytes 1', 'P99 1', 'SID 1', 'IOPS 2']);
});

test('a narrow terminal: the name gives way, and no line is longer than it is wide', () => {
  const top = new TopScreen();
  top.update([sample(1), sample(2)], [rates(1), rates(2)]);
  assert.match(top.lines({ columns: 100, rows: 24 })[3] ?? '', /^ {2}2 {2}….*:dlp\.target02 {2}LOGGED_IN/);
  for (const columns of [100, 80, 40, 1]) {
    for (const line of top.lines({ columns, rows: 24 })) assert.ok(line.length <= columns, `${columns}: ${line}`);
  }
  assert.equal(top.lines({ columns: 80, rows: 3 }).length, 3);
});

test('a minute is remembered, of sessions that are there; a new one begins anew', () => {
  const top = new TopScreen();
  for (let i = 0; i < 100; i++) top.update([sample(1)], [rates(i)]);
  const picture = () => / (\S+)$/.exec(top.lines({ columns: 300, rows: 24 })[3] ?? '')?.[1] ?? '';
  assert.equal(picture().length, 60);
  assert.equal(picture().at(-1), '█');
  top.update([sample(1)], [null]);
  top.update([sample(1)], [rates(5)]);
  assert.equal(picture(), '█');
  top.update([], []);
  assert.equal(top.lines(WIDE).at(-1), 'no sessions');
});

test('what cannot be asked is said, and what was known stays', () => {
  const top = new TopScreen();
  top.update([sample(1)], [rates(1)]);
  top.failed('no answer\u001b[2J');
  assert.deepEqual([top.lines(WIDE)[1], top.lines(WIDE).length], ['not up to date: no answer[2J', 5]);
  top.update([sample(1)], [rates(1)]);
  assert.ok(!top.lines(WIDE).join('').includes('not up to date'));
});

test('small pictures', () => {
  assert.equal(sparkline([0, 1, 2, 3, 4, 5, 6, 7]), '▁▂▃▄▅▆▇█');
  assert.equal(sparkline([0, 0]), '▁▁');
  assert.equal(sparkline([]), '');
});
