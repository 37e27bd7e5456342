// Our initiator against our target, joined in memory: what a user's disk does between the two.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { flush, readBytes, trim, writeBytes, writeZeroes } from '../../src/block/promise.js';
import { Lun } from '../../src/initiator/lun.js';
import { DEFAULT_CHAP_ALGORITHMS } from '../../src/initiator/options.js';
import { probeLuns } from '../../src/initiator/probe.js';
import { blockDeviceContract } from '../block/contract.js';
import { start } from '../helpers/fake-pair.js';
import { MemorySink } from '../helpers/memory-link.js';
import { InitiatorRig, type PairOptions, type TargetOptions, TargetRig } from '../helpers/pair.js';
import { pattern } from '../helpers/stream-core.js';

async function joined(
  options: Partial<TargetOptions> = {},
  pair: PairOptions = {},
): Promise<{ rig: InitiatorRig; target: TargetRig }> {
  const rig = new InitiatorRig(pair);
  const target = new TargetRig(rig.clock, { devices: [new MemoryDevice({ sizeBytes: 2 ** 24 })], ...options });
  rig.open(target.accept(), new MemorySink(), pair);
  await rig.settle();
  return { rig, target };
}

/** The LUNs, probed while bytes move by themselves. */
async function luns(rig: InitiatorRig): Promise<Lun[]> {
  rig.runByItself();
  const infos = await probeLuns(rig.session, 5000);
  return infos.filter(({ disk }) => disk !== null).map((info) => new Lun(rig.session, info));
}

const ACCOUNT = { user: 'username', secret: 'password1234' };
const MUTUAL = { user: 'mutualuser', secret: 'mutualpass12' };

test('log in without CHAP, and log out', async () => {
  const { rig } = await joined();
  assert.equal(rig.session.state, 'LOGGED_IN');
  assert.notEqual(rig.session.tsih, 0);
  const done = rig.session.logout();
  await rig.settle();
  await done;
  assert.equal(rig.session.state, 'FREE');
});

for (const algorithm of [5, 6, 7, 8]) {
  test(`mutual CHAP with algorithm ${algorithm} and digests`, async () => {
    const credentials = { ...ACCOUNT, algorithms: [algorithm], mutual: MUTUAL };
    const negotiate = { headerDigest: 'CRC32C', dataDigest: 'CRC32C' } as const;
    const { rig } = await joined({ account: ACCOUNT, mutual: MUTUAL }, { login: { credentials, negotiate } });
    assert.equal(rig.session.state, 'LOGGED_IN', rig.session.lastError?.message);
    const [lun] = await luns(rig);
    assert.ok(lun);
    await writeBytes(lun, 0, pattern(2 ** 20));
    assert.ok((await readBytes(lun, 0, 2 ** 20)).equals(pattern(2 ** 20)));
  });
}

test('what is refused: a wrong secret each way, no credentials, an unknown target, an unlisted initiator', async () => {
  const algorithms = DEFAULT_CHAP_ALGORITHMS;
  const cases = [
    [{ credentials: { ...ACCOUNT, secret: 'wrongsecret12', algorithms } }, 'ERR_LOGIN_AUTH'],
    [{ credentials: { ...ACCOUNT, algorithms, mutual: { ...MUTUAL, secret: 'wrongsecret12' } } }, 'ERR_LOGIN_AUTH'],
    [{ credentials: null }, 'ERR_LOGIN_AUTH'],
    [{ targetName: 'iqn.2022-08.com.test:nothing' }, 'ERR_FATAL_LOGIN'],
    [{ initiatorName: 'iqn.2022-08.com.test:stranger' }, 'ERR_LOGIN_AUTH'],
  ] as const;
  for (const [login, code] of cases) {
    const { rig } = await joined({ account: ACCOUNT, mutual: MUTUAL }, { login });
    assert.equal(rig.session.lastError?.code, code, JSON.stringify(login));
    assert.equal(rig.session.state, 'FREE');
  }
});

test('the LUNs of a target: identity, size, cache, write protection', async () => {
  const { rig } = await joined({
    devices: [
      new MemoryDevice({ sizeBytes: 2 ** 24, writeCache: true }),
      new MemoryDevice({ sizeBytes: 2 ** 23, blockSize: 4096 }),
    ],
  });
  rig.runByItself();
  const [first, second, ...more] = await probeLuns(rig.session, 5000);
  assert.equal(more.length, 0);
  assert.ok(first?.disk && second?.disk, `${first?.problem} ${second?.problem}`);
  assert.equal(first.lun, 0);
  assert.match(first.designator, /^naa\.6001405/);
  assert.notEqual(first.serial, '');
  assert.notEqual(first.serial, second.serial);
  assert.equal(first.disk.blocks * first.disk.blockSize, 2 ** 24);
  assert.equal(first.disk.writeCache, true);
  assert.equal(first.disk.readOnly, false);
  assert.equal(second.disk.blockSize, 4096);
  assert.equal(second.disk.writeCache, false);
  assert.ok(first.disk.thin.unmap);
});

test('a read-only mapped LUN is seen as one', async () => {
  const { rig } = await joined({ readOnly: true });
  const [lun] = await luns(rig);
  assert.equal(lun?.readOnly, true);
  assert.equal(start(lun as Lun, BlockOp.Write, 0, 512, { payload: pattern(512) }).status, BlockStatus.Eperm);
});

