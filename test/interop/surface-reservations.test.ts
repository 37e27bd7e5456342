// Persistent reservations and COMPARE AND WRITE between two sessions, on tgt, istgt and our own target.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BlockDevice, type BlockRequest, BlockStatus } from '../../src/block/block-device.js';
import { ForwardingDevice } from '../../src/block/forwarding-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { login } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import {
  changeReservations,
  compareAndWriteLun,
  lunReservations,
  type ReserveOutRequest,
} from '../../src/services/lun/control.js';
import type { SessionInfo } from '../../src/services/session/info.js';
import { getSession } from '../../src/services/session/registry.js';
import type { AppError } from '../../src/util/errors.js';
import { NbdClient } from '../faults/nbd-client.js';
import { FaultProxy } from '../faults/proxy.js';
import { ISTGT_TARGET, istgtMissing, startIstgt } from '../helpers/istgt.js';
import { INITIATOR, loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';
import { startTgt, TGT_TARGET, tgtMissing } from '../helpers/tgt.js';
import { startUnits, UNITS_TARGET } from '../helpers/units-target.js';

const MIB = 2 ** 20;
const SECOND = 'iqn.2022-08.com.test:node02.initiator01';

interface Peer {
  readonly targetName: string;
  readonly port: number;
  readonly lun: number;
  stop(): Promise<void>;
}
interface Kind {
  readonly name: string;
  readonly missing: string | false;
  /** The unit tells who is registered; knows COMPARE AND WRITE. */
  readonly fullStatus: boolean;
  /** 'only': without ABORT. 'wrong': istgt's, like its unregistering, takes another session's registration. */
  readonly preempt: 'and-abort' | 'only' | 'wrong';
  readonly compareAndWrite: boolean;
  start(): Promise<Peer>;
}

const KINDS: readonly Kind[] = [
  {
    ...{ name: 'tgt', missing: tgtMissing(), fullStatus: false, preempt: 'only', compareAndWrite: false },
    async start() {
      const tgt = await startTgt(16 * MIB);
      return { targetName: TGT_TARGET, port: tgt.port, lun: 1, stop: () => tgt.stop() };
    },
  },
  {
    ...{ name: 'istgt', missing: istgtMissing(), fullStatus: true, preempt: 'wrong', compareAndWrite: true },
    async start() {
      const istgt = await startIstgt(16, null);
      return { targetName: ISTGT_TARGET, port: istgt.port, lun: 0, stop: () => istgt.stop() };
    },
  },
  {
    ...{ name: 'our own target', missing: false, fullStatus: true, preempt: 'and-abort', compareAndWrite: true },
    async start() {
      const target = await startUnits(new Map([[0, new MemoryDevice({ sizeBytes: 16 * MIB })]]));
      return { targetName: UNITS_TARGET, port: target.port, lun: 0, stop: () => target.stop() };
    },
  },
];

for (const kind of KINDS) {
  describe(`two sessions to ${kind.name}`, { skip: kind.missing }, () => {
    let folder: RunFolder;
    let peer: Peer;
    let one: SessionInfo;
    let two: SessionInfo;
    before(async () => {
      folder = makeRunFolder();
      peer = await kind.start();
      one = await login(loginRequest(peer.targetName, peer.port), { paths: folder.paths });
      const request = loginRequest(peer.targetName, peer.port, { initiatorName: SECOND, iface: 'second' });
      two = await login(request, { paths: folder.paths });
    });
    after(async () => {
      await logout(folder.sids().map(Number), { paths: folder.paths });
      await peer.stop();
      folder.remove();
    });
    const at = (session: SessionInfo) => ({ sid: session.sid, lun: peer.lun });
    const change = (session: SessionInfo, request: ReserveOutRequest) =>
      changeReservations(folder.paths, at(session), request, {});
    const state = async (session: SessionInfo) => {
      const { keys, reservation } = await lunReservations(folder.paths, at(session), {});
      return { keys: [...keys].sort(), reservation };
    };
    const [A, B] = ['0x000000000000000a', '0xffffffffffffffff'];

    it('register, reserve, and who then may write', async () => {
      assert.deepEqual(await state(one), { keys: [], reservation: null });
      await change(one, { action: 'register', key: '0x0', newKey: A });
      await change(two, { action: 'register', key: '0x0', newKey: B });
      await change(one, { action: 'reserve', key: A, type: 'write-exclusive' });
      const reservation = { key: A, type: 'write-exclusive' };
      assert.deepEqual(await state(two), { keys: [A, B], reservation });
      const { registrations } = await lunReservations(folder.paths, at(two), {});
      if (kind.fullStatus) {
        const told = registrations?.map(({ key, initiatorName, holds, ours }) => [key, initiatorName, holds, ours]);
        assert.deepEqual(told?.sort(), [
          [A, INITIATOR, 'write-exclusive', false],
          [B, SECOND, null, true],
        ]);
      }
      await assert.rejects(change(two, { action: 'reserve', key: B, type: 'exclusive-access' }), {
        code: 'ERR_RESERVATION_CONFLICT',
      });
      await assert.rejects(change(one, { action: 'register', key: B, newKey: '0x5' }), {
        code: 'ERR_RESERVATION_CONFLICT',
      });
      const [holder, other] = [await client(one), await client(two)];
      const bytes = randomBytes(4096);
      await holder.write(0, bytes);
      const began = performance.now();
      await assert.rejects(other.write(0, bytes), { errno: 5 });
      assert.ok(performance.now() - began < 10_000, 'at once, not after 120 s of retries');
      assert.ok((await other.read(0, 4096)).equals(bytes), 'WRITE EXCLUSIVE lets others read');
      for (const each of [holder, other]) each.close();
    });

    it('preempt, with abort where the unit can; then the one that was preempted is out', async () => {
      const preempt = { key: B, victim: A, type: 'write-exclusive' } as const;
      if (kind.preempt === 'wrong') {
        await change(one, { action: 'clear', key: A });
        await change(two, { action: 'register', key: '0x0', newKey: B });
        await change(two, { action: 'reserve', key: B, type: 'write-exclusive' });
      } else if (kind.preempt === 'and-abort') await change(two, { action: 'preempt-and-abort', ...preempt });
      else {
        const refused = change(two, { action: 'preempt-and-abort', ...preempt });
        await assert.rejects(refused, { code: 'ERR_NOT_SUPPORTED' });
        await change(two, { action: 'preempt', ...preempt });
      }
      assert.deepEqual(await state(one), { keys: [B], reservation: { key: B, type: 'write-exclusive' } });
      const [out, holder] = [await client(one), await client(two)];
      await assert.rejects(out.write(0, randomBytes(4096)), { errno: 5 });
      await holder.write(0, randomBytes(4096));
      for (const each of [holder, out]) each.close();
      await assert.rejects(change(one, { action: 'clear', key: A }), { code: 'ERR_RESERVATION_CONFLICT' });
    });

    it('release, change of a key, clear', async () => {
      await change(two, { action: 'release', key: B, type: 'write-exclusive' });
      assert.deepEqual(await state(two), { keys: [B], reservation: null });
      await change(two, { action: 'register', key: B, newKey: A });
      await change(one, { action: 'register', key: '0x0', newKey: B, ignoreExisting: true });
      await change(two, { action: 'reserve', key: A, type: 'exclusive-access-registrants-only' });
      assert.deepEqual((await state(one)).keys, [A, B]);
      await change(one, { action: 'clear', key: B });
      assert.deepEqual(await state(two), { keys: [], reservation: null });
    });

    it('compare and write: one of two that want the same block gets it', async () => {
      const [free, mine, theirs] = [randomBytes(512), Buffer.alloc(512, 1), Buffer.alloc(512, 2)];
      const setup = await client(one);
      await setup.write(8 * 512, free);
      setup.close();
      const swapOnce = (session: SessionInfo, write: Buffer) =>
        compareAndWriteLun(folder.paths, at(session), { lba: 8, compare: free, write }, {});
      // A client that has said goodbye may still be on its way out.
      const swap = async (session: SessionInfo, write: Buffer): Promise<unknown> => {
        for (const end = performance.now() + 30_000; ; await sleep(50)) {
          const error = await swapOnce(session, write).then(
            () => null,
            (thrown: AppError) => thrown,
          );
          if (error === null) return;
          if (error.code !== 'ERR_BUSY' || performance.now() > end) throw error;
        }
      };
      if (!kind.compareAndWrite) {
        await assert.rejects(swap(one, mine), { code: 'ERR_NOT_SUPPORTED' });
        return;
      }
      await swap(one, mine);
      await assert.rejects(swap(two, theirs), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'ERR_MISCOMPARE');
        assert.match(error.message, /MISCOMPARE at LBA 8: .*nothing was written/);
        return true;
      });
      const reader = await client(two);
      assert.ok((await reader.read(8 * 512, 512)).equals(mine));
      await assert.rejects(swapOnce(two, theirs), { code: 'ERR_BUSY' }, 'an NBD client has the LUN open');
      reader.close();
    });

    function client(session: SessionInfo): Promise<NbdClient> {
      return NbdClient.connect(session.socket, `lun${peer.lun}`);
    }
  });
}

