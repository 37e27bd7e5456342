// The iscsiadm face from a discovery to a logout, as scripts run it: texts, streams and exit codes, against our own target.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { succeed } from '../helpers/programs.js';
import { type Run, Sandbox } from '../helpers/sandbox.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';

const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const OPEN = 'iqn.2022-08.com.test:dlp.target01';
const GUARDED = 'iqn.2022-08.com.test:dlp.target02';

let box: Sandbox;
/** Of the target that lets this initiator in, and of the one that wants CHAP. */
let open: number;
let guarded: number;

const adm = (line: string): Promise<Run> => box.run(...line.split(' '));
const way = (port: number, target = OPEN) => `[iface: default, target: ${target}, portal: 127.0.0.1,${port}]`;
const told = ({ stdout, stderr, code }: Run) => [stdout, stderr, code];

async function expect(line: string, stdout: string, stderr = '', code = 0): Promise<void> {
  assert.deepEqual(told(await adm(line)), [stdout, stderr, code], line);
}

function complaints(...lines: string[]): string {
  return lines.map((line) => `iscsiadm: ${line}\n`).join('');
}

before(async () => {
  box = await Sandbox.make(INITIATOR);
  const config = 'discovery.sendtargets.reopen_max = 0\nnode.session.auth.chap_algs = MD5\n';
  writeFileSync(join(box.folder, 'etc/iscsid.conf'), config);
  const secret = await box.secretFile('secret', 'password1234\n');
  ({ port: open } = await box.serve('ramdisk:8M', 'ramdisk:4M', '--target', OPEN, '--allow', INITIATOR));
  const chap = ['--chap-user', 'username', '--chap-secret-file', secret];
  ({ port: guarded } = await box.serve('ramdisk:8M', '--target', GUARDED, '--allow', INITIATOR, ...chap));
});
after(() => box.stop());

describe('discovery', () => {
  it('without anything to ask', async () => {
    await expect('-m discovery', '', '', 21);
    await expect(
      '-m discoverydb -t st -p 127.0.0.1',
      '',
      complaints('Discovery record [127.0.0.1,3260] not found.'),
      6,
    );
    await expect('-m discovery -t st', '', complaints('Please specify portal as <ipaddr>[:<ipport>]'), 7);
    await expect('-m discovery -p 127.0.0.1', '', complaints('Discovery record [127.0.0.1,3260] not found!'), 7);
    await expect('-m discovery -t slp', '', complaints('SLP discovery is not fully implemented yet.'), 7);
    await expect('-m discovery -t fw', '', complaints('Could not get list of targets from firmware. (err 21)'), 21);
    const { stderr, code } = await adm('-m discovery -t isns -p 127.0.0.1');
    assert.match(stderr, /Could not perform iSNS discovery: iSNS query failed\n$/);
    assert.equal(code, 25);
  });

  it('keeps the record of a portal that refuses, and tells each attempt', async () => {
    const port = await closedPort();
    const over = (most: number) => [
      `connection login retries (reopen_max) ${most} exceeded`,
      'Could not perform SendTargets discovery: iSCSI PDU timed out',
    ];
    const refused = 'cannot make connection to 127.0.0.1: Connection refused';
    await expect(`-m discovery -t st -p 127.0.0.1:${port}`, '', complaints(refused, ...over(0)), 11);
    const db = `-m discoverydb -t st -p 127.0.0.1:${port}`;
    await expect(`${db} -o update -n discovery.sendtargets.reopen_max -v 1`, '');
    await expect(`${db} -D`, '', complaints(refused, refused, ...over(1)), 11);
    await expect('-m discovery', `127.0.0.1:${port} via sendtargets\n`);
    assert.match((await adm(`${db} -o show`)).stdout, /^discovery\.sendtargets\.reopen_max = 1$/m);
    const bogus = complaints('Cannot modify bogus. Invalid param name.');
    await expect(`${db} -o update -n bogus -v 1`, '', bogus, 7);
    await expect(`${db} -o delete`, '');
    await expect(`${db} -o delete`, '', complaints(`Discovery record [127.0.0.1,${port}] not found.`), 6);
  });

  it('of a name that leads nowhere ends with 4, of a port that is none writes no file', async () => {
    const { stderr, code } = await adm('-m discovery -t st -p no-such-host.invalid');
    assert.match(stderr, /^iscsiadm: Cannot resolve host no-such-host\.invalid\. getaddrinfo error: \[.*\]\n/);
    assert.match(stderr, /iscsiadm: Could not perform SendTargets discovery: encountered connection failure\n$/);
    assert.equal(code, 4);
    assert.equal((await adm('-m discovery -t st -p 127.0.0.1:0')).code, 11);
    assert.deepEqual(readdirSync(join(box.folder, 'db/send_targets')), ['no-such-host.invalid,3260']);
    await expect('-m discoverydb -t st -p no-such-host.invalid -o delete', '');
  });

  it('tells a service that closes the connection', async () => {
    const server = createServer((socket) => socket.destroy());
    const port = await listening(server);
    const { stderr, code } = await adm(`-m discovery -t st -p 127.0.0.1:${port} -o nonpersistent`);
    server.close();
    assert.equal(
      stderr,
      complaints(
        'Connection to Discovery Address 127.0.0.1 closed',
        'Login I/O error, failed to receive a PDU',
        'retrying discovery login to 127.0.0.1',
        'connection login retries (reopen_max) 0 exceeded',
        'Could not perform SendTargets discovery: iSCSI PDU timed out',
      ),
    );
    assert.equal(code, 11);
    await expect('-m discovery', '', '', 21);
  });

  it('prints what the portal answers; -o says what becomes of the records', async () => {
    const line = `127.0.0.1:${open},1 ${OPEN}\n`;
    await expect(`-m discovery -t st -p 127.0.0.1:${open} -o nonpersistent`, line);
    await expect('-m node', '', complaints('No records found'), 21);
    const tree = `Target: ${OPEN}\n\tPortal: 127.0.0.1:${open},1\n\t\tIface Name: default\n`;
    await expect(`-m discovery -t sendtargets -p 127.0.0.1:${open} -P 1`, tree);
    const none = 'No targets found.\n';
    const stored = `SENDTARGETS:\nDiscoveryAddress: 127.0.0.1,${open}\n${tree}`;
    await expect('-m discovery -P 1', `${stored}iSNS:\n${none}STATIC:\n${none}FIRMWARE:\n${none}`);
    const replacement = 'node.session.timeo.replacement_timeout';
    const seconds = async () => /replacement_timeout = (\d+)/.exec((await adm(`-m node -T ${OPEN}`)).stdout)?.[1];
    await expect(`-m node -T ${OPEN} -o update -n ${replacement} -v 77`, '');
    await expect(`-m discovery -t st -p 127.0.0.1:${open} -o new`, line);
    assert.equal(await seconds(), '77');
    await expect(`-m discovery -t st -p 127.0.0.1:${open} -o update`, line);
    assert.equal(await seconds(), '120');
  });

  it('with several interfaces names each path once for each of them', async () => {
    mkdirSync(join(box.folder, 'db/ifaces'), { recursive: true });
    await adm('-m iface -I second -o new');
    const line = `127.0.0.1:${open},1 ${OPEN}\n`;
    await expect(`-m discovery -t st -p 127.0.0.1:${open} -I default -I second`, line + line);
    await expect(`-m node -T ${OPEN} -I second -o delete`, '');
    await adm('-m iface -I second -o delete');
  });
});

