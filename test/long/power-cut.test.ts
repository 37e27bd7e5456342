// F22: the power goes while an initiator writes. An NBD server with a write-back cache stands for a disk with one: killed, it
// leaves exactly what was flushed to it. Every block holds what was last known to be stable, or something newer that was asked
// for, whole and at its own place. POWER_CUTS is the number of cuts, TARGET_KILLS that of kills of the target process alone, after
// which nothing that was acknowledged may be missing.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BlockDevice, BlockFlag } from '../../src/block/block-device.js';
import { flush, writeBytes } from '../../src/block/promise.js';
import { openNbd } from '../../src/services/serve/backstores/nbd.js';
import { connect } from '../faults/initiator.js';
import { count, figure } from '../faults/rig.js';
import { FaultyDisk, fileioObject, missing, nbdObject, STORE_TARGET, serveStores } from '../faults/store-rig.js';

const CUTS = count('POWER_CUTS', 4);
const KILLS = count('TARGET_KILLS', 1);
const BLOCK = 4096;
const SECTOR = 512;
const BLOCKS = 256;
const SIZE = BLOCKS * BLOCK;
const WRITERS = 6;
/** The longest time that passes before a cut, milliseconds. */
const LONGEST = 300;
/** Disks that are cut side by side: most of the time of a cut is spent waiting. */
const LANES = 4;
const KINDS = ['a file, by iSCSI', 'the nbd backstore'] as const;

/** Every sector of a block says where it belongs and which write it is of, over and over: a torn one contradicts itself. */
function stamped(block: number, sequence: number): Buffer {
  const bytes = Buffer.alloc(BLOCK);
  for (let at = 0; at < BLOCK; at += 8) {
    bytes.writeUInt32BE(block, at);
    bytes.writeUInt32BE(sequence, at + 4);
  }
  return bytes;
}

/** What is known of a disk whose blocks are written with growing numbers. */
class Ledger {
  #next = 1;
  /** By block: the last write asked for, acknowledged, and known to be stable. */
  readonly #asked = new Array<number>(BLOCKS).fill(0);
  readonly #done = new Array<number>(BLOCKS).fill(0);
  readonly #stable = new Array<number>(BLOCKS).fill(0);
  readonly #busy = new Set<number>();
  flushed = 0;
  /** How often a block was found older than the last acknowledged write: the cache did lose something. */
  lost = 0;

