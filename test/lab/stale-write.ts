// F04 in front of LIO: the network holds a write, the initiator comes back on another connection, writes it again and then a
// later one, flushes; then the network delivers the old write, which must not reach the disk any more.
//   node dist-lab/test/lab/stale-write.js ADDRESS:PORT TARGET IMAGE
// LAB_STALE says how often. Exit 1 when a block is stale.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parsePortal } from '../../src/iscsi/portal.js';
import { loginForeground } from '../../src/services/login.js';
import { DEFAULT_TIMERS } from '../../src/services/session/info.js';
import { NbdClient } from '../faults/nbd-client.js';
import { FaultProxy } from '../faults/proxy.js';
import { loginRequest } from '../helpers/session.js';
import { until } from '../helpers/stream-core.js';

const [portal = '', targetName = '', image = ''] = process.argv.slice(2);
const RUNS = Number(process.env.LAB_STALE ?? '2');
/** What LIO would need to write what it gets late, in emulation. */
const LATE_MS = 500;
const block = (value: number) => Buffer.alloc(4096, value);
const firstByte = () => readFileSync(image)[0];

const { address, port } = parsePortal(portal);
const folder = mkdtempSync(join(tmpdir(), 'lunctl-stale-'));
const proxy = await FaultProxy.start(port, { host: address });
const timers = { ...DEFAULT_TIMERS, noopIntervalMs: 2000, noopTimeoutMs: 2000 };
const session = await loginForeground(loginRequest(targetName, proxy.port, { foreground: true, timers }), {
  paths: { runDir: join(folder, 'run'), dbDir: join(folder, 'db') },
});
const client = await NbdClient.connect(session.info.socket, 'lun0');
let stale = 0;
for (let i = 0; i < RUNS; i++) {
  const link = proxy.live;
  link.toTarget.hold();
  const w1 = client.write(0, block(0x11));
  await until(() => link.toTarget.held >= 4096, 'the write is in the network');
  if (i % 2 === 1) link.resetInitiator();
  await w1;
  await client.write(0, block(0x22));
  await client.flush();
  assert.notEqual(proxy.live, link);
  assert.ok(link.toTarget.held >= 4096);
  link.toTarget.release({ end: false });
  await Promise.race([sleep(LATE_MS), new Promise((resolve) => link.target.once('close', resolve))]);
  link.stop();
  if (firstByte() !== 0x22) stale++;
}
assert.deepEqual([...new Set(proxy.logins.map(({ isid, tsih }) => `${isid} ${tsih}`))], [`${session.info.isid} 0`]);
client.close();
await session.logout();
await session.ended;
await proxy.close();
rmSync(folder, { recursive: true });
console.log(`FIGURE ${stale} stale of ${RUNS} runs, ${proxy.logins.length} Login PDUs with one ISID and TSIH 0`);
process.exitCode = stale === 0 ? 0 : 1;