describe('a connection that is lost under a command that must not be repeated', () => {
  it('ends with 29 at once, and the command is not sent again when the session is back', async () => {
    const target = await startUnits(new Map([[0, new MemoryDevice({ sizeBytes: MIB })]]));
    const proxy = await FaultProxy.start(target.port);
    const folder = makeRunFolder();
    try {
      const session = await login(loginRequest(UNITS_TARGET, proxy.port), { paths: folder.paths });
      const place = { sid: session.sid, lun: 0 };
      // The answer is held; then the line is cut.
      proxy.live.toInitiator.hold();
      const register = { action: 'register', key: '0x0', newKey: '0x7' } as const;
      const lost = assert.rejects(changeReservations(folder.paths, place, register, {}), {
        code: 'ERR_AGAIN',
        hint: 'lunctl lun reservations shows whether it was',
      });
      const { toInitiator } = proxy.live;
      await until(async () => toInitiator.held > 0);
      proxy.live.reset();
      await lost;
      await until(async () => (await getSession(folder.paths, session.sid)).state === 'LOGGED_IN');
      const report = await lunReservations(folder.paths, place, {});
      assert.deepEqual([report.keys, report.generation], [['0x0000000000000007'], 1], 'done once');
    } finally {
      await logout(folder.sids().map(Number), { paths: folder.paths });
      await proxy.close();
      await target.stop();
      folder.remove();
    }
  });
});

