// Records in use: choosing targets, credentials, offers and timers; the name of this host.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { newNodeValues } from '../../src/records/new-record.js';
import { listNodes } from '../../src/records/node-store.js';
import { readIdentity } from '../../src/services/identity.js';
import { discoveryCredentials, nodeCredentials } from '../../src/services/records/auth.js';
import { saveCredentials } from '../../src/services/records/credentials.js';
import { negotiateFrom, sessionTimeouts, timersFrom } from '../../src/services/records/login.js';
import { credentialWarnings, loginRequest, planLogin, requireStrongSecrets } from '../../src/services/records/plan.js';
import { type NodeRecord, readConfig, recordDiscovery, temporaryNode } from '../../src/services/records/records.js';
import { chooseTargets, splitTarget, type TargetChoice } from '../../src/services/records/target.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const signal = new AbortController().signal;
let root: string;
let paths: { configDir: string; dbDir: string };
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'lunctl-rec-'));
  paths = { configDir: join(root, 'etc'), dbDir: join(root, 'db') };
  await mkdir(paths.configDir);
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('which targets are meant', () => {
  const one = (name: string, address = '10.0.0.1', port = 3260) => ({
    targetName: `iqn.2022-08.com.test:${name}`,
    address,
    port,
    iface: 'default',
  });
  const choice = (more: Partial<TargetChoice>): TargetChoice => ({ all: false, suffix: false, ...more });
  const names = (candidates: ReturnType<typeof one>[], more: Partial<TargetChoice>) =>
    chooseTargets(candidates, splitTarget(choice(more))).map(
      ({ targetName, address }) => `${targetName.split(':')[1]}@${address}`,
    );
  const two = [one('a'), one('a', '10.0.0.2', 3261), one('b')];

  it('by name, by portal, by both', () => {
    assert.deepEqual(names(two, { target: 'iqn.2022-08.com.test:a' }), ['a@10.0.0.1', 'a@10.0.0.2']);
    assert.deepEqual(names(two, { portal: { address: '10.0.0.1', port: null } }), ['a@10.0.0.1', 'b@10.0.0.1']);
    assert.deepEqual(names(two, { target: 'iqn.2022-08.com.test:a@10.0.0.2' }), ['a@10.0.0.2']);
    assert.deepEqual(names(two, { target: 'iqn.2022-08.com.test:a@10.0.0.2:3260' }), []);
    assert.deepEqual(names(two, { target: 'iqn.2022-08.com.test:none' }), []);
    assert.deepEqual(names([one('v6', 'FE80::1')], { target: 'iqn.2022-08.com.test:v6@[fe80::1]:3260' }), [
      'v6@FE80::1',
    ]);
  });
  it('by interface', () => {
    const bound = { ...one('a'), iface: 'if1' };
    assert.equal(names([...two, bound], { iface: 'if1' }).length, 1);
    assert.equal(names([...two, bound], { iface: 'default', target: 'iqn.2022-08.com.test:a' }).length, 2);
    assert.deepEqual(names([...two, bound], { iface: 'if2', all: true }), []);
  });
  it('the only one there is, with all its portals', () => {
    assert.deepEqual(names(two.slice(0, 2), {}), ['a@10.0.0.1', 'a@10.0.0.2']);
    assert.deepEqual(names([], {}), []);
  });
  it('several need a word: 7 with the list', () => {
    assert.throws(() => names(two, {}), { code: 'ERR_USAGE', message: /:a, iqn.*:b$/, hint: /--all/ });
    assert.equal(names(two, { all: true }).length, 3);
  });
  it('the end of a name, only where a person types', () => {
    assert.deepEqual(names(two, { target: ':b', suffix: true }), ['b@10.0.0.1']);
    assert.throws(() => names(two, { target: ':b' }), { code: 'ERR_USAGE', hint: /did you mean .*:b\?/ });
    assert.throws(() => names([one('xa'), one('ya')], { target: 'a', suffix: true }), { code: 'ERR_USAGE' });
    assert.deepEqual(names(two, { target: 'nothing' }), []);
  });
  it('a portal twice is refused', () => {
    assert.throws(() => splitTarget(choice({ target: 'a@b', portal: { address: 'c', port: null } })), {
      code: 'ERR_USAGE',
    });
    assert.throws(() => splitTarget(choice({ target: 'a@b@c' })), { code: 'ERR_USAGE' });
    assert.throws(() => splitTarget(choice({ target: 'a@' })), { code: 'ERR_USAGE' });
  });
});

