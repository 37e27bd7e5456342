// What `lun show --is` and `--can` answer: for each word a LUN of which it holds and one of which it does not.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LunAbilities, LunDetails } from '../../src/services/lun/info.js';
import { CAN_WORDS, type CanWord, IS_WORDS, type IsWord, lunCan, lunIs } from '../../src/services/lun/question.js';

interface Changes {
  readonly device?: Partial<LunDetails['device']>;
  readonly rotationRate?: number | null;
  readonly type?: 'unknown' | 'resource' | 'thin' | null;
}

/** A LUN as far as the words that are asked with --is look at it. */
function lun({ device = {}, rotationRate = null, type = null }: Changes): LunDetails {
  const ways = { unmap: false, writeSame16: false, writeSame10: false, readsZero: false };
  return {
    device: { readOnly: false, path: null, attach: 'none', ...device },
    rotationRate,
    provisioning: type === null ? null : { type, ...ways },
  } as LunDetails;
}

const IS: readonly (readonly [IsWord, Changes, boolean])[] = [
  ['read-only', { device: { readOnly: true } }, true],
  ['read-only', {}, false],
  ['attached', { device: { path: '/dev/loop0' } }, true],
  ['attached', {}, false],
  ['mounted', {}, false],
  ['mounted', { device: { path: '/dev/no-such-device' } }, false],
  ['rotational', { rotationRate: 7200 }, true],
  ['rotational', { rotationRate: 1 }, false],
  ['rotational', { rotationRate: null }, false],
  ['thin', { type: 'thin' }, true],
  ['thin', { type: 'resource' }, false],
  ['thin', { type: 'unknown' }, false],
  ['thin', { type: null }, false],
];

const NOTHING: LunAbilities = {
  ...{ read: false, write: false, flush: false, fua: false, trim: false, zero: false },
  ...{ multiConn: false, df: false, cache: false, fastZero: false, map: false },
};
const FIELD: Readonly<Record<CanWord, keyof LunAbilities>> = {
  ...{ write: 'write', flush: 'flush', fua: 'fua', trim: 'trim', zero: 'zero' },
  ...{ 'multi-conn': 'multiConn', df: 'df', cache: 'cache', 'fast-zero': 'fastZero', map: 'map' },
};

describe('a question about a LUN', () => {
  for (const [word, changes, yes] of IS) {
    it(`--is ${word} ${JSON.stringify(changes)}: ${yes ? 'yes' : 'no'}`, () => {
      assert.equal(lunIs(word, lun(changes)), yes);
    });
  }
  it('--is has a no for every word', () => {
    assert.deepEqual([...new Set(IS.filter(([, , yes]) => !yes).map(([word]) => word))], [...IS_WORDS]);
  });
  for (const word of CAN_WORDS) {
    it(`--can ${word}: yes for that ability alone, no without it`, () => {
      const everything = Object.fromEntries(
        Object.keys(NOTHING).map((name) => [name, true]),
      ) as unknown as LunAbilities;
      assert.equal(lunCan(word, { can: { ...NOTHING, [FIELD[word]]: true } }), true);
      assert.equal(lunCan(word, { can: { ...everything, [FIELD[word]]: false } }), false);
    });
  }
});
