// EXTENDED COPY and RECEIVE COPY RESULTS (SPC-4 §5.17): which copies are carried out, and whose disks they may touch.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { naaFromSerial } from '../../src/scsi/designator.js';
import { LogicalUnit } from '../../src/target/logical-unit.js';
import { answerOf, begin, run } from './run-command.js';
import { INITIATOR, makeNode, pattern, ScriptedInitiator } from './scripted-initiator.js';

const SECOND = 'iqn.2022-08.com.test:node02.initiator02';
const SIZE = 2 ** 22;
const BLOCK = 512;
const SERIALS = ['a0'.repeat(16), 'b1'.repeat(16), 'c2'.repeat(16)] as const;

interface Segment {
  readonly from?: number;
  readonly to?: number;
  readonly blocks: number;
  readonly sourceLba?: number;
  readonly destinationLba?: number;
  readonly dc?: boolean;
}

/** A list as ESXi and iscsi-test-cu lay it out: identification descriptors with the NAA name, block to block segments. */
function list(
  serials: readonly string[],
  segments: readonly Segment[],
  { id = 1, usage = 0, blockSize = BLOCK } = {},
): Buffer {
  const targets = serials.map((serial) => {
    const b = Buffer.alloc(32);
    b[0] = 0xe4;
    b.set([1, 3, 0, 16], 4);
    Buffer.from(naaFromSerial(serial), 'hex').copy(b, 8);
    b.writeUIntBE(blockSize, 29, 3);
    return b;
  });
  const moves = segments.map(({ from = 0, to = 1, blocks, sourceLba = 0, destinationLba = 0, dc = false }) => {
    const b = Buffer.alloc(28);
    b.set([0x02, dc ? 2 : 0, 0, 24]);
    b.writeUInt16BE(from, 4);
    b.writeUInt16BE(to, 6);
    b.writeUInt16BE(blocks, 10);
    b.writeBigUInt64BE(BigInt(sourceLba), 12);
    b.writeBigUInt64BE(BigInt(destinationLba), 20);
    return b;
  });
  const header = Buffer.alloc(16);
  header[0] = id;
  header[1] = usage << 3;
  header.writeUInt16BE(32 * targets.length, 2);
  header.writeUInt32BE(28 * moves.length, 8);
  return Buffer.concat([header, ...targets, ...moves]);
}

function copyCdb(bytes: Buffer): string {
  return `83 00 0000000000000000 ${bytes.length.toString(16).padStart(8, '0')} 0000`;
}
function copy(initiator: ScriptedInitiator, bytes: Buffer, lun = 0) {
  return run(initiator, copyCdb(bytes), { data: bytes, lun });
}

/**
 * Disks A, B and C; the first initiator has A and B as LUN 0 and 1, the second A and C, and A once more as read-only LUN 2.
 * `held`: what a piece of a copy waits for.
 */
async function ready(held: (() => void)[] | null = null) {
  const pause = held === null ? {} : { pause: () => new Promise<void>((resolve) => held.push(resolve)) };
  const devices = SERIALS.map(() => new MemoryDevice({ sizeBytes: SIZE }));
  const units = SERIALS.map((serial, i) => {
    return new LogicalUnit({ name: `disk${i}`, serial, device: devices[i] as MemoryDevice, ...pause });
  });
  const luns = units.map((unit, lun) => ({ lun, unit }));
  const map = (tpgLuns: readonly number[], readOnly: readonly number[] = []) =>
    tpgLuns.map((tpgLun, mappedLun) => ({ mappedLun, tpgLun, readOnly: readOnly.includes(mappedLun) }));
  const acls = [
    { initiatorName: INITIATOR, auth: null, mappedLuns: map([0, 1]) },
    { initiatorName: SECOND, auth: null, mappedLuns: map([0, 2, 1], [2]) },
  ];
  const node = makeNode({ acls, group: { luns } });
  const [first, second] = [INITIATOR, SECOND].map((name, i) => {
    const initiator = new ScriptedInitiator(node, Buffer.from(`80aabbcc000${i + 1}`, 'hex'));
    assert.equal(initiator.login(initiator.names(name)).response.statusClass, 0);
    return initiator;
  }) as [ScriptedInitiator, ScriptedInitiator];
  for (const initiator of [first, second]) for (const lun of [0, 1, 2]) await run(initiator, '00', { lun });
  for (const [i, device] of devices.entries()) await writeBytes(device, 0, pattern(SIZE, i + 1));
  const [a, b, c] = devices as [MemoryDevice, MemoryDevice, MemoryDevice];
  const unchanged = async (): Promise<void> => {
    for (const [i, device] of devices.entries()) {
      assert.ok((await readBytes(device, 0, SIZE)).equals(pattern(SIZE, i + 1)), `disk ${i} has changed`);
    }
  };
  return { first, second, a, b, c, units, unchanged };
}

