// Login of every kind: stages, CHAP both ways, refusals and their exit codes, redirection, continuation (RFC 7143 §6).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoginFailed } from '../../src/initiator/login-refusal.js';
import { type Credentials, DEFAULT_CHAP_ALGORITHMS } from '../../src/initiator/options.js';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { LoginStage, parseLoginRequest } from '../../src/iscsi/wire/login-request.js';
import { parseText } from '../../src/iscsi/wire/text.js';
import type { AppError, ErrorCode } from '../../src/util/errors.js';
import { type FakePair, fakePair } from '../helpers/fake-pair.js';
import type { FakeTargetOptions, LoginAnswer } from '../helpers/fake-target.js';
import { INITIATOR, type PairOptions, TARGET } from '../helpers/pair.js';

const MUTUAL = { user: 'mutualuser', secret: 'mutualpass12' };
const ONE_WAY: Credentials = { user: 'username', secret: 'password1234', algorithms: DEFAULT_CHAP_ALGORITHMS };
const BOTH: Credentials = { ...ONE_WAY, mutual: MUTUAL };

/** A target that knows `username`, and proves itself as `mutualuser` with `mutual` as the secret. */
function chapTarget(algorithms: readonly number[] = [5, 6, 7, 8], mutual = MUTUAL.secret): FakeTargetOptions {
  return {
    chap: {
      algorithms,
      find: (user) =>
        user === 'username' ? { secret: 'password1234', mutual: { user: MUTUAL.user, secret: mutual } } : undefined,
    },
  };
}
function withCredentials(credentials: Credentials): PairOptions {
  return { login: { credentials } };
}
/** The one login-failed of the pair, checked. */
function failure(pair: FakePair, code: ErrorCode, text: RegExp): { error: AppError; retryWithMd5: boolean } {
  const [failed, ...more] = pair.rig.all('login-failed');
  assert.ok(failed, 'the login fails');
  assert.equal(more.length, 0);
  assert.equal(failed.error.code, code);
  assert.match(failed.error.message, text);
  assert.doesNotMatch(failed.error.message, /password1234|mutualpass12/);
  assert.equal(pair.rig.session.state, 'FREE');
  assert.equal(pair.rig.session.connection, null);
  return failed;
}
function answering(...answers: (LoginAnswer | undefined)[]): FakeTargetOptions {
  return { onLogin: (_pdu, _pairs, round) => answers[round] };
}

test('without credentials a login goes through the security stage too: only there tgt ends an old nexus', () => {
  const { rig, target } = fakePair();
  assert.equal(rig.session.state, 'LOGGED_IN');
  assert.equal(rig.session.tsih, 7);
  const requests = target.all(Opcode.LoginRequest);
  assert.deepEqual(
    requests.map(({ bhs }) => parseLoginRequest(bhs)).map(({ csg, nsg, transit, tsih }) => [csg, nsg, transit, tsih]),
    [
      [LoginStage.Security, LoginStage.Operational, true, 0],
      [LoginStage.Operational, LoginStage.FullFeature, true, 0],
    ],
  );
  const keys = new Map(requests.flatMap(({ data }) => parseText(data)));
  assert.equal(keys.get('InitiatorName'), INITIATOR);
  assert.equal(keys.get('TargetName'), TARGET);
  assert.equal(keys.get('SessionType'), 'Normal');
  assert.equal(keys.get('FirstBurstLength'), '262144');
  assert.equal(keys.get('MaxBurstLength'), '16776192');
  assert.equal(keys.get('DefaultTime2Wait'), '0');
  assert.equal(keys.get('AuthMethod'), 'None');
});

test('without credentials: a target that wants some, one that hesitates, one that skips the operational stage', () => {
  failure(
    fakePair(answering({ pairs: [['AuthMethod', 'CHAP']] })),
    'ERR_LOGIN_AUTH',
    /wants CHAP, and no credentials are configured/,
  );
  const hesitates = fakePair(answering({ pairs: [['AuthMethod', 'None']] }));
  assert.equal(hesitates.rig.session.state, 'LOGGED_IN');
  assert.equal(hesitates.target.all(Opcode.LoginRequest).length, 3);
  const skips: LoginAnswer = { transit: true, nsg: LoginStage.FullFeature, pairs: [['AuthMethod', 'None']] };
  assert.equal(fakePair(answering(skips)).rig.session.state, 'LOGGED_IN');
});

