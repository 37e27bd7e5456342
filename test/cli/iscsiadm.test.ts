// iscsiadm's texts, compared with what iscsiadm printed.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { discoveryTree } from '../../src/cli/render/discovery-tree.js';
import {
  discoveryLine,
  loginDoneLine,
  loginStartLine,
  logoutDoneLine,
  logoutStartLine,
  nodeLine,
  nodeTree,
  recordText,
  sessionLine,
  statsText,
} from '../../src/cli/render/iscsiadm.js';
import {
  fullIpv6,
  hostBlocks,
  hostLine,
  type SessionBlock,
  sessionBlocks,
} from '../../src/cli/render/session-blocks.js';
import { Counters } from '../../src/initiator/counters.js';
import { parseRecordText } from '../../src/records/format.js';
import { NODE_KEYS, SENDTARGETS_KEYS } from '../../src/records/keys.js';
import { nodeRecord, sendTargetsRecord, shownNodeRecord, shownSendTargetsRecord } from '../records/fixtures.js';
import { readRecording } from '../transcripts/recording.js';
import { discoveryP1, nodeListText, nodeTreeText, sessionP2, sessionP3, sessionsP1 } from './transcripts.js';

const name = (n: number) => `iqn.2022-08.com.test:dlp.target0${n}`;
const path = (n: number, address = '127.0.0.1') => ({
  targetName: name(n),
  address,
  port: 3260,
  tpgt: 1,
  iface: 'default',
});
const known = [path(1), path(1, '127.0.0.2'), path(1, '::1'), path(2), path(3), path(4), path(5)];

