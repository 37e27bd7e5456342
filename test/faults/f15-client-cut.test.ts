// F15: an NBD client goes away in the middle: at every byte of a handshake, with every option, and of one command of each kind. The session stays,
// nothing is kept for the dead, no write is done by half, and the next client is served (NBD proto.md).
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { clientFlags, infoData, metaContextData, option, request } from '../helpers/nbd-wire.js';
import { count, figure, footprint, Rig, tgtMissing } from './rig.js';

const ROUNDS = count('F15_ROUNDS', 1);
const BLOCK = 512;
const BLOCKS = 8;
const AT_ONCE = 8;
const MOST_GROWTH_KIB = 48 * 1024;
const Option = { list: 3, startTls: 5, info: 6, go: 7, structuredReply: 8, listContexts: 9, setContexts: 10 } as const;
const Command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

/** All that a client says, with one write of `fill`. */
function words(exportName: string, fill: number): Buffer {
  const range = { offset: BLOCKS * BLOCK, length: BLOCK };
  return Buffer.concat([
    clientFlags(3),
    option(Option.startTls),
    option(Option.structuredReply),
    option(Option.list),
    option(Option.info, infoData(exportName, [1, 2, 3])),
    option(Option.listContexts, metaContextData(exportName)),
    option(Option.setContexts, metaContextData(exportName, ['base:allocation'])),
    option(Option.go, infoData(exportName, [3])),
    request({ type: Command.write, cookie: 1n, offset: (fill % BLOCKS) * BLOCK, payload: Buffer.alloc(BLOCK, fill) }),
    request({ type: Command.read, cookie: 2n, offset: 0, length: BLOCKS * BLOCK }),
    request({ type: Command.flush, cookie: 3n }),
    request({ type: Command.trim, cookie: 4n, ...range }),
    request({ type: Command.writeZeroes, cookie: 5n, ...range }),
    request({ type: Command.blockStatus, cookie: 7n, offset: 0, length: BLOCKS * BLOCK }),
    request({ type: Command.cache, cookie: 8n, offset: 0, length: BLOCKS * BLOCK }),
    request({ type: Command.read, cookie: 9n, offset: 2 ** 20, length: BLOCKS * BLOCK }),
    request({ type: Command.blockStatus, cookie: 10n, offset: BLOCK, length: BLOCK, flags: 8 }),
    request({ type: Command.disconnect, cookie: 6n }),
  ]);
}

/** Says the first `length` bytes, at once or after the greeting, and goes away, by FIN or by closing at once. */
async function cut(socketPath: string, said: Buffer, length: number): Promise<void> {
  const socket = connect(socketPath);
  socket.on('error', () => {});
  await once(socket, 'connect');
  if (length % 2 === 0) await once(socket, 'data');
  socket.resume();
  if (length > 0) await new Promise<void>((resolve) => socket.write(said.subarray(0, length), () => resolve()));
  if (length % 3 === 0) socket.end();
  else socket.destroy();
  if (!socket.closed) await once(socket, 'close');
}

describe('F15: an NBD client goes away in the middle', { skip: tgtMissing() }, () => {
  it('at every byte', async () => {
    const rig = await Rig.start({ proxy: false });
    try {
      const [device] = rig.session.devices;
      const { socket, pid } = rig.session;
      const length = words(device?.exportName ?? '', 0).length;
      assert.ok(length >= 900, `${length} bytes`);
      const settled = async () => {
        await sleep(500);
        return footprint(pid);
      };
      await Promise.all(Array.from({ length: AT_ONCE }, () => cut(socket, words(device?.exportName ?? '', 0), length)));
      const before = await settled();
      for (let round = 0; round < ROUNDS; round++) {
        for (let at = 0; at <= length; at += AT_ONCE) {
          const ends = Array.from({ length: Math.min(AT_ONCE, length + 1 - at) }, (_, i) => at + i);
          await Promise.all(ends.map((end) => cut(socket, words(device?.exportName ?? '', (end + round) & 0xff), end)));
        }
      }
      const after = await settled();
      const next = await rig.connect();
      for (let block = 0; block < BLOCKS; block++) {
        const bytes = await next.read(block * BLOCK, BLOCK);
        assert.ok(bytes.equals(Buffer.alloc(BLOCK, bytes[0])), `block ${block} is of one write`);
      }
      await next.write(0, Buffer.alloc(BLOCK, 0xa5));
      await next.flush();
      assert.equal((await next.read(0, BLOCK))[0], 0xa5);
      assert.equal((await rig.info()).state, 'LOGGED_IN');
      figure(
        'F15',
        `${ROUNDS * (length + 1)} clients cut off at ${length + 1} places, descriptors ${before.descriptors} → ${after.descriptors}`,
      );
      assert.ok(after.descriptors <= before.descriptors, `${before.descriptors} → ${after.descriptors} descriptors`);
      assert.ok(after.rssKiB - before.rssKiB < MOST_GROWTH_KIB, `${before.rssKiB} → ${after.rssKiB} KiB`);
    } finally {
      await rig.stop();
    }
  });
});
