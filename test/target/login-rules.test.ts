// What RFC 7143 says of logins that are not quite as they should be: stages, keys, tags, names, sessions of others.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { emitLoginRequest } from '../../src/iscsi/wire/login-request.js';
import { parseLoginResponse } from '../../src/iscsi/wire/login-response.js';
import { emitLogoutRequest, LogoutReason } from '../../src/iscsi/wire/logout.js';
import { emitNopOut } from '../../src/iscsi/wire/nop-out.js';
import { emitTaskManagementRequest, TaskFunction } from '../../src/iscsi/wire/task-management.js';
import { emitText, parseText, type TextPair } from '../../src/iscsi/wire/text.js';
import { emitTextRequest } from '../../src/iscsi/wire/text-request.js';
import { INITIATOR, makeNode, NO_AUTH, ScriptedInitiator, TARGET } from './scripted-initiator.js';

const ACCOUNT = { user: 'username', secret: 'password1234' };
const MUTUAL = { user: 'mutualuser', secret: 'mutualpass12' };
const OTHER = 'iqn.2022-08.com.test:stranger';
const NO_LUN = Buffer.alloc(8);
type Answer = ReturnType<ScriptedInitiator['login']>;

function statusOf({ response }: Pick<Answer, 'response'>): string {
  return `0x${((response.statusClass << 8) | response.statusDetail).toString(16).padStart(4, '0')}`;
}
function fresh(): ScriptedInitiator {
  return new ScriptedInitiator(makeNode());
}
/** A Login Request as it stands. */
function raw(
  initiator: ScriptedInitiator,
  flags: { transit?: boolean; continues?: boolean; csg?: number; nsg?: number; itt?: number; isid?: Buffer },
  data: Buffer | null,
) {
  const numbers = { versionMax: 0, versionMin: 0, tsih: 0, cid: 1, cmdSn: initiator.cmdSn, expStatSn: 0 };
  const request = {
    transit: true,
    continues: false,
    csg: 1,
    nsg: 3,
    itt: 1,
    isid: initiator.isid,
    ...numbers,
    ...flags,
  };
  initiator.send((b, at) => emitLoginRequest(request, b, at), data);
  const pdu = initiator.one();
  return { response: parseLoginResponse(pdu.header), pairs: new Map(parseText(pdu.data)) };
}
function proof(challenge: Map<string, string>): TextPair[] {
  const bytes = Buffer.from((challenge.get('CHAP_C') ?? '').slice(2), 'hex');
  const id = Buffer.from([Number(challenge.get('CHAP_I'))]);
  const response = createHash('md5').update(id).update(ACCOUNT.secret).update(bytes).digest();
  return [
    ['CHAP_N', ACCOUNT.user],
    ['CHAP_R', `0x${response.toString('hex')}`],
  ];
}

describe('stages', () => {
  const jumps: [number, number, boolean, string][] = [
    [0, 1, true, '0x0000'],
    [0, 3, true, '0x0000'],
    [1, 3, true, '0x0000'],
    [0, 0, false, '0x0000'],
    [1, 0, false, '0x0000'],
    [0, 0, true, '0x0200'],
    [0, 2, true, '0x0200'],
    [1, 0, true, '0x0200'],
    [1, 1, true, '0x0200'],
    [1, 2, true, '0x0200'],
    [2, 3, true, '0x0200'],
    [3, 3, true, '0x0200'],
    [3, 0, false, '0x0200'],
  ];
  for (const [csg, nsg, transit, status] of jumps) {
    test(`a first request in ${csg}${transit ? ` that goes to ${nsg}` : ''} is ${status}`, () => {
      const initiator = fresh();
      const answer = raw(initiator, { csg, nsg, transit }, emitText(initiator.names()));
      assert.equal(statusOf(answer), status);
      assert.equal(answer.response.transit, transit && status === '0x0000');
      assert.equal(initiator.connection.session !== null, status === '0x0000' && transit && nsg === 3);
    });
  }

  test('one that was not agreed on ends the login: forwards and back', () => {
    const forwards = fresh();
    forwards.login(forwards.names(), { csg: 0, transit: false });
    assert.equal(statusOf(forwards.login([], { csg: 1 })), '0x0200');
    const back = fresh();
    back.login(back.names(), { csg: 0, nsg: 1 });
    assert.equal(statusOf(back.login([], { csg: 0, nsg: 1 })), '0x0200');
  });

  test('the task tag, the ISID and the CID stay the same', () => {
    for (const change of [{ itt: 2 }, { isid: Buffer.from('80aabbcc00ff', 'hex') }]) {
      const initiator = fresh();
      initiator.login(initiator.names(), { transit: false });
      assert.equal(statusOf(raw(initiator, change, null)), '0x0200');
    }
    const initiator = fresh();
    initiator.login(initiator.names(), { transit: false });
    assert.equal(statusOf(initiator.login([], { cid: 2 })), '0x0200');
  });
});