describe('sessions', () => {
  const started = () => `Logging in to ${way(open)}\n`;
  const done = () => `Login to ${way(open)} successful.\n`;

  it('a login, and the same again', async () => {
    await expect('-m session', '', complaints('No active sessions.'), 21);
    await expect(`-m node -T ${OPEN} --login`, started() + done());
    const present = ['default: 1 session requested, but 1 already present.', 'Could not log into all portals'];
    await expect(`-m node -T ${OPEN} -l`, '', complaints(...present), 15);
    await expect('-m session', `tcp: [1] 127.0.0.1:${open},1 ${OPEN} (non-flash)\n`);
    await expect('-m node -T iqn.2022-08.com.test:nope -l', '', complaints('No records found'), 21);
  });

  it('shown in depth', async () => {
    const { stdout } = await adm('-m session -r 1 -P 3');
    assert.match(stdout, /^iSCSI Transport Class version \S+\nversion 2\.1\.8\nTarget: /);
    assert.match(stdout, new RegExp(`\\tIface Initiatorname: ${INITIATOR}\\n\\t\\tIface IPaddress: 127.0.0.1\\n`));
    assert.match(stdout, /scsi\d+ Channel 00 Id 0 Lun: 1\n/);
    assert.equal((await adm('-m session -P 1')).stdout.split('\n').length, 17);
    await expect('-m session -P 4', '', complaints('Invalid info level 4. Try 0 - 3.'), 7);
    const bySid = await adm('-m session -r 1');
    assert.deepEqual(told(await adm('-m session -r /sys/class/iscsi_session/session1')), told(bySid));
    assert.match(bySid.stdout, /^# BEGIN RECORD 2\.1\.8\nnode\.name = /);
    const unknown = complaints('could not read session targetname: 5', 'Could not get session info for sid 77');
    await expect('-m session -r 77', '', unknown, 22);
    await expect('-m session -r x', '', complaints('x is an invalid session ID or path'), 1);
  });

  it('counted and scanned', async () => {
    const name = `[sid: 1, target: ${OPEN}, portal: 127.0.0.1,${open}]`;
    const { stdout } = await adm('-m session -r 1 -s');
    assert.match(
      stdout,
      /^Stats for session \[sid: 1, .*\]\niSCSI SNMP:\n\ttxdata_octets: [1-9]\d*\n\trxdata_octets: /,
    );
    assert.match(stdout, /\ttimeout_err: 0\niSCSI Extended:\n(\t\w+: 0\n){3}$/);
    assert.equal(stdout.split('\n').length, 28);
    await expect('-m session -R', `Rescanning session ${name}\n`);
    await expect(`-m node -T ${OPEN} -R`, `Rescanning session ${name}\n`);
    await expect('-m node -T iqn.2022-08.com.test:nope -s', '', complaints('No session found.'), 21);
  });

  it('one more by the same path, and all of them ended', async () => {
    await expect('-m session -r 1 -o new', started().replace('\n', ' (multiple)\n') + done());
    assert.equal((await adm('-m session')).stdout.split('\n').length, 3);
    const name = (sid: number) => `[sid: ${sid}, target: ${OPEN}, portal: 127.0.0.1,${open}]`;
    const ends = (...sids: number[]) =>
      [
        ...sids.map((sid) => `Logging out of session ${name(sid)}\n`),
        ...sids.map((sid) => `Logout of ${name(sid)} successful.\n`),
      ].join('');
    await expect('-m session -r 2 -u', ends(2));
    await expect(`-m node -T ${OPEN} -p 127.0.0.1:${open} -u`, ends(1));
    await expect('-m node -u', '', complaints('No matching sessions found'), 21);
    await expect('-m session -u', '', complaints('No matching sessions found'), 21);
    await expect('-m session -o new', '', complaints(NEEDS_SID), 7);
  });
  const NEEDS_SID = "session mode: Operation 'new' only allowed with specific session IDs";

  it('by node.startup, as at boot', async () => {
    await expect('-m node -L onboot', '', complaints('No records found'), 21);
    const help = "Try `iscsiadm --help' for more information.\n";
    await expect('-m node -L bogus', '', `${complaints('Invalid loginall option bogus.')}${help}`, 7);
    await expect('-m node -U onboot', '', `${complaints('Invalid logoutall option onboot.')}${help}`, 7);
    await expect(`-m node -T ${OPEN} -o update -n node.startup -v automatic`, '');
    await expect(`-m node -T ${OPEN} -o update -n node.session.nr_sessions -v 2`, '');
    const several = started().replace('\n', ' (multiple)\n');
    await expect('-m node -L automatic', several + several + done() + done());
    const { stdout, code } = await adm('-m node -U automatic');
    assert.deepEqual([stdout.match(/successful\.\n/g)?.length, code], [2, 0]);
    await expect(`-m node -T ${OPEN} -o update -n node.session.nr_sessions -v 1`, '');
  });

  it('at boot waits for a target that is not there yet', async () => {
    const port = await closedPort();
    const late = 'iqn.2022-08.com.test:late';
    const startup = `-o update -n node.startup -v`;
    await adm(`-m node -o new -T ${late} -p 127.0.0.1:${port},1`);
    await expect(`-m node -T ${OPEN} ${startup} manual`, '');
    await expect(`-m node -T ${late} ${startup} automatic`, '');
    const path = way(port, late);
    const once = await adm(`-m node -T ${late} -l`);
    const failed = [`Could not login to ${path}.`, 'initiator reported error (8 - connection timed out)'];
    const lines = complaints(...failed, 'Could not log into all portals');
    assert.deepEqual(told(once), [`Logging in to ${path}\n`, lines, 8]);
    const login = adm('-m node --loginall=automatic');
    await new Promise((go) => setTimeout(go, 1500));
    await box.serve('ramdisk:4M', '--target', late, '--allow', INITIATOR, '--portal', `127.0.0.1:${port}`);
    assert.deepEqual(told(await login), [`Logging in to ${path}\nLogin to ${path} successful.\n`, '', 0]);
    assert.equal((await adm('-m node -U automatic')).code, 0);
    await expect(`-m node -T ${late} -o delete`, '');
  });

  it('with node.leading_login makes one session of several interfaces', async () => {
    await adm('-m iface -I second -o new');
    await adm(`-m node -o new -T ${OPEN} -p 127.0.0.1:${open},1 -I second`);
    await expect(`-m node -T ${OPEN} -o update -n node.leading_login -v Yes`, '');
    await expect('-m node -L all', started() + done());
    assert.equal((await adm('-m session')).stdout.split('\n').length, 2);
    await expect('-m node -L all', '');
    assert.equal((await adm('-m node -U all')).code, 0);
    await expect(`-m node -T ${OPEN} -o update -n node.leading_login -v No`, '');
    await adm('-m iface -I second -o delete');
  });

  it('without waiting: the login goes on by itself', async () => {
    await expect(`-m node -T ${OPEN} -l -W`, started());
    for (let i = 0; i < 100 && (await adm('-m session')).code !== 0; i++)
      await new Promise((go) => setTimeout(go, 100));
    await expect('-m session', `tcp: [1] 127.0.0.1:${open},1 ${OPEN} (non-flash)\n`);
    assert.equal((await adm('-m node -U all')).code, 0);
  });
});

describe('a disk in use', { skip: whyNoLoopDisks(['mkfs.ext4']) ?? false }, () => {
  it('keeps its session, and what keeps it is told; unmounted it goes', async () => {
    assert.equal((await adm(`-m node -T ${OPEN} -l`)).code, 0);
    const { stdout } = await box.ok('lun', 'attach', `${OPEN}/0`, '--attach', 'fuse');
    const path = /attached as (\/dev\/loop\d+)/.exec(stdout)?.[1] ?? '';
    assert.match(
      (await adm('-m session -P 3')).stdout,
      new RegExp(`Attached scsi disk ${path.slice(5)}\\t\\tState: running`),
    );
    const place = join(box.folder, 'mnt');
    mkdirSync(place);
    await succeed('mkfs.ext4', '-q', path);
    await succeed('mount', path, place);
    const name = `[sid: 1, target: ${OPEN}, portal: 127.0.0.1,${open}]`;
    const refused = await adm('-m session -r 1 -u');
    await succeed('umount', place);
    assert.equal(refused.stdout, `Logging out of session ${name}\n`);
    const [first, second, reason, last] = refused.stderr.split('\n');
    assert.equal(first, `iscsiadm: Could not logout of ${name}.`);
    assert.equal(second, 'iscsiadm: initiator reported error (28 - device or resource in use)');
    assert.ok(reason?.includes(path) && reason.includes(place), reason);
    assert.equal(last, 'iscsiadm: Could not logout of all requested sessions');
    assert.equal(refused.code, 28);
    assert.equal((await adm('-m node -U all')).code, 0);
  });
});

describe('CHAP', () => {
  it('is tried with all, tells each, and ends with the first error', async () => {
    await expect(`-m node -o new -T ${GUARDED} -p 127.0.0.1:${guarded},1`, ADDED(guarded));
    const wrong = complaints(
      `Could not login to ${way(guarded, GUARDED)}.`,
      'initiator reported error (24 - iSCSI login failed due to authorization failure)',
      'Could not log into all portals',
    );
    const start = `Logging in to ${way(open)}\nLogging in to ${way(guarded, GUARDED)}\n`;
    await expect('-m node --login', `${start}Login to ${way(open)} successful.\n`, wrong, 24);
    await expect(`-m node -T ${GUARDED} -o update -n node.session.auth.username -v username`, '');
    await expect(`-m node -T ${GUARDED} -o update -n node.session.auth.password -v wrongpassword`, '');
    await expect(`-m node -T ${GUARDED} -l`, `Logging in to ${way(guarded, GUARDED)}\n`, wrong, 24);
  });
  const ADDED = (port: number) =>
    `New iSCSI node [tcp:[hw=,ip=,net_if=,iscsi_if=default] 127.0.0.1,${port},1 ${GUARDED}] added\n`;

  it('shows its user, and its secret on demand', async () => {
    await expect(`-m node -T ${GUARDED} -o update -n node.session.auth.password -v password1234`, '');
    assert.equal((await adm(`-m node -T ${GUARDED} -l`)).code, 0);
    const masked = (await adm('-m session -P 2')).stdout;
    assert.match(masked, /\t\tusername: username\n\t\tpassword: \*{8}\n/);
    assert.doesNotMatch(masked, /password1234/);
    assert.match((await adm('-m session -P 2 -S')).stdout, /\t\tpassword: password1234\n/);
    assert.equal((await adm('-m session -u')).code, 0);
  });
});

describe('another target', { skip: tgtMissing() }, () => {
  let tgt: Tgt;
  before(async () => {
    tgt = await startTgt();
  });
  after(() => tgt.stop());

  it('tgt: found, logged in to by the discovery, shown and left', async () => {
    const path = way(tgt.port, TGT_TARGET);
    const { stdout, stderr, code } = await adm(`-m discovery -t st -p 127.0.0.1:${tgt.port} -l`);
    const line = `127.0.0.1:${tgt.port},1 ${TGT_TARGET}\n`;
    assert.deepEqual([stdout, stderr, code], [`${line}Logging in to ${path}\nLogin to ${path} successful.\n`, '', 0]);
    assert.match((await adm('-m session -P 3')).stdout, /Channel 00 Id 0 Lun: 1\n/);
    assert.equal((await adm(`-m node -T ${TGT_TARGET} -u`)).code, 0);
  });
});

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
