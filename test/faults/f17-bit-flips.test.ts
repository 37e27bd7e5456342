// F17: one bit of any PDU is flipped on the way, in either direction, with CRC32C over headers and data: nothing that is wrong
// is ever handed on or written, and the command ends well in the next try.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { DEFAULT_TIMERS } from '../../src/services/session/info.js';
import { serveDisks } from '../helpers/own-target.js';
import { pattern } from '../helpers/stream-core.js';
import { startTgt, TGT_TARGET, tgtMissing } from '../helpers/tgt.js';
import { FAKE_TARGET, FakeServer } from './fake-server.js';
import { connect, type Initiator } from './initiator.js';
import type { Lane } from './lane.js';
import type { PassingPdu } from './pdu-splitter.js';
import { FaultProxy, type Link } from './proxy.js';
import { count, figure } from './rig.js';

/** Flips for all targets together; 10,000 in the long form. */
const FLIPS = count('F17_FLIPS', 90);
const SEED = count('F17_SEED', 1);
/** Of one session: a session that is lost more often in a second waits before it logs in. */
const MOST_OF_SESSION = 2;
const SIZE = 2 ** 22;
const LOGIN_REQUEST = 0x03;
const LOGIN_RESPONSE = 0x23;
/** A flipped length can make a peer wait for bytes that never come: then the keepalive decides. */
const timers = { ...DEFAULT_TIMERS, noopIntervalMs: 300, noopTimeoutMs: 500 };
const negotiate = { headerDigest: 'CRC32C', dataDigest: 'CRC32C' } as const;

/** Reproducible: the same flips for the same seed, as far as the PDUs are the same. */
class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** 0 … below − 1 */
  roll(below: number): number {
    // Park and Miller's multiplier in 32 bits, its high half.
    this.#state = (Math.imul(this.#state ^ 0x5bf0_3635, 0x2c1b_3c6d) + 0x6a09_e667) >>> 0;
    return (this.#state >>> 8) % below;
  }
}

interface Peer {
  readonly port: number;
  readonly targetName: string;
  stop(): Promise<void>;
}

class Bench {
  flips = 0;
  toTarget = 0;
  lost = 0;
  readonly #dice: Dice;
  readonly #expected = Buffer.alloc(SIZE);
  #left = 0;

  constructor(
    private readonly proxy: FaultProxy,
    private readonly targetName: string,
    seed: number,
  ) {
    this.#dice = new Dice(seed);
    // Beyond the questions to the unit that follow a login again, as often as not.
    proxy.onLink = (link) => this.#arm(link, 48);
  }

  /** Sessions with I/O until `flips` bits have been flipped. Throws at the first wrong byte. */
  async run(flips: number): Promise<void> {
    await this.#session(0, async (initiator) => {
      await writeBytes(initiator.lun, 0, this.#expected);
    });
    while (this.flips < flips) await this.#session(MOST_OF_SESSION, (initiator) => this.#work(initiator));
    await this.#session(0, async (initiator) => {
      const all = await readBytes(initiator.lun, 0, SIZE);
      assert.ok(all.equals(this.#expected), 'a wrong byte was written');
    });
  }

  async #session(flips: number, use: (initiator: Initiator) => Promise<void>): Promise<void> {
    this.#left = 0;
    const initiator = await connect(this.proxy.port, { targetName: this.targetName, timers, negotiate });
    try {
      const { params } = initiator.open.session;
      assert.deepEqual([params?.headerDigest, params?.dataDigest], ['CRC32C', 'CRC32C']);
      this.#left = flips;
      if (flips > 0) this.#arm(this.proxy.live, 8);
      await use(initiator);
    } finally {
      this.#left = 0;
      this.lost += initiator.lines.filter((line) => line.includes('connection lost')).length;
      await initiator.close();
    }
  }

  /** Requests of many sizes, until the session's flips have happened and been got over. */
  async #work({ lun }: Initiator): Promise<void> {
    for (let i = 0; i < 40 && (this.#left > 0 || i < 4); i++) {
      const blocks = 1 + this.#dice.roll(i % 4 === 0 ? 128 : 16);
      const offset = this.#dice.roll(SIZE / 512 - blocks) * 512;
      const bytes = pattern(blocks * 512, this.#dice.roll(2 ** 24));
      await writeBytes(lun, offset, bytes);
      bytes.copy(this.#expected, offset);
      const from = this.#dice.roll(SIZE / 512 - blocks) * 512;
      for (const at of [offset, from]) {
        const read = await readBytes(lun, at, bytes.length);
        assert.ok(read.equals(this.#expected.subarray(at, at + bytes.length)), `a wrong byte was read near ${at}`);
      }
    }
  }

  /** One of the next `reach` PDUs after the login, in one direction, gets one bit flipped. */
  #arm({ toTarget, toInitiator }: Link, reach: number): void {
    const up = this.#dice.roll(2) === 0;
    const lane: Lane = up ? toTarget : toInitiator;
    let skip = this.#dice.roll(reach);
    lane.rule = ({ opcode, bytes }: PassingPdu) => {
      if (opcode === LOGIN_REQUEST || opcode === LOGIN_RESPONSE || this.#left === 0 || skip-- > 0) return undefined;
      lane.rule = null;
      this.#left--;
      this.flips++;
      if (up) this.toTarget++;
      const flipped = Buffer.from(bytes);
      const at = this.#dice.roll(bytes.length);
      flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << this.#dice.roll(8)), at);
      return flipped;
    };
  }
}

const PEERS: readonly [name: string, missing: string | false, start: () => Promise<Peer>][] = [
  [
    'tgt',
    tgtMissing(),
    async () => {
      const tgt = await startTgt(SIZE);
      // It offers digests only where it is told to allow them.
      for (const digest of ['HeaderDigest', 'DataDigest']) {
        tgt.adm('--op', 'update', '--mode', 'target', '--tid', '1', '-n', digest, '-v', 'CRC32C,None');
      }
      return { port: tgt.port, targetName: TGT_TARGET, stop: () => tgt.stop() };
    },
  ],
  [
    'our target',
    false,
    async () => {
      const server = await serveDisks(FAKE_TARGET, [{ kind: 'ramdisk', name: 'ram', sizeBytes: SIZE }]);
      return { port: server.portals[0]?.port ?? 0, targetName: FAKE_TARGET, stop: () => server.close() };
    },
  ],
  [
    'the fake target',
    false,
    async () => {
      const server = await new FakeServer(undefined, { wishes: negotiate }).start();
      const stop = async () => {
        await server.stop();
        assert.deepEqual(server.faults, []);
      };
      return { port: server.port, targetName: FAKE_TARGET, stop };
    },
  ],
];

describe('F17 flipped bits under CRC32C', { concurrency: true }, () => {
  for (const [index, [name, missing, start]] of PEERS.entries()) {
    it(`against ${name}: no wrong byte is accepted`, { skip: missing }, async () => {
      const peer = await start();
      const proxy = await FaultProxy.start(peer.port);
      const bench = new Bench(proxy, peer.targetName, SEED * 1000 + index);
      try {
        await bench.run(Math.ceil(FLIPS / PEERS.length));
      } finally {
        await proxy.close();
        await peer.stop();
      }
      const { flips, toTarget, lost } = bench;
      figure(
        'F17',
        `${name}: ${flips} flips (${toTarget} towards the target), ${lost} connections lost, 0 wrong bytes`,
      );
      // A flip ends the connection, or at our target the command; padding alone is beyond every digest's business.
      assert.ok(toTarget > flips / 4 && toTarget < (flips * 3) / 4);
    });
  }
});
