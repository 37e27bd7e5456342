// The data surface of disks of every shape: above 2 TiB, blocks of 512 and of 4096 bytes with requests that do not fit
// them, blocks given back, many LUNs and high numbers; on tgt, istgt and our own target.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openFileDevice } from '../../src/block/file-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { login } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import { lunBlockMap, lunDetails } from '../../src/services/lun/control.js';
import type { SessionInfo } from '../../src/services/session/info.js';
import { NbdClient } from '../faults/nbd-client.js';
import { ISTGT_TARGET, istgtMissing, startIstgt } from '../helpers/istgt.js';
import { loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';
import { startTgt, TGT_TARGET, tgtMissing } from '../helpers/tgt.js';
import { startUnits, UNITS_TARGET } from '../helpers/units-target.js';

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const TIB = 2 ** 40;

/** A disk behind some target. */
interface Disk {
  readonly targetName: string;
  readonly port: number;
  readonly lun: number;
  /** The sparse file that holds its bytes. */
  readonly image: string;
  stop(): Promise<void>;
}

interface Kind {
  readonly name: string;
  readonly blockSize: 512 | 4096;
  readonly missing: string | false;
  start(sizeBytes: number): Promise<Disk>;
}

async function tgtDisk(sizeBytes: number, blockSize: number): Promise<Disk> {
  const tgt = await startTgt(16 * MIB);
  const image = join(tgt.folder, 'second.img');
  writeFileSync(image, '');
  truncateSync(image, sizeBytes);
  const unit = ['--mode', 'logicalunit', '--tid', '1', '--lun', '2'];
  tgt.adm('--op', 'new', ...unit, '-b', image, '--blocksize', String(blockSize));
  tgt.adm('--op', 'update', ...unit, '--params', 'thin_provisioning=1');
  return { targetName: TGT_TARGET, port: tgt.port, lun: 2, image, stop: () => tgt.stop() };
}

async function istgtDisk(sizeBytes: number, blockSize: number): Promise<Disk> {
  const istgt = await startIstgt(sizeBytes / MIB, null, undefined, blockSize);
  return { targetName: ISTGT_TARGET, port: istgt.port, lun: 0, image: istgt.image, stop: () => istgt.stop() };
}

async function ownDisk(sizeBytes: number, blockSize: 512 | 4096): Promise<Disk> {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-own-'));
  const image = join(folder, 'disk.img');
  writeFileSync(image, '');
  truncateSync(image, sizeBytes);
  const device = await openFileDevice(image, { blockSize });
  const target = await startUnits(new Map([[0, device]]));
  const stop = async () => {
    await target.stop();
    await device.close();
    rmSync(folder, { recursive: true });
  };
  return { targetName: UNITS_TARGET, port: target.port, lun: 0, image, stop };
}

const KINDS: readonly Kind[] = ([512, 4096] as const).flatMap((blockSize) => [
  { name: `tgt, ${blockSize}`, blockSize, missing: tgtMissing(), start: (size) => tgtDisk(size, blockSize) },
  { name: `istgt, ${blockSize}`, blockSize, missing: istgtMissing(), start: (size) => istgtDisk(size, blockSize) },
  { name: `our own, ${blockSize}`, blockSize, missing: false, start: (size) => ownDisk(size, blockSize) },
]);

/** A disk, a session to it and a client of its export. */
interface Reached {
  readonly disk: Disk;
  readonly session: SessionInfo;
  readonly client: NbdClient;
  readonly folder: RunFolder;
  end(): Promise<void>;
}

async function reach(disk: Disk): Promise<Reached> {
  const folder = makeRunFolder();
  const close = async () => {
    const results = await logout(folder.sids().map(Number), { paths: folder.paths });
    await disk.stop();
    assert.deepEqual(folder.workers(), []);
    folder.remove();
    return results;
  };
  try {
    const session = await login(loginRequest(disk.targetName, disk.port), { paths: folder.paths });
    const client = await NbdClient.connect(session.socket, `lun${disk.lun}`);
    const end = async () => {
      client.close();
      for (const { error } of await close()) assert.equal(error, null);
    };
    return { disk, session, client, folder, end };
  } catch (error) {
    await close();
    throw error;
  }
}

async function fromFile(image: string, offset: number, length: number): Promise<Buffer> {
  const file = await open(image);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
    assert.equal(bytesRead, length);
    return buffer;
  } finally {
    await file.close();
  }
}

/** What the file holds on disk, bytes. */
function allocated(image: string): number {
  return statSync(image).blocks * 512;
}

