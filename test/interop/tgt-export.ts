// A session in front of tgt, and of its LUN it is known where it holds data and where the file behind it has holes.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { login } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import type { SessionInfo } from '../../src/services/session/info.js';
import { footprint } from '../faults/rig.js';
import { loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';
import { startTgt, TGT_TARGET, type Tgt } from '../helpers/tgt.js';

const MIB = 2 ** 20;
/** Of the LUN, bytes. */
export const SIZE = 32 * MIB;
/** Where the LUN holds data at first, in MiB: the rest is a hole in the file. */
export const DATA: readonly [from: number, to: number][] = [
  [0, 1],
  [8, 12],
  [24, 25],
];
/** Its one partition, bytes. */
export const PART = { from: 2 * MIB, length: 16 * MIB } as const;

export class TgtExport {
  readonly #runFolder: RunFolder;
  /** Open in the worker before its first client. */
  readonly #descriptors: number;

  private constructor(
    /** For a test's own files. */
    readonly folder: string,
    readonly tgt: Tgt,
    readonly session: SessionInfo,
    runFolder: RunFolder,
  ) {
    this.#runFolder = runFolder;
    this.#descriptors = footprint(session.pid).descriptors;
  }

  static async start(): Promise<TgtExport> {
    const folder = await mkdtemp(join(tmpdir(), 'lunctl-nbd-tools-'));
    const tgt = await startTgt(SIZE);
    const runFolder = makeRunFolder();
    try {
      await fill(tgt.image);
      tgt.adm('--op', 'update', '--mode', 'logicalunit', '--tid', '1', '--lun', '1', '--params', 'thin_provisioning=1');
      const session = await login(loginRequest(TGT_TARGET, tgt.port), { paths: runFolder.paths });
      assert.deepEqual(
        session.devices[0]?.partitions.map(({ exportName }) => exportName),
        ['lun1p1'],
      );
      return new TgtExport(folder, tgt, session, runFolder);
    } catch (error) {
      await remove(folder, tgt, runFolder);
      throw error;
    }
  }

  /** Of the LUN, `lun1`, or its partition, `lun1p1`. */
  uri(name = 'lun1'): string {
    return `nbd+unix:///${name}?socket=${encodeURIComponent(this.session.socket)}`;
  }

  /** Fails unless the worker soon holds no more descriptors than before its first client. */
  async holdsNoMore(): Promise<void> {
    let left = footprint(this.session.pid).descriptors;
    for (let i = 0; i < 100 && left > this.#descriptors; i++) {
      await sleep(50);
      left = footprint(this.session.pid).descriptors;
    }
    assert.ok(left <= this.#descriptors, `${this.#descriptors} → ${left} descriptors`);
  }

  async stop(): Promise<void> {
    await logout([this.session.sid], { paths: this.#runFolder.paths });
    await remove(this.folder, this.tgt, this.#runFolder);
  }
}

async function remove(folder: string, tgt: Tgt, runFolder: RunFolder): Promise<void> {
  runFolder.remove();
  await tgt.stop();
  await rm(folder, { recursive: true, force: true });
}

/** The LUN as it was at first: DATA of random bytes, a partition table in its first block, holes for the rest. */
async function fill(image: string): Promise<void> {
  await truncate(image, 0);
  await truncate(image, SIZE);
  const fd = openSync(image, 'r+');
  for (const [from, to] of DATA) writeSync(fd, randomBytes((to - from) * MIB), 0, (to - from) * MIB, from * MIB);
  // An MBR with one partition: exact to the sector, and no tool of today's taste.
  const mbr = Buffer.alloc(512);
  mbr[446 + 4] = 0x83;
  mbr.writeUInt32LE(PART.from / 512, 446 + 8);
  mbr.writeUInt32LE(PART.length / 512, 446 + 12);
  mbr.writeUInt16BE(0x55aa, 510);
  writeSync(fd, mbr, 0, 512, 0);
  assert.ok(fstatSync(fd).blocks * 512 < 16 * MIB, 'the file has holes');
  closeSync(fd);
}