describe('credentials', () => {
  const record = (more: Record<string, string>) =>
    new Map(Object.entries(more).map(([key, value]) => [`node.session.auth.${key}`, value]));
  const none = new Map<string, string>();
  it('come from the call, else the record, else iscsid.conf', () => {
    const inRecord = record({ username: 'r', password: 'rs', chap_algs: 'SHA256,MD5' });
    const inConfig = record({ username: 'c', password: 'cs' });
    assert.deepEqual(nodeCredentials({ user: 'g', secret: 'gs' }, inRecord, inConfig), {
      user: 'g',
      secret: 'gs',
      algorithms: [7, 5],
    });
    assert.deepEqual(nodeCredentials(null, inRecord, inConfig), { user: 'r', secret: 'rs', algorithms: [7, 5] });
    assert.deepEqual(nodeCredentials(null, none, inConfig), { user: 'c', secret: 'cs', algorithms: [5] });
    assert.equal(nodeCredentials(null, record({ username: 'r' }), none), null);
  });
  it('mutual ones too', () => {
    const both = record({
      username: 'r',
      password: 'rs',
      username_in: 'm',
      password_in: 'ms',
      chap_algs: 'SHA3-256,MD5,SHA256,SHA1',
    });
    assert.deepEqual(nodeCredentials(null, both, none), {
      user: 'r',
      secret: 'rs',
      mutual: { user: 'm', secret: 'ms' },
      algorithms: [8, 5, 7, 6],
    });
  });
  it('a list without a known name is MD5', () => {
    assert.deepEqual(
      nodeCredentials({ user: 'u', secret: 's' }, record({ chap_algs: 'ROT13' }), none)?.algorithms,
      [5],
    );
  });
  it('of a discovery have keys of their own', () => {
    const config = new Map([
      ['discovery.sendtargets.auth.username', 'd'],
      ['discovery.sendtargets.auth.password', 'ds'],
    ]);
    assert.deepEqual(discoveryCredentials(null, undefined, config), {
      user: 'd',
      secret: 'ds',
      algorithms: [8, 5, 7, 6],
    });
    assert.equal(discoveryCredentials(null, undefined, record({ username: 'r', password: 'rs' })), null);
  });
});

