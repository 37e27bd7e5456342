// Programs that call iscsiadm and read what it prints: their command lines on ours, and their rules for reading the answer.
// What they read is the contract, not what we like. Each rule is written down here in our own words; with the caller's own
// file in LUNCTL_ANSIBLE_MODULE (open_iscsi.py of community.general) that one runs too.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { BIN, type Run, Sandbox } from '../helpers/sandbox.js';
import { FIVE, INITIATOR } from '../transcripts/ground.js';
import { OwnGround } from '../transcripts/own-ground.js';

const PROGRAM = join(BIN, '../iscsiadm.js');
const [FIRST = '', WITH_CHAP = '', NOT_OURS = '', SECOND = ''] = FIVE.map(({ name }) => name);
const NOTHING = 21;
const EXISTS = 15;
const NO_RECORD = 6;
const NOT_AUTHORISED = 24;

let sandbox: Sandbox;
let ground: OwnGround;
let portal: string;

/** One call, as every caller makes it: no terminal, both streams read. */
function adm(...args: readonly string[]): Promise<Run> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], { env: sandbox.env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr, ms: performance.now() - began }));
  });
}

/** Success is silent on standard error: os-brick takes any text there for a failure. */
async function ok(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await adm(...args);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' }, `iscsiadm ${args.join(' ')}\n${stdout}`);
  return stdout;
}

async function ends(code: number, ...args: readonly string[]): Promise<Run> {
  const run = await adm(...args);
  assert.equal(run.code, code, `iscsiadm ${args.join(' ')}\n${run.stdout}${run.stderr}`);
  return run;
}

before(async () => {
  sandbox = await Sandbox.make(INITIATOR);
  ground = new OwnGround(0);
  await ground.offer(FIVE.map((target) => ({ ...target, addresses: ['127.0.0.1'] })));
  portal = `127.0.0.1:${ground.port}`;
});
after(async () => {
  await sandbox.stop();
  await ground.close();
});
beforeEach(async () => {
  await adm('-m', 'node', '-U', 'all');
  await adm('-m', 'node', '-o', 'delete');
  await adm('-m', 'discoverydb', '-t', 'st', '-p', portal, '-o', 'delete');
  assert.deepEqual(sandbox.leftovers(), []);
});

describe('Ansible, community.general.open_iscsi', () => {
  const discover = (): Promise<string> => ok('--mode', 'discovery', '--type', 'sendtargets', '--portal', portal);
  const update = (target: string, name: string, value: string, ...more: string[]): Promise<string> =>
    ok(...['--mode', 'node', '--targetname', target, '--op=update', '--name', name, '--value', value, ...more]);

  /** Every line has two words, and the second is a target; 21 is no target. */
  async function nodes(): Promise<string[]> {
    const { code, stdout } = await adm('--mode', 'node');
    if (code === NOTHING) return [];
    assert.equal(code, 0);
    return stdout.split('\n').flatMap((line) => {
      const words = line.split(/\s+/).filter((word) => word !== '');
      assert.ok(words.length === 0 || words.length === 2, line);
      return words.slice(1);
    });
  }

  /** The portal and, later in the line, the target; 21 is no. */
  async function loggedOn(target: string): Promise<boolean> {
    const { code, stdout } = await adm('--mode', 'session');
    if (code === NOTHING) return false;
    assert.equal(code, 0);
    return stdout
      .split('\n')
      .some((line) => line.indexOf(target, line.indexOf(portal) + 1) > 0 && line.includes(portal));
  }

  /** The first line that has `node.startup` in it. */
  async function isAutomatic(target: string, ...more: string[]): Promise<boolean> {
    const record = await ok('--mode', 'node', '--targetname', target, ...more);
    return (
      record
        .split('\n')
        .find((line) => line.includes('node.startup'))
        ?.includes('automatic') ?? false
    );
  }

  test('finds targets, and knows them afterwards', async () => {
    assert.deepEqual(await nodes(), []);
    await discover();
    assert.deepEqual((await nodes()).sort(), FIVE.map(({ name }) => name).sort());
  });

  test('logs in with CHAP, rescans, logs out', async () => {
    await discover();
    assert.equal(await loggedOn(WITH_CHAP), false);
    await update(WITH_CHAP, 'node.session.auth.authmethod', 'CHAP');
    await update(WITH_CHAP, 'node.session.auth.username', 'username');
    await update(WITH_CHAP, 'node.session.auth.password', 'password1234');
    await ok('--mode', 'node', '--targetname', WITH_CHAP, '--login', '--portal', portal);
    assert.equal(await loggedOn(WITH_CHAP), true);
    assert.equal(await loggedOn(FIRST), false);
    await ok('--mode', 'session', '--rescan');
    await ok('--mode', 'node', '--rescan', '-T', WITH_CHAP);
    await ok('--mode', 'node', '--targetname', WITH_CHAP, '--logout');
    assert.equal(await loggedOn(WITH_CHAP), false);
  });

  test('goes through all targets of a portal, and 24 only means that one of them is not for us', async () => {
    await discover();
    const codes: (number | null)[] = [];
    for (const target of [FIRST, NOT_OURS, SECOND]) {
      codes.push((await adm('--mode', 'node', '--targetname', target, '--login', '--portal', portal)).code);
    }
    assert.deepEqual(codes, [0, NOT_AUTHORISED, 0]);
    assert.deepEqual(await Promise.all([FIRST, NOT_OURS, SECOND].map(loggedOn)), [true, false, true]);
  });

  test('sets and reads node.startup', async () => {
    await discover();
    assert.equal(await isAutomatic(FIRST), false);
    await update(FIRST, 'node.startup', 'automatic');
    assert.equal(await isAutomatic(FIRST), true);
    await update(FIRST, 'node.startup', 'manual', '--portal', portal);
    assert.equal(await isAutomatic(FIRST, '--portal', portal), false);
  });
});

