// Sequences of nearly right PDUs against the target core, a million of them in the long form: none ends the process, none lasts
// or leaves anything behind, and the data of an honest session beside them stays what it is.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { BlockRequest } from '../../src/block/block-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { parseR2T } from '../../src/iscsi/wire/r2t.js';
import { parseResponseData } from '../../src/iscsi/wire/scsi-response.js';
import { parseText } from '../../src/iscsi/wire/text.js';
import { parseSense } from '../../src/scsi/sense.js';
import type { PortalGroupConfig } from '../../src/target/config.js';
import { TargetConnection } from '../../src/target/connection.js';
import { TargetContext } from '../../src/target/context.js';
import { LogicalUnit } from '../../src/target/logical-unit.js';
import { TargetNode } from '../../src/target/target-node.js';
import { ProtocolError } from '../../src/util/errors.js';
import { BufferPool, RefBuffer } from '../../src/util/ref-buffer.js';
import { count, figure } from '../faults/rig.js';
import { Heard, Random, Sequence } from '../helpers/malformed.js';
import { MemorySink } from '../helpers/memory-sink.js';
import { INITIATOR, NO_AUTH, pattern, ScriptedInitiator, TARGET } from '../target/scripted-initiator.js';

const INPUTS = count('MALFORMED_INPUTS', 10_000);
/** One input again: its seed, with MALFORMED_INPUTS=1. */
const SEED = count('MALFORMED_SEED', 20_261_122);
const HOSTILE = 'iqn.2022-08.com.test:hostile';
const VICTIM = 'iqn.2022-08.com.test:dlp.target02';
const ACCOUNT = { user: 'username', secret: 'password1234' };
const PORTAL = { address: '127.0.0.1', port: 3260 };
/** Turns of the event loop within which everything that an input has started must be over. */
const MOST_TURNS = 50;
/** PDUs that the target may answer to one input: a whole read of the disk in pieces of 512 bytes, a few times. */
const MOST_ANSWERS = 60_000;
const BLOCKS = 64;

/** A disk whose requests may wait for the test. */
class MoodyDevice extends MemoryDevice {
  readonly held: (() => void)[] = [];
  holding = false;
  override submit(request: BlockRequest): void {
    if (this.holding) this.held.push(() => super.submit(request));
    else super.submit(request);
  }
  release(): void {
    this.holding = false;
    for (const go of this.held.splice(0)) go();
  }
}

class Rig {
  readonly context = new TargetContext(
    new TargetNode({ alias: null, targets: [], discoveryAuth: null }),
    new BufferPool(),
  );
  readonly honestUnit = unitOf('honest', new MemoryDevice({ sizeBytes: BLOCKS * 512 }));
  device = new MoodyDevice({ sizeBytes: BLOCKS * 512 });
  unit = unitOf('hostile', this.device);

  constructor() {
    this.renew();
  }
  /** The hostile initiators get a new disk: what one has made of it must not keep the next one out for ever. */
  renew(): void {
    this.device = new MoodyDevice({ sizeBytes: BLOCKS * 512 });
    this.unit = unitOf('hostile', this.device);
    const honest = groupOf(this.honestUnit, INITIATOR, {});
    const auth = { account: ACCOUNT, mutual: { user: 'target', secret: 'mutualpass12' } };
    const hostile = groupOf(this.unit, HOSTILE, { auth, authenticationRequired: false });
    const targets = [
      { name: TARGET, portalGroups: [honest] },
      { name: VICTIM, portalGroups: [hostile] },
    ];
    this.context.reconfigure(new TargetNode({ alias: 'rig', discoveryAuth: null, targets }));
  }
}

function unitOf(name: string, device: MemoryDevice): LogicalUnit {
  return new LogicalUnit({ name, serial: Buffer.from(name.padEnd(16, '.')).toString('hex'), device });
}
function groupOf(unit: LogicalUnit, initiatorName: string, changes: Partial<PortalGroupConfig>): PortalGroupConfig {
  const acls = [{ initiatorName, auth: null, mappedLuns: null }];
  const common = { tag: 1, enabled: true, portals: [PORTAL], acls, auth: NO_AUTH, demoMode: 'off' } as const;
  return { ...common, luns: [{ lun: 0, unit }], authenticationRequired: false, ...changes };
}