describe('a login request', () => {
  const ref = { targetName: TARGET, address: '10.0.0.1', port: 3260, tpgt: 1, iface: 'default' };
  const record = (more: Record<string, string> = {}) => {
    const values = newNodeValues(ref, null, new Map());
    for (const [key, value] of Object.entries(more)) values.set(key, value);
    return { ref, values };
  };
  it('offers what the record says', () => {
    assert.deepEqual(negotiateFrom(record()), {
      initialR2T: false,
      immediateData: true,
      firstBurstLength: 262_144,
      maxBurstLength: 16_776_192,
      maxRecvDataSegmentLength: 262_144,
      defaultTime2Retain: 0,
      headerDigest: ['None'],
      dataDigest: ['None'],
    });
    const other = record({
      'node.session.iscsi.InitialR2T': 'Yes',
      'node.session.iscsi.MaxOutstandingR2T': '4',
      'node.conn[0].iscsi.HeaderDigest': 'CRC32C,None',
    });
    const offer = negotiateFrom(other);
    assert.deepEqual([offer.initialR2T, offer.maxOutstandingR2T, offer.headerDigest], [true, 4, ['CRC32C', 'None']]);
  });
  it('leaves out nonsense', () => {
    const nonsense = record({
      'node.session.iscsi.InitialR2T': 'maybe',
      'node.session.iscsi.FirstBurstLength': '99999999999',
      'node.session.iscsi.MaxBurstLength': '-5',
      'node.conn[0].iscsi.MaxRecvDataSegmentLength': 'abc',
      'node.conn[0].iscsi.DataDigest': 'CRC64',
      'node.conn[0].timeo.noop_out_interval': 'abc',
      'node.conn[0].timeo.login_timeout': '0',
    });
    assert.deepEqual(Object.keys(negotiateFrom(nonsense)).sort(), [
      ...['defaultTime2Retain', 'headerDigest', 'immediateData'],
    ]);
    assert.deepEqual([timersFrom(nonsense).noopIntervalMs, timersFrom(nonsense).loginTimeoutMs], [5000, 15_000]);
  });
  it('waits as the record says, and for ever below 0', () => {
    assert.equal(timersFrom(record()).replacementTimeoutMs, 120_000);
    assert.equal(timersFrom(record({ 'node.session.timeo.replacement_timeout': '0' })).replacementTimeoutMs, 0);
    assert.equal(
      timersFrom(record({ 'node.session.timeo.replacement_timeout': '-1' })).replacementTimeoutMs,
      Number.MAX_SAFE_INTEGER,
    );
  });
  const wishes = {
    initiatorName: 'iqn.2022-08.com.test:me',
    credentials: null,
    attach: 'none',
    readOnly: false,
    foreground: false,
    also: false,
    shared: false,
    connections: 1,
    timeoutMs: undefined,
  } as const;
  it("warns of a record's weak secrets, or refuses them", async () => {
    const config = await readConfig(paths);
    const auth = (password: string, more = {}) =>
      record({ 'node.session.auth.username': 'u', 'node.session.auth.password': password, ...more });
    const plan = (...records: NodeRecord[]) => ({ records, config, warnings: [] });
    const weak = plan(auth('password'), auth('password'));
    assert.equal(new Set(credentialWarnings(weak, null)).size, 1);
    assert.match(
      credentialWarnings(weak, null)[0] ?? '',
      /^the CHAP secret has 8 bytes; RFC 7143 asks for at least 12/,
    );
    assert.throws(() => requireStrongSecrets(weak, null), { code: 'ERR_USAGE', message: /8 bytes/ });
    const given = { user: 'g', secret: 'long-enough-12' };
    assert.deepEqual(credentialWarnings(weak, given), []);
    requireStrongSecrets(weak, given);
    const both = { 'node.session.auth.username_in': 't', 'node.session.auth.password_in': 'canary-12345' };
    assert.deepEqual(
      credentialWarnings(plan(auth('canary-12345', { ...both, 'node.session.auth.password_in': 'x' })), null),
      ['the mutual CHAP secret has 1 bytes; RFC 7143 asks for at least 12, and some targets refuse less'],
    );
  });
  it('never gives a portal longer than 15 s unless told so', async () => {
    const config = await readConfig(paths);
    const slow = record({ 'node.conn[0].timeo.login_timeout': '120' });
    assert.equal(loginRequest(slow, config, wishes).timeoutMs, 15_000);
    assert.equal(loginRequest(slow, config, { ...wishes, timeoutMs: 60_000 }).timers.loginTimeoutMs, 60_000);
    const named = record({ 'iface.initiatorname': 'iqn.2022-08.com.test:myif' });
    assert.equal(loginRequest(named, config, wishes).initiatorName, 'iqn.2022-08.com.test:myif');
  });
  it('needs no record when target and portal are named', async () => {
    const choice = { target: TARGET, portal: { address: '10.0.0.9', port: null }, all: false, suffix: false };
    const { records } = await planLogin(paths, choice);
    assert.deepEqual(records[0]?.ref, { ...ref, address: '10.0.0.9', tpgt: -1 });
    assert.ok(!existsSync(paths.dbDir));
    await assert.rejects(planLogin(paths, { ...choice, portal: undefined }), { code: 'ERR_NOT_FOUND' });
    await assert.rejects(planLogin(paths, { all: true, suffix: false }), { code: 'ERR_NOT_FOUND' });
  });
  it('timeouts for the eyes come from the record, or are the defaults', async () => {
    const session = { targetName: TARGET, portal: { address: '10.0.0.1', port: 3260, tpgt: 1 }, iface: 'default' };
    assert.deepEqual(await sessionTimeouts(paths, [session]), [
      { recovery: 120, targetReset: 30, lunReset: 30, abort: 15 },
    ]);
    const kept = temporaryNode(TARGET, { address: '10.0.0.1', port: 3260 }, await readConfig(paths));
    kept.values.set('node.session.timeo.replacement_timeout', '7');
    await saveCredentials(paths, [kept], { user: 'u', secret: 's' }, signal);
    assert.equal((await sessionTimeouts(paths, [session]))[0]?.recovery, 7);
  });
});

