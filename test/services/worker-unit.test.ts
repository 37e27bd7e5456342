// A worker that becomes a systemd unit: a systemd-run of our own checks what it is asked for and does it; and the unit
// files that systemd is given hold before its own checker.
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { fstabOptions } from '../../src/services/disk/fstab.js';
import { login } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import type { Server } from '../../src/services/serve/options.js';
import { readState, sessionFolder, writeState } from '../../src/services/session/folder.js';
import { getSession } from '../../src/services/session/registry.js';
import { SYSTEM_CALLS, UNIT_PROPERTIES, workerCommand } from '../../src/services/session/worker-unit.js';
import { loginUnit } from '../../src/services/unit-file.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { serveDisks } from '../helpers/own-target.js';
import { run, succeed } from '../helpers/programs.js';
import { BIN, Sandbox } from '../helpers/sandbox.js';
import { INITIATOR, loginRequest, makeRunFolder, processes, type RunFolder, readProc } from '../helpers/session.js';
import { until } from '../helpers/stream-core.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const noAnalyze = existsSync('/usr/bin/systemd-analyze') ? false : 'no systemd-analyze: apt-get install systemd';

/** Notes its options, then runs the command as systemd would: in another session, with the environment it was told. */
const SYSTEMD_RUN = `#!${process.execPath}
const { spawn } = require('node:child_process');
const args = process.argv.slice(2);
const at = args.indexOf('--');
require('node:fs').writeFileSync(__dirname + '/asked.json', JSON.stringify(args.slice(0, at)));
const set = args.slice(0, at).filter((arg) => arg.startsWith('--setenv=')).map((arg) => arg.slice(9));
const env = Object.fromEntries(set.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
const unit = spawn(args[at + 1], args.slice(at + 2), { stdio: 'inherit', env, cwd: '/', detached: true });
unit.on('exit', (code) => process.exit(code ?? 1));
`;
/** Starts nothing and never ends by itself. */
const STUCK = '#!/bin/sh\nexec sleep 600\n';

describe('a worker as a unit', () => {
  let folder: RunFolder;
  let box: string;
  let server: Server;
  const path = process.env.PATH;

  before(async () => {
    folder = makeRunFolder();
    box = mkdtempSync(join(tmpdir(), 'lunctl-unit-'));
    process.env.PATH = [box, dirname(process.execPath), path].join(delimiter);
    process.env.LUNCTL_TEST_SECRET = 'canary';
    server = await serveDisks(TARGET, [{ kind: 'ramdisk', name: 'ram', sizeBytes: 2 ** 20 }]);
  });
  after(async () => {
    process.env.PATH = path;
    delete process.env.LUNCTL_TEST_SECRET;
    await server.close();
    assert.deepEqual([folder.sids(), folder.workers()], [[], []]);
    folder.remove();
    rmSync(box, { recursive: true });
  });

  const install = (script: string) => {
    writeFileSync(join(box, 'systemd-run'), script);
    chmodSync(join(box, 'systemd-run'), 0o755);
  };
  const request = () => loginRequest(TARGET, server.portals[0]?.port ?? 0, { timeoutMs: 15_000 });
  const runner = () => processes((pid) => readProc(pid, 'cmdline').includes(join(box, 'systemd-run')));
  const asked = () => JSON.parse(readFileSync(join(box, 'asked.json'), 'utf8')) as string[];

  it('is asked for by number, gets what it needs of the environment, and outlives whoever asked', async () => {
    install(SYSTEMD_RUN);
    const session = await login(request(), { paths: folder.paths, systemd: true });
    const options = asked();
    assert.ok(options.includes(`--unit=lunctl-session-${session.sid}`));
    assert.ok(options.includes('--pipe') && options.includes('--collect'));
    assert.ok(options.includes(`--setenv=LUNCTL_RUN_DIR=${folder.paths.runDir}`));
    assert.doesNotMatch(options.join('\n'), /canary/);
    const environment = readProc(session.pid, 'environ');
    assert.match(environment, /PATH=/);
    assert.doesNotMatch(environment, /canary/);
    const [waiting] = runner();
    assert.ok(waiting !== undefined && waiting !== session.pid);
    process.kill(waiting, 'SIGKILL');
    await until(() => runner().length === 0, 'systemd-run has gone');
    assert.equal((await getSession(folder.paths, session.sid)).state, 'LOGGED_IN');
    assert.deepEqual(
      (await logout([session.sid], { paths: folder.paths })).map(({ error }) => error),
      [null],
    );
  });

  it('that fails to log in tells why through systemd-run', async () => {
    install(SYSTEMD_RUN);
    const stranger = { ...request(), initiatorName: 'iqn.2022-08.com.test:stranger' };
    await assert.rejects(login(stranger, { paths: folder.paths, systemd: true }), { code: 'ERR_LOGIN_AUTH' });
    await until(() => runner().length === 0, 'systemd-run has gone');
  });

  it('that never comes up is given up, and a process that has its number by now is left alone', async () => {
    install(STUCK);
    const bystander: ChildProcess = spawn('sleep', ['600'], { stdio: 'ignore' });
    const giveUp = new AbortController();
    const failed = assert.rejects(
      login(request(), { paths: folder.paths, systemd: true, signal: giveUp.signal, undoMs: 200 }),
      { code: 'ERR_INTERRUPTED' },
    );
    // Before it has its number it is a draft.
    await until(() => folder.sids().includes('1'), 'the session has a folder');
    const own = sessionFolder(folder.paths.runDir, 1);
    const state = await readState(own);
    assert.ok(state !== null && bystander.pid !== undefined);
    // As if the worker had taken over and died, and its number had been given again.
    await writeState(own, { ...state, pid: bystander.pid, startTime: '1' });
    giveUp.abort();
    await failed;
    assert.deepEqual(folder.sids(), []);
    assert.equal(bystander.signalCode, null);
    process.kill(bystander.pid, 0);
    bystander.kill('SIGKILL');
  });
});

