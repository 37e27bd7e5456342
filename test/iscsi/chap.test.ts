// CHAP, RFC 7143 §12.1.3 and §9.2.1: vectors from captures, both ends against each other, and every attack that we know.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  CHAP_ALGORITHMS,
  ChapAlgorithm,
  ChapChallenges,
  ChapInitiator,
  type ChapInitiatorOptions,
  ChapTarget,
  type ChapTargetOptions,
  type ChapVerdict,
  chapResponse,
  formatBinary,
  parseBinary,
  UnprovenTarget,
  usableAlgorithms,
} from '../../src/iscsi/chap.js';
import { LoginStatus } from '../../src/iscsi/login-status.js';
import { findKey, type TextPair } from '../../src/iscsi/wire/text.js';
import { ProtocolError } from '../../src/util/errors.js';

const ALL = [8, 5, 7, 6];
const account = { user: 'username', secret: 'password1234' };
const own = { user: 'mutualuser', secret: 'mutualpass12' };

function initiator(options: Partial<ChapInitiatorOptions> = {}): ChapInitiator {
  return new ChapInitiator({ ...account, algorithms: ALL, challenges: new ChapChallenges(), ...options });
}

function target(options: Partial<ChapTargetOptions> = {}): ChapTarget {
  const find = (user: string) => (user === account.user ? { secret: account.secret, mutual: own } : undefined);
  return new ChapTarget({ find, challenges: new ChapChallenges(), ...options });
}

/** The pairs of a verdict that goes on. */
function pairsOf(verdict: ChapVerdict): TextPair[] {
  assert.notEqual(verdict.kind, 'refuse');
  return verdict.kind === 'refuse' ? [] : verdict.pairs;
}

function refusal(verdict: ChapVerdict): number {
  assert.equal(verdict.kind, 'refuse');
  return verdict.kind === 'refuse' ? 0x0200 | verdict.detail : 0;
}

describe('chapResponse', () => {
  it('is what open-iscsi and LIO sent', () => {
    const table: [id: number, secret: string, challenge: string, response: string][] = [
      [0, 'password1234', '0x83d5e8cf8c71ddd296c440f87a44b6db', '0xbaff2ba6fbd26f929a268389d5482c77'],
      [0, 'password1234', '0x91d6340a2808e3934b9d81781e170849', '0x2b83b5db490b8681610ae52c71f85ca3'],
      [9, 'mutualpass12', '0x8cd42609556753fcab86afc3a273c014', '0xbf0868667ac340177067046ef3d3ceb2'],
    ];
    for (const [id, secret, challenge, response] of table) {
      assert.equal(formatBinary(chapResponse(ChapAlgorithm.MD5, id, secret, parseBinary(challenge))), response);
    }
  });

  it('has the length of its hash', () => {
    const lengths = CHAP_ALGORITHMS.map(({ number }) => chapResponse(number, 1, 's', Buffer.from('c')).length);
    assert.deepEqual(lengths, [16, 20, 32, 32]);
    assert.throws(() => chapResponse(4, 0, '', Buffer.alloc(1)), /not known/);
  });

  it('is computed for every algorithm that this Node has', () => {
    assert.deepEqual(usableAlgorithms([8, 4, 5, 9, 7, 6]), [8, 5, 7, 6]);
  });
});

describe('binary values', () => {
  it('are read in hex and base64', () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 1024 }).map((array) => Buffer.from(array));
    fc.assert(
      fc.property(bytes, (value) => {
        assert.deepEqual(parseBinary(formatBinary(value)), value);
        assert.deepEqual(parseBinary(`0X${value.toString('hex').toUpperCase()}`), value);
        assert.deepEqual(parseBinary(`0b${value.toString('base64')}`), value);
      }),
    );
  });
  for (const text of [
    ...['', '0x', '0b', '12', 'abcd', '0x123', '0xzz', '0x12 34', '0bYQ', '0b====', '0bYQ==YQ==', '0b!!!!', '1x12'],
    `0x${'00'.repeat(1025)}`,
    `0b${Buffer.alloc(1025).toString('base64')}`,
  ]) {
    it(`are not ${JSON.stringify(text.slice(0, 20))}`, () => assert.throws(() => parseBinary(text), ProtocolError));
  }
});

