// The nbd backstore over real sockets: real servers, their faults, TLS, and the end of a server.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { allocationOf } from '../../src/block/allocation.js';
import { BlockFlag, BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { flush, readBytes, trim, writeBytes, writeZeroes } from '../../src/block/promise.js';
import type { NbdEvent } from '../../src/nbd/client/device.js';
import type { Backstore } from '../../src/services/serve/backstores/backstore.js';
import { type NbdBackstoreOptions, openNbd } from '../../src/services/serve/backstores/nbd.js';
import { openBackstore } from '../../src/services/serve/backstores/open.js';
import { blockDeviceContract, pattern, statusOf } from '../block/contract.js';
import { Authority, opensslMissing } from '../helpers/certificates.js';

const MIB = 2 ** 20;
let folder: string;
const running = new Set<ChildProcess>();

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'lunctl-nbd-store-'));
});
after(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

const missing = (program: string) =>
  spawnSync('sh', ['-c', `command -v ${program}`]).status === 0 ? false : `${program} is not installed`;
const noNbdkit = missing('nbdkit');
const noQemu = missing('qemu-nbd');

function object(config: string, rest: object = {}) {
  return {
    plugin: 'user',
    name: 'remote',
    config: `nbd/${config}`,
    size: 0,
    attributes: {},
    alua_tpgs: [],
    ...rest,
  } as const;
}
let sockets = 0;
function socketPath(): string {
  return join(folder, `s${sockets++}`);
}
const uriOf = (socket: string) => `nbd+unix:///?socket=${socket}`;
function open(socket: string, options: NbdBackstoreOptions = {}, rest: object = {}): Promise<Backstore> {
  return openNbd(object(uriOf(socket), rest), options);
}
/** Waits for `condition`, at most a minute. */
async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + 60_000; !(await condition()); ) {
    assert.ok(Date.now() < end, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
/** Starts a server in the foreground and waits until it takes connections: `ready` is written then, later than its socket. */
async function start(program: string, args: string[], socket: string, ready: string): Promise<ChildProcess> {
  for (const old of [socket, ready]) rmSync(old, { force: true });
  const child = spawn(program, args, { stdio: 'ignore' });
  running.add(child);
  child.once('close', () => running.delete(child));
  await until(() => existsSync(ready) || child.exitCode !== null, `${program} listens`);
  assert.equal(child.exitCode, null, `${program} ${args.join(' ')}`);
  return child;
}
function nbdkit(socket: string, ...args: string[]): Promise<ChildProcess> {
  const ready = `${socket}.pid`;
  return start('nbdkit', ['-f', '-P', ready, '-U', socket, ...args], socket, ready);
}
function qemuNbd(socket: string, image: string, format: string, ...args: string[]): Promise<ChildProcess> {
  const ready = `${socket}.pid`;
  return start('qemu-nbd', ['-t', `--pid-file=${ready}`, '-k', socket, '-f', format, ...args, image], socket, ready);
}
function gone(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    child.once('close', () => resolve());
    child.kill(signal);
  });
}

if (noNbdkit === false) {
  const policy = (...args: string[]) => [
    '--filter=blocksize-policy',
    'memory',
    '8M',
    'blocksize-error-policy=error',
    ...args,
  ];
  const variants: [name: string, args: string[], anyAlignment?: boolean][] = [
    ['memory', ['memory', '8M']],
    ['without zero and fua', ['--filter=nozero', '--filter=fua', 'memory', '8M']],
    ['largest transfer 64 KiB', policy('blocksize-minimum=512', 'blocksize-maximum=64K'), true],
    ['blocks of 4096', policy('blocksize-minimum=4K')],
    ['simple replies only', ['--no-sr', 'memory', '8M']],
  ];
  for (const [name, args, anyAlignment = false] of variants) {
    const opened = async () => {
      const socket = socketPath();
      const server = await nbdkit(socket, ...args);
      const store = await open(socket);
      return { device: store.device, dispose: () => gone(server, 'SIGKILL') };
    };
    blockDeviceContract(`nbdkit, ${name}`, opened, { anyAlignment });
  }
}
if (noQemu === false) {
  blockDeviceContract('qemu-nbd, qcow2', async () => {
    const socket = socketPath();
    const image = join(folder, 'contract.qcow2');
    assert.equal(spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '16M']).status, 0);
    const server = await qemuNbd(socket, image, 'qcow2', '--discard=unmap');
    const store = await open(socket);
    return { device: store.device, dispose: () => gone(server, 'SIGKILL') };
  });
}

