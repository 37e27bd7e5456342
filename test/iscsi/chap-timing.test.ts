// An unknown user and a wrong secret take a target the same time: 200 refusals of each, in turn, compared by rank.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ChapChallenges, ChapTarget, type ChapTargetOptions } from '../../src/iscsi/chap.js';
import type { TextPair } from '../../src/iscsi/wire/text.js';
import { rankDifference } from '../helpers/rank-difference.js';

const TRIES = 200;
const USER = 'username';
const challenges = new ChapChallenges();

/** Microseconds from an answer to its refusal. */
function refusal(user: string, find: ChapTargetOptions['find']): number {
  const target = new ChapTarget({ challenges, find });
  target.receive([['CHAP_A', '5']]);
  const answer: TextPair[] = [
    ['CHAP_N', user],
    ['CHAP_R', `0x${'00'.repeat(16)}`],
  ];
  const began = process.hrtime.bigint();
  const verdict = target.receive(answer);
  const took = Number(process.hrtime.bigint() - began) / 1000;
  assert.equal(verdict.kind, 'refuse');
  target.close();
  return took;
}

function compare(find: ChapTargetOptions['find']): number {
  for (let i = 0; i < 2 * TRIES; i++) refusal(i % 2 === 0 ? USER : 'nobody', find);
  const [known, unknown]: [number[], number[]] = [[], []];
  // The order within each pair alternates, so that what comes first in a pair favours nobody.
  for (let i = 0; i < TRIES; i++) {
    const pair: [number[], string][] = [
      [known, USER],
      [unknown, 'nobody'],
    ];
    for (const [times, user] of i % 2 === 0 ? pair : pair.reverse()) times.push(refusal(user, find));
  }
  return rankDifference(known, unknown);
}

describe('CHAP timing', () => {
  const find = (user: string) => (user === USER ? { secret: 'password1234' } : undefined);
  it('tells nobody whether the user exists', (t) => {
    const z = compare(find);
    t.diagnostic(`z = ${z.toFixed(2)}`);
    assert.ok(Math.abs(z) < 4, `${z} standard deviations apart`);
  });
  it('would be noticed: a look-up that is slower for a known user', (t) => {
    const z = compare((user) => {
      const end = process.hrtime.bigint() + (user === USER ? 30_000n : 0n);
      while (process.hrtime.bigint() < end);
      return find(user);
    });
    t.diagnostic(`z = ${z.toFixed(2)}`);
    assert.ok(z > 4, `${z} standard deviations apart`);
  });
});