describe('OpenStack, os-brick', () => {
  const node = (target: string, ...more: string[]): Promise<Run> =>
    adm('-m', 'node', '-T', target, '-p', portal, ...more);
  const update = (target: string, key: string, value: string): Promise<Run> =>
    node(target, '--op', 'update', '-n', key, '-v', value);

  /** Fields by blanks: transport, [sid], portal,tpgt, target. */
  async function sessions(): Promise<{ transport: string; portal: string; target: string }[]> {
    const { code, stdout } = await adm('-m', 'session');
    assert.ok(code === 0 || code === NOTHING);
    return stdout.split('\n').flatMap((line) => {
      if (line === '') return [];
      const [transport = '', sid = '', where = '', target = ''] = line.split(/\s+/);
      assert.match(sid, /^\[\d+\]$/);
      const [address = '', tag = '', ...none] = where.split(',');
      assert.deepEqual(none, []);
      assert.match(tag, /^\d+$/);
      return [{ transport, portal: address, target }];
    });
  }

  /** Lines of a record: `KEY = VALUE`, node.name before node.startup. */
  async function startupValues(): Promise<Map<string, string>> {
    const { code, stdout } = await adm('-m', 'node', '--op', 'show', '-p', portal);
    assert.ok(code === 0 || code === NOTHING);
    const values = new Map<string, string>();
    let name: string | undefined;
    for (const [key, , value] of stdout.split('\n').map((line) => line.split(/\s+/))) {
      if (key === 'node.name') name = value;
      if (key === 'node.startup' && name !== undefined && value !== undefined) values.set(name, value);
    }
    return values;
  }

  /** Of `-P 1`: what lies between this discovery's address and the next one, or iSNS. */
  async function storedPortals(): Promise<[string, string][]> {
    const text = await ok('-m', 'discoverydb', '-o', 'show', '-P', '1');
    const [, found = ''] =
      new RegExp(
        `^SENDTARGETS:\n[\\s\\S]*?^DiscoveryAddress: 127.0.0.1,${ground.port}[\\s\\S]*?\n([\\s\\S]*?)^(?:DiscoveryAddress|iSNS):`,
        'm',
      ).exec(text) ?? [];
    const portals: [string, string][] = [];
    let [target, address] = ['', ''];
    for (const line of found.split('\n').map((each) => each.trim())) {
      if (line.startsWith('Target:')) target = line.slice(8);
      else if (line.startsWith('Portal:')) address = line.slice(8).split(',')[0] ?? '';
      else if (line.startsWith('Iface Name: default') && address !== '') portals.push([address, target]);
    }
    return portals;
  }

  test('connects a volume that no discovery has found, and disconnects it', async () => {
    const missing = await node(WITH_CHAP);
    assert.ok(missing.code === NOTHING && missing.stderr !== '', 'no record: 21, and words on standard error');
    const added = await node(WITH_CHAP, '--interface', 'default', '--op', 'new');
    assert.deepEqual([added.code, added.stderr], [0, '']);
    // Nothing on standard error: this version can leave the scan to the caller.
    const scan = await update(WITH_CHAP, 'node.session.scan', 'manual');
    assert.deepEqual([scan.code, scan.stderr], [0, '']);
    for (const [key, value] of [
      ['authmethod', 'CHAP'],
      ['username', 'username'],
      ['password', 'password1234'],
    ] as const) {
      assert.equal((await update(WITH_CHAP, `node.session.auth.${key}`, value)).code, 0);
    }
    assert.deepEqual(await sessions(), []);
    assert.equal((await node(WITH_CHAP, '--login')).code, 0);
    assert.equal((await update(WITH_CHAP, 'node.startup', 'automatic')).code, 0);
    assert.deepEqual(await sessions(), [{ transport: 'tcp:', portal, target: WITH_CHAP }]);
    assert.equal((await node(WITH_CHAP, '--login')).code, EXISTS, 'a second login');

    assert.equal((await update(WITH_CHAP, 'node.startup', 'manual')).code, 0);
    assert.equal((await node(WITH_CHAP, '--logout')).code, 0);
    assert.equal((await node(WITH_CHAP, '--op', 'delete')).code, 0);
    assert.deepEqual(await sessions(), []);
    assert.equal((await node(WITH_CHAP, '--logout')).code, NOTHING);
    assert.equal((await node(WITH_CHAP, '--op', 'delete')).code, NOTHING);
  });

  test('finds portals by discovery, and keeps the start-up of those it knew', async () => {
    const found = await ok('-m', 'discovery', '-t', 'sendtargets', '-I', 'default', '-p', portal);
    const pairs = found.split('\n').map((line) => line.split(/\s+/));
    const portals = pairs
      .filter(([, name]) => name?.startsWith('iqn.'))
      .map(([where, name]) => [where?.split(',')[0], name]);
    assert.deepEqual(
      portals,
      FIVE.map(({ name }) => [portal, name]),
    );
    assert.equal((await update(FIRST, 'node.startup', 'automatic')).code, 0);
    const values = await startupValues();
    assert.equal(values.size, FIVE.length);
    assert.deepEqual([values.get(FIRST), values.get(SECOND)], ['automatic', 'manual']);
  });

  test('reads the stored discovery', async () => {
    await ok('-m', 'discovery', '-t', 'sendtargets', '-I', 'default', '-p', portal);
    assert.deepEqual((await storedPortals()).sort(), FIVE.map(({ name }) => [portal, name]).sort());
  });

  test('discovery with CHAP: three keys at once, and 6 asks for a new record', async () => {
    const account = { user: 'disc', secret: 'discpass1234' };
    const db = ['-m', 'discoverydb', '-t', 'sendtargets', '-I', 'default', '-p', portal];
    const keys = { authmethod: 'CHAP', username: account.user, password: account.secret };
    const options = Object.entries(keys).flatMap(([key, value]) => [
      '-n',
      `discovery.sendtargets.auth.${key}`,
      '-v',
      value,
    ]);
    await ends(NO_RECORD, ...db, '--op', 'update', ...options);
    await ok(...db, '--op', 'new');
    await ok(...db, '--op', 'update', ...options);
    await ground.discoveryProof({ account, mutual: null });
    try {
      assert.match(await ok(...db, '--discover'), new RegExp(`^${portal},1 ${FIRST}$`, 'm'));
    } finally {
      await ground.discoveryProof(null);
    }
  });

  test('interfaces: 6 for one that there is not', async () => {
    assert.match(await ok('-m', 'iface', '-I', 'default'), /^iface\.transport_name = tcp$/m);
    assert.equal((await ends(NO_RECORD, '-m', 'iface', '-I', 'cxgb4i.00:07:43:12:34:56')).stdout, '');
  });
});

