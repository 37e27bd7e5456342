// F31: another disk behind the same LUN after the target was away: not one byte of what waited is written to it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockStatus } from '../../src/block/block-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { pattern, until } from '../helpers/stream-core.js';
import { FakeDisk } from './fake-disk.js';
import { FakeServer } from './fake-server.js';
import { connect } from './initiator.js';
import { count, figure } from './rig.js';

/** Swaps while the target is down; 100 in the long form. */
const SWAPS = count('F31_SWAPS', 4);
const BLOCK = 4096;
const WRITES = 16;

/** What makes it another disk; its size and its name may well be the same. */
const DIFFERENCES: readonly (() => FakeDisk)[] = [
  () => new FakeDisk(),
  () => new FakeDisk({ product: 'ANOTHER' }),
  () => new FakeDisk({ sizeBytes: 2 ** 23 }),
  () => new FakeDisk({ writeCache: false }),
];

/** Writes in flight and waiting when the target dies; resolves with how many bytes of the new disk have changed. */
async function swap(make: () => FakeDisk): Promise<number> {
  const server = await new FakeServer().start();
  const initiator = await connect(server.port);
  try {
    const old = server.disk();
    await writeBytes(initiator.lun, 0, pattern(BLOCK, 1));
    // Some are kept by the target, the others have not been sent yet when it dies.
    let kept = 0;
    server.script.onCommand = ({ op }) => (op === ScsiOp.Write16 && kept++ < WRITES / 2 ? 'keep' : 'serve');
    const first = Array.from({ length: WRITES / 2 }, (_, i) => writeBytes(initiator.lun, i * BLOCK, pattern(BLOCK, i)));
    const writes = first.map((write) => write.catch((error: { status: number }) => error.status));
    while (kept < WRITES / 2) await wait(2);
    await server.stop();
    for (let i = WRITES / 2; i < WRITES; i++) {
      writes.push(
        writeBytes(initiator.lun, i * BLOCK, pattern(BLOCK, i)).catch((error: { status: number }) => error.status),
      );
    }
    const other = make();
    const before = pattern(other.bytes.length, 99);
    before.copy(other.bytes);
    server.disks.set(0, other);
    delete server.script.onCommand;
    await server.start();
    assert.deepEqual(
      new Set(await Promise.all(writes)),
      new Set([BlockStatus.Eio]),
      'every request that waited ends with EIO',
    );
    await assert.rejects(writeBytes(initiator.lun, 0, pattern(BLOCK)), { status: BlockStatus.Eio });
    await assert.rejects(readBytes(initiator.lun, 0, BLOCK), { status: BlockStatus.Eio });
    await until(
      () => initiator.lines.some((line) => /^(warn|error): LUN 0 is another unit now/.test(line)),
      'the log says so',
    );
    assert.deepEqual(old.bytes.subarray(0, BLOCK), pattern(BLOCK, 1));
    return changed(other.bytes, before);
  } finally {
    await initiator.close();
    await server.stop();
    assert.deepEqual(server.faults, []);
  }
}

function changed(bytes: Buffer, before: Buffer): number {
  let different = 0;
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== before[at]) different++;
  return different;
}
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('F31 another disk behind the LUN', () => {
  it('after the target was away: 0 bytes written to it', async () => {
    let bytes = 0;
    for (let i = 0; i < SWAPS; i += 4) {
      const batch = Array.from({ length: Math.min(4, SWAPS - i) }, (_, k) =>
        swap(DIFFERENCES[(i + k) % DIFFERENCES.length] as () => FakeDisk),
      );
      for (const different of await Promise.all(batch)) bytes += different;
    }
    figure('F31', `${SWAPS} swaps, ${bytes} bytes written to the new disk`);
    assert.equal(bytes, 0);
  });

  it('without a lost connection, told by a unit attention: 0 bytes written to it', async () => {
    const server = await new FakeServer().start();
    const initiator = await connect(server.port);
    const other = new FakeDisk();
    let told = false;
    server.script.onCommand = ({ op }) => {
      if (told || op !== ScsiOp.Write16) return 'serve';
      told = true;
      server.disks.set(0, other);
      return { sense: Senses.InquiryDataChanged };
    };
    await assert.rejects(writeBytes(initiator.lun, 0, pattern(BLOCK)), { status: BlockStatus.Eio });
    assert.ok(other.bytes.every((byte) => byte === 0));
    await initiator.close();
    await server.stop();
  });

  it('that is the right one again is used again', async () => {
    const server = await new FakeServer().start();
    const initiator = await connect(server.port);
    const right = server.disk();
    server.disks.set(0, new FakeDisk());
    server.session.reset();
    await assert.rejects(writeBytes(initiator.lun, 0, pattern(BLOCK)), { status: BlockStatus.Eio });
    server.disks.set(0, right);
    server.session.reset();
    await wait(100);
    let written = false;
    for (let i = 0; i < 100 && !written; i++) {
      written = await writeBytes(initiator.lun, 0, pattern(BLOCK, 5)).then(
        () => true,
        () => wait(50).then(() => false),
      );
    }
    assert.ok(written);
    assert.deepEqual(right.bytes.subarray(0, BLOCK), pattern(BLOCK, 5));
    await initiator.close();
    await server.stop();
  });
});
