// The whole way: initiator, our target, nbd backstore, qemu-nbd, qcow2. The same bytes at both ends; and the engine killed in between.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { allocationOf } from '../../src/block/allocation.js';
import { BlockStatus } from '../../src/block/block-device.js';
import { flush, readBytes, trim, writeBytes } from '../../src/block/promise.js';
import { ScsiStatus } from '../../src/scsi/status.js';
import { pattern } from '../block/contract.js';
import { missing, nbdObject, read10, type StoreRig, SYNCHRONIZE_CACHE, serveStores, write10 } from './store-rig.js';

const SIZE = 32 * 2 ** 20;

describe('a gateway in front of an NBD engine', { skip: missing('qemu-nbd', 'qemu-img') }, () => {
  let folder: string;
  let socket: string;
  let image: string;
  let engine: ChildProcess | null = null;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'lunctl-gateway-'));
    socket = join(folder, 's');
    image = join(folder, 'disk.qcow2');
    assert.equal(spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, String(SIZE)]).status, 0);
  });
  after(async () => {
    await stopEngine('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  async function startEngine(): Promise<void> {
    // It is written once connections are taken, which is later than the socket is there.
    const ready = join(folder, 'pid');
    rmSync(socket, { force: true });
    rmSync(ready, { force: true });
    const args = ['-t', '-k', socket, `--pid-file=${ready}`, '-f', 'qcow2', '--discard=unmap', image];
    const child = spawn('qemu-nbd', args, { stdio: 'ignore' });
    engine = child;
    for (const end = Date.now() + 60_000; !existsSync(ready); ) {
      assert.ok(Date.now() < end && child.exitCode === null, 'qemu-nbd listens');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  async function stopEngine(signal: NodeJS.Signals): Promise<void> {
    const child = engine;
    engine = null;
    if (child === null || child.exitCode !== null) return;
    await new Promise<void>((resolve) => {
      child.once('close', () => resolve());
      child.kill(signal);
    });
  }
  /** The disk's content as qemu-img sees it, once nobody else has it. */
  function content(): Buffer {
    const raw = join(folder, 'content.raw');
    assert.equal(spawnSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', image, raw]).status, 0);
    return readFileSync(raw);
  }
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

  it('carries data, zeros and what is allocated in both directions', async () => {
    await startEngine();
    const rig = await serveStores([nbdObject('remote', socket)]);
    const { lun } = rig.initiator;
    assert.equal(lun.sizeBytes, SIZE);
    const expected = Buffer.alloc(SIZE);
    for (const [i, at] of [0, 3 * 2 ** 20 + 512, 17 * 2 ** 20, SIZE - 2 ** 20].entries()) {
      const bytes = pattern(2 ** 20, i + 1);
      bytes.copy(expected, at);
      await writeBytes(lun, at, bytes);
    }
    await trim(lun, 0, 2 ** 19);
    expected.fill(0, 0, 2 ** 19);
    await flush(lun);
    assert.equal(digest(await readBytes(lun, 0, SIZE)), digest(expected), 'read back by iSCSI');
    const extents = await allocationOf(lun, { offset: 6 * 2 ** 20, length: 2 ** 20 }, 1);
    assert.equal(extents[0]?.length, 2 ** 20);
    await rig.close();
    await stopEngine('SIGTERM');
    assert.equal(digest(content()), digest(expected), 'in the image');
  });

  it('the engine killed: what was flushed is there, and what was not is never called safe', async () => {
    await startEngine();
    const rig = await serveStores([nbdObject('remote', socket)]);
    const write = (lba: number, seed: number) => rig.scsi(0, write10(lba, 8), { out: pattern(4096, seed) });
    assert.equal((await write(0, 11)).status, ScsiStatus.Good);
    assert.equal((await rig.scsi(0, SYNCHRONIZE_CACHE)).status, ScsiStatus.Good);
    assert.equal((await write(8, 12)).status, ScsiStatus.Good);
    await stopEngine('SIGKILL');
    await startEngine();
    const first = await readUntilGood(rig);
    assert.ok(first.equals(pattern(4096, 11)), 'what was flushed');
    assert.equal((await write(16, 13)).status, ScsiStatus.Good, 'the LUN lives');
    for (let i = 0; i < 2; i++) {
      assert.equal(
        (await rig.scsi(0, SYNCHRONIZE_CACHE)).sense,
        '03/0c/00',
        'the write before the kill was never flushed',
      );
    }
    await rig.close();
    const again = await serveStores([nbdObject('remote', socket)]);
    assert.equal((await again.scsi(0, SYNCHRONIZE_CACHE)).status, ScsiStatus.Good, 'opened anew');
    await again.close();
    await stopEngine('SIGTERM');
  });

  /** A READ that was on its way when the engine was killed may fail; a later one does not. */
  async function readUntilGood(rig: StoreRig): Promise<Buffer> {
    for (let tries = 0; ; tries++) {
      const answer = await rig.scsi(0, read10(0, 8), { in: 4096 });
      if (answer.status === ScsiStatus.Good) return answer.data;
      assert.ok(tries < 2, `${BlockStatus.Eio}: ${answer.sense}`);
    }
  }
});