describe('Kubernetes, the volume plug-in that was built in', () => {
  test('asks whether the default interface is software iSCSI', async () => {
    assert.match(await ok('-m', 'iface', '-I', 'default', '-o', 'show'), /iface\.transport_name = tcp/);
  });
});

describe("Debian's open-iscsi.service", () => {
  // SuccessExitStatus=15 21
  test('start: nothing to log in to is 21, a session that is up 15', async () => {
    await ends(NOTHING, '-m', 'node', '--loginall=automatic');
    await ok('-m', 'discovery', '-t', 'st', '-p', portal);
    await ends(NOTHING, '-m', 'node', '--loginall=automatic');
    await ok('-m', 'node', '-T', FIRST, '-o', 'update', '-n', 'node.startup', '-v', 'automatic');
    await ok('-m', 'node', '--loginall=automatic');
    await ends(EXISTS, '-m', 'node', '--loginall=automatic');
  });

  test('stop: every session ends, and there may be none', async () => {
    await ok('-m', 'discovery', '-t', 'st', '-p', portal);
    for (const target of [FIRST, SECOND]) await ok('-m', 'node', '-T', target, '--login');
    await ok('-m', 'node', '--logoutall=all');
    await ends(NOTHING, '-m', 'node', '--logoutall=all');
    assert.deepEqual(sandbox.leftovers(), []);
  });

  test('stop, with sessions to be kept: one by its folder in /sys', async () => {
    await ok('-m', 'discovery', '-t', 'st', '-p', portal);
    await ok('-m', 'node', '-T', FIRST, '--login');
    const sid = /^tcp: \[(\d+)\]/.exec(await ok('-m', 'session'))?.[1] ?? '';
    await ok('-m', 'session', '-r', `/sys/devices/platform/host0/session${sid}`, '--logout');
  });
});

