// The login phase against scripted requests: RFC 7143 §6.3, §11.12, §11.13.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { emitNopOut } from '../../src/iscsi/wire/nop-out.js';
import type { TextPair } from '../../src/iscsi/wire/text.js';
import { LIMITS } from '../../src/target/limits.js';
import { ProtocolError } from '../../src/util/errors.js';
import { INITIATOR, makeNode, NO_AUTH, ScriptedInitiator, TARGET } from './scripted-initiator.js';

const ACCOUNT = { user: 'username', secret: 'password1234' };
const MUTUAL = { user: 'mutualuser', secret: 'mutualpass12' };
const SECURITY = { csg: 0, nsg: 1 };
const OTHER = 'iqn.2022-08.com.test:stranger';

function statusOf({ response }: { response: { statusClass: number; statusDetail: number } }): string {
  return `0x${((response.statusClass << 8) | response.statusDetail).toString(16).padStart(4, '0')}`;
}

function chapNode(mutual = false) {
  return makeNode({ group: { auth: { account: ACCOUNT, mutual: mutual ? MUTUAL : null } } });
}

/** Up to the target's challenge. */
function challenged(initiator: ScriptedInitiator, algorithms = '5') {
  const method = initiator.login([...initiator.names(), ['AuthMethod', 'CHAP,None']], { ...SECURITY, transit: false });
  assert.equal(method.pairs.get('AuthMethod'), 'CHAP');
  assert.equal(method.pairs.get('TargetPortalGroupTag'), '1');
  return initiator.login([['CHAP_A', algorithms]], { ...SECURITY, transit: false }).pairs;
}

function md5(id: number, secret: string, challenge: Buffer): Buffer {
  return createHash('md5')
    .update(Buffer.from([id]))
    .update(secret)
    .update(challenge)
    .digest();
}

function answer(challenge: Map<string, string>, secret: string, user = ACCOUNT.user): TextPair[] {
  const bytes = Buffer.from((challenge.get('CHAP_C') ?? '').slice(2), 'hex');
  const response = md5(Number(challenge.get('CHAP_I')), secret, bytes);
  return [
    ['CHAP_N', user],
    ['CHAP_R', `0x${response.toString('hex')}`],
  ];
}

describe('a login without CHAP', () => {
  test('goes straight to full feature phase, with a TSIH and an open window', () => {
    const initiator = new ScriptedInitiator(makeNode());
    const { response, pairs } = initiator.login([
      ...initiator.names(),
      ['InitialR2T', 'No'],
      ['MaxBurstLength', '16776192'],
      ['FirstBurstLength', '262144'],
      ['MaxConnections', '8'],
      ['ErrorRecoveryLevel', '2'],
      ['HeaderDigest', 'CRC32C,None'],
    ]);
    assert.equal(response.statusClass, 0);
    assert.ok(response.transit && response.nsg === 3);
    assert.notEqual(response.tsih, 0);
    assert.equal(response.expCmdSn, 7);
    assert.equal(response.maxCmdSn, 7 + LIMITS.window - 1);
    assert.equal(pairs.get('InitialR2T'), 'No');
    assert.equal(pairs.get('MaxBurstLength'), '1048576');
    assert.equal(pairs.get('FirstBurstLength'), '65536');
    assert.equal(pairs.get('MaxConnections'), '1');
    assert.equal(pairs.get('ErrorRecoveryLevel'), '0');
    assert.equal(pairs.get('HeaderDigest'), 'CRC32C');
    assert.equal(pairs.get('MaxRecvDataSegmentLength'), '262144');
    assert.equal(initiator.connection.state, 'LOGGED_IN');
    assert.deepEqual(
      initiator.events.map((event) => event.kind),
      ['login'],
    );
  });

  const refusals: [string, string, (initiator: ScriptedInitiator) => ReturnType<ScriptedInitiator['login']>][] = [
    ['an initiator without ACL', '0x0202', (i) => i.login(i.names(OTHER))],
    ['an unknown target', '0x0203', (i) => i.login(i.names(INITIATOR, OTHER))],
    ['no InitiatorName', '0x0207', (i) => i.login([['TargetName', TARGET]])],
    ['no TargetName', '0x0207', (i) => i.login([['InitiatorName', INITIATOR]])],
    ['an unknown session type', '0x0209', (i) => i.login([...i.names().slice(0, 1), ['SessionType', 'Odd']])],
    ['a later version only', '0x0205', (i) => i.login(i.names(), { versionMin: 1 })],
    ['a session that does not exist', '0x020a', (i) => i.login(i.names(), { tsih: 9 })],
    [
      'a name that is none',
      '0x0200',
      (i) =>
        i.login([
          ['InitiatorName', '../../etc'],
          ['TargetName', TARGET],
        ]),
    ],
    ['stages in the wrong order', '0x0200', (i) => i.login(i.names(), { csg: 1, nsg: 0 })],
    [
      'a key without a value it can have',
      '0x0200',
      (i) => i.login([...i.names(), ['InitialR2T', 'Yes'], ['InitialR2T', 'No']]),
    ],
  ];
  for (const [what, status, attempt] of refusals) {
    test(`refuses ${what} with ${status}, and closes`, () => {
      const initiator = new ScriptedInitiator(makeNode());
      assert.equal(statusOf(attempt(initiator)), status);
      assert.ok(initiator.closed);
      assert.deepEqual(
        initiator.events.map((event) => event.kind),
        ['refuse'],
      );
      assert.equal(initiator.connection.session, null);
    });
  }

  test('any other PDU first ends the connection', () => {
    const initiator = new ScriptedInitiator(makeNode());
    const ping = { immediate: true, lun: Buffer.alloc(8), itt: 1, ttt: 0xffffffff, cmdSn: 0, expStatSn: 0 };
    assert.throws(() => initiator.send((b, at) => emitNopOut(ping, b, at)), ProtocolError);
  });

  test('a data segment above 8 KiB ends the connection before it is buffered', () => {
    const initiator = new ScriptedInitiator(makeNode());
    const header = Buffer.alloc(48);
    header[0] = 0x43;
    header.writeUIntBE(2 ** 24 - 1, 5, 3);
    assert.throws(() => initiator.raw(header), ProtocolError);
  });

  test('10 s without success close the connection, however busy it was', () => {
    const initiator = new ScriptedInitiator(makeNode());
    initiator.now += 9999;
    initiator.login(initiator.names(), { transit: false });
    initiator.connection.handleTimeout(initiator.now);
    assert.equal(initiator.closed, false);
    assert.equal(initiator.connection.deadline, initiator.now + 1);
    initiator.now += 1;
    initiator.connection.handleTimeout(initiator.now);
    assert.ok(initiator.closed);
  });

  test('a login without end is cut off', () => {
    const initiator = new ScriptedInitiator(makeNode());
    initiator.login(initiator.names(), { transit: false });
    for (let i = 1; i < LIMITS.loginExchanges; i++) initiator.login([], { transit: false });
    assert.throws(() => initiator.login([], { transit: false }), ProtocolError);
  });
});