describe('records and lists', () => {
  it('the flat list', () => assert.equal(known.map(nodeLine).join(''), nodeListText));
  it('the tree', () => assert.equal(nodeTree(known), nodeTreeText));
  it('a tag that is not known', () => {
    assert.equal(nodeLine({ ...path(1), tpgt: -1 }), `127.0.0.1:3260,4294967295 ${name(1)}\n`);
  });
  it('two interfaces of one portal', () => {
    const text = nodeTree([path(1), { ...path(1), iface: 'myif' }]);
    assert.equal(text.match(/Portal:/g)?.length, 1);
    assert.match(text, /\t\tIface Name: default\n\t\tIface Name: myif\n$/);
  });
  it('the discoveries, flat and as a tree', () => {
    assert.equal(discoveryLine({ address: '::1', port: 3260 }), '::1:3260 via sendtargets\n');
    const portal = (address: string) => ({ address, port: 3260 });
    const nodes = [path(5), path(4), path(3), path(2), path(1, '127.0.0.2'), path(1, '::1'), path(1)];
    const none = { sendTargets: [], isns: [], static: [], firmware: [] };
    const sendTargets = [
      { portal: portal('localhost'), nodes: [] },
      { portal: portal('::1'), nodes: [] },
      { portal: portal('127.0.0.1'), nodes },
    ];
    const tree = discoveryTree({ ...none, sendTargets });
    assert.equal(tree, discoveryP1);
    assert.equal(
      discoveryTree(none)
        .split('\n')
        .filter((line) => line === 'No targets found.').length,
      4,
    );
  });
  it('a node record', () => {
    const { pairs } = parseRecordText(nodeRecord, 'a record');
    const shown = recordText(pairs, NODE_KEYS, { showSecrets: false });
    assert.equal(shown, shownNodeRecord.replaceAll(name(4), name(1)));
  });
  it('a discovery record', () => {
    const { pairs } = parseRecordText(sendTargetsRecord, 'a record');
    assert.equal(recordText(pairs, SENDTARGETS_KEYS, { showSecrets: false }), shownSendTargetsRecord);
  });
  it('a secret, masked and shown; keys that the table does not have', () => {
    const pairs = [
      ['node.session.auth.password', 'canary-secret-1'],
      ['node.session.sess_reopen_log_freq', '1'],
    ] as const;
    const masked = recordText(pairs, NODE_KEYS, { showSecrets: false });
    assert.match(masked, /^node\.session\.auth\.password = \*{8}$/m);
    assert.ok(!masked.includes('canary'));
    assert.match(masked, /^node\.session\.sess_reopen_log_freq = 1\n# END RECORD\n$/m);
    assert.match(recordText(pairs, NODE_KEYS, { showSecrets: true }), /password = canary-secret-1$/m);
  });
  it('control characters of a name never reach the terminal', () => {
    assert.equal(nodeLine({ ...path(1), targetName: 'iqn.x\u001b\u009b\u202e' }), '127.0.0.1:3260,1 iqn.x\n');
  });
});

describe('login, logout and sessions', () => {
  const session = { ...path(4), sid: 8 };
  it('the lines', () => {
    const way = `[iface: default, target: ${name(4)}, portal: 127.0.0.1,3260]`;
    const live = `[sid: 8, target: ${name(4)}, portal: 127.0.0.1,3260]`;
    assert.equal(loginStartLine(session), `Logging in to ${way}\n`);
    assert.equal(loginDoneLine(session), `Login to ${way} successful.\n`);
    assert.equal(logoutStartLine(session), `Logging out of session ${live}\n`);
    assert.equal(logoutDoneLine(session), `Logout of ${live} successful.\n`);
    assert.equal(sessionLine(session), `tcp: [8] 127.0.0.1:3260,1 ${name(4)} (non-flash)\n`);
    assert.equal(sessionLine({ ...session, address: '::1' }), `tcp: [8] [::1]:3260,1 ${name(4)} (non-flash)\n`);
  });

  const block = (
    sid: number,
    n: number,
    address: string,
    local: string,
    more: Partial<SessionBlock> = {},
  ): SessionBlock => ({
    sid,
    host: 0,
    targetName: name(n),
    portal: { address, port: 3260, tpgt: 1 },
    iface: 'default',
    initiatorName: 'iqn.2022-08.com.test:node01.initiator01',
    localAddress: local,
    state: 'LOGGED_IN',
    recovery: 'none',
    chapUser: null,
    mutualUser: null,
    params: {
      headerDigest: 'None',
      dataDigest: 'None',
      maxRecvDataSegmentLength: 262_144,
      maxXmitDataSegmentLength: 262_144,
      firstBurstLength: 65_536,
      maxBurstLength: 262_144,
      immediateData: true,
      initialR2T: true,
      maxOutstandingR2T: 1,
    },
    timeouts: { recovery: 120, targetReset: 30, lunReset: 30, abort: 15 },
    devices: [],
    ...more,
  });

  it('-P 1: sessions of one target below one name, IPv6 in full', () => {
    const blocks = [
      block(11, 1, '127.0.0.2', '127.0.0.1'),
      block(12, 1, '::1', '::1'),
      block(13, 1, '127.0.0.1', '127.0.0.1'),
    ];
    assert.equal(sessionBlocks(blocks, 1, 'version 2.1.8\n'), sessionsP1);
  });
  it('-P 2: mutual CHAP, secrets masked', () => {
    const one = block(1, 5, '127.0.0.1', '127.0.0.1', { chapUser: 'username', mutualUser: 'mutualuser' });
    assert.equal(sessionBlocks([one], 2, 'version 2.1.8\n'), sessionP2);
  });
  it('hosts: -P 1, 2 and 4 as they were recorded', () => {
    const recorded = readRecording(join(import.meta.dirname, '../transcripts/recordings/iface-host.txt'));
    const answer = (line: string) => recorded.find((command) => command.line === `iscsiadm -m host${line}`)?.stdout;
    const devices = ['sda', 'sdc', 'sdb'].map((disk, lun) => ({ lun, path: `/dev/${disk}`, exportName: `lun${lun}` }));
    const one = block(52, 4, '127.0.0.1', '127.0.0.1', { iface: 'myif2', devices });
    const params = { ...one.params, initialR2T: true };
    const head = 'iSCSI Transport Class version 2.0-870\nversion 2.1.8\n';
    for (const level of [1, 2, 4] as const) {
      assert.equal(hostBlocks([{ ...one, params }], level, head), answer(` -P ${level}`));
    }
    assert.equal(hostLine(one), answer(''));
    assert.equal(hostLine({ host: 3, localAddress: null }), 'tcp: [3] <empty>,[<empty>],<empty> <empty>\n');
  });
  it('-P 3: devices', () => {
    const devices = [
      { lun: 0, path: '/dev/sdb', exportName: 'lun0' },
      { lun: 1, path: '/dev/sda', exportName: 'lun1' },
    ];
    // There is no kernel transport class to give a version of.
    const expected = sessionP3.replace('iSCSI Transport Class version 2.0-870\n', '');
    assert.equal(sessionBlocks([block(8, 4, '127.0.0.1', '127.0.0.1', { devices })], 3, 'version 2.1.8\n'), expected);
  });
  it('a session that is lost, a disk that is not attached, what is not known', () => {
    const devices = [{ lun: 0, path: null, exportName: 'lun0' }];
    const text = sessionBlocks(
      [{ ...block(1, 1, '127.0.0.1', '', { devices, state: 'FAILED', recovery: 'reopen' }), localAddress: null }],
      3,
      '1',
    );
    assert.match(text, /iSCSI Connection State: TRANSPORT WAIT\n/);
    assert.match(text, /Internal iscsid Session State: REOPEN\n/);
    assert.match(text, /Attached scsi disk lun0\t\tState: blocked\n/);
    assert.match(text, /Iface IPaddress: \[default\]\n/);
    const expired = sessionBlocks(
      [block(1, 1, '127.0.0.1', '', { devices, state: 'FAILED', recovery: 'expired' })],
      3,
      '',
    );
    assert.match(expired, /iSCSI Session State: FREE\n[\s\S]*State: transport-offline\n/);
  });
  it('a second session by the same portal, secrets on demand', () => {
    const one = block(1, 1, '127.0.0.1', '127.0.0.1', { chapUser: 'username' });
    const secrets = { password: 'password1234', passwordIn: '' };
    const text = sessionBlocks([one, { ...one, sid: 2, secrets }], 2, '');
    assert.equal(text.match(/Current Portal/g)?.length, 1);
    assert.match(text, /MaxOutstandingR2T: 1\n\n\t\t\*+\n\t\tInterface:\n/);
    assert.match(text, /\t\tpassword: password1234\n\t\tusername_in: <empty>\n\t\tpassword_in: <empty>\n/);
    assert.equal(text.match(/password1234/g)?.length, 1);
  });
  it('-s: what a session has counted', () => {
    const recording = readRecording(join(import.meta.dirname, '../transcripts/recordings/login.txt'));
    const recorded = recording.find(({ line }) => line === 'iscsiadm -m session -r 8 -s')?.stdout ?? '';
    const counted = Object.assign(new Counters(), {
      ...{ txdata_octets: 18_840, rxdata_octets: 2_188_040 },
      ...{ scsicmd_pdus: 381, scsirsp_pdus: 381, datain_pdus: 367 },
    });
    const session = { sid: 8, targetName: 'iqn.2022-08.com.test:dlp.target04', address: '127.0.0.1', port: 3260 };
    assert.equal(statsText(session, counted), recorded);
  });
  it('IPv6 in full', () => {
    assert.equal(fullIpv6('fe80::20c:29ff'), 'fe80:0000:0000:0000:0000:0000:020c:29ff');
    assert.equal(fullIpv6('::'), '0000:0000:0000:0000:0000:0000:0000:0000');
    assert.equal(fullIpv6('1:2:3:4:5:6:7:8'), '0001:0002:0003:0004:0005:0006:0007:0008');
    assert.equal(fullIpv6('fe80::1%eth0'), 'fe80::1%eth0');
  });
});
