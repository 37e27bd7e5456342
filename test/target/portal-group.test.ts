// What a portal group is configured with, as an initiator meets it: parameters, windows, proofs, discovery, redirection.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOp } from '../../src/block/block-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { AsyncEvent, parseAsyncMessage } from '../../src/iscsi/wire/async-message.js';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { emitLogoutRequest, LogoutReason } from '../../src/iscsi/wire/logout.js';
import { parseR2T } from '../../src/iscsi/wire/r2t.js';
import { parseText } from '../../src/iscsi/wire/text.js';
import { emitTextRequest } from '../../src/iscsi/wire/text-request.js';
import type { PortalGroupConfig, TargetConfig } from '../../src/target/config.js';
import { LIMITS } from '../../src/target/limits.js';
import { LogicalUnit } from '../../src/target/logical-unit.js';
import { TargetNode } from '../../src/target/target-node.js';
import { HeldDevice, senseOf } from './ready.js';
import { INITIATOR, makeNode, NO_AUTH, type NodeOptions, ScriptedInitiator, TARGET } from './scripted-initiator.js';

const OTHER = 'iqn.2022-08.com.test:stranger';
const ACCOUNT = { user: 'username', secret: 'password1234' };
const SECURITY = { csg: 0, nsg: 1 };

function statusOf({ response }: ReturnType<ScriptedInitiator['login']>): string {
  return `0x${((response.statusClass << 8) | response.statusDetail).toString(16).padStart(4, '0')}`;
}
function attempt(group: Partial<PortalGroupConfig>, options: NodeOptions = {}) {
  return new ScriptedInitiator(makeNode({ ...options, group }));
}
function group(changes: Partial<PortalGroupConfig>): PortalGroupConfig {
  const acls = [{ initiatorName: INITIATOR, auth: null, mappedLuns: null }];
  const portals = [{ address: '127.0.0.1', port: 3260 }];
  return {
    tag: 1,
    enabled: true,
    portals,
    luns: [],
    acls,
    auth: NO_AUTH,
    demoMode: 'off',
    authenticationRequired: false,
    ...changes,
  };
}
function nodeOf(groups: readonly PortalGroupConfig[], changes: Partial<TargetConfig> = {}): TargetNode {
  return new TargetNode({
    alias: null,
    discoveryAuth: null,
    targets: [{ name: TARGET, portalGroups: groups }],
    ...changes,
  });
}

describe('the parameters of a portal group', () => {
  test('are what it negotiates, cut down to what this target can keep', () => {
    const parameters = {
      headerDigest: ['CRC32C'],
      initialR2T: true,
      maxRecvDataSegmentLength: 8192,
      firstBurstLength: 2 ** 20,
      maxBurstLength: 32_768,
      maxConnections: 4,
      errorRecoveryLevel: 2,
      maxOutstandingR2T: 3,
      defaultTime2Wait: 7,
    } as const;
    const initiator = attempt({ parameters, alias: 'LIO Target' });
    const { response, pairs } = initiator.login([
      ...initiator.names(),
      ['HeaderDigest', 'None,CRC32C'],
      ['InitialR2T', 'No'],
      ['FirstBurstLength', '262144'],
      ['MaxBurstLength', '16776192'],
      ['MaxConnections', '8'],
      ['ErrorRecoveryLevel', '2'],
      ['MaxOutstandingR2T', '9'],
      ['DefaultTime2Wait', '2'],
    ]);
    assert.equal(response.statusClass, 0);
    assert.deepEqual(Object.fromEntries(pairs), {
      TargetAlias: 'LIO Target',
      TargetPortalGroupTag: '1',
      HeaderDigest: 'CRC32C',
      InitialR2T: 'Yes',
      FirstBurstLength: '32768',
      MaxBurstLength: '32768',
      MaxConnections: '1',
      ErrorRecoveryLevel: '0',
      MaxOutstandingR2T: '3',
      DefaultTime2Wait: '7',
      MaxRecvDataSegmentLength: '8192',
    });
    assert.equal(initiator.connection.session?.params.firstBurstLength, 32_768);
  });

  test('that the initiator does not mention are offered to it before the login ends', () => {
    const initiator = attempt({ parameters: { immediateData: false, maxBurstLength: 65_536, initialR2T: true } });
    const first = initiator.login(initiator.names());
    assert.equal(first.response.transit, false);
    assert.deepEqual([first.pairs.get('ImmediateData'), first.pairs.get('MaxBurstLength')], ['No', '65536']);
    assert.equal(first.pairs.has('InitialR2T'), false, 'its default is what is wished for');
    const last = initiator.login([
      ['ImmediateData', 'No'],
      ['MaxBurstLength', '65536'],
    ]);
    assert.ok(last.response.transit && last.response.nsg === 3);
    const { params } = initiator.connection.session ?? assert.fail('no session');
    assert.deepEqual([params.immediateData, params.maxBurstLength, params.firstBurstLength], [false, 65_536, 65_536]);
  });

  test('a digest that is insisted on ends a login without it', () => {
    const initiator = attempt({ parameters: { dataDigest: ['CRC32C'] } });
    assert.equal(statusOf(initiator.login([...initiator.names(), ['DataDigest', 'None']])), '0x0200');
  });

  test('the command window is the group’s, or the ACL’s', () => {
    const acls = [
      { initiatorName: INITIATOR, auth: null, mappedLuns: null },
      { initiatorName: OTHER, auth: null, mappedLuns: null, commandWindow: 5 },
    ];
    for (const [name, window] of [
      [INITIATOR, 64],
      [OTHER, 5],
    ] as const) {
      const initiator = attempt({ commandWindow: 64 }, { acls });
      const { response } = initiator.login(initiator.names(name));
      assert.equal(response.maxCmdSn - response.expCmdSn + 1, window);
      const { session } = initiator.connection;
      assert.equal((session?.maxCmdSn() ?? 0) - (session?.window.expCmdSn ?? 0) + 1, window);
    }
    assert.throws(() => attempt({ commandWindow: 513 }), { code: 'ERR_USAGE' });
  });

  test('the login timeout is the group’s once it is known', () => {
    const initiator = attempt({ loginTimeoutMs: 2000 });
    assert.equal(initiator.connection.deadline, 1000 + LIMITS.loginTimeoutMs);
    initiator.login(initiator.names(), { transit: false });
    assert.equal(initiator.connection.deadline, 3000);
    initiator.connection.handleTimeout(3000);
    assert.deepEqual(initiator.events, [{ kind: 'fault', reason: 'no login within 2 s' }]);
  });
});