describe('texts', () => {
  test('a key that is split over two requests is one key', () => {
    const initiator = fresh();
    const text = emitText([...initiator.names(), ['HeaderDigest', 'CRC32C,None']]);
    const cut = text.indexOf('TargetName') + 13;
    const first = raw(initiator, { transit: false, continues: true, nsg: 0 }, text.subarray(0, cut));
    assert.equal(statusOf(first), '0x0000');
    assert.equal(first.pairs.size, 0, 'nothing is answered before it is all there');
    const last = raw(initiator, {}, text.subarray(cut));
    assert.equal(last.pairs.get('HeaderDigest'), 'CRC32C');
    assert.equal(initiator.connection.state, 'LOGGED_IN');
  });

  test('the C bit never comes with the T bit', () => {
    const initiator = fresh();
    assert.equal(statusOf(raw(initiator, { continues: true }, emitText(initiator.names()))), '0x0200');
  });

  test('no key twice, in one request or in two', () => {
    for (const key of ['InitiatorName', 'MaxBurstLength']) {
      const initiator = fresh();
      const twice: TextPair[] = [
        [key, key === 'InitiatorName' ? INITIATOR : '4096'],
        [key, '8192'],
      ];
      const names = initiator.names().filter(([name]) => name !== key);
      assert.equal(statusOf(initiator.login([...names, ...twice])), '0x0200');
    }
    const initiator = fresh();
    initiator.login([...initiator.names(), ['InitialR2T', 'No']], { transit: false });
    assert.equal(statusOf(initiator.login([['InitialR2T', 'Yes']])), '0x0200');
  });

  for (const [key, value] of [
    ['InitiatorName', OTHER],
    ['TargetName', OTHER],
    ['SessionType', 'Discovery'],
  ] as const) {
    test(`${key} does not change on the way`, () => {
      const node = makeNode({ group: { demoMode: 'read-write' } });
      const initiator = new ScriptedInitiator(node);
      initiator.login(initiator.names(), { csg: 0, nsg: 1 });
      assert.equal(statusOf(initiator.login([[key, value]])), '0x0200');
      const same = new ScriptedInitiator(node);
      same.login(same.names(), { csg: 0, nsg: 1 });
      assert.equal(statusOf(same.login(same.names())), '0x0000');
    });
  }

  test('unknown keys are not understood, markers are refused, in either stage', () => {
    const odd: TextPair[] = [
      ['X-com.example.feature', 'on'],
      ['X#vendor', '1'],
      ['Unheard', 'of'],
    ];
    const initiator = fresh();
    const security = initiator.login([...initiator.names(), ...odd, ['MaxBurstLength', '4096']], { csg: 0, nsg: 1 });
    for (const [key] of odd) assert.equal(security.pairs.get(key), 'NotUnderstood');
    assert.equal(security.pairs.get('MaxBurstLength'), 'Reject', 'not in this stage');
    const markers: TextPair[] = [
      ['IFMarker', 'Yes'],
      ['OFMarker', 'Yes'],
      ['IFMarkInt', '2048~8192'],
      ['OFMarkInt', '2048'],
    ];
    const { pairs } = initiator.login([...odd, ...markers, ['MaxBurstLength', '4096']]);
    for (const [key] of odd) assert.equal(pairs.get(key), 'NotUnderstood');
    const answers = ['IFMarker', 'OFMarker', 'IFMarkInt', 'OFMarkInt', 'MaxBurstLength'].map((key) => pairs.get(key));
    assert.deepEqual(answers, ['No', 'No', 'Reject', 'Reject', '4096']);
  });
});

