// Every key of a record and of iscsid.conf: what it does, seen on the wire or on a timer, or the manual says that it does nothing.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseProse } from '../../src/cli/man-page.js';
import { IFACE_KEYS, keysOf, NODE_KEYS, OTHER_KEYS, SENDTARGETS_KEYS } from '../../src/records/keys.js';
import { newNodeValues, newSendTargetsValues } from '../../src/records/new-record.js';
import { discoverSendTargets } from '../../src/services/discover.js';
import { loginForeground } from '../../src/services/login.js';
import { discoveryCredentials } from '../../src/services/records/auth.js';
import { sourceOf } from '../../src/services/records/iface.js';
import { discoverySettings, sessionCount, timersFrom } from '../../src/services/records/login.js';
import { type LoginWishes, loginRequest } from '../../src/services/records/plan.js';
import { environmentOf } from '../../src/services/session/environment.js';
import type { SessionInfo } from '../../src/services/session/info.js';
import { OWN_TARGET, type OwnTarget, startOwn } from '../helpers/own-target.js';
import { succeed } from '../helpers/programs.js';
import { INITIATOR } from '../helpers/session.js';
import { type Relay, startRelay, type WireLog } from '../interop/wire-check.js';

type Settings = Readonly<Record<string, string>>;

const NO_CONFIG = { values: new Map<string, string>(), lines: new Map<string, number>(), warnings: [], path: '' };
const WISHES: LoginWishes = {
  ...{ initiatorName: INITIATOR, credentials: null, attach: 'none', readOnly: false, foreground: true },
  ...{ also: false, shared: false, connections: 1, timeoutMs: undefined },
};

/** A key that one login shows: the settings, and what must be seen. */
type WireCase = readonly [settings: Settings, seen: (log: WireLog, info: SessionInfo) => unknown, expected: unknown];

const offered = (name: string) => (log: WireLog) => log.offered.get(name);
const WIRE: readonly WireCase[] = [
  [{ 'node.session.iscsi.InitialR2T': 'Yes' }, offered('InitialR2T'), 'Yes'],
  [{ 'node.session.iscsi.ImmediateData': 'No' }, offered('ImmediateData'), 'No'],
  [{ 'node.session.iscsi.FirstBurstLength': '8192' }, offered('FirstBurstLength'), '8192'],
  [{ 'node.session.iscsi.MaxBurstLength': '300000' }, offered('MaxBurstLength'), '300000'],
  [{ 'node.session.iscsi.MaxOutstandingR2T': '4' }, offered('MaxOutstandingR2T'), '4'],
  [{ 'node.session.iscsi.DefaultTime2Retain': '7' }, offered('DefaultTime2Retain'), '7'],
  [{ 'node.conn[0].iscsi.MaxRecvDataSegmentLength': '4096' }, offered('MaxRecvDataSegmentLength'), '4096'],
  [{ 'node.conn[0].iscsi.HeaderDigest': 'CRC32C,None' }, offered('HeaderDigest'), 'CRC32C,None'],
  [{ 'node.conn[0].iscsi.DataDigest': 'CRC32C' }, offered('DataDigest'), 'CRC32C'],
  [{ 'iface.initiatorname': 'iqn.2022-08.com.test:other' }, offered('InitiatorName'), 'iqn.2022-08.com.test:other'],
  [
    { 'node.conn[0].iscsi.MaxXmitDataSegmentLength': '1024' },
    (_log, info) => info.params.maxXmitDataSegmentLength,
    1024,
  ],
];

const SECRETS = {
  'node.session.auth.username': 'username',
  'node.session.auth.password': 'canary-12345',
  'node.session.auth.username_in': 'mutualuser',
  'node.session.auth.password_in': 'canary-mutual',
  'node.session.auth.chap_algs': 'SHA1,MD5',
};