describe('opening', { skip: noNbdkit }, () => {
  it('by a configuration: the object is named when it cannot be', async () => {
    const absent = join(folder, 'absent');
    await assert.rejects(openBackstore(object(uriOf(absent))), {
      code: 'ERR_CONNECT',
      message: new RegExp(`^/backstores/user/remote: cannot connect to ${absent}: no such socket`),
    });
    await assert.rejects(openBackstore({ ...object(''), config: 'rbd/pool/image' }), { code: 'ERR_NOT_SUPPORTED' });
  });

  it('says what the server says: no such export, TLS demanded, blocks too large, an empty export', async () => {
    const cases: [string[], object, object][] = [
      [
        ['--filter=exportname', 'memory', '1M', 'exportname-strict=true', 'exportname=a'],
        {},
        { code: 'ERR_NOT_FOUND' },
      ],
      [
        ['--filter=blocksize-policy', 'memory', '1M', 'blocksize-minimum=8K', 'blocksize-preferred=8K'],
        {},
        { code: 'ERR_NOT_SUPPORTED', message: /only of 8192/ },
      ],
      [
        ['--filter=blocksize-policy', 'memory', '1M', 'blocksize-minimum=4K'],
        { attributes: { block_size: 512 } },
        { code: 'ERR_NOT_SUPPORTED', message: /only of 4096/ },
      ],
      [['null'], {}, { code: 'ERR_USAGE', message: /is empty/ }],
      [['memory', '1M'], { size: 2 * MIB }, { code: 'ERR_USAGE', message: /has 1048576 bytes, not 2097152/ }],
    ];
    for (const [args, rest, expected] of cases) {
      const socket = socketPath();
      const server = await nbdkit(socket, ...args);
      await assert.rejects(open(socket, {}, rest), expected, args.join(' '));
      await gone(server, 'SIGKILL');
    }
  });

  it('takes a read-only export as one', async () => {
    const socket = socketPath();
    const server = await nbdkit(socket, '-r', 'memory', '1M');
    const { device, close } = await open(socket);
    assert.ok(device.readOnly && !device.canTrim);
    await close(false);
    await gone(server, 'SIGKILL');
  });
});

describe('faults of a real server', { skip: noNbdkit }, () => {
  it('errors keep their meaning, and end when the server says so', async () => {
    const socket = socketPath();
    const trigger = join(folder, 'trigger');
    const errors = [
      `error-file=${trigger}`,
      'error-pwrite=ENOSPC',
      'error-pread=EIO',
      'error-trim=EPERM',
      'error-rate=100%',
    ];
    const server = await nbdkit(socket, '--filter=error', 'memory', '1M', ...errors);
    const { device, close } = await open(socket);
    const write = { op: BlockOp.Write, offset: 0, length: 4096, payload: pattern(4096, 1) };
    assert.equal(await statusOf(device, write), BlockStatus.Ok);
    writeFileSync(trigger, '');
    assert.equal(await statusOf(device, write), BlockStatus.Enospc);
    assert.equal(await statusOf(device, { op: BlockOp.Read, offset: 0, length: 4096 }), BlockStatus.Eio);
    assert.equal(await statusOf(device, { op: BlockOp.Trim, offset: 0, length: 4096 }), BlockStatus.Eperm);
    rmSync(trigger);
    assert.equal(await statusOf(device, write), BlockStatus.Ok);
    assert.ok((await readBytes(device, 0, 4096)).equals(pattern(4096, 1)));
    await flush(device);
    await close(false);
    await gone(server, 'SIGKILL');
  });

  it('a failed flush stays failed until the disk is opened anew', async () => {
    const socket = socketPath();
    const trigger = join(folder, 'flush-trigger');
    const server = await nbdkit(
      socket,
      'eval',
      'get_size=echo 1M',
      'can_write=exit 0',
      'can_flush=exit 0',
      'pread=head -c $3 /dev/zero',
      'pwrite=cat >/dev/null',
      `flush=if [ -e ${trigger} ]; then echo EIO broken >&2; exit 1; fi`,
    );
    const store = await open(socket);
    await writeBytes(store.device, 0, pattern(512, 1));
    writeFileSync(trigger, '');
    const flushed = { op: BlockOp.Flush, offset: 0, length: 0 };
    assert.equal(await statusOf(store.device, flushed), BlockStatus.Eio);
    rmSync(trigger);
    assert.equal(await statusOf(store.device, flushed), BlockStatus.Eio, 'still: what was dropped is not known');
    await store.close(false);
    const again = await open(socket);
    await flush(again.device);
    await again.close(false);
    await gone(server, 'SIGKILL');
  });

  it('a server that does not answer in time is given up, with all requests in flight', async () => {
    const socket = socketPath();
    const server = await nbdkit(socket, '--filter=delay', 'memory', '1M', 'delay-read=600');
    const events: NbdEvent[] = [];
    const store = await open(socket, { limits: { requestMs: 300 }, onNbdEvent: (event) => events.push(event) });
    const read = { op: BlockOp.Read, offset: 0, length: 4096 };
    assert.deepEqual(await Promise.all([statusOf(store.device, read), statusOf(store.device, read)]), [
      BlockStatus.Eio,
      BlockStatus.Eio,
    ]);
    const [first] = events;
    assert.ok(first?.kind === 'lost' && first.error?.code === 'ERR_TIMEOUT' && !first.writesLost);
    await until(() => events.some((event) => event.kind === 'found'), 'connected again');
    assert.equal(
      await statusOf(store.device, { op: BlockOp.Write, offset: 0, length: 512, payload: pattern(512, 1) }),
      BlockStatus.Ok,
    );
    await store.close(false);
    await gone(server, 'SIGKILL');
  });

  it('tells what is allocated, and holes read as zeros without being sent', async () => {
    const socket = socketPath();
    const server = await nbdkit(socket, 'memory', '4M');
    const { device, close } = await open(socket);
    await writeBytes(device, MIB, pattern(65_536, 1));
    const extents = await allocationOf(device, { offset: 0, length: 4 * MIB }, 10);
    assert.deepEqual(
      extents.map(({ length, hole }) => [length, hole]),
      [
        [MIB, true],
        [65_536, false],
        [3 * MIB - 65_536, true],
      ],
    );
    const bytes = await readBytes(device, 0, 2 * MIB);
    assert.ok(
      bytes.subarray(0, MIB).equals(Buffer.alloc(MIB)) && bytes.subarray(MIB, MIB + 65_536).equals(pattern(65_536, 1)),
    );
    await trim(device, MIB, 65_536, BlockFlag.Fua);
    await writeZeroes(device, 0, 4 * MIB);
    assert.deepEqual(await allocationOf(device, { offset: 0, length: 4 * MIB }, 10), [
      { length: 4 * MIB, hole: true, zero: true },
    ]);
    await close(false);
    await gone(server, 'SIGKILL');
  });
});