for (const algorithm of [5, 6, 7, 8]) {
  for (const credentials of [ONE_WAY, BOTH]) {
    const kind = credentials.mutual ? 'mutual' : 'one-way';
    test(`${kind} CHAP with algorithm ${algorithm}`, () => {
      const { rig, target } = fakePair(chapTarget([algorithm]), withCredentials(credentials));
      assert.equal(rig.session.state, 'LOGGED_IN');
      const [out] = rig.all('logged-in');
      assert.equal(out?.authMethod, 'CHAP');
      assert.equal(out?.tpgt, 1);
      const texts = target.all(Opcode.LoginRequest).map(({ data }) => data.toString('latin1'));
      assert.ok(texts.every((text) => !text.includes('password1234') && !text.includes('mutualpass12')));
      assert.ok(texts.some((text) => text.includes('CHAP_A=8,5,7,6')));
      assert.ok(
        texts.some((text) => text.includes('AuthMethod=CHAP\0')),
        'None is never offered beside CHAP',
      );
    });
  }
}

test('digests that were agreed on protect every PDU after the login', () => {
  const digests = { headerDigest: 'CRC32C', dataDigest: 'CRC32C' } as const;
  const { rig } = fakePair({ ...chapTarget(), wishes: digests }, { login: { credentials: BOTH, negotiate: digests } });
  assert.equal(rig.session.params?.headerDigest, 'CRC32C');
  assert.equal(rig.session.params?.dataDigest, 'CRC32C');
});

test('a wrong secret is an authentication failure and is not tried again with MD5', () => {
  const pair = fakePair(chapTarget(), withCredentials({ ...ONE_WAY, secret: 'wrongsecret12' }));
  const failed = failure(pair, 'ERR_LOGIN_AUTH', /wrong CHAP user or secret.*0x0201/);
  assert.equal(failed.retryWithMd5, false);
});

test('an unknown user looks the same', () => {
  const pair = fakePair(chapTarget(), withCredentials({ ...ONE_WAY, user: 'nobody' }));
  failure(pair, 'ERR_LOGIN_AUTH', /0x0201/);
});

test('a target that does not prove itself is refused for good', () => {
  const pair = fakePair(chapTarget([5, 8], 'anothersecret'), withCredentials(BOTH));
  const failed = failure(pair, 'ERR_LOGIN_AUTH', /./);
  assert.equal(failed.retryWithMd5, false);
});

test('a target that leaves the stage without its own proof is refused for good', () => {
  const pair = fakePair(
    {
      ...chapTarget(),
      onLogin: (pdu, pairs) =>
        pairs.some(([key]) => key === 'CHAP_R')
          ? { transit: true, nsg: LoginStage.Operational, csg: pdu.csg }
          : undefined,
    },
    withCredentials(BOTH),
  );
  failure(pair, 'ERR_LOGIN_AUTH', /did not prove its identity/);
});

test('a target that offers only None while credentials exist is refused by us', () => {
  failure(fakePair({}, withCredentials(ONE_WAY)), 'ERR_LOGIN_AUTH', /offers no authentication/);
  const skips: LoginAnswer = { transit: true, nsg: LoginStage.Operational, pairs: [] };
  failure(fakePair(answering(skips), withCredentials(ONE_WAY)), 'ERR_LOGIN_AUTH', /offers no authentication/);
});

test('a target that claims to be satisfied before its challenge was answered is refused by us', () => {
  const method: LoginAnswer = { pairs: [['AuthMethod', 'CHAP']] };
  const skips: LoginAnswer = { transit: true, nsg: LoginStage.Operational, pairs: [] };
  failure(fakePair(answering(method, skips), withCredentials(ONE_WAY)), 'ERR_LOGIN_AUTH', /offers no authentication/);
});

test('AuthMethod=Reject is told as such', () => {
  const pair = fakePair(answering({ pairs: [['AuthMethod', 'Reject']] }), withCredentials(ONE_WAY));
  failure(pair, 'ERR_LOGIN_AUTH', /does not take CHAP/);
});