/** Timers in seconds, as the login gets them in milliseconds. */
const TIMERS = {
  'node.conn[0].timeo.noop_out_interval': 'noopIntervalMs',
  'node.conn[0].timeo.noop_out_timeout': 'noopTimeoutMs',
  'node.conn[0].timeo.login_timeout': 'loginTimeoutMs',
  'node.conn[0].timeo.logout_timeout': 'logoutTimeoutMs',
  'node.session.timeo.replacement_timeout': 'replacementTimeoutMs',
  'node.session.err_timeo.abort_timeout': 'abortTimeoutMs',
  'node.session.err_timeo.lu_reset_timeout': 'luResetTimeoutMs',
  'node.session.err_timeo.tgt_reset_timeout': 'tgtResetTimeoutMs',
} as const;

const LIMITS: Settings = { 'node.session.cmds_max': '5', 'node.session.queue_depth': '3' };
/** Said by the record about itself, or tested in a test of its own below or elsewhere in this folder. */
const OTHERWISE = [
  ...['node.name', 'node.tpgt', 'node.conn[0].address', 'node.conn[0].port', 'iface.iscsi_ifacename'],
  ...['node.discovery_address', 'node.discovery_port', 'node.discovery_type', 'discovery.type'],
  ...['discovery.sendtargets.address', 'discovery.sendtargets.port'],
  ...['node.startup', 'node.session.nr_sessions', 'iface.transport_name'],
  ...['iface.ipaddress', 'iface.net_ifacename', 'iface.hwaddress'],
  ...['username', 'password', 'username_in', 'password_in'].map((key) => `discovery.sendtargets.auth.${key}`),
  ...['discovery.sendtargets.timeo.login_timeout', 'discovery.sendtargets.iscsi.MaxRecvDataSegmentLength'],
];