describe('methods of authentication', () => {
  const cases: [string, string, string, string | undefined][] = [
    ['no account', 'CHAP,None', '0x0000', 'None'],
    ['no account', 'KRB5,None', '0x0000', 'None'],
    ['no account', 'KRB5,SPKM1', '0x0201', undefined],
    ['an account', 'CHAP,None', '0x0000', 'CHAP'],
    ['an account', 'None,CHAP', '0x0000', 'CHAP'],
    ['an account', 'KRB5,SRP,CHAP', '0x0000', 'CHAP'],
    ['an account', 'None', '0x0201', undefined],
    ['an account', 'chap', '0x0201', undefined],
    ['an account', '', '0x0201', undefined],
  ];
  for (const [what, methods, status, chosen] of cases) {
    test(`${methods || 'an empty list'} where there is ${what}: ${chosen ?? status}`, () => {
      const auth = what === 'an account' ? { account: ACCOUNT, mutual: null } : NO_AUTH;
      const initiator = new ScriptedInitiator(makeNode({ group: { auth } }));
      const answer = initiator.login([...initiator.names(), ['AuthMethod', methods]], { csg: 0, transit: false });
      assert.deepEqual([statusOf(answer), answer.pairs.get('AuthMethod')], [status, chosen]);
    });
  }

  test('nobody gets in with an account of another target where the group has none and asks for one', () => {
    const node = makeNode({
      discoveryAuth: { account: ACCOUNT, mutual: null },
      group: { authenticationRequired: true },
    });
    const initiator = new ScriptedInitiator(node);
    initiator.login([...initiator.names(), ['AuthMethod', 'CHAP']], { csg: 0, transit: false });
    const { pairs } = initiator.login([['CHAP_A', '5']], { csg: 0, transit: false });
    assert.equal(statusOf(initiator.login(proof(pairs), { csg: 0, nsg: 1 })), '0x0201');
  });
});

describe('CHAP values', () => {
  function challenged() {
    const initiator = new ScriptedInitiator(makeNode({ group: { auth: { account: ACCOUNT, mutual: MUTUAL } } }));
    initiator.login([...initiator.names(), ['AuthMethod', 'CHAP']], { csg: 0, transit: false });
    const challenge = initiator.login([['CHAP_A', '5']], { csg: 0, transit: false }).pairs;
    return { initiator, challenge };
  }
  const hexOf = (pairs: TextPair[]) => Buffer.from((pairs[1]?.[1] ?? '').slice(2), 'hex');
  const forms: [string, (r: Buffer) => string, string][] = [
    ['hex', (r) => `0x${r.toString('hex')}`, '0x0000'],
    ['capital hex', (r) => `0X${r.toString('hex').toUpperCase()}`, '0x0000'],
    ['base64', (r) => `0b${r.toString('base64')}`, '0x0000'],
    ['hex without its prefix', (r) => r.toString('hex'), '0x0200'],
    ['an odd number of digits', (r) => `0x${r.toString('hex').slice(1)}`, '0x0200'],
    ['too short', (r) => `0x${r.toString('hex').slice(2)}`, '0x0201'],
    ['too long', (r) => `0x${r.toString('hex')}00`, '0x0201'],
    ['nothing', () => '0x', '0x0200'],
    ['1024 bytes', () => `0x${'00'.repeat(1024)}`, '0x0201'],
    ['1025 bytes', () => `0x${'00'.repeat(1025)}`, '0x0200'],
    ['1025 bytes of base64', () => `0b${Buffer.alloc(1025).toString('base64')}`, '0x0200'],
    ['broken base64', () => '0bAA=A', '0x0200'],
  ];
  for (const [what, form, status] of forms) {
    test(`an answer in ${what} is ${status}`, () => {
      const { initiator, challenge } = challenged();
      const right = proof(challenge);
      const answer = initiator.login([right[0] as TextPair, ['CHAP_R', form(hexOf(right))]], { csg: 0, nsg: 1 });
      assert.equal(statusOf(answer), status);
      assert.equal(initiator.closed, status !== '0x0000');
    });
  }
  const counters: [string, string, string, string][] = [
    ['one byte', '0', '0x5a', '0x0000'],
    ['1024 bytes', '255', `0x${'5a'.repeat(1024)}`, '0x0000'],
    ['1025 bytes', '7', `0x${'5a'.repeat(1025)}`, '0x0200'],
    ['an identifier above 255', '256', '0x5a5a', '0x0200'],
  ];
  for (const [what, id, bytes, status] of counters) {
    test(`a challenge of the initiator with ${what} is ${status}`, () => {
      const { initiator, challenge } = challenged();
      const pairs: TextPair[] = [...proof(challenge), ['CHAP_I', id], ['CHAP_C', bytes]];
      assert.equal(statusOf(initiator.login(pairs, { csg: 0, nsg: 1 })), status);
    });
  }
});