describe('EXTENDED COPY', () => {
  test('copies between the LUNs of the nexus, several segments in order, more than a piece long', async () => {
    const { first, a, b } = await ready();
    const segments = [
      { blocks: 5000, sourceLba: 8, destinationLba: 16 },
      { from: 1, to: 0, blocks: 4, sourceLba: 16, destinationLba: 8000 },
    ];
    assert.equal((await copy(first, list([SERIALS[0], SERIALS[1]], segments))).status, 0);
    const moved = pattern(SIZE).subarray(8 * BLOCK, 5008 * BLOCK);
    assert.ok((await readBytes(b, 16 * BLOCK, moved.length)).equals(moved));
    assert.ok((await readBytes(a, 8000 * BLOCK, 4 * BLOCK)).equals(moved.subarray(0, 4 * BLOCK)));
    assert.ok((await readBytes(b, 0, 16 * BLOCK)).equals(pattern(SIZE, 2).subarray(0, 16 * BLOCK)));
  });

  test('a unit that the nexus has not does not exist for it, whatever another nexus has', async () => {
    const { first, second, unchanged } = await ready();
    const [a, b, c] = SERIALS;
    for (const [initiator, from, to] of [
      [first, a, c],
      [first, c, a],
      [second, c, 'd3'.repeat(16)],
    ] as const) {
      const { sense } = await copy(initiator, list([from, to], [{ blocks: 8 }]));
      assert.equal(sense, '0a/0d/02');
    }
    // B is there for the second one, to be read: it may be a source, and no destination.
    assert.equal((await copy(second, list([c, b], [{ blocks: 8 }]))).sense, '0a/0d/01');
    await unchanged();
    assert.equal((await copy(second, list([b, c], [{ blocks: 8 }]))).status, 0);
  });

  test('reservations of others are honoured for source and destination', async () => {
    const { first, second, unchanged } = await ready();
    const key = Buffer.from('000000000000000000000000000000ff0000000000000000', 'hex');
    const hold = Buffer.from('00000000000000ff00000000000000000000000000000000', 'hex');
    const reserve = async (type: string): Promise<void> => {
      assert.equal((await run(second, '5f06 0000000000 0018 00', { data: key })).status, 0);
      assert.equal((await run(second, `5f01 ${type} 00000000 0018 00`, { data: hold })).status, 0);
    };
    await reserve('01');
    const [a, b] = SERIALS;
    // Sent to LUN 1, which is not reserved, so that the copy manager is the one that asks.
    assert.equal((await copy(first, list([b, a], [{ blocks: 8 }]), 1)).sense, '0a/0d/01');
    await unchanged();
    assert.equal((await copy(first, list([a, b], [{ blocks: 8 }]), 1)).status, 0);
    assert.equal((await run(second, '5f03 0000000000 0018 00', { data: hold })).status, 0);
    await reserve('03');
    await run(first, '00', { lun: 0 });
    assert.equal((await copy(first, list([a, b], [{ blocks: 8 }]), 1)).sense, '0a/0d/01');
  });

  test('nothing is written before every segment has been found to be in order', async () => {
    const { first, unchanged } = await ready();
    const names = [SERIALS[0], SERIALS[1]];
    const end = SIZE / BLOCK;
    for (const [bad, sense] of [
      [{ blocks: 8, destinationLba: end - 7 }, '0a/00/00'],
      [{ blocks: 8, sourceLba: end }, '0a/00/00'],
      [{ blocks: 8, sourceLba: 2 ** 53 }, '0a/00/00'],
      [{ blocks: 8, to: 2 }, '0a/08/04'],
      [{ blocks: 8, from: 65_535 }, '0a/08/04'],
    ] as const) {
      assert.equal((await copy(first, list(names, [{ blocks: 16 }, bad]))).sense, sense);
    }
    assert.equal((await copy(first, list(names, [{ blocks: 16 }], { blockSize: 4096 }))).sense, '0a/0d/03');
    await unchanged();
  });

  test('lists that are too long, too short or of other kinds are refused; an empty one is nothing to do', async () => {
    const { first, unchanged } = await ready();
    const names = [SERIALS[0], SERIALS[1]];
    const good = list(names, [{ blocks: 8 }]);
    const changed = (at: number, value: number): Buffer => {
      const bytes = Buffer.from(good);
      bytes[at] = value;
      return bytes;
    };
    const many = (n: number) => Array.from({ length: n }, () => ({ blocks: 8 }));
    for (const [bytes, sense] of [
      [good.subarray(0, 15), '05/1a/00'],
      [good.subarray(0, good.length - 1), '05/1a/00'],
      [Buffer.concat([good, Buffer.alloc(1)]), '05/1a/00'],
      [changed(16, 0xe0), '05/26/07'],
      [changed(80, 0x04), '05/26/09'],
      [changed(83, 23), '05/26/00'],
      [changed(23, 21), '05/26/00'],
      [changed(15, 1), '05/26/00'],
      [changed(1, 1 << 3), '05/26/00'],
      [changed(1, 3 << 3), '05/26/00'],
      [list(Array(17).fill(SERIALS[0]), many(1)), '05/26/06'],
      [list(names, many(65)), '05/26/08'],
      [list(Array(17).fill(SERIALS[0]), many(65)), '05/1a/00'],
    ] as const) {
      assert.equal((await copy(first, bytes)).sense, sense);
    }
    assert.equal((await run(first, copyCdb(Buffer.alloc(0)))).status, 0);
    assert.equal((await run(first, '83 01 0000000000000000 00000000 0000')).sense, '05/24/00');
    assert.equal((await run(first, '83 00 0000000000000000 ffffffff 0000')).sense, '05/1a/00');
    await unchanged();
  });

  test('any byte of a list may be wrong: the command ends, and other ranges stay as they are', async () => {
    const { first, c } = await ready();
    const good = list([SERIALS[0], SERIALS[1]], [{ blocks: 8 }]);
    for (let at = 0; at < good.length; at++) {
      for (const value of [0x00, 0x7f, 0xff]) {
        const bytes = Buffer.from(good);
        bytes[at] = value;
        const { status } = await copy(first, bytes);
        assert.ok(status === 0 || status === 2, `byte ${at}: status ${status}`);
      }
    }
    assert.equal((await run(first, '00')).status, 0);
    assert.ok((await readBytes(c, 0, SIZE)).equals(pattern(SIZE, 3)));
  });

  test('one that is reset stops, and says so', async () => {
    const held: (() => void)[] = [];
    const { first, units, b } = await ready(held);
    const bytes = list([SERIALS[0], SERIALS[1]], [{ blocks: 6000 }]);
    begin(first, copyCdb(bytes), { data: bytes });
    await first.settle();
    assert.equal(held.length, 1);
    // The same list identifier is in use, for this nexus.
    assert.equal((await copy(first, bytes)).sense, '05/00/16');
    let ended = false;
    units[0]?.reset(() => {
      ended = true;
    });
    assert.equal(ended, false);
    held[0]?.();
    await first.settle();
    assert.equal(ended, true);
    assert.ok((await readBytes(b, 2 ** 20, 2 ** 20)).equals(pattern(SIZE, 2).subarray(2 ** 20, 2 ** 21)));
  });
});