describe('record settings', () => {
  let own: OwnTarget;
  let guarded: OwnTarget;
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lunctl-settings-'));
    own = await startOwn();
    guarded = await startOwn({
      account: { user: 'username', secret: 'canary-12345' },
      mutual: { user: 'mutualuser', secret: 'canary-mutual' },
    });
  });
  after(async () => {
    await Promise.all([own.stop(), guarded.stop()]);
    rmSync(folder, { recursive: true });
  });

  function record(settings: Settings, port = 3260) {
    const ref = { targetName: OWN_TARGET, address: '127.0.0.1', port, tpgt: 1, iface: 'default' };
    const values = newNodeValues(ref, null, NO_CONFIG.values);
    for (const [key, value] of Object.entries(settings)) values.set(key, value);
    return { ref, values };
  }

  /** One login with these settings, and what passed meanwhile. */
  async function within(
    target: OwnTarget,
    settings: Settings,
    use: (log: WireLog, info: SessionInfo, relay: Relay) => unknown,
  ): Promise<void> {
    const relay = await startRelay('127.0.0.1', target.port);
    try {
      const request = loginRequest(record(settings, relay.port), NO_CONFIG, WISHES);
      const session = await loginForeground(request, { paths: { runDir: join(folder, 'run'), dbDir: folder } });
      try {
        await use(relay.logs.at(-1) as WireLog, session.info, relay);
      } finally {
        await session.logout();
        await session.ended;
      }
    } finally {
      await relay.close();
    }
  }

  for (const [settings, seen, expected] of WIRE) {
    it(Object.entries(settings).flat().join(' = '), async () => {
      await within(own, settings, (log, info) => assert.deepEqual(seen(log, info), expected));
    });
  }

  it('node.session.auth: one-way, mutual, and the list in its order', async () => {
    await within(guarded, SECRETS, (log, info) => {
      assert.deepEqual([info.authMethod, info.chapUser], ['CHAP', 'username']);
      assert.deepEqual([log.offered.get('CHAP_A'), log.offered.get('CHAP_N')], ['6,5', 'username']);
      assert.ok(log.offered.has('CHAP_C'));
      assert.equal(log.answered.get('CHAP_N'), 'mutualuser');
    });
    const wrong = { ...SECRETS, 'node.session.auth.password_in': 'another-secret' };
    await assert.rejects(
      within(guarded, wrong, () => {}),
      { code: 'ERR_LOGIN_AUTH' },
    );
  });

  for (const [key, name] of Object.entries(TIMERS)) {
    it(`${key} is a timer`, () => {
      assert.equal(timersFrom(record({ [key]: '11' }))[name], 11_000);
      const request = loginRequest(record({ [key]: '11' }), NO_CONFIG, WISHES);
      assert.equal(request.timers[name], 11_000);
      assert.equal(environmentOf(request).timers[name], 11_000);
    });
  }

  for (const [key, value] of Object.entries(LIMITS)) {
    it(`${key} bounds what is in flight`, async () => {
      const source = join(folder, 'source');
      writeFileSync(source, randomBytes(4 * 2 ** 20));
      await within(own, { [key]: value }, async (log, info) => {
        await succeed('nbdcopy', '--requests=32', '--request-size=65536', source, info.devices[0]?.nbd ?? '');
        assert.equal(log.mostCommands, Number(value));
      });
    });
  }

  it('discovery has settings of its own', async () => {
    const portal = { address: '127.0.0.1', port: 3260 };
    const values = newSendTargetsValues(portal, new Map());
    values.set('discovery.sendtargets.iscsi.MaxRecvDataSegmentLength', '16384');
    values.set('discovery.sendtargets.timeo.login_timeout', '9');
    const settings = discoverySettings(values, new Map());
    assert.equal(settings.timeoutMs, 9000);
    const relay = await startRelay('127.0.0.1', own.port);
    try {
      const at = { address: '127.0.0.1', port: relay.port };
      await discoverSendTargets({ portal: at, initiatorName: INITIATOR, ...settings });
      assert.equal(relay.logs[0]?.offered.get('MaxRecvDataSegmentLength'), '16384');
    } finally {
      await relay.close();
    }
    for (const [key, value] of Object.entries(SECRETS)) {
      values.set(key.replace('node.session.auth.', 'discovery.sendtargets.auth.'), value);
    }
    const found = discoveryCredentials(null, values, new Map());
    assert.deepEqual([found?.user, found?.mutual?.user], ['username', 'mutualuser']);
  });

  it('a source address, several sessions, another transport', () => {
    assert.deepEqual(sourceOf(record({ 'iface.ipaddress': '127.0.0.2' })), { address: '127.0.0.2' });
    assert.deepEqual(sourceOf(record({ 'iface.net_ifacename': 'lo' })), { netdev: 'lo' });
    assert.deepEqual(sourceOf(record({ 'iface.hwaddress': '52:54:00:12:34:56' })), { hwaddress: '52:54:00:12:34:56' });
    assert.throws(() => sourceOf(record({ 'iface.transport_name': 'iser' })), { code: 'ERR_NOT_SUPPORTED' });
    assert.equal(sessionCount(record({ 'node.session.nr_sessions': '3' })), 3);
  });

  it('every key is in one of these tests, or in the manual among those without effect', () => {
    const prose = readFileSync(join(import.meta.dirname, '../../man/prose/lunctl-node.mdoc'), 'utf8');
    const sections = parseProse(prose);
    const [effect = '', none = ''] = ['SETTINGS', 'SETTINGS WITHOUT EFFECT'].map((name) => sections.get(name));
    const keysIn = (text: string) =>
      [...text.matchAll(/^\.It (.*)$/gm)].flatMap(([, line = '']) =>
        [...line.matchAll(/Va (\S+)/g)].map(([, key = '']) => key),
      );
    const silent = keysIn(none);
    const hasNone = (key: string) =>
      silent.some((name) => (name.endsWith('*') ? key.startsWith(name.slice(0, -1)) : name === key));
    const tested = new Set([
      ...WIRE.flatMap(([settings]) => Object.keys(settings)),
      ...Object.keys({ ...SECRETS, ...TIMERS, ...LIMITS }),
      ...OTHERWISE,
    ]);
    const all = new Set([...[NODE_KEYS, SENDTARGETS_KEYS, IFACE_KEYS].flatMap(keysOf), ...OTHER_KEYS]);
    for (const key of all) assert.notEqual(tested.has(key), hasNone(key), key);
    // What the manual promises is tested, and nothing that it names is unknown.
    for (const key of keysIn(effect)) assert.ok(tested.has(key) && all.has(key), key);
    for (const name of silent) assert.ok(name.endsWith('*') || all.has(name), name);
  });
});