test('every size class, written, flushed, trimmed, zeroed and read back', async () => {
  const device = new MemoryDevice({ sizeBytes: 2 ** 24, writeCache: true });
  const { rig } = await joined({ devices: [device] });
  const [lun] = await luns(rig);
  assert.ok(lun);
  for (const length of [512, 8192, 65_536, 66_048, 2 ** 20 + 512, 2 ** 23]) {
    await writeBytes(lun, 512, pattern(length, length));
    await flush(lun);
    assert.ok((await readBytes(lun, 512, length)).equals(pattern(length, length)), `${length} bytes`);
    assert.ok((await readBytes(device, 512, length)).equals(pattern(length, length)), `${length} bytes on the disk`);
  }
  await trim(lun, 0, 2 ** 20);
  await writeZeroes(lun, 2 ** 20, 2 ** 20);
  assert.ok((await readBytes(lun, 2 ** 20, 2 ** 20)).equals(Buffer.alloc(2 ** 20)));
  assert.equal(rig.session.tasksInUse, 0);
});

test('cut in the middle at many bytes: requests end, and a new login finds the disk again', async () => {
  const clean = await joined();
  const before = clean.rig.link.back.arrived;
  for (const cutAt of [1, 47, 48, 49, before - 1, before + 1, before + 100, before + 5000, before + 70_000]) {
    const { rig, target } = await joined({}, { back: { cutAt } });
    if (rig.session.state !== 'LOGGED_IN') {
      assert.equal(rig.all('login-failed').length, 1, `cut at ${cutAt}`);
      continue;
    }
    const found = await luns(rig).catch(() => []);
    for (const lun of found) {
      const read = start(lun, BlockOp.Read, 0, 2 ** 20);
      await rig.settle();
      assert.equal(read.status, BlockStatus.Eio, `cut at ${cutAt}`);
    }
    assert.equal(rig.session.state, 'FAILED');
    assert.equal(rig.session.tasksInUse, 0);
    rig.open(target.accept(), new MemorySink());
    await rig.settle();
    assert.equal(rig.session.state, 'LOGGED_IN', `cut at ${cutAt}: ${rig.session.lastError?.message}`);
    const [again] = await luns(rig);
    assert.ok(again);
    await writeBytes(again, 0, pattern(4096));
    assert.ok((await readBytes(again, 0, 4096)).equals(pattern(4096)));
  }
});

test('a write cut off at many bytes leaves old or new blocks, and never anything else', async () => {
  const old = pattern(2 ** 18, 1);
  const fresh = pattern(2 ** 18, 2);
  const clean = await joined();
  const [first] = await luns(clean.rig);
  assert.ok(first);
  const before = clean.rig.link.out.arrived;
  for (const beyond of [1, 47, 48, 600, 4096, 65_000, 100_000, 131_072, 200_000, 262_000]) {
    const device = new MemoryDevice({ sizeBytes: 2 ** 20 });
    await writeBytes(device, 0, old);
    const { rig } = await joined({ devices: [device] }, { out: { cutAt: before + beyond } });
    const [lun] = await luns(rig);
    assert.ok(lun);
    const write = start(lun, BlockOp.Write, 0, fresh.length, { payload: fresh });
    await rig.settle(8);
    assert.equal(write.status, BlockStatus.Eio, `cut after ${beyond} bytes`);
    const found = await readBytes(device, 0, old.length);
    for (let at = 0; at < old.length; at += 512) {
      const block = found.subarray(at, at + 512);
      assert.ok(block.equals(old.subarray(at, at + 512)) || block.equals(fresh.subarray(at, at + 512)));
    }
  }
});

test('a slow line: a login, a write and a ping each take their round trips and no more', async () => {
  const rig = new InitiatorRig();
  const target = new TargetRig(rig.clock, { devices: [new MemoryDevice({ sizeBytes: 2 ** 20 })] });
  const delay = { ms: 100, clock: rig.clock };
  rig.open(target.accept(), new MemorySink(), { out: { delay }, back: { delay } });
  // Both stages of the login.
  await rig.advance(399);
  assert.equal(rig.session.state, 'FREE');
  await rig.advance(1);
  assert.equal(rig.session.state, 'LOGGED_IN');
  const probing = probeLuns(rig.session, 5000);
  await rig.advance(4000);
  const [info] = await probing;
  assert.ok(info?.disk);
  const write = start(new Lun(rig.session, info), BlockOp.Write, 0, 4096, { payload: pattern(4096) });
  await rig.advance(199);
  assert.equal(write.status, null);
  await rig.advance(1);
  assert.equal(write.status, BlockStatus.Ok);
  await rig.advance(60_000);
  assert.equal(rig.session.state, 'LOGGED_IN', rig.session.lastError?.message);
  assert.ok(rig.session.counters.noprx_pdus >= 5);
});

blockDeviceContract('a LUN of our own target', async () => {
  const { rig } = await joined({ devices: [new MemoryDevice({ sizeBytes: 2 ** 23, writeCache: true })] });
  const [lun] = await luns(rig);
  assert.ok(lun);
  return { device: lun };
});
blockDeviceContract('a LUN of 4096-byte blocks with digests, in small pieces', async () => {
  const digests = { headerDigest: 'CRC32C', dataDigest: 'CRC32C' } as const;
  const chunk = (): number => 3000;
  const { rig } = await joined(
    { devices: [new MemoryDevice({ sizeBytes: 2 ** 23, blockSize: 4096 })] },
    { login: { negotiate: digests }, out: { chunk }, back: { chunk } },
  );
  const [lun] = await luns(rig);
  assert.ok(lun);
  return { device: lun };
});