describe('CHAP', () => {
  test('the right secret logs in', () => {
    const initiator = new ScriptedInitiator(chapNode());
    const challenge = challenged(initiator);
    assert.equal(challenge.get('CHAP_A'), '5');
    const secured = initiator.login(answer(challenge, ACCOUNT.secret), SECURITY);
    assert.equal(secured.response.statusClass, 0);
    assert.ok(secured.response.transit && secured.response.nsg === 1);
    assert.equal(initiator.login([]).response.statusClass, 0);
    assert.deepEqual(
      initiator.events.map((event) => event.kind === 'login' && event.authenticated),
      [true],
    );
  });

  test('a wrong secret and an unknown user are the same to the initiator', () => {
    for (const [secret, user] of [
      ['wrong', ACCOUNT.user],
      [ACCOUNT.secret, 'nobody'],
    ]) {
      const initiator = new ScriptedInitiator(chapNode());
      const result = initiator.login(answer(challenged(initiator), secret as string, user as string), SECURITY);
      assert.equal(statusOf(result), '0x0201');
      assert.equal(result.pairs.size, 0);
      assert.ok(initiator.closed);
      assert.ok(!JSON.stringify(initiator.events).includes(ACCOUNT.secret));
    }
  });

  test('a missing answer is 0207', () => {
    const initiator = new ScriptedInitiator(chapNode());
    challenged(initiator);
    assert.equal(statusOf(initiator.login([['CHAP_N', ACCOUNT.user]], SECURITY)), '0x0207');
  });

  for (const [what, attempt] of [
    ['skipping the security stage', (i: ScriptedInitiator) => i.login(i.names())],
    ['offering None only', (i: ScriptedInitiator) => i.login([...i.names(), ['AuthMethod', 'None']], SECURITY)],
    ['naming no method', (i: ScriptedInitiator) => i.login(i.names(), SECURITY)],
  ] as const) {
    test(`${what} is 0201`, () => {
      const initiator = new ScriptedInitiator(chapNode());
      assert.equal(statusOf(attempt(initiator)), '0x0201');
      assert.equal(initiator.connection.session, null);
    });
  }

  test('mutual: the target proves itself with its own secret', () => {
    const initiator = new ScriptedInitiator(chapNode(true));
    const challenge = challenged(initiator);
    const own = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
    const pairs: TextPair[] = [
      ...answer(challenge, ACCOUNT.secret),
      ['CHAP_I', '9'],
      ['CHAP_C', `0x${own.toString('hex')}`],
    ];
    const proof = initiator.login(pairs, SECURITY).pairs;
    assert.equal(proof.get('CHAP_N'), MUTUAL.user);
    assert.equal(proof.get('CHAP_R'), `0x${md5(9, MUTUAL.secret, own).toString('hex')}`);
  });

  test('a challenge of another login under way that comes back is not answered', () => {
    const node = chapNode(true);
    const victim = challenged(new ScriptedInitiator(node));
    const attacker = new ScriptedInitiator(node);
    const pairs: TextPair[] = [
      ...answer(challenged(attacker), ACCOUNT.secret),
      ['CHAP_I', victim.get('CHAP_I') ?? ''],
      ['CHAP_C', victim.get('CHAP_C') ?? ''],
    ];
    let result: ReturnType<ScriptedInitiator['login']> | null = null;
    try {
      result = attacker.login(pairs, SECURITY);
    } catch (error) {
      assert.ok(error instanceof ProtocolError);
    }
    assert.equal(result?.pairs.get('CHAP_R'), undefined);
    assert.equal(attacker.connection.session, null);
  });

  test('one secret for both directions is refused in the configuration', () => {
    const auth = { account: ACCOUNT, mutual: { user: 'm', secret: ACCOUNT.secret } };
    assert.throws(() => makeNode({ group: { auth } }), { code: 'ERR_USAGE' });
    assert.throws(() => makeNode({ group: { auth: { account: null, mutual: MUTUAL } } }), { code: 'ERR_USAGE' });
  });

  test('an ACL may have its own account', () => {
    const own = { account: { user: 'own', secret: 'ownsecret1234' }, mutual: null };
    const acls = [{ initiatorName: INITIATOR, auth: own, mappedLuns: null }];
    const initiator = new ScriptedInitiator(makeNode({ acls, group: { auth: { account: ACCOUNT, mutual: null } } }));
    const challenge = challenged(initiator);
    assert.equal(statusOf(initiator.login(answer(challenge, 'ownsecret1234', 'own'), SECURITY)), '0x0000');
  });

  test('demo mode lets strangers in as it says', () => {
    const node = makeNode({ acls: [], group: { demoMode: 'read-only', auth: NO_AUTH } });
    const initiator = new ScriptedInitiator(node);
    assert.equal(statusOf(initiator.login(initiator.names(OTHER))), '0x0000');
  });
});