describe('whose proof is asked for', () => {
  const own = (authenticationRequired: boolean | null) => [
    { initiatorName: INITIATOR, auth: null, mappedLuns: null, authenticationRequired },
  ];
  const auth = { account: ACCOUNT, mutual: null };
  const cases: [string, NodeOptions, string, string | undefined][] = [
    ['the group asks', { group: { auth, authenticationRequired: true } }, '0x0201', 'CHAP'],
    ['the ACL overrides it: no', { group: { auth, authenticationRequired: true }, acls: own(false) }, '0x0000', 'CHAP'],
    [
      'the ACL overrides it: yes',
      { group: { auth, authenticationRequired: false }, acls: own(true) },
      '0x0201',
      'CHAP',
    ],
    [
      'the ACL takes the group’s',
      { group: { auth, authenticationRequired: false }, acls: own(null) },
      '0x0000',
      'CHAP',
    ],
    ['nobody asks, and there is no account', { group: { authenticationRequired: false } }, '0x0000', 'None'],
  ];
  for (const [what, options, silent, offered] of cases) {
    test(what, () => {
      const quiet = new ScriptedInitiator(makeNode(options));
      assert.equal(statusOf(quiet.login(quiet.names())), silent);
      const willing = new ScriptedInitiator(makeNode(options));
      const pairs = [...willing.names(), ['AuthMethod', 'CHAP,None'] as [string, string]];
      assert.equal(willing.login(pairs, { ...SECURITY, transit: false }).pairs.get('AuthMethod'), offered);
      const unwilling = new ScriptedInitiator(makeNode(options));
      const none = [...unwilling.names(), ['AuthMethod', 'None,CHAP'] as [string, string]];
      const first = unwilling.login(none, { ...SECURITY, transit: false });
      assert.equal(first.pairs.get('AuthMethod'), silent === '0x0201' ? 'CHAP' : 'None');
    });
  }
});