  /** Writes and flushes until `stop`, or until the disk fails. */
  async write(device: BlockDevice, stop: AbortSignal): Promise<void> {
    try {
      while (!stop.aborted) {
        const dice = Math.random();
        if (dice < 0.08) await this.#flush(device);
        else await this.#writeOne(device, dice < 0.2);
      }
    } catch {
      // The power is gone.
    }
  }
  async #writeOne(device: BlockDevice, fua: boolean): Promise<void> {
    const block = Math.floor(Math.random() * BLOCKS);
    if (this.#busy.has(block)) return;
    this.#busy.add(block);
    try {
      const sequence = this.#next++;
      this.#asked[block] = sequence;
      await writeBytes(device, block * BLOCK, stamped(block, sequence), fua ? BlockFlag.Fua : 0);
      this.#done[block] = sequence;
      if (fua) this.#stable[block] = sequence;
    } finally {
      this.#busy.delete(block);
    }
  }
  async #flush(device: BlockDevice): Promise<void> {
    const before = this.#done.slice();
    await flush(device);
    this.flushed++;
    for (const [block, sequence] of before.entries())
      this.#stable[block] = Math.max(this.#stable[block] ?? 0, sequence);
  }

  /** Compares with what is left, `atLeast` of it, and goes on from there. */
  check(content: Buffer, atLeast: 'stable' | 'acknowledged'): void {
    for (let block = 0; block < BLOCKS; block++) {
      const least = (atLeast === 'stable' ? this.#stable[block] : this.#done[block]) ?? 0;
      const found = [];
      for (let at = 0; at < BLOCK; at += SECTOR) {
        found.push(readSector(content.subarray(block * BLOCK + at, block * BLOCK + at + SECTOR), block));
      }
      const [oldest, newest] = [Math.min(...found), Math.max(...found)];
      assert.ok(oldest >= least, `block ${block}: ${found.join(',')} are older than the ${atLeast} write ${least}`);
      assert.ok(newest <= (this.#asked[block] ?? 0), `block ${block}: write ${newest} was never asked for`);
      if (oldest < (this.#done[block] ?? 0)) this.lost++;
      // What it holds now is on the medium. A half of it may be of another write, and the older one is what is certain.
      this.#done[block] = this.#stable[block] = oldest;
      this.#asked[block] = newest;
    }
  }
}

/** The number of the write that a sector is of. */
function readSector(sector: Buffer, block: number): number {
  const sequence = sector.readUInt32BE(4);
  const expected = sequence === 0 ? Buffer.alloc(SECTOR) : stamped(block, sequence).subarray(0, SECTOR);
  assert.ok(
    sector.equals(expected),
    `a sector of block ${block} is torn, or of another block: ${sector.toString('hex', 0, 32)}`,
  );
  return sequence;
}

function emptyImage(path: string): void {
  const file = openSync(path, 'w');
  ftruncateSync(file, SIZE);
  closeSync(file);
}

async function work(ledger: Ledger, device: BlockDevice, cut: () => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const writers = Array.from({ length: WRITERS }, () => ledger.write(device, stop.signal));
  await sleep(Math.random() * LONGEST);
  await cut();
  stop.abort();
  await Promise.all(writers);
}

describe(`F22: ${CUTS} power cuts`, { skip: missing('nbdkit', 'nbdfuse') }, () => {
  for (const kind of KINDS) {
    it(`on ${kind}`, async () => {
      const cuts = Math.ceil(CUTS / 2);
      const lanes = Math.min(LANES, cuts);
      const ledgers = await Promise.all(
        Array.from({ length: lanes }, (_, lane) => cutOften(kind, Math.ceil((cuts - lane) / lanes))),
      );
      const flushed = ledgers.reduce((sum, ledger) => sum + ledger.flushed, 0);
      const lost = ledgers.reduce((sum, ledger) => sum + ledger.lost, 0);
      figure('F22', `${kind}: ${cuts} cuts, ${flushed} flushes, 0 flushed blocks lost, ${lost} unflushed ones gone`);
      assert.ok(flushed > 0 || cuts < 10, 'the cuts came between flushes');
      assert.ok(lost > 0 || cuts < 50, 'a cut that takes nothing is none');
    });
  }
});

/** A disk of its own that loses its power `cuts` times, and what was left each time. */
async function cutOften(kind: (typeof KINDS)[number], cuts: number): Promise<Ledger> {
  const disk = new FaultyDisk();
  const base = join(disk.folder, 'base.img');
  emptyImage(base);
  const ledger = new Ledger();
  try {
    for (let i = 0; i < cuts; i++) {
      await disk.start('--filter=cache', 'file', base, 'cache=writeback');
      if (kind === 'the nbd backstore') {
        const store = await openNbd(nbdObject('cut', disk.socket), { patienceMs: 0 });
        await work(ledger, store.device, () => disk.cut());
        await store.close(false);
      } else {
        const rig = await serveStores([fileioObject('cut', await disk.file(), SIZE)]);
        await work(ledger, rig.initiator.lun, () => disk.cut());
        await rig.close();
        await disk.unmount();
      }
      ledger.check(readFileSync(base), 'stable');
    }
  } finally {
    await disk.remove();
  }
  return ledger;
}

describe(`F22: the target killed ${KILLS} times`, () => {
  it('what was acknowledged is in the file, flushed or not', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lunctl-f22-'));
    const image = join(folder, 'disk.img');
    emptyImage(image);
    const ledger = new Ledger();
    try {
      for (let i = 0; i < KILLS; i++) {
        const main = join(import.meta.dirname, '../faults/serve-main.ts');
        const child = spawn(process.execPath, ['--import', 'tsx', main, image, String(SIZE), 'true'], {
          stdio: ['pipe', 'pipe', 'inherit'],
        });
        const ended = new Promise((resolve) => child.once('close', resolve));
        const port = await new Promise<string>((resolve, reject) => {
          child.stdout.setEncoding('utf8').once('data', resolve);
          void ended.then(() => reject(new Error('the target has ended')));
        });
        const initiator = await connect(Number(port), { targetName: STORE_TARGET });
        await work(ledger, initiator.lun, async () => {
          child.kill('SIGKILL');
          await ended;
          // Else what is in flight would wait for the target to come back.
          await initiator.open.close();
        });
        ledger.check(readFileSync(image), 'acknowledged');
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
    figure('F22', `${KILLS} kills of the target, 0 acknowledged blocks lost`);
  });
});
