// The verdicts of `doctor` on facts that no test machine has all of.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findingLine, findingsSummary } from '../../src/cli/render/doctor.js';
import { type Check, examine, type Finding, ok, warn } from '../../src/services/doctor/finding.js';
import { clockFinding, devicesFindings, rightsFinding } from '../../src/services/doctor/machine.js';
import { AppError } from '../../src/util/errors.js';

const levels = (findings: readonly Finding[]) => findings.map(({ check, level }) => `${check} ${level}`);

describe('ways to a device', () => {
  for (const [facts, expected] of [
    [{ nbd: 'loaded', nbdLacks: null, fuseLacks: null }, ['nbd ok', 'fuse ok']],
    [{ nbd: 'loadable', nbdLacks: null, fuseLacks: 'no nbdfuse' }, ['nbd ok', 'fuse ok']],
    [{ nbd: 'missing', nbdLacks: null, fuseLacks: null }, ['nbd warn', 'fuse ok']],
    [{ nbd: 'missing', nbdLacks: null, fuseLacks: 'no nbdfuse' }, ['nbd fail', 'fuse warn']],
    [{ nbd: 'loaded', nbdLacks: 'no nbd-client', fuseLacks: 'no nbdfuse' }, ['nbd fail', 'fuse warn']],
  ] as const) {
    it(JSON.stringify(facts), () => {
      const findings = devicesFindings(facts);
      assert.deepEqual(levels(findings), expected);
      for (const { level, fix } of findings) assert.equal(fix === null, level === 'ok');
    });
  }
});

it('rights and the clock', () => {
  assert.deepEqual([rightsFinding(true).level, rightsFinding(false).level], ['ok', 'warn']);
  const built = Date.parse('2026-11-21');
  assert.deepEqual([clockFinding(built, built).level, clockFinding(0, built).level], ['ok', 'warn']);
});

describe('examining', () => {
  const all = async (checks: readonly Check[], signal = new AbortController().signal) => {
    const found: Finding[] = [];
    for await (const finding of examine(checks, signal)) found.push(finding);
    return found;
  };
  it('goes on after a check that throws, which is a finding with its hint', async () => {
    const throws = () => {
      throw new AppError('ERR_DATABASE', 'broken', { hint: 'mend it' });
    };
    const found = await all([
      { name: 'one', run: throws },
      { name: 'two', run: () => [ok('two', 'well')] },
    ]);
    assert.deepEqual(found, [
      { check: 'one', level: 'fail', message: 'broken', fix: 'mend it' },
      { check: 'two', level: 'ok', message: 'well', fix: null },
    ]);
  });
  it('ends with a signal, not with a finding', async () => {
    const stop = new AbortController();
    const reason = new AppError('ERR_INTERRUPTED', 'interrupted');
    const hangs: Check = { name: 'hangs', run: () => new Promise<never>(() => setImmediate(() => stop.abort(reason))) };
    await assert.rejects(all([hangs], stop.signal), reason);
  });
});

it('lines for people: no control characters, and what to do', () => {
  assert.equal(findingLine(ok('a', 'all\u001b[2J\nwell')), 'ok    all[2J well\n');
  assert.equal(findingLine(warn('a', 'x'.repeat(50), 'do')), `warn  ${'x'.repeat(50)}  do\n`);
  assert.equal(findingsSummary(0, 0), 'nothing is wrong\n');
  assert.equal(findingsSummary(2, 1), '2 problems, 1 warning\n');
});