/** A disk whose size a test changes. */
class ElasticDevice extends ForwardingDevice {
  bytes: number;
  constructor(under: BlockDevice, bytes: number) {
    super(under);
    this.bytes = bytes;
  }
  override get sizeBytes(): number {
    return this.bytes;
  }
  override submit(request: BlockRequest): void {
    if (request.offset + request.length > this.bytes) request.onDone(BlockStatus.Einval);
    else this.device.submit(request);
  }
}

describe('a unit that reports CAPACITY DATA HAS CHANGED', () => {
  it('is looked at without being asked to: the new size is shown, and its partitions', async () => {
    const device = new ElasticDevice(new MemoryDevice({ sizeBytes: 8 * MIB }), 2 * MIB);
    const target = await startUnits(new Map([[0, device]]));
    const folder = makeRunFolder();
    try {
      const session = await login(loginRequest(UNITS_TARGET, target.port), { paths: folder.paths });
      const client = await NbdClient.connect(session.socket, 'lun0');
      assert.equal(client.size, 2 * MIB);
      device.bytes = 8 * MIB;
      // The next command of the unit meets the unit attention.
      await client.read(0, 4096);
      const size = async () => (await getSession(folder.paths, session.sid)).devices[0]?.sizeBytes;
      await until(async () => (await size()) === 8 * MIB);
      const later = await NbdClient.connect(session.socket, 'lun0');
      assert.equal(later.size, 8 * MIB);
      await later.write(7 * MIB, randomBytes(4096));
      for (const each of [client, later]) each.close();
    } finally {
      await logout(folder.sids().map(Number), { paths: folder.paths });
      await target.stop();
      folder.remove();
    }
  });
});

/** Asks again and again, for a minute at most. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 60_000; !(await holds()); await sleep(50)) {
    assert.ok(performance.now() < end, 'a minute is over');
  }
}