for (const { name, blockSize, missing, start } of KINDS) {
  describe(`a disk in blocks (${name})`, { skip: missing }, () => {
    const size = 3 * TIB;
    let at: Reached;
    before(async () => {
      at = await reach(await start(size));
    });
    after(() => at?.end());

    it('of 3 TiB: every byte around 1, 2 and 3 TiB is where it belongs, and nowhere else', async () => {
      const { client, session, disk } = at;
      const device = session.devices.find(({ lun }) => lun === disk.lun);
      assert.deepEqual([device?.sizeBytes, device?.blockSize], [size, blockSize]);
      assert.equal(client.size, size);
      const length = 64 * KIB;
      // LBA 2^32 of 512-byte blocks is at 2 TiB; the one before the last straddles it.
      const places = [0, TIB - length, TIB, 2 * TIB - length / 2, 2 * TIB + length, size - length];
      const written = places.map(() => randomBytes(length));
      await Promise.all(places.map((place, i) => client.write(place, written[i] as Buffer)));
      await client.flush();
      for (const [i, place] of places.entries()) {
        assert.ok((await client.read(place, length)).equals(written[i] as Buffer), `read at ${place}`);
        assert.ok((await fromFile(disk.image, place, length)).equals(written[i] as Buffer), `file at ${place}`);
      }
      // Where a number of 32 bits, or of bytes in 2^41, would have wrapped to.
      for (const place of [length, TIB + length, 2 * TIB - length]) {
        assert.ok((await client.read(place, length / 2)).equals(Buffer.alloc(length / 2)), `nothing at ${place}`);
      }
      await assert.rejects(client.read(size - 512, 1024), { errno: 22 });
      assert.ok(allocated(disk.image) < 64 * MIB);
    });

    it('takes requests of any place and length, side by side, without losing a byte', async () => {
      const { client, disk } = at;
      const model = randomBytes(MIB);
      await client.write(0, model);
      // Cuts of 1 to 3,000 bytes, next to each other: most blocks are shared by several of them.
      const cuts: { at: number; data: Buffer }[] = [];
      for (let at = 1; at < model.length - 3000; ) {
        const data = randomBytes(1 + ((at * 7919) % 3000));
        cuts.push({ at, data });
        at += data.length;
      }
      cuts.sort((a, b) => ((a.at * 31) % 1009) - ((b.at * 31) % 1009));
      await Promise.all(cuts.map(({ at, data }) => client.write(at, data)));
      for (const { at, data } of cuts) data.copy(model, at);
      assert.ok((await client.read(0, model.length)).equals(model));
      assert.ok((await client.read(777, 12_345)).equals(model.subarray(777, 777 + 12_345)));
      await client.writeZeroes(5001, 10_000);
      model.fill(0, 5001, 15_001);
      await client.write(15_001, Buffer.from('end'), { fua: true });
      model.write('end', 15_001);
      assert.ok((await client.read(0, model.length)).equals(model));
      await client.flush();
      assert.ok((await fromFile(disk.image, 0, model.length)).equals(model));
    });

    it('gives back what is trimmed, where the unit can, and never more than was asked for', async () => {
      const { client, session, disk, folder } = at;
      const { can } = await lunDetails(folder.paths, { sid: session.sid, lun: disk.lun }, {});
      const base = 2 * TIB + 4 * KIB;
      const data = randomBytes(8 * MIB);
      await client.write(base, data);
      await client.flush();
      const held = allocated(disk.image);
      assert.equal(can.trim, !name.startsWith('istgt'));
      if (!can.trim) {
        // The export does not offer it.
        await assert.rejects(client.trim(base, data.length), { errno: 22 });
        await client.writeZeroes(base + 100, 7 * MIB);
        data.fill(0, 100, 100 + 7 * MIB);
        assert.ok((await client.read(base, data.length)).equals(data));
        return;
      }
      // From inside a block to inside another one, longer than many units take at once.
      await client.trim(base + MIB + 100, 4 * MIB);
      await client.flush();
      const after = await client.read(base, data.length);
      assert.ok(after.subarray(0, MIB + 100).equals(data.subarray(0, MIB + 100)), 'before the range');
      assert.ok(after.subarray(5 * MIB + 100).equals(data.subarray(5 * MIB + 100)), 'behind the range');
      const inside = after.subarray(MIB + 4 * KIB, 5 * MIB);
      assert.ok(inside.equals(Buffer.alloc(inside.length)), 'what is given back reads as zeros here');
      assert.ok(held - allocated(disk.image) >= 3 * MIB, `${held} to ${allocated(disk.image)}`);
      // The largest range that NBD can name, in as many commands as the unit's limits need.
      await client.trim(TIB, 2 ** 32 - 4096);
      await client.writeZeroes(base, 8 * MIB);
      assert.ok((await client.read(base, 8 * MIB)).equals(Buffer.alloc(8 * MIB)));
    });
  });
}

describe('LUNs of one session', () => {
  it('at numbers of both addressing methods: 0, 255, 256 and 16,383', async () => {
    const numbers = [0, 255, 256, 16_383];
    const devices = new Map(numbers.map((lun) => [lun, new MemoryDevice({ sizeBytes: MIB })]));
    const target = await startUnits(devices);
    const folder = makeRunFolder();
    try {
      const session = await login(loginRequest(UNITS_TARGET, target.port), { paths: folder.paths });
      assert.deepEqual(
        session.devices.map(({ lun, exportName }) => [lun, exportName]),
        numbers.map((lun) => [lun, `lun${lun}`]),
      );
      for (const lun of numbers) {
        const client = await NbdClient.connect(session.socket, `lun${lun}`);
        await client.write(4096, Buffer.from(`this is ${lun}`.padEnd(512)));
        client.close();
      }
      for (const lun of numbers) {
        const client = await NbdClient.connect(session.socket, `lun${lun}`);
        assert.equal((await client.read(4096, 512)).toString().trim(), `this is ${lun}`);
        client.close();
      }
    } finally {
      await logout(folder.sids().map(Number), { paths: folder.paths });
      await target.stop();
      folder.remove();
    }
  });
});

describe('the map of a thin disk of tgt', { skip: tgtMissing() }, () => {
  it('tells what has been written', async () => {
    const { client, session, folder, disk, end: done } = await reach(await tgtDisk(64 * MIB, 512));
    try {
      await client.write(16 * MIB, randomBytes(MIB));
      await client.flush();
      const place = { sid: session.sid, lun: disk.lun };
      const runs = await lunBlockMap(folder.paths, place, { lba: 0, end: Number.POSITIVE_INFINITY }, {});
      const mapped = runs.filter(({ state }) => state === 'mapped').map(({ lba, blocks }) => [lba, blocks]);
      assert.deepEqual(mapped, [[(16 * MIB) / 512, MIB / 512]]);
      assert.equal(
        runs.reduce((sum, { blocks }) => sum + blocks, 0),
        (64 * MIB) / 512,
      );
    } finally {
      await done();
    }
  });
});