describe('TSIH', () => {
  const first = () => {
    const node = makeNode({ group: { demoMode: 'read-write' } });
    const initiator = new ScriptedInitiator(node);
    initiator.logIn();
    return { node, initiator, tsih: initiator.connection.session?.tsih ?? 0 };
  };
  const isid = Buffer.from('80aabbcc00ee', 'hex');

  test('of the same initiator port: the session has its one connection', () => {
    const { node, initiator, tsih } = first();
    for (const cid of [1, 2]) {
      const second = new ScriptedInitiator(node);
      assert.equal(statusOf(second.login(second.names(), { tsih, cid })), '0x0206');
    }
    assert.equal(initiator.closed, false);
  });

  test('of another ISID, another name, another type, or of nobody: no such session', () => {
    const { node, initiator, tsih } = first();
    const byIsid = new ScriptedInitiator(node, isid);
    assert.equal(statusOf(byIsid.login(byIsid.names(), { tsih })), '0x020a');
    const byName = new ScriptedInitiator(node);
    assert.equal(statusOf(byName.login(byName.names(OTHER), { tsih })), '0x020a');
    const discovery: TextPair[] = [
      ['InitiatorName', INITIATOR],
      ['SessionType', 'Discovery'],
    ];
    assert.equal(statusOf(new ScriptedInitiator(node).login(discovery, { tsih })), '0x020a');
    const byNumber = new ScriptedInitiator(node);
    assert.equal(statusOf(byNumber.login(byNumber.names(), { tsih: tsih + 1 })), '0x020a');
    assert.equal(initiator.closed, false);
    assert.equal(node.context.sessions.size, 1);
  });

  test('0 from the same initiator port: a new session in place of the old one, with another TSIH', () => {
    const { node, initiator, tsih } = first();
    const again = new ScriptedInitiator(node);
    const { response } = again.login(again.names());
    assert.notEqual(response.tsih, tsih);
    assert.ok(initiator.closed);
    const end = initiator.events.at(-1);
    assert.ok(end?.kind === 'end' && end.cause === 'reinstated');
  });
});

