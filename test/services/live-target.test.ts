// A target that changes while it is used: what is told to whom, what fails as a whole, and that nobody else notices.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { EMPTY_CONFIG } from '../../src/saveconfig/defaults.js';
import type { NodeAcl, Portal, SaveConfig, StorageObject, Tpg } from '../../src/saveconfig/model.js';
import { encodeLun } from '../../src/scsi/lun.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { parseSense } from '../../src/scsi/sense.js';
import { LiveTarget } from '../../src/services/serve/live-target.js';
import { type OpenSession, openSession } from '../../src/services/session/connect.js';
import type { TargetEvent } from '../../src/target/events.js';
import { connect as connectTo, type Initiator } from '../faults/initiator.js';
import { loginRequest } from '../helpers/session.js';
import { pattern, until } from '../helpers/stream-core.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const NODE1 = 'iqn.2022-08.com.test:node01.initiator01';
const NODE2 = 'iqn.2022-08.com.test:node02.initiator01';
const MIB = 2 ** 20;
let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'lunctl-live-'));
});
after(() => rmSync(folder, { recursive: true }));

const PLAIN = { attributes: {}, alua_tpgs: [] };
const ram = (name: string, size = MIB): StorageObject => ({ ...PLAIN, plugin: 'ramdisk', name, size });
const file = (name: string, size = MIB): StorageObject => {
  return { ...PLAIN, plugin: 'fileio', name, dev: join(folder, `${name}.img`), size, write_back: true };
};
const acl = (node_wwn: string, luns: Readonly<Record<number, number>>): NodeAcl => ({
  node_wwn,
  attributes: {},
  mapped_luns: Object.entries(luns).map(([index, tpg_lun]) => ({
    index: Number(index),
    tpg_lun,
    write_protect: false,
  })),
});
const portalOf = (port: number, ip_address = '127.0.0.1'): Portal => ({ ip_address, port });

/** One target with one group; LUN n is object n. */
function configOf(objects: readonly StorageObject[], acls: readonly NodeAcl[], portals: readonly Portal[]): SaveConfig {
  const luns = objects.map(({ plugin, name }, index) => ({ index, storage_object: `/backstores/${plugin}/${name}` }));
  const tpg: Tpg = {
    tag: 1,
    enable: true,
    luns,
    portals,
    node_acls: acls,
    attributes: { authentication: 0 },
    parameters: {},
  };
  return { ...EMPTY_CONFIG, storage_objects: objects, targets: [{ fabric: 'iscsi', wwn: TARGET, tpgs: [tpg] }] };
}

class Rig {
  readonly events: TargetEvent[] = [];
  readonly live = new LiveTarget({ readOnly: false, onEvent: (event) => this.events.push(event) });
  readonly #initiators: Initiator[] = [];
  readonly #quiet: OpenSession[] = [];