describe('the database as a whole', () => {
  const found = (name: string, address = '127.0.0.1') => ({ targetName: name, address, port: 3260, tpgt: 1 });
  it('what a hostile portal names is not recorded', async () => {
    const names = [
      '../../etc/passwd',
      'iqn.2022-08.com.test:a/../../b',
      'iqn.2022-08.com.test:ok\n',
      '',
      'x'.repeat(300),
    ];
    const { changes, skipped } = await recordDiscovery(paths, {
      portal: { address: '127.0.0.1', port: 3260 },
      found: [...names.map((name) => found(name)), found(TARGET), found(TARGET, 'not a host'), found(TARGET, '../x')],
      config: await readConfig(paths),
      save: null,
      inUse: () => false,
      signal,
    });
    assert.deepEqual(
      changes.map(({ ref }) => ref.address),
      ['127.0.0.1'],
    );
    assert.equal(skipped.length, names.length + 2);
    assert.deepEqual(readdirSync(join(paths.dbDir, 'nodes')), [TARGET]);
  });
  it('keeps the credentials of a discovery in its record, readable by the owner alone', async () => {
    await recordDiscovery(paths, {
      portal: { address: '127.0.0.1', port: 3260 },
      found: [],
      config: await readConfig(paths),
      save: { user: 'd', secret: 'canary-secret-2' },
      inUse: () => false,
      signal,
    });
    const path = join(paths.dbDir, 'send_targets/127.0.0.1,3260/st_config');
    assert.match(readFileSync(path, 'utf8'), /auth\.password = canary-secret-2\n/);
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });
  it('many writers at once lose nothing', async () => {
    const config = await readConfig(paths);
    const write = (i: number) =>
      saveCredentials(
        paths,
        [temporaryNode(`${TARGET}${i}`, { address: '10.0.0.1', port: 3260 }, config)],
        { user: `u${i}`, secret: 's' },
        signal,
      );
    await Promise.all(Array.from({ length: 12 }, (_, i) => write(i)));
    const { items, warnings } = await listNodes(paths.dbDir);
    assert.deepEqual(warnings, []);
    assert.equal(new Set(items.map(({ values }) => values.text('node.session.auth.username'))).size, 12);
  });
});

describe('the name of this host', () => {
  const file = () => join(paths.configDir, 'initiatorname.iscsi');
  it('is read as it is', async () => {
    writeFileSync(file(), '# comment\n InitiatorName = iqn.1993-08.org.debian:01:abc \nInitiatorAlias=x\n');
    const name = { initiatorName: 'iqn.1993-08.org.debian:01:abc', path: file(), created: false };
    assert.deepEqual(await readIdentity(paths), name);
  });
  it('is made once and kept for its owner alone', async () => {
    const made = await readIdentity(paths);
    assert.match(made.initiatorName, /^iqn\.2026-11\.io\.lunctl:[0-9a-f]{12}$/);
    assert.deepEqual([made.path, made.created], [file(), true]);
    assert.equal(statSync(file()).mode & 0o777, 0o600);
    assert.deepEqual(await readIdentity(paths), { ...made, created: false });
    assert.deepEqual(readdirSync(paths.configDir), ['initiatorname.iscsi']);
  });
  it('is one for all that start at the same time', async () => {
    const names = await Promise.all(Array.from({ length: 10 }, () => readIdentity(paths)));
    assert.equal(new Set(names.map(({ initiatorName }) => initiatorName)).size, 1);
    assert.equal(names.filter(({ created }) => created).length, 1);
  });
  it('goes to the records where the configuration cannot be written', async () => {
    const blocked = { ...paths, configDir: join(file(), 'below-a-file') };
    writeFileSync(file(), 'x');
    assert.equal((await readIdentity(blocked)).path, join(paths.dbDir, 'initiatorname.iscsi'));
  });
  it('holds for one call where nothing can be written', async () => {
    writeFileSync(file(), 'x');
    const nowhere = { configDir: join(file(), 'a'), dbDir: join(file(), 'b') };
    assert.deepEqual((await readIdentity(nowhere)).path, null);
  });
  it('a file without one, or with nonsense, says so', async () => {
    writeFileSync(file(), 'GenerateName=yes\n');
    await assert.rejects(readIdentity(paths), { code: 'ERR_DATABASE', hint: /InitiatorName=/ });
    writeFileSync(file(), 'InitiatorName=IQN.nonsense\n');
    await assert.rejects(readIdentity(paths), { code: 'ERR_USAGE', message: /initiatorname\.iscsi/ });
  });
});