describe('a discovery session', () => {
  function discovering() {
    const node = makeNode({ discoveryAuth: { account: ACCOUNT, mutual: MUTUAL } });
    const initiator = new ScriptedInitiator(node);
    const names: TextPair[] = [
      ['InitiatorName', INITIATOR],
      ['SessionType', 'Discovery'],
    ];
    return { node, initiator, names };
  }
  function loggedIn() {
    const { node, initiator, names } = discovering();
    initiator.login([...names, ['AuthMethod', 'CHAP']], { csg: 0, transit: false });
    const { pairs } = initiator.login([['CHAP_A', '5']], { csg: 0, transit: false });
    const mutual: TextPair[] = [...proof(pairs), ['CHAP_I', '3'], ['CHAP_C', '0x0102']];
    const secured = initiator.login(mutual, { csg: 0, nsg: 1 });
    const expected = createHash('md5')
      .update(Buffer.from([3]))
      .update(MUTUAL.secret)
      .update(Buffer.from([1, 2]));
    assert.equal(secured.pairs.get('CHAP_N'), MUTUAL.user);
    assert.equal(secured.pairs.get('CHAP_R'), `0x${expected.digest('hex')}`);
    assert.equal(statusOf(initiator.login([])), '0x0000');
    return { node, initiator };
  }

  test('proves itself by CHAP, and the target to it, where that is asked for', () => {
    const { initiator, names } = discovering();
    assert.equal(statusOf(initiator.login(names)), '0x0201');
    loggedIn();
  });

  test('is for text, pings and its logout; commands and task management are rejected', () => {
    const { node, initiator } = loggedIn();
    const bystander = new ScriptedInitiator(node);
    initiator.command('12 00 00 0024 00', { read: 36 });
    assert.equal(initiator.one().opcode, Opcode.Reject);
    for (const kind of [TaskFunction.LogicalUnitReset, TaskFunction.TargetColdReset]) {
      const tmf = { function: kind, lun: NO_LUN, itt: 77, referencedTaskTag: 0xffffffff, refCmdSn: 0, expDataSn: 0 };
      const numbers = { immediate: true, cmdSn: initiator.cmdSn, expStatSn: 0 };
      initiator.send((b, at) => emitTaskManagementRequest({ ...tmf, ...numbers }, b, at));
      assert.equal(initiator.one().opcode, Opcode.Reject);
    }
    const ping = { immediate: true, lun: NO_LUN, itt: 5, ttt: 0xffffffff, cmdSn: initiator.cmdSn, expStatSn: 0 };
    initiator.send((b, at) => emitNopOut(ping, b, at), Buffer.from('data'));
    assert.equal(initiator.one().data.toString(), 'data');
    const logout = {
      immediate: true,
      reason: LogoutReason.CloseSession,
      itt: 6,
      cid: 0,
      cmdSn: initiator.cmdSn,
      expStatSn: 0,
    };
    initiator.send((b, at) => emitLogoutRequest(logout, b, at));
    assert.equal(initiator.one().opcode, Opcode.LogoutResponse);
    assert.equal(bystander.closed, false);
  });
});

describe('text in full feature phase', () => {
  function ask(initiator: ScriptedInitiator, pairs: TextPair[]): TextPair[] {
    const numbers = { itt: 9, ttt: 0xffffffff, cmdSn: initiator.cmdSn++, expStatSn: 0, lun: NO_LUN };
    const request = { immediate: false, final: true, continues: false, ...numbers };
    initiator.send((b, at) => emitTextRequest(request, b, at), emitText(pairs));
    return parseText(initiator.one().data);
  }

  test('takes a new MaxRecvDataSegmentLength, and no other parameter', () => {
    const initiator = fresh();
    initiator.logIn();
    initiator.clearAttention();
    const answers = ask(initiator, [
      ['MaxRecvDataSegmentLength', '512'],
      ['MaxBurstLength', '512'],
      ['X-org.example', '1'],
      ['InitiatorAlias', 'me'],
    ]);
    assert.deepEqual(answers, [
      ['MaxBurstLength', 'Reject'],
      ['X-org.example', 'NotUnderstood'],
    ]);
    initiator.command('28 00 00000000 00 0004 00', { read: 2048 });
    assert.deepEqual(
      initiator.receive().map(({ data }) => data.length),
      [512, 512, 512, 512],
    );
    assert.deepEqual(ask(initiator, [['MaxRecvDataSegmentLength', '1']]), [['MaxRecvDataSegmentLength', 'Reject']]);
  });

  test('of a normal session tells only of its own target', () => {
    const initiator = fresh();
    initiator.logIn();
    assert.deepEqual(ask(initiator, [['SendTargets', '']])[0], ['TargetName', TARGET]);
    assert.deepEqual(ask(initiator, [['SendTargets', 'All']]), [['SendTargets', 'Reject']]);
  });
});
