// F04: a write that is stuck in the network must not reach the disk after a later one was acknowledged and flushed. The
// network holds W1; the initiator gives the connection up, comes back, writes W1 again and then W2 on the same block,
// flushes; the network delivers the old W1. RFC 7143 §6.3.5: only a login with the same ISID and TSIH 0 ends the old nexus.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../helpers/stream-core.js';
import { startTgt, TGT_TARGET } from '../helpers/tgt.js';
import type { NbdClient } from './nbd-client.js';
import { FaultProxy, type Link } from './proxy.js';
import { count, figure, Rig, tgtMissing, within } from './rig.js';

const RUNS = count('F04_RUNS', 12);
const KILLS = count('F04_KILLS', 2);
const SIDE_BY_SIDE = Math.min(4, RUNS);
/** What a target that still serves the old connection needs to write W1, milliseconds; tgt takes less than 10. */
const LATE_MS = 150;
const block = (value: number) => Buffer.alloc(4096, value);
const firstByte = (image: string) => readFileSync(image)[0];

/** Lets the network deliver what it held, to a connection that stays open if the target has not closed it. */
async function deliverLate(link: Link): Promise<void> {
  assert.ok(link.toTarget.held >= 4096, 'W1 was on its way');
  link.toTarget.release({ end: false });
  await Promise.race([sleep(LATE_MS), new Promise((resolve) => link.target.once('close', resolve))]);
}

/** One run on a session that recovers by itself. Returns whether the block is stale. */
async function run(rig: Rig, client: NbdClient, how: 'black hole' | 'reset'): Promise<boolean> {
  const link = rig.proxy.live;
  link.toTarget.hold();
  const w1 = client.write(0, block(0x11));
  await until(() => link.toTarget.held >= 4096, 'W1 is in the network');
  if (how === 'reset') link.resetInitiator();
  await within(20_000, 'W1 is written again', w1);
  await client.write(0, block(0x22));
  await client.flush();
  assert.notEqual(rig.proxy.live, link, 'W1 was acknowledged by another connection');
  await deliverLate(link);
  link.stop();
  return firstByte(rig.tgt.image) !== 0x22;
}

/** RFC 7143 §6.3.5: session reinstatement. */
function checkLogins(rig: Rig): void {
  assert.deepEqual([...new Set(rig.proxy.logins.map(({ isid }) => isid))], [rig.session.isid]);
  assert.deepEqual([...new Set(rig.proxy.logins.map(({ tsih }) => tsih))], [0]);
}

describe('F04: a stale write after a reconnect', { skip: tgtMissing() }, () => {
  it('never reaches the disk: black holes and resets', async () => {
    let [left, stale, logins] = [RUNS, 0, 0];
    const lane = async () => {
      const timers = { noopIntervalMs: 250, noopTimeoutMs: 250 };
      const rig = await Rig.start({ worker: 'inside', timers, sizeBytes: 2 ** 20 });
      try {
        const client = await rig.connect();
        while (left > 0) {
          left--;
          if (await run(rig, client, left % 2 === 0 ? 'black hole' : 'reset')) stale++;
        }
        checkLogins(rig);
        logins += rig.proxy.logins.length;
      } finally {
        await rig.stop();
      }
    };
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, lane));
    figure('F04', `${stale} stale of ${RUNS} runs; ${logins} Login PDUs, one ISID each session, TSIH 0`);
    assert.equal(stale, 0);
  });

  it('never reaches the disk of a worker that was killed -9 and replaced', async () => {
    const rig = await Rig.start({ sizeBytes: 2 ** 20 });
    let stale = 0;
    try {
      for (let i = 0; i < KILLS; i++) {
        const client = await rig.connect();
        const link = rig.proxy.live;
        link.toTarget.hold();
        client.write(0, block(0x11)).catch(() => {});
        await until(() => link.toTarget.held >= 4096, 'W1 is in the network');
        const { isid } = rig.session;
        await rig.killWorker();
        assert.equal((await rig.login()).isid, isid);
        const next = await rig.connect();
        await next.write(0, block(0x22));
        await next.flush();
        await deliverLate(link);
        link.stop();
        if (firstByte(rig.tgt.image) !== 0x22) stale++;
      }
      checkLogins(rig);
    } finally {
      await rig.stop();
    }
    figure('F04', `${stale} stale of ${KILLS} workers killed -9 and replaced, same ISID`);
    assert.equal(stale, 0);
  });

  it('reaches it with qemu-io and libiscsi, which take a new ISID: the rig can fail', {
    skip: qemuMissing(),
  }, async () => {
    const tgt = await startTgt(2 ** 20);
    const proxy = await FaultProxy.start(tgt.port);
    const child = spawn('qemu-io', ['-t', 'none', '-f', 'raw', `iscsi://127.0.0.1:${proxy.port}/${TGT_TARGET}/1`]);
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    const wrote = (times: number) =>
      until(() => output.split('wrote 4096').length > times, `write ${times}: ${output}`);
    try {
      child.stdin.write('write -P 0x33 4096 4k\n');
      await wrote(1);
      const link = proxy.live;
      link.toTarget.hold();
      child.stdin.write('write -P 0x11 0 4k\n');
      await until(() => link.toTarget.held >= 4096, 'W1 is in the network');
      link.resetInitiator();
      await wrote(2);
      child.stdin.write('write -P 0x22 0 4k\n');
      await wrote(3);
      // One line at a time: qemu-io waits for its standard input, not for its buffer.
      child.stdin.write('flush\n');
      await sleep(200);
      child.stdin.write('write -P 0x33 4096 4k\n');
      await wrote(4);
      assert.equal(firstByte(tgt.image), 0x22);
      await deliverLate(link);
      const isids = new Set(proxy.logins.map(({ isid }) => isid));
      figure(
        'F04',
        `qemu-io + libiscsi in the same rig: ${isids.size} ISIDs, W2 lost: ${firstByte(tgt.image) === 0x11}`,
      );
      assert.equal(firstByte(tgt.image), 0x11);
    } finally {
      child.kill('SIGKILL');
      await proxy.close();
      await tgt.stop();
    }
  });
});

function qemuMissing(): string | false {
  const there = ['/usr/bin/qemu-io', '/usr/lib/x86_64-linux-gnu/qemu/block-iscsi.so'].every((path) => existsSync(path));
  return there ? false : 'qemu-io with iSCSI is not installed: apt-get install qemu-utils qemu-block-extra';
}