/** Reads what the target says, as far as the next step needs it, and looks for what it must not say. */
class Listener {
  readonly heard = new Heard();
  answers = 0;
  read(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const header = bytes.subarray(at, at + 48);
      const length = header.readUIntBE(5, 3);
      const { digests } = this.heard;
      const from = at + 48 + (digests.header ? 4 : 0);
      const data = bytes.subarray(from, from + length);
      at = from + ((length + 3) & ~3) + (digests.data && length > 0 ? 4 : 0);
      this.answers++;
      this.#take(header, data);
    }
  }
  #take(header: Buffer, data: Buffer): void {
    const opcode = (header[0] as number) & 0x3f;
    if (opcode === Opcode.LoginResponse) this.#login(header, data);
    else if (opcode === Opcode.R2T) {
      const { itt, ttt, bufferOffset, desiredDataTransferLength } = parseR2T(header);
      this.heard.r2ts.push({ itt, ttt, offset: bufferOffset, length: desiredDataTransferLength });
    } else if (opcode === Opcode.ScsiResponse && data.length > 0) {
      const sense = parseSense(parseResponseData(data).sense);
      assert.ok(sense === null || sense.key !== 4, `a fault of the target's own: ${JSON.stringify(sense)}`);
    }
  }
  #login(header: Buffer, data: Buffer): void {
    const pairs = new Map(parseText(data));
    const [id, challenge] = [pairs.get('CHAP_I'), pairs.get('CHAP_C')];
    if (id !== undefined && challenge !== undefined) {
      this.heard.challenge = { id: Number(id), bytes: Buffer.from(challenge.slice(2), 'hex') };
    }
    if (pairs.get('HeaderDigest') === 'CRC32C') this.#agreed.header = true;
    if (pairs.get('DataDigest') === 'CRC32C') this.#agreed.data = true;
    const flags = header[1] as number;
    if (header[36] === 0 && (flags & 0x83) === 0x83) {
      this.heard.fullFeature = true;
      this.heard.digests = this.#agreed;
    }
  }
  readonly #agreed = { header: false, data: false };
}