test('a target that wants CHAP says so to a login without credentials', () => {
  failure(fakePair(chapTarget()), 'ERR_LOGIN_AUTH', /wants CHAP, and no credentials are configured.*0x0201/);
});

const STATUSES: [number, ErrorCode, RegExp][] = [
  [0x0200, 'ERR_FATAL_LOGIN', /0x0200/],
  [0x0202, 'ERR_LOGIN_AUTH', /not on the target's access list.*0x0202/],
  [0x0203, 'ERR_FATAL_LOGIN', /no such target.*0x0203/],
  [0x0207, 'ERR_FATAL_LOGIN', /0x0207/],
  [0x02ee, 'ERR_FATAL_LOGIN', /0x02ee/],
  [0x0300, 'ERR_CONNECT', /0x0300/],
  [0x0301, 'ERR_CONNECT', /not in service.*0x0301/],
  [0x0302, 'ERR_CONNECT', /out of resources.*0x0302/],
];
for (const [status, code, text] of STATUSES) {
  test(`login status 0x${status.toString(16).padStart(4, '0')}`, () => {
    const pair = fakePair(answering({ status }));
    failure(pair, code, text);
    assert.equal(pair.rig.all('login-failed')[0]?.error.retriable, status >= 0x0300);
  });
}
test('every refusal has its own words', () => {
  const words = STATUSES.map(([status]) => {
    const error = fakePair(answering({ status })).rig.all('login-failed')[0]?.error;
    return error?.message.replace(/ \(login status.*/, '');
  });
  const said = words.slice(1, 3).concat(words.slice(6));
  assert.equal(new Set(said).size, said.length);
});

test('redirection is an output, for now and for good', () => {
  for (const [status, permanent] of [
    [0x0101, false],
    [0x0102, true],
  ] as const) {
    const { rig } = fakePair(answering({ status, pairs: [['TargetAddress', '[2001:db8::7]:3262,4']] }));
    assert.deepEqual(rig.all('redirect'), [
      { kind: 'redirect', to: { address: '2001:db8::7', port: 3262, permanent } },
    ]);
    assert.equal(rig.session.connection, null);
  }
});

test('redirection to nowhere is a protocol error', () => {
  for (const pairs of [[], [['TargetAddress', 'not an address']]] as [string, string][][]) {
    failure(fakePair(answering({ status: 0x0101, pairs })), 'ERR_CONNECT', /TargetAddress/);
  }
});

test('an answer in several PDUs is put together', () => {
  const { rig, target } = fakePair({
    onLogin: (pdu, pairs, round) => {
      if (round === 1)
        return { continues: true, csg: pdu.csg, nsg: pdu.csg, data: Buffer.from('TargetAlias=a long na') };
      if (pairs.length > 0) return undefined;
      return { transit: true, csg: 1, nsg: 3, data: Buffer.from('me\0HeaderDigest=None\0TargetPortalGroupTag=5\0') };
    },
  });
  assert.equal(rig.session.state, 'LOGGED_IN');
  assert.equal(rig.all('logged-in')[0]?.targetAlias, 'a long name');
  assert.equal(rig.all('logged-in')[0]?.tpgt, 5);
  const [, , third] = target.all(Opcode.LoginRequest);
  assert.equal(third?.data.length, 0, 'an empty request asks for the rest');
});

test('a target that takes several rounds gets them, one that never ends does not', () => {
  const slow = fakePair(answering(undefined, { transit: false, pairs: [] }, { transit: false, pairs: [] }, undefined));
  assert.equal(slow.rig.session.state, 'LOGGED_IN');
  assert.equal(slow.target.all(Opcode.LoginRequest).length, 4);
  const endless = fakePair({ onLogin: () => ({ transit: false, pairs: [] }) });
  failure(endless, 'ERR_CONNECT', /never comes to an end/);
});

test('a target that goes from security straight to full feature phase', () => {
  const pair = fakePair(
    {
      ...chapTarget(),
      onLogin: (_pdu, pairs) => (pairs.some(([key]) => key === 'CHAP_R') ? { transit: true, nsg: 3 } : undefined),
    },
    withCredentials(ONE_WAY),
  );
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
  assert.equal(pair.rig.session.params?.maxXmitDataSegmentLength, 8192);
});

test('keys that we do not know, and markers, are answered', () => {
  const { rig, target } = fakePair(
    answering(
      undefined,
      {
        transit: false,
        pairs: [
          ['IFMarker', 'Yes'],
          ['X-com.example.what', 'ever'],
        ],
      },
      { transit: true, nsg: LoginStage.FullFeature },
    ),
  );
  assert.equal(rig.session.state, 'LOGGED_IN');
  const answer = new Map(parseText(target.all(Opcode.LoginRequest)[2]?.data ?? Buffer.alloc(0)));
  assert.equal(answer.get('IFMarker'), 'No');
  assert.equal(answer.get('X-com.example.what'), 'NotUnderstood');
});

test('bytes that are no login end the login and nothing else', () => {
  for (const answer of [
    { transit: true, nsg: 2 },
    { csg: 0, transit: true, nsg: 1 },
    { transit: true, continues: true, nsg: 3 },
    { transit: true, nsg: 3, data: Buffer.from('no equals sign\0') },
    { transit: true, nsg: 3, data: Buffer.from('MaxBurstLength=zero\0') },
    { transit: true, nsg: 3, data: Buffer.from('FirstBurstLength=1\0') },
  ] satisfies LoginAnswer[]) {
    const { rig } = fakePair(answering(undefined, answer));
    assert.equal(rig.all('login-failed').length, 1, JSON.stringify(answer));
    assert.equal(rig.session.state, 'FREE');
  }
});

test('the deadline of the login holds however often the target answers', async () => {
  const { rig } = fakePair({}, { back: { held: true }, timers: { loginTimeoutMs: 15_000 } });
  await rig.advance(14_999);
  assert.equal(rig.all('login-failed').length, 0);
  await rig.advance(1);
  assert.match(rig.all('login-failed')[0]?.error.message ?? '', /no answer within 15 s/);
  assert.equal(rig.all('login-failed')[0]?.error.code, 'ERR_CONNECT');
});

test('a connection that closes during the login is a failed login', () => {
  const pair = fakePair({}, { back: { cutAt: 20 } });
  failure(pair, 'ERR_CONNECT', /closed the connection/);
});

// The one more try with MD5 alone: only where the algorithm list can be the reason.
test('retry with MD5: the target closes before a challenge', () => {
  const pair = fakePair(
    { ...chapTarget(), onLogin: (_p, pairs) => (pairs.some(([k]) => k === 'CHAP_A') ? { status: 0x0200 } : undefined) },
    withCredentials(ONE_WAY),
  );
  assert.equal(failure(pair, 'ERR_LOGIN_AUTH', /did not accept our CHAP offer .*0x0200/).retryWithMd5, true);
});
test('retry with MD5: the target chose number 7 and refuses our answer to it', () => {
  const pair = fakePair(chapTarget([7]), withCredentials({ ...ONE_WAY, secret: 'anotherhash12' }));
  const { error, retryWithMd5 } = failure(pair, 'ERR_LOGIN_AUTH', /0x0201/);
  assert.equal(retryWithMd5, true);
  assert.ok(error instanceof LoginFailed);
  assert.equal(error.fault, 'wrong-secret-by-seven');
});
test('retry with MD5: never after an answer to 5, 6 or 8, with MD5 alone, or for a missing ACL', () => {
  for (const algorithm of [5, 6, 8]) {
    const pair = fakePair(chapTarget([algorithm]), withCredentials({ ...ONE_WAY, secret: 'wrongsecret12' }));
    assert.equal(failure(pair, 'ERR_LOGIN_AUTH', /0x0201/).retryWithMd5, false);
  }
  const alone = fakePair(
    { ...chapTarget(), onLogin: (_p, pairs) => (pairs.some(([k]) => k === 'CHAP_A') ? { status: 0x0201 } : undefined) },
    withCredentials({ ...ONE_WAY, algorithms: [5] }),
  );
  assert.equal(failure(alone, 'ERR_LOGIN_AUTH', /did not accept our CHAP offer/).retryWithMd5, false);
  const acl = fakePair(
    { ...chapTarget(), onLogin: (_p, pairs) => (pairs.some(([k]) => k === 'CHAP_A') ? { status: 0x0202 } : undefined) },
    withCredentials(ONE_WAY),
  );
  assert.equal(failure(acl, 'ERR_LOGIN_AUTH', /access list/).retryWithMd5, false);
});
test('retry with MD5: the target rejects the whole list, or closes without a word', () => {
  const rejects = fakePair(
    {
      ...chapTarget(),
      onLogin: (_p, pairs) => (pairs.some(([k]) => k === 'CHAP_A') ? { pairs: [['CHAP_A', 'Reject']] } : undefined),
    },
    withCredentials(ONE_WAY),
  );
  assert.equal(failure(rejects, 'ERR_LOGIN_AUTH', /algorithms/).retryWithMd5, true);
  // The answer to AuthMethod comes whole, the challenge does not.
  const closes = fakePair(chapTarget(), { ...withCredentials(ONE_WAY), back: { cutAt: 48 + 40 + 30 } });
  assert.equal(failure(closes, 'ERR_CONNECT', /closed/).retryWithMd5, true);
});

test('a request that does not fit one PDU goes out in several, each waiting for its answer', () => {
  const initiatorAlias = 'a'.repeat(8100);
  const { rig, target } = fakePair({}, { login: { initiatorAlias } });
  assert.equal(rig.session.state, 'LOGGED_IN');
  const requests = target.all(Opcode.LoginRequest).map(({ bhs, data }) => ({ ...parseLoginRequest(bhs), data }));
  assert.deepEqual(
    requests.map(({ continues, transit }) => [continues, transit]),
    [
      [true, false],
      [false, true],
      [false, true],
    ],
  );
  assert.ok(requests.every(({ data }) => data.length <= 8192));
  const pairs = new Map(parseText(Buffer.concat(requests.map(({ data }) => data))));
  assert.equal(pairs.get('InitiatorAlias'), initiatorAlias);
});

test('a challenge of ours that comes back on another connection of the same process is not answered', () => {
  /** A login to a target that sends `ours` as its own challenge. */
  const reflected = (ours: string) =>
    fakePair(
      {
        ...chapTarget(),
        onLogin: (_p, pairs) => {
          const challenge: [string, string][] = [
            ['CHAP_A', '5'],
            ['CHAP_I', '1'],
            ['CHAP_C', ours],
          ];
          return pairs.some(([key]) => key === 'CHAP_A') ? { pairs: challenge } : undefined;
        },
      },
      withCredentials(ONE_WAY),
    );
  let ours = '';
  let second: FakePair | null = null;
  fakePair(
    {
      ...chapTarget(),
      onLogin: (_p, pairs) => {
        const challenge = pairs.find(([key]) => key === 'CHAP_C')?.[1];
        if (challenge === undefined) return undefined;
        ours = challenge;
        // This login is under way, its challenge waits for the answer.
        second = reflected(challenge);
        return { status: 0x0201 };
      },
    },
    withCredentials(BOTH),
  );
  assert.match(ours, /^0x[0-9a-f]{64}$/);
  assert.ok(second);
  assert.equal(failure(second, 'ERR_LOGIN_AUTH', /reflects our CHAP challenge/).retryWithMd5, false);
  const sent = (second as FakePair).target.all(Opcode.LoginRequest);
  assert.ok(sent.every(({ data }) => !data.includes('CHAP_R')));
});

test('a target that answers No to an order that we asked for is held to it: Yes wins', () => {
  const { rig, target } = fakePair({
    onLogin: (pdu, pairs) =>
      pdu.csg === LoginStage.Operational && pairs.length > 0
        ? {
            transit: true,
            csg: LoginStage.Operational,
            nsg: LoginStage.FullFeature,
            pairs: [
              ['DataPDUInOrder', 'No'],
              ['DataSequenceInOrder', 'No'],
            ],
          }
        : undefined,
  });
  assert.deepEqual([rig.session.params?.dataPDUInOrder, rig.session.params?.dataSequenceInOrder], [true, true]);
  const offered = new Map(target.all(Opcode.LoginRequest).flatMap(({ data }) => parseText(data)));
  assert.deepEqual([offered.get('DataPDUInOrder'), offered.get('DataSequenceInOrder')], ['Yes', 'Yes']);
});