describe('session reinstatement', () => {
  test('the new login is answered only after the started writes of the old session have returned', () => {
    const writes: (() => void)[] = [];
    const node = makeNode({ device: slowDevice(writes) });
    const old = new ScriptedInitiator(node);
    old.logIn();
    old.clearAttention();
    old.command('2a 00 00000000 00 0001 00', { write: 512, data: Buffer.alloc(512, 1) });
    assert.equal(writes.length, 1);
    const fresh = new ScriptedInitiator(node);
    const request = () => fresh.login(fresh.names());
    assert.throws(request, /expected one PDU, got 0/);
    assert.ok(old.closed);
    assert.equal(old.receive().length, 0);
    writes.shift()?.();
    const [response] = fresh.receive();
    assert.equal(response?.opcode, 0x23);
    assert.equal(fresh.connection.state, 'LOGGED_IN');
    assert.equal(old.receive().length, 0);
    const login = fresh.events.find((event) => event.kind === 'login');
    assert.ok(login?.kind === 'login' && login.reinstated);
    assert.equal(node.context.sessions.size, 1);
  });

  test('another ISID is another session; more than the limit are refused with 0302', () => {
    const node = makeNode();
    for (let i = 0; i < LIMITS.sessionsPerInitiator; i++) {
      new ScriptedInitiator(node, Buffer.from([0x80, 0, 0, 0, 0, i])).logIn();
    }
    assert.equal(node.context.sessions.size, LIMITS.sessionsPerInitiator);
    const more = new ScriptedInitiator(node, Buffer.from([0x80, 0, 0, 0, 1, 0]));
    assert.equal(statusOf(more.login(more.names())), '0x0302');
    const again = new ScriptedInitiator(node, Buffer.from([0x80, 0, 0, 0, 0, 3]));
    assert.equal(statusOf(again.login(again.names())), '0x0000');
  });

  test('a second connection for a session is refused with 0206', () => {
    const node = makeNode();
    const first = new ScriptedInitiator(node);
    first.logIn();
    const second = new ScriptedInitiator(node);
    const tsih = first.connection.session?.tsih ?? 0;
    assert.equal(statusOf(second.login(second.names(), { tsih, cid: 2 })), '0x0206');
  });
});

/** A disk whose writes end when the test says so. */
function slowDevice(writes: (() => void)[]) {
  const { device } = makeNode().unit;
  return new Proxy(device, {
    get(target, key) {
      if (key !== 'submit') {
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      }
      return (request: Parameters<typeof device.submit>[0]) => {
        if (request.op === 1) writes.push(() => target.submit(request));
        else target.submit(request);
      };
    },
  });
}