/** One connection from accept to close. Returns how many PDUs the target has answered. */
async function attack(rig: Rig, seed: number): Promise<{ answers: number; loggedIn: boolean }> {
  const random = new Random(seed);
  const sink = new MemorySink();
  let [closed, now] = [false, 1000];
  const connection = new TargetConnection({
    context: rig.context,
    sink,
    addresses: { local: PORTAL, remote: { address: '127.0.0.2', port: 50_000 } },
    host: { now: () => now, close: () => (closed = true), changed: () => {}, event: () => {} },
  });
  const sequence = new Sequence(random, { initiator: HOSTILE, target: VICTIM, ...ACCOUNT });
  const listener = new Listener();
  try {
    for (let bytes = sequence.next(listener.heard); bytes !== null && !closed; bytes = sequence.next(listener.heard)) {
      rig.device.holding = random.chance(4);
      feed(connection, bytes, random);
      if (random.chance(3)) rig.device.release();
      if (random.chance(8)) {
        now += random.below(20_000);
        connection.handleTimeout(now);
      }
      await null;
      for (let turn = 0; turn < 8; turn++) {
        listener.read(sink.take());
        if (!sink.wasHigh()) break;
        connection.onDrain();
      }
      assert.ok(listener.answers < MOST_ANSWERS, `${listener.answers} answers`);
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  connection.onClosed('over');
  rig.device.release();
  for (let turn = 0; rig.unit.nexuses.size > 0; turn++) {
    assert.ok(turn < MOST_TURNS, 'the session has not ended');
    await new Promise(setImmediate);
    rig.device.release();
  }
  sink.take();
  return { answers: listener.answers, loggedIn: listener.heard.fullFeature };
}

/** In one piece, in a few, or byte by byte. */
function feed(connection: TargetConnection, bytes: Buffer, random: Random): void {
  const pieces = random.pick([1, 1, 1, 2, 5, 0]);
  const size = pieces === 0 && bytes.length < 1000 ? 1 : Math.max(1, Math.ceil(bytes.length / Math.max(1, pieces)));
  for (let at = 0; at < bytes.length; ) {
    const target = connection.readTarget();
    if (target !== null && target.length > 0) {
      const copied = bytes.copy(target, 0, at);
      at += copied;
      connection.onTargetFilled(copied);
      continue;
    }
    const owner = new RefBuffer(Buffer.from(bytes.subarray(at, at + size)));
    at += owner.buffer.length;
    connection.onBytes(owner.buffer, owner);
    owner.release();
  }
}

/** The session beside the attacks: each round half a write before them, the rest and a read after them. */
class Honest {
  readonly #initiator: ScriptedInitiator;
  #open: { itt: number; ttt: number; lba: number; data: Buffer } | null = null;
  rounds = 0;
  constructor(context: TargetContext, unit: LogicalUnit) {
    this.#initiator = new ScriptedInitiator({ context, unit });
    this.#initiator.logIn([
      ['ImmediateData', 'No'],
      ['DataDigest', 'CRC32C'],
    ]);
    this.#initiator.clearAttention();
  }
  begin(): void {
    const lba = this.rounds % (BLOCKS - 4);
    const data = pattern(2048, this.rounds);
    const itt = this.#initiator.command(`2a 00 ${hex(lba)} 00 0004 00`, { write: data.length });
    const ask = this.#initiator.one();
    assert.equal(ask.opcode, Opcode.R2T);
    this.#open = { itt, ttt: parseR2T(ask.header).ttt, lba, data };
  }
  end(): void {
    const { itt, ttt, lba, data } = this.#open ?? assert.fail();
    this.#initiator.dataOut(itt, ttt, 0, 0, data, true);
    assert.equal(this.#initiator.one().header.readUInt16BE(2), 0, 'response and status of the honest write');
    this.#initiator.command(`28 00 ${hex(lba)} 00 0004 00`, { read: data.length });
    const read = this.#initiator.receive().filter(({ opcode }) => opcode === Opcode.DataIn);
    assert.ok(Buffer.concat(read.map((pdu) => pdu.data)).equals(data), 'the honest data has changed');
    this.rounds++;
  }
}

function hex(lba: number): string {
  return lba.toString(16).padStart(8, '0');
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
/** Bytes of objects that are still reachable; buffers beside them come and go with the pools. */
function heap(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

describe('malformed sequences', () => {
  it(`${INPUTS} of them: no crash, no hang, nothing left, and an honest session with its data beside them`, async () => {
    const rig = new Rig();
    const honest = new Honest(rig.context, rig.honestUnit);
    let [answers, logins, longest, base] = [0, 0, 0, 0];
    const began = performance.now();
    for (let i = 0; i < INPUTS; i++) {
      if (i % 20 === 0) honest.begin();
      const seed = SEED + i;
      const start = performance.now();
      try {
        const result = await attack(rig, seed);
        answers += result.answers;
        if (result.loggedIn) logins++;
        assert.equal(
          rig.context.sessions.sessions().filter(({ initiatorName }) => initiatorName === HOSTILE).length,
          0,
        );
        assert.equal(rig.device.held.length, 0);
        if (i % 20 === 19 || i === INPUTS - 1) {
          honest.end();
          assert.equal(rig.context.memory.held, 0, 'write memory that nobody gives back');
        }
      } catch (error) {
        throw new Error(`input ${i}: again with MALFORMED_SEED=${seed} MALFORMED_INPUTS=1`, { cause: error });
      }
      longest = Math.max(longest, performance.now() - start);
      if (i % 100_000 === 99_999) console.log(`${i + 1} sequences done`);
      if (i % 500 === 499) {
        rig.renew();
        await new Promise(setImmediate);
      }
      if (i === Math.floor(INPUTS / 10)) base = heap();
    }
    const grown = (heap() - base) / 2 ** 20;
    const rate = Math.round(INPUTS / ((performance.now() - began) / 1000));
    figure(
      'malformed',
      `seed ${SEED}: ${INPUTS} sequences, ${logins} past login, ${answers} answers, ${honest.rounds} honest rounds, longest ${longest.toFixed(0)} ms, heap ${grown.toFixed(1)} MiB more, ${rate}/s`,
    );
    assert.ok(logins > INPUTS / 10, `${logins} logins: the inputs are too wrong to be of use`);
    assert.ok(grown < 8, `${grown} MiB`);
    assert.ok(process.memoryUsage().arrayBuffers < 128 * 2 ** 20);
  });
});
