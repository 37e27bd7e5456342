// An NBD disk over connections that come and go, under a clock of the test's own.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockFlag, BlockOp, type BlockRequest, BlockStatus } from '../../../src/block/block-device.js';
import type { NbdClientConnection } from '../../../src/nbd/client/connection.js';
import { NbdDevice, type NbdDeviceHost, type NbdEvent, type NbdEvents } from '../../../src/nbd/client/device.js';
import { Command, TransmissionFlag as Flag } from '../../../src/nbd/wire/constants.js';
import { emitSimpleReply } from '../../../src/nbd/wire/reply.js';
import { AppError } from '../../../src/util/errors.js';
import { ClientEnd, welcome } from './pair.js';

const ALL = 0x5fd;

/** A server that a test plays, and the time. */
class Rig implements NbdDeviceHost {
  readonly ends: ClientEnd[] = [];
  readonly delays: number[] = [];
  readonly events: NbdEvent[] = [];
  /** How the next attempts to connect end; default: as the first one did. */
  readonly answers: (AppError | { size?: number; flags?: number })[] = [];
  terms: { size?: number; flags?: number } = {};
  time = 0;
  /** Attempts wait at the door until the test opens it. */
  door: Promise<void> | null = null;
  readonly device: NbdDevice;

  constructor(terms: { size?: number; flags?: number } = {}) {
    this.terms = terms;
    this.device = new NbdDevice({ host: this });
  }
  now(): number {
    return this.time;
  }
  async delay(ms: number, signal: AbortSignal): Promise<void> {
    this.delays.push(ms);
    this.time += ms;
    await new Promise(setImmediate);
    if (signal.aborted) throw new AppError('ERR_INTERRUPTED', 'interrupted');
  }
  async connect(device: NbdEvents): Promise<NbdClientConnection> {
    await this.door;
    const answer = this.answers.shift() ?? this.terms;
    if (answer instanceof AppError) throw answer;
    const end = new ClientEnd({ device });
    end.feed(welcome({ flags: ALL, ...answer, structured: false }));
    end.sink.take();
    this.ends.push(end);
    return end.core;
  }
  onChange(event: NbdEvent): void {
    this.events.push(event);
  }
  get end(): ClientEnd {
    return this.ends.at(-1) ?? assert.fail('never connected');
  }
  lose(): void {
    this.end.core.closed(new AppError('ERR_TRANSPORT', 'reset'));
  }
}
async function opened(terms: { size?: number; flags?: number } = {}): Promise<Rig> {
  const rig = new Rig(terms);
  await rig.device.open();
  return rig;
}
/** Lets everything that is promised happen. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
}

class Asked implements BlockRequest {
  readonly offset = 0;
  readonly length: number;
  readonly payload: Buffer | null;
  readonly payloadOwner = null;
  status: BlockStatus | null = null;
  constructor(
    readonly op: BlockOp,
    readonly flags = 0,
  ) {
    this.length = op === BlockOp.Flush ? 0 : 512;
    this.payload = op === BlockOp.Write ? Buffer.alloc(512, 7) : null;
  }
  onData(): void {}
  onDone(status: BlockStatus): void {
    assert.equal(this.status, null, 'once');
    this.status = status;
  }
}
function ask(rig: Rig, op: BlockOp, flags = 0): Asked {
  const asked = new Asked(op, flags);
  rig.device.submit(asked);
  return asked;
}
interface Sent {
  readonly type: number;
  readonly flags: number;
  readonly cookie: readonly [number, number];
}
/** What has been sent since the last call. */
function sent(end: ClientEnd): Sent[] {
  const bytes = end.sink.take();
  const all: Sent[] = [];
  for (let at = 0; at < bytes.length; ) {
    const type = bytes.readUInt16BE(at + 6);
    all.push({
      type,
      flags: bytes.readUInt16BE(at + 4),
      cookie: [bytes.readUInt32BE(at + 8), bytes.readUInt32BE(at + 12)],
    });
    at += 28 + (type === Command.Write ? bytes.readUInt32BE(at + 24) : 0);
  }
  return all;
}
/** The server ends everything that it has been sent. */
function answer(end: ClientEnd, error = 0): Sent[] {
  const all = sent(end);
  for (const { cookie, type } of all) {
    const reply = Buffer.alloc(16);
    emitSimpleReply(reply, 0, error, ...cookie);
    end.feed(type === Command.Read && error === 0 ? Buffer.concat([reply, Buffer.alloc(512)]) : reply);
  }
  return all;
}