const ANSIBLE_MODULE = process.env.LUNCTL_ANSIBLE_MODULE;
/** As much of Ansible as the module needs: its parameters from a file, and its commands run. */
const STUB = `import json, os, shutil, subprocess, sys
class AnsibleModule:
    check_mode = False
    def __init__(self, argument_spec, **_):
        given = json.load(open(os.environ["MODULE_PARAMS"]))
        self.params = {k: given.get(k, v.get("default")) for k, v in argument_spec.items()}
    def get_bin_path(self, name, required=False):
        return shutil.which(name)
    def run_command(self, cmd, check_rc=False):
        done = subprocess.run(cmd, capture_output=True, text=True)
        if check_rc and done.returncode != 0:
            self.fail_json(rc=done.returncode, msg=done.stderr, cmd=cmd)
        return done.returncode, done.stdout, done.stderr
    def fail_json(self, **result):
        print(json.dumps({"failed": True, **result}))
        sys.exit(1)
    def exit_json(self, **result):
        print(json.dumps(result))
        sys.exit(0)
`;

/** Runs the module itself with these parameters. */
async function ansible(module: string, params: object): Promise<Record<string, unknown>> {
  const folder = join(sandbox.folder, 'ansible');
  await mkdir(join(folder, 'ansible/module_utils'), { recursive: true });
  await writeFile(join(folder, 'ansible/module_utils/basic.py'), STUB);
  await copyFile(module, join(folder, 'open_iscsi.py'));
  await writeFile(join(folder, 'params.json'), JSON.stringify(params));
  await symlink(PROGRAM, join(folder, 'iscsiadm')).catch(() => {});
  const env = { ...sandbox.env, PATH: `${folder}:${process.env.PATH}`, MODULE_PARAMS: join(folder, 'params.json') };
  return new Promise((resolve, reject) => {
    const child = spawn('python3', [join(folder, 'open_iscsi.py')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let stdout = '';
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.on('error', reject);
    child.on('close', () => resolve(JSON.parse(stdout)));
  });
}

if (ANSIBLE_MODULE !== undefined) {
  test("Ansible's own open_iscsi.py: discover, log in, again, log out, all of a portal", async () => {
    const where = { portal: '127.0.0.1', port: String(ground.port) };
    const account = { node_user: 'username', node_pass: 'password1234' };
    const run = (params: object): Promise<Record<string, unknown>> => ansible(ANSIBLE_MODULE, { ...where, ...params });
    const found = await run({ discover: true, show_nodes: true });
    assert.deepEqual(found, { changed: true, cache_updated: true, nodes: FIVE.map(({ name }) => name).sort() });
    assert.equal((await run({ discover: true })).changed, false);
    const login = { login: true, target: WITH_CHAP, ...account };
    assert.deepEqual(await run(login), { changed: true, connection_changed: true, devicenodes: [] });
    assert.equal((await run(login)).changed, false);
    assert.deepEqual(await run({ target: WITH_CHAP, auto_node_startup: true }), {
      changed: true,
      automatic_changed: true,
    });
    assert.equal((await run({ target: WITH_CHAP, auto_node_startup: true })).changed, false);
    assert.equal((await run({ rescan: true, target: WITH_CHAP })).changed, true);
    assert.equal((await run({ login: false, target: WITH_CHAP })).changed, true);
    assert.equal((await run({ login: false, target: WITH_CHAP })).changed, false);
    const all = await run({ login: true });
    assert.ok(!('failed' in all), JSON.stringify(all));
    const { stdout } = await adm('-m', 'session');
    assert.equal(stdout.includes(FIRST) && stdout.includes(SECOND) && !stdout.includes(NOT_OURS), true);
  });
}
