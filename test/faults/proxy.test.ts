// The fault proxy itself: what it says it does to a stream, it does, and to nothing else.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../helpers/stream-core.js';
import { type Door, FaultProxy, type Link } from './proxy.js';

/** A PDU of `opcode` whose data segment is `data`. */
function pdu(opcode: number, data = Buffer.alloc(0), fields: (bhs: Buffer) => void = () => {}): Buffer {
  const bhs = Buffer.alloc(48);
  bhs[0] = opcode;
  bhs.writeUIntBE(data.length, 5, 3);
  fields(bhs);
  return Buffer.concat([bhs, data, Buffer.alloc(-data.length & 3)]);
}

class End {
  received = Buffer.alloc(0);
  ended = false;
  error: NodeJS.ErrnoException | null = null;
  constructor(readonly socket: Socket) {
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', (error) => {
      this.error = error;
    });
  }
  async gets(length: number): Promise<Buffer> {
    await until(() => this.received.length >= length, `${length} bytes have come (${this.received.length})`);
    return this.received;
  }
}

describe('the fault proxy', () => {
  let server: Server;
  let proxy: FaultProxy;
  const ends: End[] = [];

  before(async () => {
    server = createServer({ allowHalfOpen: true }, (socket) => ends.push(new End(socket)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    proxy = await FaultProxy.start((server.address() as { port: number }).port);
  });
  after(async () => {
    await proxy.close();
    for (const { socket } of ends) socket.destroy();
    server.close();
  });

  /** A connection through the proxy: both of its ends and the link between them. */
  async function pair(): Promise<{ client: End; target: End; link: Link }> {
    const [links, accepted] = [proxy.links.length, ends.length];
    const client = new End(connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }));
    await until(() => proxy.links.length > links && ends.length > accepted, 'the connection stands');
    return { client, target: ends[accepted] as End, link: proxy.links[links] as Link };
  }

  it('passes whole PDUs, half ones at the end, and what is no iSCSI', async () => {
    const { client, target } = await pair();
    const first = pdu(0x01, Buffer.from('abcde'));
    client.socket.write(first.subarray(0, 20));
    await sleep(20);
    assert.equal(target.received.length, 0);
    client.socket.write(Buffer.concat([first.subarray(20), Buffer.from('half')]));
    assert.deepEqual(await target.gets(first.length), first);
    client.socket.end();
    assert.equal((await target.gets(first.length + 4)).toString('latin1', first.length), 'half');
    await until(() => target.ended, 'the FIN has come');
    const junk = Buffer.alloc(1000, 0xff);
    target.socket.end(junk);
    assert.deepEqual(await client.gets(1000), junk);
    await until(() => client.ended, 'the other FIN has come');
  });

  it('holds and releases, and a FIN that came meanwhile follows', async () => {
    const { client, target, link } = await pair();
    link.toTarget.hold();
    client.socket.end(pdu(0x01));
    await until(() => link.toTarget.held === 48, 'it is held');
    client.socket.destroy();
    await sleep(50);
    assert.deepEqual([target.received.length, target.ended], [0, false]);
    link.toTarget.release();
    await target.gets(48);
    await until(() => target.ended, 'the FIN has come');
  });

  it('keeps the connection open behind held bytes when asked to', async () => {
    const { client, target, link } = await pair();
    link.toTarget.hold();
    client.socket.write(pdu(0x01));
    await until(() => link.toTarget.held === 48, 'it is held');
    client.socket.resetAndDestroy();
    await sleep(20);
    link.toTarget.release({ end: false });
    await target.gets(48);
    await sleep(50);
    assert.deepEqual([target.ended, target.error], [false, null]);
  });

  it('drops, delays in order, and judges PDU by PDU', async () => {
    const { client, target, link } = await pair();
    link.toTarget.drop();
    client.socket.write(pdu(0x01));
    await until(() => link.toTarget.dropped === 48, 'it is swallowed');
    link.toTarget.pass();
    link.toTarget.delay(100);
    const began = performance.now();
    client.socket.write(pdu(0x02));
    await sleep(10);
    link.toTarget.delay(0);
    client.socket.write(pdu(0x03));
    const bytes = await target.gets(96);
    assert.ok(performance.now() - began >= 95);
    assert.deepEqual([bytes[0], bytes[48]], [0x02, 0x03]);
    link.toTarget.rule = ({ opcode }) => (opcode === 0x00 ? 'drop' : opcode === 0x04 ? 80 : undefined);
    client.socket.write(Buffer.concat([pdu(0x40), pdu(0x04), pdu(0x05)]));
    const all = await target.gets(192);
    assert.deepEqual([all[96], all[144]], [0x05, 0x04]);
  });

  it('resets both ends, or one', async () => {
    const { client, target, link } = await pair();
    link.resetInitiator();
    await until(() => client.error?.code === 'ECONNRESET', 'the initiator has its RST');
    await until(() => target.ended || target.error !== null, 'the target is told');
    const other = await pair();
    other.link.reset();
    await until(() => other.client.error?.code === 'ECONNRESET', 'the initiator has its RST');
    await until(() => other.target.error?.code === 'ECONNRESET', 'the target has its RST');
    await other.link.closed;
  });

  it('closes half', async () => {
    const { client, target, link } = await pair();
    link.toTarget.halfClose();
    await until(() => target.ended, 'the FIN has come');
    target.socket.write(pdu(0x20));
    await client.gets(48);
  });

  it('flips one bit at byte N, and cuts at byte N', async () => {
    const { client, target, link } = await pair();
    link.toTarget.flip(70, 3);
    client.socket.write(Buffer.concat([pdu(0x01), pdu(0x01)]));
    const expected = Buffer.concat([pdu(0x01), pdu(0x01)]);
    expected[70] = 8;
    assert.deepEqual(await target.gets(96), expected);
    link.toTarget.cut(100);
    client.socket.write(pdu(0x01));
    // libuv calls a RST that comes together with data an end of stream.
    await until(() => (target.error !== null || target.ended) && client.error !== null, 'both ends are reset');
    assert.equal(target.received.length, 100);
  });

  it('refuses, swallows and resets new connections, and opens again on the same port', async () => {
    const one = await pair();
    const attempt = async (door: Door) => {
      await proxy.setDoor(door);
      const socket = connect({ port: proxy.port, host: '127.0.0.1' });
      const outcome = await Promise.race([
        once(socket, 'connect').then(async () => {
          const gone = once(socket, 'close').then(() => 'closed');
          socket.on('error', () => {});
          return Promise.race([gone, sleep(150).then(() => 'silent')]);
        }),
        once(socket, 'error').then(([error]) => (error as NodeJS.ErrnoException).code),
      ]).catch((error: NodeJS.ErrnoException) => error.code);
      socket.on('error', () => {}).destroy();
      return outcome;
    };
    assert.equal(await attempt('refuse'), 'ECONNREFUSED');
    assert.equal(await attempt('swallow'), 'silent');
    assert.ok(['closed', 'ECONNRESET'].includes((await attempt('reset')) ?? ''));
    await proxy.setDoor('open');
    const two = await pair();
    for (const { client, target } of [one, two]) {
      client.socket.write(pdu(0x01));
      await target.gets(48);
    }
  });

  it('remembers Login PDUs and follows the digests they settle', async () => {
    const { client, target, link } = await pair();
    const login = pdu(0x43, Buffer.alloc(0), (bhs) => {
      bhs.write('80a1b2c3d4e5', 8, 'hex');
      bhs.writeUInt16BE(7, 14);
    });
    client.socket.write(login);
    await target.gets(48);
    const answer = pdu(0x23, Buffer.from('HeaderDigest=CRC32C\0DataDigest=CRC32C\0'), (bhs) => {
      bhs.writeUInt16BE(9, 14);
      bhs.writeUInt16BE(0x0201, 36);
    });
    target.socket.write(answer);
    await client.gets(answer.length);
    const seen = proxy.logins.filter(({ link: index }) => index === link.index);
    assert.deepEqual(
      seen.map(({ isid, tsih }) => [isid, tsih]),
      [['80a1b2c3d4e5', 7]],
    );
    assert.deepEqual(
      proxy.loginStatuses.filter(({ link: index }) => index === link.index).map(({ status, tsih }) => [status, tsih]),
      [[0x0201, 9]],
    );
    const sizes: number[][] = [];
    link.toTarget.watchers.push(({ bytes, dataAt, dataLength }) => sizes.push([bytes.length, dataAt, dataLength]));
    // Header digest, 5 bytes of data padded to 8, data digest; then one without data, which has no data digest.
    const bhs = pdu(0x01, Buffer.from('abcde')).subarray(0, 48);
    client.socket.write(Buffer.concat([bhs, Buffer.alloc(4 + 8 + 4), pdu(0x40), Buffer.alloc(4)]));
    await target.gets(48 + 64 + 52);
    assert.deepEqual(sizes, [
      [64, 52, 5],
      [52, 52, 0],
    ]);
  });
});