describe('NbdDevice', () => {
  it('what is in flight when the connection is lost fails; what comes later goes out over the next one', async () => {
    const rig = await opened();
    const inFlight = ask(rig, BlockOp.Write);
    rig.lose();
    assert.equal(inFlight.status, BlockStatus.Eio);
    const later = ask(rig, BlockOp.Read);
    assert.equal(later.status, null);
    await settle();
    assert.equal(rig.ends.length, 2);
    answer(rig.end);
    assert.equal(later.status, BlockStatus.Ok);
    assert.deepEqual(
      rig.events.map(({ kind }) => kind),
      ['lost', 'found'],
    );
    assert.equal(rig.device.writeLosses, 0, 'nothing had been acknowledged');
  });

  it('a server that takes connections and drops them is not asked in a hurry, until a request has succeeded', async () => {
    const rig = await opened();
    for (let i = 0; i < 6; i++) {
      rig.lose();
      await settle();
    }
    assert.deepEqual(rig.delays, [0, 500, 1000, 2000, 5000, 5000]);
    ask(rig, BlockOp.Read);
    answer(rig.end);
    rig.lose();
    await settle();
    assert.equal(rig.delays.at(-1), 0);
  });

  it('requests wait for a lost server as long as patience says, and then fail at each attempt', async () => {
    const rig = await opened();
    const refused = new AppError('ERR_CONNECT', 'refused');
    rig.answers.push(...Array.from({ length: 6 }, () => refused));
    rig.lose();
    const waits = ask(rig, BlockOp.Read);
    await settle();
    assert.equal(waits.status, BlockStatus.Eio);
    assert.ok(rig.time >= 10_000, `${rig.time} ms`);
    assert.equal(rig.events.filter(({ kind }) => kind === 'refused').length, 1, 'told once');
    const later = ask(rig, BlockOp.Read);
    await settle();
    answer(rig.end);
    assert.equal(later.status, BlockStatus.Ok, 'it has come back');
  });

  it('another disk behind the same name is not taken: smaller, or with a cache where there was none', async () => {
    for (const [first, second] of [
      [{ size: 2 ** 20 }, { size: 2 ** 19 }],
      [{ flags: ALL & ~Flag.SendFlush }, { flags: ALL }],
    ]) {
      const rig = await opened(first);
      rig.answers.push(...Array.from({ length: 8 }, () => second ?? {}));
      rig.lose();
      const waits = ask(rig, BlockOp.Read);
      await settle();
      assert.equal(waits.status, BlockStatus.Eio);
      assert.ok(rig.events.some((event) => event.kind === 'refused' && /another disk/.test(event.error.message)));
      assert.ok(
        rig.ends.slice(1).some((end) => end.ended),
        'said goodbye to',
      );
    }
  });

  it('an export that has grown while it was away has its new size', async () => {
    const rig = await opened();
    rig.terms = { size: 2 ** 21 };
    rig.lose();
    await settle();
    assert.equal(rig.device.sizeBytes, 2 ** 21);
  });

  it('acknowledged writes that no flush has covered, and a lost connection: every flush fails from then on', async () => {
    const rig = await opened();
    ask(rig, BlockOp.Write);
    answer(rig.end);
    const flushed = ask(rig, BlockOp.Flush);
    ask(rig, BlockOp.Write);
    answer(rig.end);
    assert.equal(flushed.status, BlockStatus.Ok);
    rig.lose();
    await settle();
    assert.equal(rig.device.writeLosses, 1, 'the second write came after what the flush covers');
    for (let i = 0; i < 2; i++) assert.equal(ask(rig, BlockOp.Flush).status, BlockStatus.Eio);
    const fua = ask(rig, BlockOp.Write, BlockFlag.Fua);
    answer(rig.end);
    assert.equal(fua.status, BlockStatus.Ok, 'of itself it is stable');
  });

  it('writes with FUA, and servers without a cache, have nothing to lose', async () => {
    for (const flags of [ALL, ALL & ~Flag.SendFlush]) {
      const rig = await opened({ flags });
      ask(rig, BlockOp.Write, flags === ALL ? BlockFlag.Fua : 0);
      const [write] = answer(rig.end);
      assert.equal((write?.flags ?? 0) & 1, flags === ALL ? 1 : 0);
      rig.lose();
      await settle();
      const flushed = ask(rig, BlockOp.Flush);
      await settle();
      answer(rig.end);
      assert.deepEqual([rig.device.writeLosses, flushed.status], [0, BlockStatus.Ok]);
    }
  });

  it('FUA where the server has none: the write, then a flush, then the answer', async () => {
    const rig = await opened({ flags: ALL & ~Flag.SendFua });
    const fua = ask(rig, BlockOp.Write, BlockFlag.Fua);
    assert.deepEqual(
      answer(rig.end).map(({ type, flags }) => [type, flags]),
      [[Command.Write, 0]],
    );
    await settle();
    assert.equal(fua.status, null);
    assert.deepEqual(
      answer(rig.end).map(({ type }) => type),
      [Command.Flush],
    );
    await settle();
    assert.equal(fua.status, BlockStatus.Ok);
  });

  it('what is allocated: asked over the connection that there is, and an error when that is lost meanwhile', async () => {
    const rig = await opened();
    await assert.rejects(rig.device.allocation({ offset: 0, length: 512 }, 1), { code: 'ERR_NOT_SUPPORTED' });
    const lost = rig.device.allocation({ offset: 0, length: 512 }, 1);
    rig.lose();
    await assert.rejects(lost, { status: BlockStatus.Eio });
    await settle();
  });

  it('closing ends what waits, says goodbye, and leaves no connection behind that comes late', async () => {
    const rig = await opened();
    await rig.device.close();
    assert.ok(rig.end.ended);

    const other = await opened();
    let open = () => {};
    other.door = new Promise((resolve) => {
      open = resolve;
    });
    other.lose();
    const waits = ask(other, BlockOp.Read);
    await settle();
    const closed = other.device.close();
    await settle();
    assert.equal(waits.status, BlockStatus.Eshutdown);
    open();
    await closed;
    assert.ok(other.ends.length === 2 && other.end.ended);
  });
});
