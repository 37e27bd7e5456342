// A session that outlives its connection: what waits, what is sent again, and what ends (RFC 7143 §6.3.5, §7).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { GateState } from '../../src/initiator/gate.js';
import { fakeLun, fakePair, reopen, start } from '../helpers/fake-pair.js';
import { pattern } from '../helpers/stream-core.js';

const WAITS = { timers: { replacementTimeoutMs: 120_000, noopIntervalMs: 0 } } as const;

test('commands wait for the next login and are sent again in their order', async () => {
  const pair = fakePair({}, WAITS);
  const lun = fakeLun(pair);
  pair.rig.link.out.faults.held = true;
  const write = start(lun, BlockOp.Write, 0, 4096, { payload: pattern(4096) });
  const read = start(lun, BlockOp.Read, 0, 4096);
  pair.rig.pump();
  pair.rig.link.close('cut');
  assert.equal(pair.rig.session.state, 'FAILED');
  assert.equal(pair.rig.session.recovery, 'waiting');
  const later = start(lun, BlockOp.Flush, 0, 0);
  assert.deepEqual([write.status, read.status, later.status], [null, null, null]);
  await assert.rejects(pair.rig.session.execute({ lun: Buffer.alloc(8), cdb: Buffer.alloc(6), timeoutMs: 1000 }));
  const target = reopen(pair.rig, { disk: pair.target.disk });
  assert.equal(pair.rig.session.recovery, 'checking');
  await pair.rig.settle();
  assert.deepEqual([write.status, read.status, later.status], [0, 0, 0]);
  assert.deepEqual(
    target
      .all(1)
      .map(({ bhs }) => bhs[32])
      .slice(-3),
    [0x8a, 0x88, 0x91],
  );
  assert.ok(read.bytes.equals(pattern(4096)));
  assert.equal(pair.rig.session.recovery, 'none');
  assert.equal(pair.rig.all('recovered')[0]?.replayed, 2);
});

test('a member that has not answered keeps its gate closed; condemned, everything ends at once', () => {
  const pair = fakePair({}, WAITS);
  const lun = fakeLun(pair);
  let asked = 0;
  lun.onReconnected = () => {
    asked++;
  };
  const read = start(lun, BlockOp.Read, 0, 4096);
  pair.rig.link.close('cut');
  const target = reopen(pair.rig, {});
  assert.equal(asked, 1);
  assert.equal(pair.rig.session.recovery, 'checking');
  assert.equal(target.all(1).length, 0, 'nothing is sent before the check');
  pair.rig.session.condemn(lun.gate);
  assert.equal(read.status, BlockStatus.Eio);
  assert.equal(start(lun, BlockOp.Read, 0, 4096).status, BlockStatus.Eio);
  assert.equal(lun.gate.state, GateState.Condemned);
  assert.equal(pair.rig.session.recovery, 'none');
  pair.rig.session.resume(lun.gate);
  const again = start(lun, BlockOp.Read, 0, 4096);
  pair.rig.pump();
  assert.equal(again.status, BlockStatus.Ok);
});

test('a held gate lets what has been sent finish, and keeps the rest', () => {
  const pair = fakePair({}, WAITS);
  const lun = fakeLun(pair);
  const sent = start(lun, BlockOp.Read, 0, 4096);
  pair.rig.session.hold(lun.gate);
  const kept = start(lun, BlockOp.Read, 0, 4096);
  pair.rig.pump();
  assert.deepEqual([sent.status, kept.status], [BlockStatus.Ok, null]);
  pair.rig.session.resume(lun.gate);
  pair.rig.pump();
  assert.equal(kept.status, BlockStatus.Ok);
});

test('what is sent again goes by what the new login has agreed on', async () => {
  const narrow = { maxRecvDataSegmentLength: 512, maxBurstLength: 1024, firstBurstLength: 512 } as const;
  for (const [before, after] of [
    [{}, { ...narrow, initialR2T: true }],
    [
      { ...narrow, immediateData: false },
      { headerDigest: 'CRC32C', dataDigest: 'CRC32C' },
    ],
  ] as const) {
    const negotiate = { headerDigest: ['CRC32C', 'None'], dataDigest: ['CRC32C', 'None'] } as const;
    const pair = fakePair({ wishes: before }, { ...WAITS, login: { negotiate }, back: { cutAt: 3000 } });
    const lun = fakeLun(pair);
    const write = start(lun, BlockOp.Write, 512, 65_536, { payload: pattern(65_536) });
    const read = start(lun, BlockOp.Read, 0, 65_536);
    pair.rig.pump();
    if (pair.rig.session.state !== 'FAILED') pair.rig.link.close('cut');
    const target = reopen(pair.rig, { disk: pair.target.disk, wishes: after });
    await pair.rig.settle();
    assert.equal(pair.rig.session.params?.headerDigest, 'headerDigest' in after ? 'CRC32C' : 'None');
    assert.deepEqual([write.status, read.status], [0, 0]);
    assert.ok(target.disk.subarray(512, 512 + 65_536).equals(pattern(65_536)));
  }
});