describe('the end of a server', { skip: noQemu }, () => {
  function image(name: string): string {
    const path = join(folder, name);
    writeFileSync(path, '');
    truncateSync(path, 4 * MIB);
    return path;
  }
  it('killed and started again: requests wait for it, and nothing is lost if everything was flushed', async () => {
    const socket = socketPath();
    const path = image('killed.img');
    let server = await qemuNbd(socket, path, 'raw');
    const events: NbdEvent[] = [];
    const store = await open(socket, { onNbdEvent: (event) => events.push(event), patienceMs: 60_000 });
    await writeBytes(store.device, 0, pattern(MIB, 1));
    await flush(store.device);
    await gone(server, 'SIGKILL');
    await until(() => events.length > 0, 'the end is noticed');
    assert.ok(events[0]?.kind === 'lost' && !events[0].writesLost);
    const waits = readBytes(store.device, 0, MIB);
    server = await qemuNbd(socket, path, 'raw');
    assert.ok((await waits).equals(pattern(MIB, 1)));
    await writeBytes(store.device, 0, pattern(MIB, 2), BlockFlag.Fua);
    await flush(store.device);
    await store.close(false);
    await gone(server, 'SIGKILL');
  });

  it('with acknowledged writes that no flush has covered: every flush fails, until the disk is opened anew', async () => {
    const socket = socketPath();
    const path = image('unflushed.img');
    let server = await qemuNbd(socket, path, 'raw');
    const events: NbdEvent[] = [];
    const store = await open(socket, { onNbdEvent: (event) => events.push(event), patienceMs: 60_000 });
    await writeBytes(store.device, 0, pattern(4096, 1));
    assert.equal(store.device.writeLosses, 0);
    await gone(server, 'SIGKILL');
    server = await qemuNbd(socket, path, 'raw');
    await until(() => events.some(({ kind }) => kind === 'found'), 'connected again');
    assert.ok(events[0]?.kind === 'lost' && events[0].writesLost);
    await writeBytes(store.device, 0, pattern(4096, 2));
    for (let i = 0; i < 2; i++) await assert.rejects(flush(store.device), { status: BlockStatus.Eio });
    assert.equal(store.device.writeLosses, 1);
    await store.close(false);
    const again = await open(socket);
    await flush(again.device);
    await again.close(false);
    await gone(server, 'SIGKILL');
  });

  it('for good: requests fail once patience is over, and closing does not wait', async () => {
    const socket = socketPath();
    const server = await qemuNbd(socket, image('gone.img'), 'raw');
    const store = await open(socket, { patienceMs: 0 });
    await gone(server, 'SIGKILL');
    rmSync(socket, { force: true });
    const status = await statusOf(store.device, { op: BlockOp.Read, offset: 0, length: 512 });
    assert.equal(status, BlockStatus.Eio);
    await store.close(false);
    assert.equal(await statusOf(store.device, { op: BlockOp.Read, offset: 0, length: 512 }), BlockStatus.Eshutdown);
  });

  it('an export that has grown is taken with its new size; requests meanwhile are kept', async () => {
    const socket = socketPath();
    const path = image('grows.img');
    const server = await qemuNbd(socket, path, 'raw', '-e', '4');
    const store = await open(socket);
    await writeBytes(store.device, 0, pattern(4096, 1));
    assert.equal(await store.refreshSize(), 4 * MIB);
    await assert.rejects(store.grow(8 * MIB), { code: 'ERR_NOT_SUPPORTED' });
    await gone(server, 'SIGKILL');
    truncateSync(path, 8 * MIB);
    const larger = await qemuNbd(socket, path, 'raw', '-e', '4');
    await until(async () => (await store.refreshSize().catch(() => 0)) === 8 * MIB, 'the new size');
    await writeBytes(store.device, 8 * MIB - 4096, pattern(4096, 3));
    assert.ok((await readBytes(store.device, 8 * MIB - 4096, 4096)).equals(pattern(4096, 3)));
    await store.close(false);
    await gone(larger, 'SIGKILL');
  });
});

