import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { sideBySide } from '../../src/util/side-by-side.js';

test('does as many at once as it may, in order, and hands each result to its place', async () => {
  let running = 0;
  let most = 0;
  const begun: number[] = [];
  let letFirstEnd = () => {};
  const othersDone = new Promise<void>((resolve) => {
    letFirstEnd = resolve;
  });
  const results = sideBySide([0, 1, 2, 3, 4, 5, 6], 3, async (n) => {
    begun.push(n);
    most = Math.max(most, ++running);
    if (n === 0) await othersDone;
    else await sleep(5);
    running--;
    if (n === 2) throw new Error('two');
    return n * 10;
  });
  // What takes long holds nobody up: all others are done before it.
  assert.deepEqual(
    (await Promise.allSettled(results.slice(1))).map((r) => (r.status === 'fulfilled' ? r.value : r.reason.message)),
    [10, 'two', 30, 40, 50, 60],
  );
  assert.equal(running, 1);
  letFirstEnd();
  assert.equal(await results[0], 0);
  assert.deepEqual([most, begun], [3, [0, 1, 2, 3, 4, 5, 6]]);
});

test('of nothing makes nothing', () => {
  assert.deepEqual(
    sideBySide([], 1, async () => 1),
    [],
  );
});