describe('discovery', () => {
  const names = (node: TargetNode, name: string, at = '127.0.0.1') =>
    node.listFor(name, at, null).map((l) => l.addresses);
  const addresses = (node: TargetNode, at: string) =>
    names(node, INITIATOR, at)
      .flat()
      .map(({ portal, tag }) => `${portal.address} ${portal.port},${tag}`);

  test('shows a target to strangers and while it is not enabled only where so configured', () => {
    assert.equal(names(nodeOf([group({})]), OTHER).length, 0);
    assert.equal(names(nodeOf([group({ demoModeDiscovery: true })]), OTHER).length, 1);
    assert.equal(names(nodeOf([group({ enabled: false })]), INITIATOR).length, 0);
    assert.equal(names(nodeOf([group({ enabled: false, discoveryWhenDisabled: true })]), INITIATOR).length, 1);
  });

  test('names every portal of every group, and those on every address by the one that was used', () => {
    const node = nodeOf([
      group({
        portals: [
          { address: '0.0.0.0', port: 3260 },
          { address: '192.168.0.1', port: 3260 },
        ],
      }),
      group({
        tag: 2,
        portals: [
          { address: '2001:DB8:0:0::1', port: 3260 },
          { address: '::', port: 3261 },
        ],
      }),
    ]);
    const fixed = ['192.168.0.1 3260,1', '2001:db8::1 3260,2'];
    assert.deepEqual(addresses(node, '10.0.0.1'), ['10.0.0.1 3260,1', ...fixed, '10.0.0.1 3261,2']);
    assert.deepEqual(addresses(node, '2001:db8::9'), [...fixed, '2001:db8::9 3261,2']);
  });

  test('answers a discovery session with IPv6 in brackets', () => {
    const portals = [
      { address: '127.0.0.1', port: 3260 },
      { address: '2001:db8::1', port: 3261 },
    ];
    const initiator = attempt({ portals });
    initiator.login([
      ['InitiatorName', INITIATOR],
      ['SessionType', 'Discovery'],
    ]);
    const numbers = { itt: 9, ttt: 0xffffffff, cmdSn: 7, expStatSn: 0, lun: Buffer.alloc(8) };
    const text = Buffer.from('SendTargets=All\0');
    initiator.send(
      (b, at) => emitTextRequest({ immediate: false, final: true, continues: false, ...numbers }, b, at),
      text,
    );
    assert.deepEqual(parseText(initiator.one().data), [
      ['TargetName', TARGET],
      ['TargetAddress', '127.0.0.1:3260,1'],
      ['TargetAddress', '[2001:db8::1]:3261,1'],
    ]);
  });
});

describe('which portal group a connection belongs to', () => {
  const tagAt = (node: TargetNode, address: string, port = 3260) => node.portalGroup(TARGET, address, port)?.config.tag;

  test('the one of its own address, then one of every address of its family', () => {
    const node = nodeOf([
      group({ tag: 1, portals: [{ address: '::', port: 3260 }] }),
      group({ tag: 2, portals: [{ address: '0.0.0.0', port: 3260 }] }),
      group({ tag: 3, portals: [{ address: '10.0.0.1', port: 3260 }] }),
      group({ tag: 4, portals: [{ address: '2001:DB8::0001', port: 3260 }] }),
    ]);
    assert.equal(tagAt(node, '10.0.0.1'), 3);
    assert.equal(tagAt(node, '10.0.0.2'), 2);
    assert.equal(tagAt(node, '2001:db8::1'), 4);
    assert.equal(tagAt(node, '2001:db8::2'), 1);
    assert.equal(tagAt(node, '10.0.0.1', 3261), undefined);
  });

  test('no portal is in two groups of one target', () => {
    const portals = [{ address: '::1', port: 3260 }];
    const twice = [group({ portals }), group({ tag: 2, portals: [{ address: '0:0::1', port: 3260 }] })];
    assert.throws(() => nodeOf(twice), { code: 'ERR_USAGE', message: /\[::1\]:3260 is in two portal groups/ });
  });

  test('a group that is not enabled is 0301', () => {
    const initiator = attempt({ enabled: false });
    assert.equal(statusOf(initiator.login(initiator.names())), '0x0301');
  });

  for (const [permanent, status] of [
    [false, '0x0101'],
    [true, '0x0102'],
  ] as const) {
    test(`a redirection is ${status} with the address, and only for those who may log in`, () => {
      const redirect = { address: '2001:db8::7', port: 3270, permanent };
      const initiator = attempt({ redirect });
      const answer = initiator.login(initiator.names());
      assert.equal(statusOf(answer), status);
      assert.deepEqual([...answer.pairs], [['TargetAddress', '[2001:db8::7]:3270']]);
      assert.ok(initiator.closed);
      const stranger = attempt({ redirect });
      assert.equal(statusOf(stranger.login(stranger.names(OTHER))), '0x0202');
    });
  }
});