describe('TLS', { skip: noNbdkit || opensslMissing }, () => {
  let authority: Authority;
  before(() => {
    authority = new Authority();
  });
  after(() => authority.remove());
  const freePort = async () => {
    const probe: Server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => probe.once('listening', resolve));
    const { port } = probe.address() as { port: number };
    await new Promise((resolve) => probe.close(resolve));
    return port;
  };
  /** Starts nbdkit by TCP and waits until it takes connections. */
  async function secureServer(...args: string[]): Promise<{ child: ChildProcess; port: number }> {
    const port = await freePort();
    const child = spawn('nbdkit', ['-f', '-p', String(port), '-i', '127.0.0.1', ...args, 'memory', '8M'], {
      stdio: 'ignore',
    });
    running.add(child);
    child.once('close', () => running.delete(child));
    await until(() => answers(port), 'nbdkit listens');
    return { child, port };
  }
  function answers(port: number): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('error', () => resolve(false));
      socket.once('data', () => {
        socket.destroy();
        resolve(true);
      });
    });
  }

  it('with certificates: both ends prove themselves, and a server of another authority is refused', async () => {
    const certificates = authority.issue('both');
    const { child, port } = await secureServer(
      '--tls=require',
      `--tls-certificates=${certificates}`,
      '--tls-verify-peer',
    );
    const uri = (host: string, folderOf: string) => `nbds://${host}:${port}/?tls-certificates=${folderOf}`;
    const store = await openNbd(object(uri('127.0.0.1', certificates)), {});
    await writeBytes(store.device, 0, pattern(MIB, 1));
    assert.ok((await readBytes(store.device, 0, MIB)).equals(pattern(MIB, 1)));
    await store.close(false);
    const other = new Authority('somebody else');
    await assert.rejects(openNbd(object(uri('127.0.0.1', other.issue('other'))), {}), {
      code: 'ERR_PROTOCOL',
      message: /TLS handshake failed/,
    });
    other.remove();
    await assert.rejects(openNbd(object(`nbd://127.0.0.1:${port}/`), {}), {
      code: 'ERR_NOT_SUPPORTED',
      message: /demands TLS/,
    });
    await gone(child, 'SIGKILL');
  });

  it('with a pre-shared key', async () => {
    const file = join(folder, 'keys.psk');
    writeFileSync(file, `alice:${'5a'.repeat(32)}\n`, { mode: 0o600 });
    const { child, port } = await secureServer('--tls=require', `--tls-psk=${file}`);
    const store = await openNbd(object(`nbds://alice@127.0.0.1:${port}/?tls-psk-file=${file}`), {});
    await writeBytes(store.device, 0, pattern(4096, 1));
    assert.ok((await readBytes(store.device, 0, 4096)).equals(pattern(4096, 1)));
    await store.close(false);
    const wrong = join(folder, 'wrong.psk');
    writeFileSync(wrong, `alice:${'5b'.repeat(32)}\n`, { mode: 0o600 });
    await assert.rejects(openNbd(object(`nbds://127.0.0.1:${port}/?tls-psk-file=${wrong}`), {}), {
      code: 'ERR_PROTOCOL',
    });
    await gone(child, 'SIGKILL');
  });

  it('a server without TLS is refused', async () => {
    const { child, port } = await secureServer('--tls=off');
    const uri = `nbds://127.0.0.1:${port}/?tls-certificates=${authority.issue('unused')}`;
    await assert.rejects(openNbd(object(uri), {}), { code: 'ERR_NOT_SUPPORTED', message: /has no TLS/ });
    await gone(child, 'SIGKILL');
  });
});
