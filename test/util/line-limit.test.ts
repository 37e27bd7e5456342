import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LineLimit } from '../../src/util/line-limit.js';

describe('a limit of log lines', () => {
  it('lets so many through in each period, and counts the others', () => {
    const limit = new LineLimit({ lines: 3, periodMs: 1000 });
    const passed = Array.from({ length: 10 }, (_, i) => limit.pass(`line ${i}`, 500 + i));
    assert.deepEqual(passed.flat(), ['line 0', 'line 1', 'line 2']);
    assert.deepEqual(limit.pass('next', 1499), []);
    assert.deepEqual(limit.pass('later', 1500), ['8 more lines like these were left out', 'later']);
    assert.deepEqual(limit.pass('again', 1501), ['again']);
    assert.deepEqual(limit.pass('quiet', 9000), ['quiet']);
  });
});
