// Attaching by netlink against a scripted kernel and our own NBD server: what is handed over, and what is left when it fails.
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MemoryDevice } from '../../src/block/memory-device.js';
import type { AttachRequest } from '../../src/services/attach/attachment.js';
import { KernelNbd } from '../../src/services/attach/kernel-nbd.js';
import { nativeSockets } from '../../src/transport/native-socket.js';
import { startNbdServer, type TestNbdServer } from '../helpers/nbd-server.js';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const FAMILY = hex('1c000000 1000 0000 01000000 00000000 01 02 0000  0600 0100 1f00 0000');
const index = (number: number) => hex(`1c000000 1f00 0000 02000000 00000000 01 00 0000  0800 0100 0${number}000000`);
const end = (sequence: number, errno: number) => {
  const b = hex('24000000 0200 0000 00000000 00000000 00000000  14000000 1f00 0500 00000000 00000000');
  b.writeUInt32LE(sequence, 8);
  b.writeInt32LE(-errno, 16);
  return b;
};

/** Answers the question for the family, then what `answer` says of the request after it. */
class FakeKernel {
  readonly requests: Buffer[] = [];
  #answer: (request: Buffer) => Promise<Buffer[]> | Buffer[];

  constructor(answer: (request: Buffer) => Promise<Buffer[]> | Buffer[]) {
    this.#answer = answer;
  }
  netlink() {
    const waiting: Buffer[] = [];
    return {
      request: async (datagram: Buffer) => {
        if (datagram.readUInt16LE(4) === 0x10) return void waiting.push(FAMILY, end(1, 0));
        this.requests.push(datagram);
        waiting.push(...(await this.#answer(datagram)));
      },
      receive: async () => waiting.shift() ?? assert.fail('the fake kernel has no more answers'),
      close: () => {},
    };
  }
}

const sockets = await nativeSockets();
describe('the kernel by netlink', { skip: sockets === null ? 'no koffi for this machine' : false }, () => {
  const device = new MemoryDevice({ sizeBytes: 2 ** 20 });
  let server: TestNbdServer;
  before(async () => {
    const more = { description: '', device, readOnly: false };
    server = await startNbdServer([
      { name: 'lun0', ...more },
      { name: 'alone', multiConn: false, ...more },
    ]);
  });
  after(() => server.close());

  const rig = (answer: (request: Buffer) => Promise<Buffer[]> | Buffer[]) => {
    const kernel = new FakeKernel(answer);
    assert.ok(sockets !== null);
    const nbd = new KernelNbd({ netlink: () => kernel.netlink(), unix: (...all) => sockets.unix(...all) });
    return { kernel, nbd };
  };
  const ask = (values: Partial<AttachRequest> = {}): AttachRequest => ({
    ...{ mode: 'nbd', socketPath: server.socketPath, exportName: 'lun0', sizeBytes: 2 ** 20, blockSize: 512 },
    ...{ readOnly: false, runDir: '/nonexistent', ...values },
  });
  /** The descriptors in NBD_ATTR_SOCKETS, the last attribute. */
  const handedOver = (request: Buffer): number[] => {
    const nest = request.subarray(request.indexOf(hex('0700 0c00 0100'), 60) + 2);
    return Array.from({ length: nest.length / 12 }, (_, i) => nest.readUInt32LE(12 * i + 8));
  };
  const openSockets = () =>
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:') ? [Number(fd)] : [];
      } catch {
        return [];
      }
    });
  const settled = async () => {
    for (let i = 0; i < 500 && server.connections.size > 0; i++) await sleep(10);
    assert.equal(server.connections.size, 0, 'a connection to the export is left');
  };

