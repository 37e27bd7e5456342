// F30: a LUN that is taken away under I/O: its requests end with EIO at once, the session and the other LUNs stay.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BlockStatus } from '../../src/block/block-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import type { Lun } from '../../src/initiator/lun.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { pattern, until } from '../helpers/stream-core.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';
import { FakeDisk } from './fake-disk.js';
import { FakeServer } from './fake-server.js';
import { connect, type Initiator } from './initiator.js';

const BLOCK = 4096;

/** I/O on a LUN until it fails or `stop` is called. */
class Load {
  rounds = 0;
  /** When it failed, and with what. */
  failedAt: number | null = null;
  status = BlockStatus.Ok as number;
  #stopped = false;
  readonly #work: Promise<void>;
  constructor(lun: Lun) {
    this.#work = this.#run(lun);
  }
  async #run(lun: Lun): Promise<void> {
    for (; !this.#stopped; this.rounds++) {
      const bytes = pattern(BLOCK, this.rounds);
      try {
        await writeBytes(lun, (this.rounds % 32) * BLOCK, bytes);
        assert.deepEqual(await readBytes(lun, (this.rounds % 32) * BLOCK, BLOCK), bytes);
      } catch (error) {
        this.failedAt = performance.now();
        this.status = (error as { status: number }).status;
        return;
      }
    }
  }
  stop(): Promise<void> {
    this.#stopped = true;
    return this.#work;
  }
}
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const find = (initiator: Initiator, lun: number): Lun => {
  const found = initiator.luns.find(({ info }) => info.lun === lun);
  if (found === undefined) throw new Error(`no LUN ${lun}`);
  return found;
};

/** Removes one of three and looks at all of them. */
async function removal(initiator: Initiator, [gone, ...rest]: readonly [number, ...number[]], remove: () => void) {
  const victim = new Load(find(initiator, gone));
  const others = rest.map((lun) => new Load(find(initiator, lun)));
  await until(() => [victim, ...others].every(({ rounds }) => rounds > 0), 'all of them are read');
  assert.equal(victim.failedAt, null);
  const began = performance.now();
  remove();
  while (victim.failedAt === null && performance.now() < began + 20_000) await wait(5);
  assert.equal(victim.status, BlockStatus.Eio);
  const took = (victim.failedAt ?? Number.NaN) - began;
  // The next command meets it; nothing waits for a timeout, the shortest of which is 15 s.
  assert.ok(took < 10_000, `${took} ms`);
  const before = others.map(({ rounds }) => rounds);
  const second = performance.now();
  await assert.rejects(readBytes(find(initiator, gone), 0, BLOCK), { status: BlockStatus.Eio });
  assert.ok(performance.now() - second < 10_000, 'the next one fails at once too');
  await until(() => others.every(({ rounds }, i) => rounds > (before[i] ?? 0)), 'the others go on');
  for (const [i, other] of others.entries()) {
    await other.stop();
    assert.equal(other.failedAt, null);
    assert.ok(other.rounds > (before[i] ?? 0));
  }
  assert.equal(initiator.open.session.state, 'LOGGED_IN');
}

describe('F30 a LUN is removed', () => {
  let server: FakeServer;
  let initiator: Initiator;
  before(async () => {
    server = await new FakeServer({ 0: new FakeDisk(), 1: new FakeDisk(), 2: new FakeDisk() }).start();
    initiator = await connect(server.port);
  });
  after(async () => {
    await initiator.close();
    await server.stop();
    assert.deepEqual(server.faults, []);
    assert.equal(server.accepted, 1, 'the session has stayed as it was');
  });

  it('the commands say that there is no such unit', () => removal(initiator, [1, 0, 2], () => server.disks.delete(1)));

  it('a unit attention says that the list of LUNs has changed', () =>
    removal(initiator, [2, 0], () => {
      server.disks.delete(2);
      let told = false;
      server.script.onCommand = ({ lun }) => {
        if (told || lun !== 0) return 'serve';
        told = true;
        return { sense: Senses.ReportedLunsChanged };
      };
    }));
});

describe('F30 a LUN of tgt is removed', { skip: tgtMissing() }, () => {
  let tgt: Tgt;
  let initiator: Initiator;
  before(async () => {
    tgt = await startTgt(2 ** 24);
    const second = join(tgt.folder, 'second.img');
    writeFileSync(second, Buffer.alloc(2 ** 20));
    tgt.adm('--op', 'new', '--mode', 'logicalunit', '--tid', '1', '--lun', '2', '-b', second);
    initiator = await connect(tgt.port, { targetName: TGT_TARGET });
  });
  after(async () => {
    await initiator.close();
    await tgt.stop();
  });

  it('by tgtadm, under I/O', () =>
    removal(initiator, [2, 1], () => {
      tgt.adm('--op', 'delete', '--mode', 'logicalunit', '--tid', '1', '--lun', '2');
    }));
});