describe('both ends', () => {
  for (const { number, name } of CHAP_ALGORITHMS) {
    for (const mutual of [undefined, own]) {
      it(`agree with ${name}, ${mutual ? 'mutual' : 'one-way'}`, () => {
        const [i, t] = [initiator({ algorithms: [number], ...(mutual && { mutual }) }), target()];
        const challenge = t.receive(i.start());
        assert.equal(challenge.kind, 'continue');
        const answer = i.receive(pairsOf(challenge));
        assert.equal(i.answered, true);
        assert.equal(i.done, mutual === undefined);
        const verdict = t.receive(answer);
        assert.deepEqual([verdict.kind, verdict.kind === 'accept' && verdict.user], ['accept', 'username']);
        assert.deepEqual(i.receive(pairsOf(verdict)), []);
        assert.equal(i.done, true);
        assert.equal(i.algorithm, number);
      });
    }
  }

  it('take the first algorithm of the initiator that the target allows', () => {
    const chosen = (list: number[], allowed: number[]) =>
      findKey(pairsOf(target({ algorithms: allowed }).receive(initiator({ algorithms: list }).start())), 'CHAP_A');
    assert.equal(chosen([8, 5, 7, 6], [5, 6, 7, 8]), '8');
    assert.equal(chosen([8, 5, 7, 6], [7, 5]), '5');
    assert.equal(chosen([7, 6, 5], [6]), '6');
  });

  it('offer a list as text', () => {
    assert.deepEqual(initiator().start(), [['CHAP_A', '8,5,7,6']]);
    assert.deepEqual(initiator({ algorithms: [5] }).start(), [['CHAP_A', '5']]);
  });

  it('never use a challenge twice, and forget it at the end', () => {
    const challenges = new ChapChallenges();
    const seen = new Set<string>();
    for (let n = 0; n < 50; n++) {
      const t = target({ challenges });
      const value = findKey(pairsOf(t.receive([['CHAP_A', '5']])), 'CHAP_C') as string;
      assert.equal(parseBinary(value).length, 32);
      seen.add(value);
      assert.equal(challenges.has(parseBinary(value)), true);
      t.close();
      t.close();
      assert.equal(challenges.has(parseBinary(value)), false);
    }
    assert.equal(seen.size, 50);
  });

  it('bound the challenges that nobody closes', () => {
    const challenges = new ChapChallenges(3);
    const issued = Array.from({ length: 5 }, () => challenges.issue());
    assert.deepEqual(
      issued.map((challenge) => challenges.has(challenge)),
      [false, false, true, true, true],
    );
  });
});