describe('a new configuration under a session', () => {
  const unit = (name: string) => {
    const device = new MemoryDevice({ sizeBytes: 2 ** 20 });
    return new LogicalUnit({ name, serial: Buffer.from(name).toString('hex').padEnd(32, '0'), device });
  };
  let [first, second] = [unit('first'), unit('second')];
  const luns = (...units: LogicalUnit[]) => units.map((u, lun) => ({ lun, unit: u }));
  function loggedIn() {
    [first, second] = [unit('first'), unit('second')];
    const node = makeNode({ group: { luns: luns(first) } });
    const initiator = new ScriptedInitiator(node);
    initiator.logIn();
    initiator.clearAttention();
    return { node, initiator };
  }

  test('a LUN that is added is there after REPORTED LUNS DATA HAS CHANGED', () => {
    const { node, initiator } = loggedIn();
    node.context.reconfigure(nodeOf([group({ luns: luns(first, second) })]));
    initiator.command('00');
    assert.equal(senseOf(initiator.one()), '06/3f/0e');
    initiator.command('00', { lun: 1 });
    assert.equal(senseOf(initiator.one()), '06/29/00');
    initiator.command('12 00 00 0024 00', { lun: 1, read: 36 });
    assert.equal(initiator.one().data.toString('latin1', 16, 22), 'second');
  });

  test('a LUN that is taken away is not supported any more, and its unit has lost the nexus', () => {
    const { node, initiator } = loggedIn();
    assert.equal(first.nexuses.size, 1);
    node.context.reconfigure(nodeOf([group({ luns: [{ lun: 3, unit: second }] })]));
    assert.equal(first.nexuses.size, 0);
    initiator.command('28 00 00000000 00 0001 00', { read: 512 });
    assert.equal(senseOf(initiator.one()), '05/25/00');
    initiator.connection.onClosed('over');
    assert.equal(second.nexuses.size, 0);
  });

  test('commands for a LUN that is taken away end, and its unit is left once they have', () => {
    const device = new HeldDevice({ sizeBytes: 2 ** 20 });
    const node = makeNode({ device });
    const initiator = new ScriptedInitiator(node);
    initiator.logIn();
    initiator.clearAttention();
    device.holding = BlockOp.Read;
    const reading = initiator.command('28 00 00000000 00 0001 00', { read: 512 });
    const writing = initiator.command('2a 00 00000000 00 0001 00', { write: 512 });
    const { itt, ttt } = parseR2T(initiator.one().header);
    assert.equal(itt, writing);
    node.context.reconfigure(nodeOf([group({})]));
    assert.equal(initiator.receive().length, 0);
    assert.equal(node.unit.nexuses.size, 1);
    initiator.dataOut(writing, ttt, 0, 0, Buffer.alloc(512), true);
    const ended = initiator.one();
    assert.deepEqual([senseOf(ended), ended.header.readUInt32BE(16)], ['05/25/00', writing]);
    for (const go of device.held.splice(0)) go();
    const last = initiator.one();
    assert.deepEqual([senseOf(last), last.header.readUInt32BE(16)], ['05/25/00', reading]);
    assert.equal(node.unit.nexuses.size, 0);
  });

  test('the same LUNs disturb nothing; a map that becomes read-only holds at once', () => {
    const { node, initiator } = loggedIn();
    node.context.reconfigure(nodeOf([group({ luns: luns(first) })]));
    initiator.command('00');
    assert.equal(initiator.one().header[3], 0);
    const mappedLuns = [{ mappedLun: 0, tpgLun: 0, readOnly: true }];
    const acls = [{ initiatorName: INITIATOR, auth: null, mappedLuns }];
    node.context.reconfigure(nodeOf([group({ luns: luns(first), acls })]));
    initiator.command('2a 00 00000000 00 0001 00', { write: 512, data: Buffer.alloc(512) });
    assert.equal(senseOf(initiator.one()), '07/27/00');
  });

  const gone: [string, Partial<PortalGroupConfig>][] = [
    ['whose ACL is gone', { acls: [] }],
    ['whose group is not enabled any more', { enabled: false }],
    ['whose group is gone', { tag: 9 }],
  ];
  for (const [what, changes] of gone) {
    test(`a session ${what} is asked to log out, and dropped when it does not`, () => {
      const { node, initiator } = loggedIn();
      node.context.reconfigure(nodeOf([group({ luns: luns(first), ...changes })]));
      const message = initiator.one();
      assert.equal(message.opcode, Opcode.AsyncMessage);
      const { event, parameter3 } = parseAsyncMessage(message.header);
      assert.deepEqual([event, parameter3], [AsyncEvent.RequestLogout, LIMITS.logoutSeconds]);
      assert.equal(initiator.connection.state, 'LOGOUT_REQUESTED');
      const due = initiator.now + LIMITS.logoutSeconds * 1000;
      assert.equal(initiator.connection.deadline, due);
      initiator.connection.handleTimeout(due - 1);
      assert.equal(initiator.closed, false);
      initiator.connection.handleTimeout(due);
      assert.ok(initiator.closed);
      const end = initiator.events.at(-1);
      assert.ok(end?.kind === 'end' && end.cause === 'target');
    });
  }

  test('one that logs out when asked has ended by logout', () => {
    const { node, initiator } = loggedIn();
    node.context.reconfigure(nodeOf([group({ acls: [] })]));
    assert.equal(initiator.one().opcode, Opcode.AsyncMessage);
    const logout = { reason: LogoutReason.CloseSession, itt: 900, cid: 0, cmdSn: initiator.cmdSn, expStatSn: 0 };
    initiator.send((b, at) => emitLogoutRequest({ immediate: true, ...logout }, b, at));
    assert.equal(initiator.one().opcode, Opcode.LogoutResponse);
    const end = initiator.events.at(-1);
    assert.ok(end?.kind === 'end' && end.cause === 'logout');
  });
});
