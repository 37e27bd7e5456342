// What two looks at a session say of the time between them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bucketOf } from '../../src/initiator/load.js';
import {
  commandCounts,
  counted,
  LoadWatch,
  loadRates,
  type SessionLoad,
  type SessionSample,
} from '../../src/services/session/load.js';

const load = (values: Partial<SessionLoad>): SessionLoad => ({
  ...{
    state: 'LOGGED_IN',
    recovery: 'none',
    readBytes: 0,
    writtenBytes: 0,
    atMs: 0,
    commands: [],
    failed: 0,
    times: [],
  },
  ...{ inFlight: 0, mostInFlight: 128, waiting: 0, ...values },
});

test('rates and latencies are those of the time between', () => {
  const before = load({ atMs: 1000, readBytes: 100, times: [[bucketOf(5), 1000]] });
  const slow = bucketOf(20_000);
  const now = load({
    atMs: 3000,
    readBytes: 4100,
    times: [
      [bucketOf(5), 1000],
      [slow, 10],
    ],
  });
  const rates = loadRates(before, now, 2);
  assert.deepEqual([rates.commandsPerSecond, rates.readBytesPerSecond, rates.writtenBytesPerSecond], [5, 2000, 0]);
  assert.equal(bucketOf(rates.p50 ?? 0), slow, 'the quick ones were before');
});

test('nothing answered, no time, and counts that fell with a LUN that went: no rate is negative or infinite', () => {
  const idle = loadRates(load({ readBytes: 500, times: [[3, 5]] }), load({ times: [[3, 4]] }), 0);
  assert.deepEqual(idle, {
    ...{ seconds: 0, commandsPerSecond: 0, readBytesPerSecond: 0, writtenBytesPerSecond: 0 },
    p50: null,
    p99: null,
  });
});

test('a session is compared with itself only: not with another of its number', () => {
  const sample = (pid: number, atMs: number) =>
    ({ session: { sid: 1, pid, loggedInAt: 'x' }, load: load({ atMs }) }) as SessionSample;
  const watch = new LoadWatch();
  assert.deepEqual(watch.rates([sample(1, 0)]), [null]);
  assert.equal(watch.rates([sample(1, 1500)])[0]?.seconds, 1.5);
  assert.deepEqual(watch.rates([sample(2, 0)]), [null]);
});

test('commands by name, and arrays without their zeros', () => {
  const codes = new Float64Array(256);
  codes[0x88] = 5;
  codes[0x2a] = 7;
  codes[0xff] = 1;
  assert.deepEqual(counted(codes), [
    [0x2a, 7],
    [0x88, 5],
    [0xff, 1],
  ]);
  assert.deepEqual(Object.entries(commandCounts(load({ commands: counted(codes) }))), [
    ['WRITE(10)', 7],
    ['READ(16)', 5],
    ['operation code 0xff', 1],
  ]);
});