  get port(): number {
    return this.live.portals[0]?.port ?? 0;
  }
  get portals(): readonly Portal[] {
    return this.live.config.targets[0]?.tpgs[0]?.portals ?? [];
  }
  async apply(config: SaveConfig): Promise<void> {
    await this.live.apply(config, this.live.snapshot().revision, { create: true });
  }
  /** The same target with other objects and ACLs. */
  change(objects: readonly StorageObject[], acls: readonly NodeAcl[]): Promise<void> {
    return this.apply(configOf(objects, acls, this.portals));
  }
  async connect(initiatorName = NODE1): Promise<Initiator> {
    const initiator = await connectTo(this.port, { targetName: TARGET, initiatorName });
    this.#initiators.push(initiator);
    return initiator;
  }
  /** A session that asks nothing by itself: what is told to it is there to be looked at. */
  async connectQuietly(initiatorName: string, luns: readonly number[]): Promise<Pick<Initiator, 'open'>> {
    const login = loginRequest(TARGET, this.port, { initiatorName });
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const isid = Buffer.from([0x80, 0, 0, 0, 0, 1]);
    const open = await openSession({ login, isid, log });
    this.#quiet.push(open);
    for (const lun of luns) assert.equal(await testUnitReady({ open }, lun), '06/29/00');
    return { open };
  }
  async stop(): Promise<void> {
    for (const open of this.#quiet) {
      await open.session.logout().catch(() => {});
      await open.close();
    }
    for (const initiator of this.#initiators) await initiator.close();
    await this.live.close();
  }
}

async function started(config: SaveConfig): Promise<Rig> {
  const rig = new Rig();
  await rig.apply(config);
  return rig;
}

/** `good`, or the key, ASC and ASCQ in hex. */
async function testUnitReady({ open }: Pick<Initiator, 'open'>, lun: number): Promise<string> {
  const { sense } = await open.session.execute({ lun: encodeLun(lun), cdb: Buffer.alloc(6), timeoutMs: 10_000 });
  if (sense === null) return 'good';
  const { key, asc, ascq } = parseSense(sense) ?? { key: 0, asc: 0, ascq: 0 };
  return [key, asc, ascq].map((n) => n.toString(16).padStart(2, '0')).join('/');
}

async function reportedLuns({ open }: Pick<Initiator, 'open'>): Promise<number[]> {
  const cdb = Buffer.alloc(12);
  cdb[0] = ScsiOp.ReportLuns;
  cdb.writeUInt32BE(256, 6);
  const { data } = await open.session.execute({ lun: encodeLun(0), cdb, dataInLength: 256, timeoutMs: 10_000 });
  return Array.from({ length: data.readUInt32BE(0) / 8 }, (_, i) => data.readUInt16BE(8 + i * 8));
}

/** Writes and reads back without a pause until `stop()`, which returns the number of rounds. */
function verify(initiator: Initiator) {
  let [stopped, rounds] = [false, 0];
  const work = (async () => {
    for (; !stopped; rounds++) {
      const bytes = pattern(4096, rounds);
      const offset = (rounds % 64) * 4096;
      await writeBytes(initiator.lun, offset, bytes);
      assert.deepEqual(await readBytes(initiator.lun, offset, 4096), bytes);
    }
  })();
  return {
    rounds: () => rounds,
    stop: async () => {
      stopped = true;
      await work;
      return rounds;
    },
  };
}

describe('a change under load', () => {
  it('of LUNs, ACLs and portals is not noticed by another session', async () => {
    const rig = await started(
      configOf([ram('a'), ram('b')], [acl(NODE1, { 0: 0 }), acl(NODE2, { 0: 1 })], [portalOf(0)]),
    );
    const [first, other] = [await rig.connect(NODE1), await rig.connectQuietly(NODE2, [0])];
    const load = verify(first);
    const base = [ram('a'), ram('b')];
    for (let round = 0; round < 6; round++) {
      const more = [...base, file(`more${round}`), ram('extra')];
      await rig.apply(
        configOf(
          more,
          [acl(NODE1, { 0: 0 }), acl(NODE2, { 0: 1, 5: 2, 6: 3 })],
          [...rig.portals, portalOf(0, '[::1]')],
        ),
      );
      assert.equal(rig.live.portals.length, 2);
      assert.equal(await testUnitReady(other, 0), '06/3f/0e');
      assert.deepEqual(await reportedLuns(other), [0, 5, 6]);
      assert.deepEqual(await reportedLuns(first), [0]);
      await rig.apply(configOf(base, [acl(NODE1, { 0: 0 }), acl(NODE2, { 0: 1 })], rig.portals.slice(0, 1)));
      assert.equal(await testUnitReady(other, 5), '05/25/00');
      assert.equal(await testUnitReady(other, 0), '06/3f/0e');
      assert.equal(await testUnitReady(other, 0), 'good');
      const seen = load.rounds();
      await until(() => load.rounds() > seen + 5, 'the load goes on');
    }
    assert.ok((await load.stop()) > 30);
    assert.deepEqual(
      first.lines.filter((line) => /^(warn|error)/.test(line)),
      [],
    );
    assert.deepEqual(
      rig.events.filter(({ kind }) => kind === 'end'),
      [],
    );
    assert.equal(rig.live.sessions().length, 2);
    await rig.stop();
  });

  it('a LUN that goes takes its commands with it, answered; its file is free at once', async () => {
    const rig = await started(configOf([ram('a'), file('gone')], [acl(NODE1, { 0: 0, 1: 1 })], [portalOf(0)]));
    const initiator = await rig.connect();
    const [, lun] = initiator.luns;
    assert.ok(lun);
    const writes = Array.from({ length: 32 }, (_, i) =>
      writeBytes(lun, i * 4096, pattern(4096, i)).then(
        () => 'written',
        () => 'refused',
      ),
    );
    await rig.change([ram('a')], [acl(NODE1, { 0: 0 })]);
    for (const outcome of await Promise.all(writes)) assert.match(outcome, /^(written|refused)$/);
    assert.equal(await testUnitReady(initiator, 1), '05/25/00');
    const again = await started(configOf([file('gone')], [], []));
    await again.stop();
    await rig.stop();
  });
});

describe('who may not stay', () => {
  it('an initiator without its ACL is asked to log out, and is refused when it comes back', async () => {
    const rig = await started(configOf([ram('a')], [acl(NODE1, { 0: 0 }), acl(NODE2, { 0: 0 })], [portalOf(0)]));
    const [kept] = [await rig.connect(NODE1), await rig.connect(NODE2)];
    await rig.change([ram('a')], [acl(NODE1, { 0: 0 })]);
    await until(() => rig.events.some(({ kind }) => kind === 'end'), 'the session has ended');
    await until(() => rig.events.some((event) => event.kind === 'refuse' && event.status === 0x0202), 'it is refused');
    assert.deepEqual(
      rig.live.sessions().map(({ initiatorName, dynamic }) => [initiatorName, dynamic]),
      [[NODE1, false]],
    );
    assert.equal(await testUnitReady(kept, 0), 'good');
    await rig.stop();
  });
});

describe('a change that fails', () => {
  it('changes nothing, names the object, and removes what it had made', async () => {
    const rig = await started(configOf([ram('a')], [acl(NODE1, { 0: 0 })], [portalOf(0)]));
    const initiator = await rig.connect();
    const before = rig.live.snapshot();
    const bad = { ...file('bad'), dev: join(folder, 'no/such/folder/x.img') } as StorageObject;
    const config = configOf([ram('a'), file('made'), bad], [], [...rig.portals, portalOf(0, '[::1]')]);
    await assert.rejects(rig.apply(config), { code: 'ERR_NOT_FOUND', message: /^\/backstores\/fileio\/bad: / });
    assert.ok(!existsSync(join(folder, 'made.img')));
    const used = [...rig.portals, portalOf(1, '192.0.2.1')];
    await assert.rejects(rig.apply(configOf([ram('a'), file('made')], [], used)), /192\.0\.2\.1/);
    assert.ok(!existsSync(join(folder, 'made.img')));
    assert.deepEqual(rig.live.snapshot(), before);
    assert.equal(rig.live.portals.length, 1);
    assert.equal(await testUnitReady(initiator, 0), 'good');
    await rig.stop();
  });

  it('names every object that cannot be had; those of before do not stand in the way of the next change', async () => {
    const absent = (name: string) => file(`absent-${name}`);
    const config = configOf([ram('a'), absent('x'), absent('y')], [acl(NODE1, { 0: 0, 1: 1 })], [portalOf(0)]);
    const live = new LiveTarget({ readOnly: false, onEvent: () => {} });
    await assert.rejects(live.apply(config, null, { create: false }), /absent-x: .*absent-y: /);
    const { failed } = await live.apply(config, null, { create: false, lenient: true });
    assert.deepEqual(
      failed.map(({ path }) => path),
      ['/backstores/fileio/absent-x', '/backstores/fileio/absent-y'],
    );
    const { status, revision } = live.snapshot();
    assert.equal(status.backstores['/backstores/fileio/absent-x']?.sizeBytes, null);
    assert.equal(live.config.storage_objects.length, 3);
    const portals = live.config.targets[0]?.tpgs[0]?.portals ?? [];
    const next = configOf([ram('a'), absent('x')], [acl(NODE1, { 0: 0 })], portals);
    await live.apply(next, revision, { create: false });
    await assert.rejects(live.apply(next, revision, { create: false }), { code: 'ERR_BUSY', retriable: true });
    await live.close();
  });

  it('the same file on other terms is refused until it is free', async () => {
    const rig = await started(configOf([file('terms')], [], []));
    await assert.rejects(rig.change([{ ...file('terms'), write_back: false } as StorageObject], []), {
      code: 'ERR_BUSY',
    });
    await assert.rejects(rig.change([file('terms', MIB / 2)], []), { message: /never shrinks/ });
    await rig.change([], []);
    await rig.change([{ ...file('terms'), write_back: false } as StorageObject], []);
    await rig.stop();
  });
});

describe('a disk that grows', () => {
  it('says so to everybody who uses it, once', async () => {
    const rig = await started(configOf([file('grows')], [acl(NODE1, { 0: 0 }), acl(NODE2, { 3: 0 })], [portalOf(0)]));
    const [first, second] = [await rig.connectQuietly(NODE1, [0]), await rig.connectQuietly(NODE2, [3])];
    await rig.change([file('grows', 3 * MIB)], [acl(NODE1, { 0: 0 }), acl(NODE2, { 3: 0 })]);
    for (const [initiator, lun] of [
      [first, 0],
      [second, 3],
    ] as const) {
      assert.equal(await testUnitReady(initiator, lun), '06/2a/09');
      assert.equal(await testUnitReady(initiator, lun), 'good');
    }
    assert.equal(await rig.live.grow('/backstores/fileio/grows', 4 * MIB), 4 * MIB);
    assert.equal(await testUnitReady(first, 0), '06/2a/09');
    assert.equal(statSync(join(folder, 'grows.img')).size, 4 * MIB);
    const [object] = rig.live.config.storage_objects;
    assert.equal(object?.size, 4 * MIB);
    await assert.rejects(rig.live.grow('/backstores/fileio/grows', MIB), { code: 'ERR_USAGE' });
    await assert.rejects(rig.live.grow('/backstores/fileio/none', MIB), { code: 'ERR_NOT_FOUND' });
    await rig.stop();
  });
});

describe('portals', () => {
  it('every address and one of them share a port, whichever comes first', async () => {
    const rig = await started(configOf([ram('a')], [acl(NODE1, { 0: 0 })], [portalOf(0)]));
    const { port } = rig;
    const initiator = await rig.connect();
    for (const addresses of [
      ['0.0.0.0'],
      ['127.0.0.1', '0.0.0.0'],
      ['[::]'],
      ['127.0.0.1', '127.0.0.2'],
      ['127.0.0.1'],
    ]) {
      const portals = addresses.map((address) => portalOf(port, address));
      await rig.apply(configOf([ram('a')], [acl(NODE1, { 0: 0 })], portals));
      const { status } = rig.live.snapshot();
      for (const address of addresses) assert.equal(status.portals[`${address}:${port}`]?.listening, true, address);
      const visitor = await connectTo(port, { targetName: TARGET, initiatorName: NODE1 });
      await visitor.close();
    }
    assert.equal(await testUnitReady(initiator, 0), 'good');
    await rig.apply(configOf([ram('a')], [acl(NODE1, { 0: 0 })], []));
    await assert.rejects(connectTo(port, { targetName: TARGET, initiatorName: NODE1, timeoutMs: 2000 }));
    assert.equal(await testUnitReady(initiator, 0), 'good');
    await rig.stop();
  });
});
