// Sockets by the C library: a unix socket served by Node, and the kernel's generic netlink controller, which needs no root.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { now } from '../../src/transport/clock.js';
import { type NativeSockets, nativeSockets } from '../../src/transport/native-socket.js';

const found = await nativeSockets();
const usual = process.platform === 'linux' && existsSync('/lib64/ld-linux-x86-64.so.2');
const unable = found === null && !usual ? 'no koffi for this machine' : false;

describe('native sockets', { skip: unable }, () => {
  assert.ok(found !== null || unable, 'koffi does not load');
  const sockets = found as NativeSockets;
  const folder = mkdtempSync(`${tmpdir()}/lunctl-native-`);
  const path = `${folder}/echo.sock`;
  let server: Server;
  let onClient = (_: Socket): void => {};
  const within = (ms: number) => ({ deadline: now() + ms });
  const descriptors = () => readdirSync('/proc/self/fd').length;

  before(async () => {
    server = createServer((socket) => onClient(socket.on('error', () => {})));
    await new Promise<void>((resolve) => server.listen(path, resolve));
  });
  after(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });

  it('writes all and reads exactly what is asked for, with the server in the same process', async () => {
    onClient = (socket) => socket.pipe(socket);
    const socket = await sockets.unix(path, within(5000));
    const bytes = Buffer.alloc(3 * 2 ** 20, 'netlink');
    const [, first] = await Promise.all([
      socket.write(bytes, within(20_000)),
      socket.read(bytes.length - 5, within(20_000)),
    ]);
    assert.ok(first.equals(bytes.subarray(0, -5)));
    assert.ok((await socket.read(5, within(5000))).equals(bytes.subarray(-5)));
    socket.close();
    socket.close();
  });

  it('tells an end, silence and an interruption apart, and leaves no descriptor', async () => {
    onClient = (socket) => socket.end('ab');
    const before = descriptors();
    const ended = await sockets.unix(path, within(5000));
    await assert.rejects(ended.read(3, within(5000)), { code: 'ERR_CONNECT', message: /closed by its server/ });
    ended.close();
    onClient = () => {};
    const silent = await sockets.unix(path, within(5000));
    await assert.rejects(silent.read(1, within(20)), { code: 'ERR_TIMEOUT' });
    const signal = AbortSignal.timeout(20);
    await assert.rejects(silent.read(1, { ...within(5000), signal }), { code: 'ERR_INTERRUPTED' });
    silent.close();
    await assert.rejects(sockets.unix(`${folder}/nobody`, within(5000)), { code: 'ERR_CONNECT', message: /ENOENT/ });
    await assert.rejects(sockets.unix(`/${'x'.repeat(120)}`, within(5000)), { code: 'ERR_USAGE' });
    // Node's own side of the connections goes a little later.
    const deadline = now() + 5000;
    while (descriptors() > before && now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(descriptors() <= before);
  });

  it('asks the kernel by generic netlink', async () => {
    const socket = sockets.netlink();
    // CTRL_CMD_GETFAMILY "nlctrl", acknowledged.
    const request = Buffer.from('20000000100005000700000000000000030100000b0002006e6c6374726c0000', 'hex');
    await socket.request(request);
    const answer = await socket.receive(within(5000));
    assert.equal(answer.readUInt32LE(8), 7);
    assert.ok(answer.includes('nlctrl'));
    await assert.rejects(
      socket.receive(within(-1)).then(() => socket.receive(within(-1))),
      { code: 'ERR_TIMEOUT' },
    );
    socket.close();
  });
});