describe('ChapInitiator', () => {
  const challenge: TextPair[] = [
    ['CHAP_A', '5'],
    ['CHAP_I', '0'],
    ['CHAP_C', '0x83d5e8cf8c71ddd296c440f87a44b6db'],
  ];

  it('answers a challenge of LIO as open-iscsi did', () => {
    assert.deepEqual(initiator({ algorithms: [5] }).receive(challenge), [
      ['CHAP_N', 'username'],
      ['CHAP_R', '0xbaff2ba6fbd26f929a268389d5482c77'],
    ]);
  });

  it('reads a challenge in capitals and in base64, an identifier in hexadecimal', () => {
    const bytes = parseBinary('0x83d5e8cf8c71ddd296c440f87a44b6db');
    for (const [id, value] of [
      ['0x0', `0X${bytes.toString('hex').toUpperCase()}`],
      ['0', `0b${bytes.toString('base64')}`],
      ['0x00', `0B${bytes.toString('base64')}`],
    ] as const) {
      const answer = initiator({ algorithms: [5] }).receive([
        ['CHAP_A', '5'],
        ['CHAP_I', id],
        ['CHAP_C', value],
      ]);
      assert.equal(findKey(answer, 'CHAP_R'), '0xbaff2ba6fbd26f929a268389d5482c77');
    }
  });

  it("takes the target's secret under any name where the record has none", () => {
    const i = initiator({ mutual: { user: '', secret: own.secret }, algorithms: [5] });
    const sent = i.receive(challenge);
    const theirs = parseBinary(findKey(sent, 'CHAP_C') as string);
    const proof = chapResponse(5, Number(findKey(sent, 'CHAP_I')), own.secret, theirs);
    i.receive([
      ['CHAP_N', 'whoever'],
      ['CHAP_R', `0b${proof.toString('base64')}`],
    ]);
    assert.equal(i.done, true);
  });

  it('refuses one secret for both directions, and a list of nothing', () => {
    const same = { user: 'x', secret: account.secret };
    assert.throws(() => initiator({ mutual: same }), { code: 'ERR_USAGE' });
    assert.throws(() => initiator({ algorithms: [4] }), { code: 'ERR_USAGE' });
  });

  for (const [name, pairs] of [
    ['an algorithm that was not offered', [['CHAP_A', '6'], ...challenge.slice(1)]],
    ['no algorithm', challenge.slice(1)],
    ['no identifier', [challenge[0], challenge[2]]],
    ['no challenge', challenge.slice(0, 2)],
    ['an identifier above 255', [challenge[0], ['CHAP_I', '256'], challenge[2]]],
    ['an identifier that is no number', [challenge[0], ['CHAP_I', 'x'], challenge[2]]],
    ['a challenge that is not binary', [...challenge.slice(0, 2), ['CHAP_C', 'x']]],
    ['a challenge above 1024 bytes', [...challenge.slice(0, 2), ['CHAP_C', `0x${'11'.repeat(1025)}`]]],
  ] as [string, TextPair[]][]) {
    it(`refuses ${name}`, () => assert.throws(() => initiator({ algorithms: [5] }).receive(pairs), ProtocolError));
  }

  it('says when the target takes no algorithm', () => {
    assert.throws(() => initiator().receive([['CHAP_A', 'Reject']]), { code: 'ERR_LOGIN_AUTH' });
  });

  it('does not answer its own challenge, even one of another login', () => {
    const challenges = new ChapChallenges();
    const first = initiator({ mutual: own, challenges, algorithms: [5] });
    const mine = findKey(first.receive(challenge), 'CHAP_C') as string;
    const second = initiator({ challenges, algorithms: [5] });
    assert.throws(
      () =>
        second.receive([
          ['CHAP_A', '5'],
          ['CHAP_I', '1'],
          ['CHAP_C', mine],
        ]),
      (error) => error instanceof UnprovenTarget && /reflects/.test(error.message),
    );
    first.close();
  });

  const proofs: [name: string, proof: (id: number, sent: Buffer) => TextPair[]][] = [
    ['nothing', () => []],
    ['no name', (id, sent) => [['CHAP_R', formatBinary(chapResponse(5, id, own.secret, sent))]]],
    [
      'another name',
      (id, sent) => [
        ['CHAP_N', 'x'],
        ['CHAP_R', formatBinary(chapResponse(5, id, own.secret, sent))],
      ],
    ],
    [
      'a wrong secret',
      (id, sent) => [
        ['CHAP_N', own.user],
        ['CHAP_R', formatBinary(chapResponse(5, id, 'no', sent))],
      ],
    ],
    [
      "the initiator's secret",
      (id, sent) => [
        ['CHAP_N', own.user],
        ['CHAP_R', formatBinary(chapResponse(5, id, account.secret, sent))],
      ],
    ],
    [
      'a response of another length',
      () => [
        ['CHAP_N', own.user],
        ['CHAP_R', '0x00'],
      ],
    ],
  ];
  for (const [name, proof] of proofs) {
    it(`does not take ${name} for a proof of the target`, () => {
      const i = initiator({ mutual: own, algorithms: [5] });
      const sent = i.receive(challenge);
      const id = Number(findKey(sent, 'CHAP_I'));
      const pairs = proof(id, parseBinary(findKey(sent, 'CHAP_C') as string));
      assert.throws(
        () => i.receive(pairs),
        (error) => error instanceof UnprovenTarget && !error.message.includes(own.secret),
      );
      assert.equal(i.done, false);
    });
  }
});