describe('RECEIVE COPY RESULTS', () => {
  const results = (initiator: ScriptedInitiator, action: string, id = '01') =>
    run(initiator, `84 ${action} ${id} 00000000000000 000000ff 0000`, { read: 255 });

  test('tells the nexus that ordered the copy how it went, and nobody else', async () => {
    const { first, second } = await ready();
    const names = [SERIALS[0], SERIALS[1]];
    assert.equal((await results(first, '00')).sense, '05/24/00');
    await copy(first, list(names, [{ blocks: 8 }, { blocks: 2 }]));
    const { data } = await results(first, '00');
    assert.deepEqual([...data], [0, 0, 0, 8, 1, 0, 2, 0, 0, 0, 0x14, 0]);
    assert.equal((await results(second, '00')).sense, '05/24/00');
    assert.equal((await results(first, '04')).data.length, 4);
    await copy(first, list(names, [{ blocks: 8, to: 7 }], { id: 2 }));
    const failed = (await results(first, '04', '02')).data;
    assert.deepEqual([failed[56], failed.readUInt16BE(58), (failed[62] ?? 0) & 0x0f, failed[72]], [2, 18, 0x0a, 0x08]);
    await copy(first, list(names, [{ blocks: 8 }], { id: 3, usage: 2 }));
    assert.equal((await results(first, '00', '03')).sense, '05/24/00');
    assert.equal((await results(first, '01')).sense, '05/24/00');
  });

  test('says while it runs how far it is, and keeps no more than 16 outcomes', async () => {
    const held: (() => void)[] = [];
    const { first } = await ready(held);
    const bytes = list([SERIALS[0], SERIALS[1]], [{ blocks: 4096 }]);
    begin(first, copyCdb(bytes), { data: bytes });
    await first.settle();
    assert.deepEqual([...(await results(first, '00')).data], [0, 0, 0, 8, 0, 0, 0, 0, 0, 0x10, 0, 0]);
    held.shift()?.();
    await first.settle();
    held.shift()?.();
    assert.equal(answerOf(await first.settle()).status, 0);
    for (let id = 2; id < 40; id++) await copy(first, list([SERIALS[0], SERIALS[1]], [], { id }));
    assert.equal((await results(first, '00', '01')).sense, '05/24/00');
    assert.equal((await results(first, '00', '27')).data[4], 1);
  });

  test('operating parameters state what one list may hold', async () => {
    const { first } = await ready();
    const { data } = await results(first, '03');
    assert.deepEqual([data.readUInt16BE(8), data.readUInt16BE(10), data.readUInt32BE(12)], [16, 64, 2304]);
    assert.deepEqual([...data.subarray(43)], [2, 0x02, 0xe4]);
  });
});
