// Several portals, interfaces and sessions at once: none waits for another, each comes from where it should, and there is one device.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newNodeValues } from '../../src/records/new-record.js';
import { writeNode } from '../../src/records/node-store.js';
import type { SessionInfo } from '../../src/services/session/info.js';
import { listSessions } from '../../src/services/session/registry.js';
import { FORGET_OTHERS } from '../helpers/mount-namespace.js';
import { BIN, type Run, Sandbox } from '../helpers/sandbox.js';
import { INITIATOR } from '../helpers/session.js';
import { freePort } from '../helpers/tgt.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const BY_IFACE = 'iqn.2022-08.com.test:by-iface';

/** Why a test cannot have an /etc/hosts of its own. */
const noNamespace = (() => {
  const { status } = spawnSync('unshare', ['--mount', 'true'], { stdio: 'ignore' });
  return status === 0 ? false : 'no mount namespace of its own: needs root';
})();

describe('several paths', () => {
  let box: Sandbox;
  let port: number;
  let blackHole: Server;
  const held = new Set<Socket>();
  const linkLocal = Object.entries(networkInterfaces()).flatMap(([zone, all]) =>
    (all ?? []).filter(({ address }) => address.startsWith('fe80:')).map(({ address }) => `${address}%${zone}`),
  )[0];
  const addresses = ['127.0.0.1', '127.0.0.2', '::1', ...(linkLocal === undefined ? [] : [linkLocal])];
  const bracketed = (address: string) => (address.includes(':') ? `[${address}]` : address);

  before(async () => {
    box = await Sandbox.make(INITIATOR);
    port = await freePort();
    const disk = [join(box.folder, 'disk.img=64M'), '--target', TARGET, '--allow', INITIATOR, '--allow', BY_IFACE];
    const portals = addresses.slice(1).flatMap((address) => ['--portal', `${bracketed(address)}:${port}`]);
    // 127.0.0.1 twice: the first line of serve names the port that the kernel chooses.
    const own = ['--portal', '127.0.0.1:0', '--portal', `127.0.0.1:${port}`];
    const first = await box.serve(...own, ...portals, ...disk);
    assert.notEqual(first.port, port);
    blackHole = createServer((socket) => {
      held.add(socket);
      socket.on('error', () => {});
    }).listen(0, '127.0.0.1');
    await once(blackHole, 'listening');
  });
  afterEach(async () => {
    await box.run('node', 'logout', '--all');
    assert.deepEqual(readdirSync(join(box.folder, 'run/s')), []);
    await forget();
  });
  after(async () => {
    await box.stop();
    for (const socket of held) socket.destroy();
    blackHole.close();
  });

  const silent = () => (blackHole.address() as { port: number }).port;
  /** Makes a record without asking a portal. */
  const record = async (address: string, at: number, settings: Readonly<Record<string, string>> = {}) => {
    const ref = { targetName: TARGET, address, port: at, tpgt: 1, iface: 'default' };
    const values = newNodeValues(ref, null, new Map());
    for (const [key, value] of Object.entries(settings)) values.set(key, value);
    await mkdir(String(box.env.LUNCTL_DB_DIR), { recursive: true });
    await writeNode(String(box.env.LUNCTL_DB_DIR), { ref, values });
  };
  const forget = async () => {
    for (const name of ['nodes', 'send_targets', 'ifaces']) {
      await rm(join(String(box.env.LUNCTL_DB_DIR), name), { recursive: true, force: true });
    }
  };
  /** As `session show` would list them, without starting it each time. */
  const sessions = async (): Promise<readonly SessionInfo[]> =>
    (await listSessions({ runDir: String(box.env.LUNCTL_RUN_DIR) })).sessions;
  const untilSessions = async (count: number) => {
    const end = performance.now() + 60_000;
    while ((await sessions()).length !== count) {
      assert.ok(performance.now() < end, `${count} sessions are not up`);
      await sleep(50);
    }
  };
  const lines = ({ stdout }: Run, pattern: RegExp) => stdout.split('\n').filter((line) => pattern.test(line));

  it('IPv4, IPv6, link-local with its zone, and a name: each by its own session, shown with brackets', async () => {
    const from = bracketed(addresses.at(-1) ?? '');
    await box.ok('discovery', 'sendtargets', '-p', `${from}:${port}`);
    await record('localhost', port);
    // The helper's own portal is one more path.
    const login = await box.ok('login', '--all', '--attach', 'none');
    const all = [...addresses, 'localhost'];
    assert.equal(lines(login, /^Login to .* successful\.$/).length, all.length + 1);
    const show = await box.ok('session', 'show');
    // As iscsiadm writes it: a host name without a dot stands in brackets too.
    for (const address of [...addresses.map(bracketed), '[localhost]'])
      assert.ok(show.stdout.includes(`] ${address}:${port},1 ${TARGET} (`), address);
    const shown = await sessions();
    assert.equal(new Set(shown.map(({ isid }) => isid)).size, all.length + 1);
    const v6 = shown.find(({ portal }) => portal.address === '::1');
    assert.equal(v6?.localAddress, '::1');
    // One of them alone, by portal and by session.
    await box.ok('logout', `${TARGET}@${from}:${port}`);
    await box.ok('logout', '-p', `[::1]:${port}`);
    await box.ok('login', TARGET, '-p', `[::1]:${port}`, '--attach', 'none');
    assert.equal((await sessions()).length, all.length);
  });

  it('of a name every address is tried, a dead one first; the record keeps the name', {
    skip: noNamespace,
  }, async () => {
    const hosts = join(box.folder, 'hosts');
    const only = await freePort();
    const live = await box.serve(
      ...['--portal', '127.0.0.1:0', '--portal', `[::1]:${only}`],
      join(box.folder, 'v6.img=1M'),
      '--target',
      TARGET,
      '--allow',
      INITIATOR,
    );
    await writeFile(hosts, '127.0.0.1 localhost\n127.0.0.3 several.test\n::1 several.test\n');
    const inNamespace = async (...args: string[]) => {
      const script = `${FORGET_OTHERS}mount --bind "$0" /etc/hosts && exec "$@"`;
      const command = ['--mount', 'sh', '-c', script, hosts, process.execPath, BIN, ...args];
      const child = spawn('unshare', command, { env: box.env, stdio: ['ignore', 'ignore', 'inherit'] });
      assert.deepEqual(await once(child, 'close'), [0, null]);
    };
    await inNamespace('discovery', 'sendtargets', '-p', `several.test:${only}`);
    await inNamespace('login', TARGET, '-p', `several.test:${only}`, '--attach', 'none');
    const [session] = await sessions();
    assert.deepEqual([session?.portal.address, session?.localAddress], ['several.test', '::1']);
    await box.ok('logout', '--all');
    live.child.kill('SIGINT');
    await once(live.child, 'close');
  });

  it('a dead portal holds no other up, and the first failure of the records gives the code', async () => {
    // Enough for those that live to be seen before it is over, on a slow machine too.
    const short = { 'node.conn[0].timeo.login_timeout': '8' };
    await record('127.0.0.1', silent(), short);
    await record('127.0.0.1', await freePort(), short);
    await record('127.0.0.2', port, short);
    await record('no-such-host.invalid', 3260, short);
    await record('::1', port, short);
    const began = performance.now();
    const login = box.run('login', '--all', '--attach', 'none');
    await untilSessions(2);
    const live = performance.now() - began;
    const run = await login;
    assert.ok(run.ms > live, 'the sessions are up before the silent portal has been given up');
    assert.ok(run.ms < 60_000, `${run.ms} ms`);
    // By their order: 127.0.0.1 (two ports, one of them silent), 127.0.0.2, ::1, the name.
    assert.equal(run.code, 8, run.stderr);
    assert.match(run.stderr, /no answer( to the login)? within 8 s \[8\]/);
    assert.match(run.stderr, /connection refused \[8\]/);
    assert.match(run.stderr, /cannot resolve no-such-host\.invalid.*\[4\]/);
    const order = lines(run, /^Login to/).map((line) => /portal: (\S+),/.exec(line)?.[1]);
    assert.deepEqual(order, ['127.0.0.2', '::1']);
  });

  it('a login that waits goes on with each portal by itself', async () => {
    const late = await freePort();
    await record('127.0.0.1', late);
    await record('127.0.0.2', port);
    const login = box.run('login', '--all', '--attach', 'none', '--wait', '30');
    await untilSessions(1);
    const other = await box.serve(
      '--portal',
      `127.0.0.1:${late}`,
      join(box.folder, 'late.img=1M'),
      '--target',
      TARGET,
      '--allow',
      INITIATOR,
    );
    const run = await login;
    assert.equal(run.code, 0, run.stderr);
    assert.equal((await sessions()).length, 2);
    await box.ok('logout', '--all');
    other.child.kill('SIGINT');
    await once(other.child, 'close');
  });

  it('Ctrl-C over silent portals leaves nothing but what was up', async () => {
    await record('127.0.0.1', silent());
    await record('127.0.0.2', port);
    const child = spawn(process.execPath, [BIN, 'login', '--all', '--attach', 'none'], {
      env: box.env,
      stdio: 'ignore',
    });
    await untilSessions(1);
    // The worker answers a moment before the command has heard that it is ready; a signal in between undoes that login too.
    await sleep(1000 + 4 * (await box.ok('--version')).ms);
    const began = performance.now();
    child.kill('SIGINT');
    assert.deepEqual(await once(child, 'close'), [130, null]);
    assert.ok(performance.now() - began < 14_000, 'before the silent portal is given up');
    assert.deepEqual(
      (await sessions()).map(({ portal }) => portal.address),
      ['127.0.0.2'],
    );
    assert.equal(box.leftovers().filter((line) => line.startsWith('lunctl session')).length, 1);
  });

  it('nr_sessions: so many sessions, each with a port name of its own; again it is refused, or fills up', async () => {
    await record('127.0.0.1', port, { 'node.session.nr_sessions': '3' });
    const login = await box.ok('login', '--attach', 'none');
    assert.equal(lines(login, /^Logging in to .* \(multiple\)$/).length, 3);
    const shown = await sessions();
    assert.equal(new Set(shown.map(({ isid }) => isid)).size, 3);
    assert.deepEqual(shown.map(({ index }) => index).sort(), [0, 1, 2]);
    const again = await box.run('login', '--attach', 'none');
    assert.equal(again.code, 15);
    assert.match(again.stderr, /default: 3 sessions requested, but 3 already present/);
    await box.ok('logout', '-r', String(shown.find(({ index }) => index === 1)?.sid));
    assert.equal(lines(await box.ok('login', '--attach', 'none'), /^Login to/).length, 1);
    assert.deepEqual((await sessions()).map(({ isid }) => isid).sort(), shown.map(({ isid }) => isid).sort());
  });

  it('an interface record gives address and initiator name, in a discovery and in a login', async () => {
    const ifaces = join(String(box.env.LUNCTL_DB_DIR), 'ifaces');
    await mkdir(ifaces, { recursive: true });
    const write = (name: string, values: Readonly<Record<string, string>>) =>
      writeFile(
        join(ifaces, name),
        `# BEGIN RECORD 2.1.8\n${Object.entries({ iscsi_ifacename: name, transport_name: 'tcp', ...values })
          .map(([key, value]) => `iface.${key} = ${value}\n`)
          .join('')}# END RECORD\n`,
      );
    await write('if1', { initiatorname: BY_IFACE, ipaddress: '127.0.0.9' });
    await write('if2', { net_ifacename: 'lo' });
    await write('hardware', { transport_name: 'bnx2i' });
    await write('gone', { net_ifacename: 'eth99' });
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`, '-I', 'if1', '-I', 'if2');
    const tree = await box.ok('node', 'list', '-P', '1', '-p', `127.0.0.1:${port}`);
    assert.deepEqual(
      lines(tree, /Iface Name/).map((line) => line.trim()),
      ['Iface Name: if1', 'Iface Name: if2'],
    );
    await box.ok('login', TARGET, '-p', `127.0.0.1:${port}`, '--attach', 'none');
    const shown = (await sessions()).map(({ iface, initiatorName, localAddress }) => [
      iface,
      initiatorName,
      localAddress,
    ]);
    assert.deepEqual(shown.sort(), [
      ['if1', BY_IFACE, '127.0.0.9'],
      ['if2', INITIATOR, '127.0.0.1'],
    ]);
    assert.match(
      (await box.ok('session', 'show', '-P', '1')).stdout,
      /Iface Name: if1\n[\s\S]*Iface IPaddress: 127\.0\.0\.9\n/,
    );
    await box.ok('logout', '--iface', 'if1');
    assert.equal((await sessions()).length, 1);
    // Without a record of the path, by the interface record alone.
    await box.ok('login', TARGET, '-p', `127.0.0.2:${port}`, '-I', 'if1', '--attach', 'none');
    for (const [iface, code, message] of [
      ['hardware', 27, /transport bnx2i; here there is TCP alone/],
      ['gone', 8, /interface eth99 has no IPv4 address/],
      ['none', 7, /Could not read iface info for none\./],
    ] as const) {
      const run = await box.run('login', 'iqn.2022-08.com.test:other', '-p', `127.0.0.1:${port}`, '-I', iface);
      assert.equal(run.code, code, run.stderr);
      assert.match(run.stderr, message);
    }
  });

  it('--automatic: the records that say so, and those alone', async () => {
    await record('127.0.0.1', port);
    const none = await box.run('login', '--automatic', '--attach', 'none');
    assert.equal(none.code, 21, none.stderr);
    await record('127.0.0.2', port, { 'node.startup': 'automatic' });
    await box.ok('login', '--automatic', '--attach', 'none');
    assert.deepEqual(
      (await sessions()).map(({ portal }) => portal.address),
      ['127.0.0.2'],
    );
    await box.ok('login', '--automatic', '--attach', 'none', '--ignore-existing');
  });

  it('--read-only: no export can be written to, and the session says so', async () => {
    await record('127.0.0.1', port);
    const { stdout } = await box.ok('login', '--attach', 'none', '--read-only', '--json');
    const [session] = (JSON.parse(stdout) as { sessions: SessionInfo[] }).sessions;
    assert.deepEqual([session?.readOnly, session?.devices[0]?.readOnly], [true, true]);
    const nbd = join(box.folder, 'run/s', String(session?.sid), 'nbd.sock');
    const child = spawn('nbdinfo', ['--is', 'readonly', `nbd+unix:///lun0?socket=${nbd}`], { stdio: 'ignore' });
    assert.deepEqual(await once(child, 'close'), [0, null]);
  });

  /** Passes bytes on until it is told to hold them, or, with `loginOnly`, once the target answers anything but a login. */
  const relay = async (loginOnly: boolean) => {
    let holding = false;
    const server = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      held.add(near).add(far);
      near.on('error', () => {}).on('data', (chunk) => holding || far.write(chunk));
      far
        .on('error', () => {})
        .on('data', (chunk) => {
          if (loginOnly && ((chunk[0] ?? 0) & 0x3f) !== LOGIN_RESPONSE) holding = true;
          if (!holding) near.write(chunk);
        });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const hold = () => {
      holding = true;
    };
    return { port: (server.address() as { port: number }).port, hold, close: () => server.close() };
  };

  it('a target that falls silent once it has let us in: the login ends, and nothing is left', async () => {
    const mute = await relay(true);
    await record('127.0.0.1', mute.port, {
      'node.conn[0].timeo.noop_out_interval': '1',
      'node.conn[0].timeo.noop_out_timeout': '1',
      'node.conn[0].timeo.login_timeout': '4',
    });
    const run = await box.run('login', '--attach', 'none');
    mute.close();
    assert.notEqual(run.code, 0);
    assert.match(run.stderr, /^lunctl: Could not login to .*: .*\n/);
    assert.ok(run.ms < 40_000, `${run.ms} ms`);
    assert.deepEqual(await sessions(), []);
  });

  it('sessions to black holes are logged out side by side, within 15 s and the time to end', async () => {
    const relays = await Promise.all([relay(false), relay(false), relay(false)]);
    for (const { port: at } of relays) await record('127.0.0.1', at);
    await box.ok('login', '--all', '--attach', 'none');
    for (const { hold } of relays) hold();
    const run = await box.run('logout', '--all');
    for (const { close } of relays) close();
    // One after the other they would take 45 s.
    assert.ok(run.ms < 40_000, `${run.ms} ms`);
    assert.equal(lines(run, /^Logout of .* successful\.$/).length, 3, run.stderr);
  });
});

/** Opcode of a Login Response, RFC 7143 §11.13. */
const LOGIN_RESPONSE = 0x23;
