// F08: the target pings. Each NOP-In is answered within a second, even on an idle session, with its LUN and Target Transfer Tag
// (RFC 7143 §11.19); tgt drops an initiator that does not.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PassingPdu } from './pdu-splitter.js';
import { count, figure, Rig, tgtMissing } from './rig.js';

const IDLE_MS = count('F08_IDLE_MS', 6000);
const at = { lun: 8, itt: 16, ttt: 20 } as const;
const RESERVED = 0xffff_ffff;

describe('F08: the target pings', { skip: tgtMissing() }, () => {
  it('and is answered', async () => {
    const rig = await Rig.start({ tgt: { iscsi: 'nop_interval=1,nop_count=3' }, timers: { noopIntervalMs: 0 } });
    try {
      const asked: { at: number; bytes: Buffer }[] = [];
      const took: number[] = [];
      const { toTarget, toInitiator } = rig.proxy.live;
      toInitiator.watchers.push(({ opcode, bytes }: PassingPdu) => {
        if (opcode === 0x20 && bytes.readUInt32BE(at.ttt) !== RESERVED) asked.push({ at: performance.now(), bytes });
      });
      toTarget.watchers.push(({ opcode, bytes }: PassingPdu) => {
        if (opcode !== 0x00) return;
        assert.equal(bytes.readUInt32BE(at.itt), RESERVED);
        const question = asked.find((ping) => ping.bytes.readUInt32BE(at.ttt) === bytes.readUInt32BE(at.ttt));
        assert.ok(question, 'an answer has the tag of a question');
        assert.deepEqual(bytes.subarray(at.lun, at.lun + 8), question.bytes.subarray(at.lun, at.lun + 8));
        took.push(performance.now() - question.at);
      });
      const { tsih } = await rig.info();
      await sleep(IDLE_MS);
      const info = await rig.info();
      assert.deepEqual([info.state, info.tsih, rig.proxy.links.length], ['LOGGED_IN', tsih, 1]);
      assert.ok(took.length >= IDLE_MS / 1000 - 3, `${took.length} pings answered of ${asked.length}`);
      assert.ok(asked.length - took.length <= 1);
      assert.ok(Math.max(...took) < 1000);
      figure('F08', `${took.length} pings in ${IDLE_MS / 1000} s, slowest answer ${Math.max(...took).toFixed(0)} ms`);
    } finally {
      await rig.stop();
    }
  });
});
