// A worker that becomes a systemd unit: a systemd-run of our own checks what it is asked for and does it; and the unit
// files that systemd is given hold before its own checker.
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { login } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import type { Server } from '../../src/services/serve/options.js';
import { readState, sessionFolder, writeState } from '../../src/services/session/folder.js';
import { getSession } from '../../src/services/session/registry.js';
import { workerCommand } from '../../src/services/session/worker-process.js';
import { loginUnit } from '../../src/services/unit-file.js';
import { serveDisks } from '../helpers/own-target.js';
import { loginRequest, makeRunFolder, processes, type RunFolder, readProc } from '../helpers/session.js';
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
      const args = ['verify', '--man=no', '--recursive-errors=no', join(folder, name)];
      const { stdout, stderr } = await promisify(execFile)('systemd-analyze', args).catch((error) => error);
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
    const options = workerCommand(1, [script], { systemd: true, environment: {} });
    const properties = options.flatMap((option) => option.match(/^--property=(.*)/)?.[1] ?? []);
    assert.ok(properties.length > 10);
    const ofUnit = /^(Before|After|Conflicts|DefaultDependencies)=/;
    const text = [
      '[Unit]',
      ...properties.filter((property) => ofUnit.test(property)),
      '[Service]',
      `ExecStart=${process.execPath} ${script}`,
      ...properties.filter((property) => !ofUnit.test(property)),
    ];
    assert.equal(await verify('lunctl-session-1.service', `${text.join('\n')}\n`), '');
  });
});