describe('unit files', { skip: noAnalyze }, () => {
  const verify = async (name: string, text: string): Promise<string> => {
    const folder = mkdtempSync(join(tmpdir(), 'lunctl-verify-'));
    try {
      writeFileSync(join(folder, name), text);
      const path = join(folder, name);
      const { stdout, stderr } = await run('systemd-analyze', 'verify', '--man=no', '--recursive-errors=no', path);
      return `${stdout}${stderr}`;
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
  const script = join(import.meta.dirname, '../../bin/run.js');

  it('lunctl-login.service says nothing that systemd does not know', async () => {
    assert.equal(await verify('lunctl-login.service', loginUnit({ node: process.execPath, script })), '');
    // The checker sees what it should: a word that does not exist.
    const wrong = loginUnit({ node: process.execPath, script }).replace('NoNewPrivileges', 'NoNewPrivilege');
    assert.match(await verify('lunctl-login.service', wrong), /NoNewPrivilege/);
  });

  it('lunctl-login.service stands between the network and the file systems, and keeps its paths whole', () => {
    const text = loginUnit({ node: '/opt/my node/bin/node', script: '/srv/100%/run.js' });
    assert.match(text, /^ExecStart="\/opt\/my node\/bin\/node" \/srv\/100%%\/run\.js node login --automatic /m);
    assert.match(text, /^ExecStop=.* node logout --all/m);
    assert.match(text, /^Before=.*\bremote-fs-pre\.target\b/m);
    assert.match(text, /^After=.*\bnetwork-online\.target\b/m);
    assert.match(text, /^Type=oneshot\nRemainAfterExit=yes$/m);
  });

  it("a session's unit has properties that systemd knows", async () => {
    assert.equal(await verify('lunctl-session-1.service', sessionUnit()), '');
    const wrong = sessionUnit().replace('SystemCallFilter=@system-service', 'SystemCallFilter=@no-such-set');
    assert.match(await verify('lunctl-session-1.service', wrong), /no-such-set/);
  });

  it('a worker and its helpers keep to the system calls of their unit, from login to logout', {
    skip: whyNoLoopDisks(['strace']) ?? false,
    timeout: 120_000,
  }, async () => {
    const box = await Sandbox.make(INITIATOR);
    try {
      const { port } = await box.serve('ramdisk:8M', '--target', TARGET, '--allow', INITIATOR);
      await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
      const trace = join(box.folder, 'trace');
      const command = [process.execPath, BIN, 'login', TARGET, '--attach', 'fuse'];
      const options = ['--follow-forks', '--daemonize', '--quiet=all', '--signal=none', '-o', trace];
      const login = spawn('strace', [...options, ...command], { env: box.env, stdio: 'ignore' });
      const [code] = await once(login, 'close');
      assert.equal(code, 0);
      await box.ok('lun', 'detach', 'lun0');
      await box.ok('lun', 'attach', 'lun0', '--attach', 'fuse');
      await box.ok('logout', '--all');
      const called = new Set([...readFileSync(trace, 'latin1').matchAll(/^\d+ +(\w+)\(/gm)].map(([, name]) => name));
      // The helpers are in it too.
      for (const name of ['accept4', 'mount', 'prctl', 'umount2'])
        assert.ok(called.has(name), `${name} is not in the trace`);
      const allowed = await systemCalls(SYSTEM_CALLS.split(' '));
      assert.deepEqual([...called].filter((name) => !allowed.has(name ?? '')).sort(), []);
    } finally {
      await box.stop();
    }
  });

  /** The names in sets such as @mount. */
  async function systemCalls(sets: readonly string[]): Promise<Set<string>> {
    const found = new Set<string>();
    for (const set of sets) {
      const stdout = await succeed('systemd-analyze', 'syscall-filter', set);
      const names = stdout
        .split('\n')
        .slice(1)
        .map((line) => line.trim());
      for (const name of names) if (/^\w+$/.test(name)) found.add(name);
      for (const name of await systemCalls(names.filter((name) => name.startsWith('@')))) found.add(name);
    }
    return found;
  }
});

/** The unit that systemd-run makes for a worker, as a file. */
function sessionUnit(): string {
  const script = join(import.meta.dirname, '../../bin/run.js');
  const options = workerCommand(1, [script], { systemd: true, environment: {} });
  const properties = options.flatMap((option) => option.match(/^--property=(.*)/)?.[1] ?? []);
  assert.deepEqual(properties, [...UNIT_PROPERTIES]);
  const ofUnit = /^(Before|After|Wants|Conflicts|DefaultDependencies)=/;
  const text = [
    '[Unit]',
    ...properties.filter((property) => ofUnit.test(property)),
    '[Service]',
    `ExecStart=${process.execPath} ${script}`,
    ...properties.filter((property) => !ofUnit.test(property)),
  ];
  return `${text.join('\n')}\n`;
}

const noSystemd = ['systemd', 'setpriv'].find((name) => !existsSync(`/usr/bin/${name}`));
const GENERATOR = '/usr/lib/systemd/system-generators/systemd-fstab-generator';
const whyNoGraph =
  noSystemd !== undefined ? `no ${noSystemd}` : existsSync(GENERATOR) ? false : `no systemd-fstab-generator`;

/** What systemd itself makes of these units: who comes after whom, and who is stopped at shutdown. */
interface Graph {
  readonly after: ReadonlyMap<string, ReadonlySet<string>>;
  readonly conflicts: ReadonlyMap<string, ReadonlySet<string>>;
  readonly log: string;
}

describe('the order of units', { skip: whyNoGraph }, () => {
  const DISK = '/dev/disk/by-uuid/0a1b2c3d-0000-4000-8000-000000000001';
  const FSTAB = [
    `${DISK} /srv/own xfs ${fstabOptions([], true).join(',')} 0 0`,
    `${DISK.replace('01', '02')} /srv/plain ext4 _netdev 0 0`,
  ];
  const LOGIN = 'lunctl-login.service';
  const SESSION = 'lunctl-session-1.service';
  let folder: string;
  let graph: Graph;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lunctl-units-'));
    const units = join(folder, 'units');
    for (const name of ['units', 'early', 'late']) mkdirSync(join(folder, name));
    writeFileSync(join(folder, 'fstab'), `${FSTAB.join('\n')}\n`);
    // systemd's own reading of fstab.
    await promisify(execFile)(GENERATOR, [units, join(folder, 'early'), join(folder, 'late')], {
      env: { SYSTEMD_FSTAB: join(folder, 'fstab') },
    });
    writeFileSync(join(units, LOGIN), loginUnit({ node: process.execPath, script: '/srv/run.js' }));
    writeFileSync(join(units, SESSION), sessionUnit());
    mkdirSync(join(units, 'multi-user.target.wants'));
    symlinkSync(`../${SESSION}`, join(units, 'multi-user.target.wants', SESSION));
    mkdirSync(join(units, 'remote-fs.target.wants'), { recursive: true });
    symlinkSync(`../${LOGIN}`, join(units, 'remote-fs.target.wants', LOGIN));
    await succeed('chmod', '-R', 'a+rX', folder);
    graph = await load(units);
  });
  after(() => rmSync(folder, { recursive: true }));

  const after_ = (unit: string) => graph.after.get(unit) ?? new Set<string>();

  it('has no cycle', () => {
    assert.doesNotMatch(graph.log, /ordering cycle/);
    for (const unit of [LOGIN, SESSION, 'srv-own.mount', 'srv-plain.mount']) assert.ok(graph.after.has(unit), unit);
  });

  // systemd stops in the reverse order, and between two units only by a dependency of their own, or by way of units that are
  // up: those that somebody wants.
  it('at shutdown: file systems, then the logout, then the sessions, then the network', () => {
    assert.ok(after_('srv-own.mount').has(LOGIN));
    for (const mount of ['srv-own.mount', 'srv-plain.mount']) {
      assert.ok(after_(mount).has('remote-fs-pre.target'), mount);
      assert.ok(graph.conflicts.get(mount)?.has('umount.target'), mount);
    }
    assert.ok(after_('remote-fs-pre.target').has(LOGIN));
    assert.ok(after_('remote-fs-pre.target').has(SESSION));
    assert.ok(after_(LOGIN).has(SESSION));
    for (const unit of [LOGIN, SESSION]) {
      assert.ok(after_(unit).has('network.target'), unit);
      assert.ok(graph.conflicts.get(unit)?.has('shutdown.target'), unit);
      assert.ok(after_('shutdown.target').has(unit), unit);
    }
  });

  it('the target by which a file system comes after its session is up whenever a session is', () => {
    assert.match(graph.log, /-> Unit remote-fs-pre\.target:(?:\n\t\t.*)*?\n\t\tWantedBy: lunctl-session-1\.service /);
    assert.match(graph.log, /-> Unit remote-fs-pre\.target:(?:\n\t\t.*)*?\n\t\tWantedBy: lunctl-login\.service /);
  });

  it('without these words it would not hold: the test can fail', async () => {
    const units = join(folder, 'units');
    writeFileSync(join(units, SESSION), sessionUnit().replace(/^(Before|After|Wants)=.*$/gm, ''));
    const other = await load(units);
    assert.ok(!other.after.get('remote-fs-pre.target')?.has(SESSION));
    assert.ok(!other.after.get(SESSION)?.has('network.target'));
  });

  /** systemd loads the units as at boot and says what it has understood; it does so only for an ordinary user. */
  async function load(units: string): Promise<Graph> {
    const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups'];
    const { stdout, stderr } = await promisify(execFile)(
      process.getuid?.() === 0 ? 'setpriv' : 'env',
      [
        ...(process.getuid?.() === 0 ? [...nobody, 'env'] : []),
        ...['-i', 'PATH=/usr/bin:/bin', 'SYSTEMD_LOG_TARGET=console', `SYSTEMD_UNIT_PATH=${units}:`],
        ...['systemd', '--test', '--system', '--unit=multi-user.target'],
      ],
      { cwd: '/', maxBuffer: 64 * 2 ** 20 },
    );
    const read = (word: string) => {
      const found = new Map<string, Set<string>>();
      for (const [, name = '', body = ''] of stdout.matchAll(/^\t-> Unit (\S+):\n((?:\t\t.*\n)*)/gm)) {
        const lines = [...body.matchAll(new RegExp(`^\\t\\t${word}: (\\S+)`, 'gm'))].map(([, other = '']) => other);
        found.set(name, new Set(lines));
      }
      return found;
    };
    return { after: read('After'), conflicts: read('Conflicts'), log: `${stdout}${stderr}` };
  }
});