it('responses are compared in constant time, and nowhere else', () => {
  const source = readFileSync(new URL('../../src/iscsi/chap.ts', import.meta.url), 'utf8');
  const [, sameBytes = ''] = /function sameBytes\([^)]*\): boolean {\n([^}]*)}/.exec(source) ?? [];
  assert.match(sameBytes, /timingSafeEqual\(a, b\)/);
  assert.equal(source.match(/sameBytes\(response, chapResponse\(/g)?.length, 3);
  assert.doesNotMatch(source, /\.equals\(|\.compare\(|response [!=]==?|[!=]==? ?(?:response|proof|expected)\b/);
});

describe('ChapTarget', () => {
  /** A target that has sent its challenge, and the right response to it. */
  function challenged(options: Partial<ChapTargetOptions> = {}): { t: ChapTarget; right: string; sent: TextPair[] } {
    const t = target(options);
    const sent = pairsOf(t.receive([['CHAP_A', '5']]));
    const id = Number(findKey(sent, 'CHAP_I'));
    const theirs = parseBinary(findKey(sent, 'CHAP_C') as string);
    return { t, sent, right: formatBinary(chapResponse(5, id, account.secret, theirs)) };
  }

  it('answers 0207 for what is missing, 0201 for what is wrong', () => {
    assert.equal(refusal(target().receive([])), LoginStatus.MissingParameter);
    assert.equal(refusal(target().receive([['CHAP_A', '4,x,']])), LoginStatus.AuthenticationFailure);
    const name: TextPair = ['CHAP_N', account.user];
    const table: [pairs: (right: string) => TextPair[], status: number][] = [
      [() => [name], LoginStatus.MissingParameter],
      [(right) => [['CHAP_R', right]], LoginStatus.MissingParameter],
      [(right) => [name, ['CHAP_R', right], ['CHAP_I', '1']], LoginStatus.MissingParameter],
      [(right) => [name, ['CHAP_R', right], ['CHAP_C', '0x01']], LoginStatus.MissingParameter],
      [() => [name, ['CHAP_R', `0x${'00'.repeat(16)}`]], LoginStatus.AuthenticationFailure],
      [() => [name, ['CHAP_R', '0x00']], LoginStatus.AuthenticationFailure],
      [
        (right) => [
          ['CHAP_N', 'nobody'],
          ['CHAP_R', right],
        ],
        LoginStatus.AuthenticationFailure,
      ],
      [() => [name, ['CHAP_R', 'junk']], LoginStatus.InitiatorError],
      [() => [name, ['CHAP_R', `0x${'00'.repeat(1025)}`]], LoginStatus.InitiatorError],
      [() => [name, ['CHAP_R', `0x${'00'.repeat(1024)}`]], LoginStatus.AuthenticationFailure],
      [
        (right) => [
          ['CHAP_N', 'n'.repeat(60_000)],
          ['CHAP_R', right],
        ],
        LoginStatus.AuthenticationFailure,
      ],
      [
        (right) => [name, ['CHAP_R', right], ['CHAP_I', '1'], ['CHAP_C', `0x${'11'.repeat(1025)}`]],
        LoginStatus.InitiatorError,
      ],
      [(right) => [name, ['CHAP_R', right], ['CHAP_I', '1'], ['CHAP_C', 'junk']], LoginStatus.InitiatorError],
      [(right) => [name, ['CHAP_R', right], ['CHAP_I', '300'], ['CHAP_C', '0x01']], LoginStatus.InitiatorError],
    ];
    for (const [pairs, status] of table) {
      const { t, right } = challenged();
      assert.equal(refusal(t.receive(pairs(right))), status);
      // One try per challenge.
      assert.equal(refusal(t.receive([name, ['CHAP_R', right]])), LoginStatus.InitiatorError);
    }
  });

  it('refuses its own challenge, even one of another connection', () => {
    const challenges = new ChapChallenges();
    const other = challenged({ challenges });
    const { t, right } = challenged({ challenges });
    const verdict = t.receive([
      ['CHAP_N', account.user],
      ['CHAP_R', right],
      ['CHAP_I', '1'],
      ['CHAP_C', findKey(other.sent, 'CHAP_C') as string],
    ]);
    assert.equal(refusal(verdict), LoginStatus.AuthenticationFailure);
    assert.match(verdict.kind === 'refuse' ? verdict.reason : '', /reflects/);
  });

  it('refuses a proof that it cannot or must not give', () => {
    for (const mutual of [undefined, { user: 'x', secret: account.secret }]) {
      const { t, right } = challenged({ find: () => ({ secret: account.secret, ...(mutual && { mutual }) }) });
      const pairs: TextPair[] = [
        ['CHAP_N', 'username'],
        ['CHAP_R', right],
        ['CHAP_I', '1'],
        ['CHAP_C', '0x0102'],
      ];
      assert.equal(refusal(t.receive(pairs)), LoginStatus.AuthenticationFailure);
    }
  });

  it('is never passed without the secret, whatever is sent', () => {
    const keys = fc.constantFrom('CHAP_A', 'CHAP_I', 'CHAP_C', 'CHAP_N', 'CHAP_R', 'X');
    const values = fc.oneof(
      fc.constantFrom('5', '5,6,7,8', account.user, 'Reject', '0x00', `0x${'ab'.repeat(16)}`),
      fc.string({ maxLength: 40 }),
    );
    const messages = fc.array(fc.array(fc.tuple(keys, values), { maxLength: 6 }), { maxLength: 5 });
    fc.assert(
      fc.property(messages, (script) => {
        const t = target();
        for (const pairs of script) {
          const verdict = t.receive(pairs);
          assert.notEqual(verdict.kind, 'accept');
          assert.ok(!JSON.stringify(verdict).includes(account.secret));
        }
        t.close();
      }),
    );
  });
});