  for (const [name, values, count] of [
    ['one connection', {}, 1],
    ['four connections', { connections: 4 }, 4],
    ['one, where several would not agree', { connections: 4, exportName: 'alone' }, 1],
  ] as const) {
    it(`hands over ${name}, past the handshake, and closes its own descriptors`, async () => {
      const { kernel, nbd } = rig((request) => {
        const handed = handedOver(request);
        assert.equal(handed.length, count);
        assert.ok(handed.every((fd) => openSockets().includes(fd)));
        assert.equal([...server.connections].filter(({ exportName }) => exportName !== null).length, count);
        return [index(3), end(2, 0)];
      });
      assert.equal(await nbd.connect(ask(values), 'lunctl-x'), 3);
      const [request] = kernel.requests;
      assert.ok(request?.includes('lunctl-x\0') === true);
      // NBD_ATTR_TIMEOUT: with several connections never the 30 s of a zero.
      assert.equal(request.readBigUInt64LE(request.indexOf(hex('0c00 0400')) + 4), count === 1 ? 0n : 604_800n);
      await settled();
    });
  }

  it('read-only is in the flags', async () => {
    const { kernel, nbd } = rig(() => [index(0), end(2, 0)]);
    await nbd.connect(ask({ readOnly: true }), 'x');
    const [request] = kernel.requests;
    assert.ok(request && (request.readUInt8(request.indexOf(hex('0c00 0500')) + 4) & 2) === 2);
    await settled();
  });

  for (const [name, answers, expected] of [
    ['EPERM', [end(2, 1)], { code: 'ERR_ACCESS', message: /cannot connect a device: EPERM/, hint: /--attach fuse/ }],
    ['EINVAL', [end(2, 22)], { code: 'ERR_HELPER', message: /EINVAL/ }],
    ['ENOENT', [end(2, 2)], { code: 'ERR_DRIVER_MISSING' }],
    ['no number', [end(2, 0)], { code: 'ERR_PROTOCOL' }],
    ['a short answer', [Buffer.alloc(7)], { code: 'ERR_PROTOCOL' }],
  ] as const) {
    it(`fails with what the kernel says: ${name}`, async () => {
      const { nbd } = rig(() => [...answers]);
      await assert.rejects(nbd.connect(ask(), 'x'), expected);
      await settled();
    });
  }

  it('answers to somebody else are passed over', async () => {
    const { nbd } = rig(() => [end(9, 16), index(1), end(2, 0)]);
    assert.equal(await nbd.connect(ask(), 'x'), 1);
    await settled();
  });

  it('an export that is not there', async () => {
    const { kernel, nbd } = rig(() => assert.fail('nothing to be connected'));
    await assert.rejects(nbd.connect(ask({ exportName: 'lun9' }), 'x'), { code: 'ERR_NOT_FOUND' });
    assert.equal(kernel.requests.length, 0);
    await settled();
  });

  it('interrupted while the kernel works: the device is taken away again, descriptors stay until the kernel has them', async () => {
    const controller = new AbortController();
    const { kernel, nbd } = rig(async (request) => {
      if (request.readUInt8(16) !== 1) return [end(2, 0)];
      const [fd = -1] = handedOver(request);
      controller.abort();
      await sleep(50);
      assert.ok(openSockets().includes(fd));
      return [index(5), end(2, 0)];
    });
    await assert.rejects(nbd.connect(ask({ signal: controller.signal }), 'x'), { code: 'ERR_INTERRUPTED' });
    const [, disconnect] = kernel.requests;
    assert.deepEqual([disconnect?.readUInt8(16), disconnect?.readUInt32LE(24)], [2, 5]);
    await settled();
  });

  it('another size', async () => {
    const { kernel, nbd } = rig(() => [end(2, 0)]);
    await nbd.resize(7, 4096, 'lunctl-y');
    assert.equal(kernel.requests[0]?.readUInt8(16), 3);
    const refusing = rig(() => [end(2, 22)]);
    await assert.rejects(refusing.nbd.resize(7, 4096, 'z'), { code: 'ERR_HELPER', message: /nbd7 .*4096.*EINVAL/ });
  });
});
