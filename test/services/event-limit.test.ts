// The log of a target under a flood of strangers: bounded, counted, and what matters is always told.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EventLimit } from '../../src/services/serve/event-limit.js';
import type { TargetEvent } from '../../src/target/events.js';

const REMOTE = { address: '192.0.2.1', port: 1 };
const OTHER = { address: '192.0.2.2', port: 1 };
const REFUSAL: TargetEvent = {
  kind: 'refuse',
  initiatorName: 'iqn.2022-08.com.test:x',
  targetName: null,
  status: 0x0201,
  reason: 'wrong',
};
const login = (targetName: string | null): TargetEvent => {
  const names = { initiatorName: 'iqn.2022-08.com.test:x', targetName };
  return { kind: 'login', ...names, session: 1, authenticated: true, reinstated: false };
};

function rig() {
  const told: [string, string][] = [];
  let ms = 0;
  const limit = new EventLimit(
    (event, remote) =>
      void told.push([event.kind === 'omitted' ? `omitted ${event.count}` : event.kind, remote.address]),
    () => ms,
  );
  const pass = (more: number) => {
    ms += more;
  };
  return { told, limit, pass };
}

describe('the log of a target', () => {
  it('tells so much of one address and counts the rest, and another address is heard', () => {
    const { told, limit, pass } = rig();
    for (let i = 0; i < 1000; i++) limit.take(REFUSAL, REMOTE);
    assert.equal(told.length, 20);
    limit.take(REFUSAL, OTHER);
    assert.deepEqual(told.at(-1), ['refuse', OTHER.address]);
    pass(10_000);
    limit.take(REFUSAL, OTHER);
    assert.deepEqual(told.slice(21), [
      ['omitted 980', REMOTE.address],
      ['refuse', OTHER.address],
    ]);
  });

  it('bounds all addresses together, lines of omission included', () => {
    const { told, limit, pass } = rig();
    for (let i = 0; i < 5000; i++) limit.take({ kind: 'fault', reason: 'x' }, { address: `host${i}`, port: 1 });
    const faults = told.filter(([kind]) => kind === 'fault').length;
    // 64 addresses with a line each, and 20 of the others.
    assert.equal(faults, 84);
    assert.equal(told.length, faults);
    pass(10_000);
    limit.take(REFUSAL, REMOTE);
    assert.deepEqual(told.slice(faults), [
      ['omitted 4916', 'host64'],
      ['refuse', REMOTE.address],
    ]);
  });

  it('always tells the sessions of those who may log in, but not every discovery', () => {
    const { told, limit } = rig();
    for (let i = 0; i < 500; i++) {
      limit.take(login('iqn.2022-08.com.test:t'), REMOTE);
      limit.take(login(null), REMOTE);
    }
    assert.equal(told.length, 520);
  });
});
