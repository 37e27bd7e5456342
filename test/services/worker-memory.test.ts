// A session's worker under memory pressure: what it asks of the kernel, and that its own memory stays within bounds while
// it is written to as fast as it can be.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { login } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import type { Server } from '../../src/services/serve/options.js';
import { sessionFolder } from '../../src/services/session/folder.js';
import type { SessionInfo } from '../../src/services/session/info.js';
import { cLibrary } from '../../src/util/native.js';
import { count, fio, fioMissing } from '../faults/rig.js';
import { serveDisks } from '../helpers/own-target.js';
import { loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const SECONDS = count('WORKER_MEMORY_SECONDS', 3);
/** capability(7). */
const CAP_SYS_RESOURCE = 24n;
/** PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE of the kernel's linux/sched.h: what PR_SET_IO_FLUSHER sets. */
const IO_FLUSHER = 0x0018_0000;
const MIB = 1024;

const status = (pid: number, name: string) =>
  new RegExp(`^${name}:\\s+(\\w+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '';
const mayAsk = () => ((BigInt(`0x${status(process.pid, 'CapEff')}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;

describe("a worker's memory", () => {
  let folder: RunFolder;
  let server: Server;
  let session: SessionInfo;
  before(async () => {
    folder = makeRunFolder();
    server = await serveDisks(TARGET, [{ kind: 'ramdisk', name: 'ram', sizeBytes: 256 * 2 ** 20 }]);
    session = await login(loginRequest(TARGET, server.portals[0]?.port ?? 0), { paths: folder.paths });
  });
  after(async () => {
    await logout([session.sid], { paths: folder.paths });
    await server.close();
    folder.remove();
  });

  it('is spared by the out-of-memory killer and by reclaim that would wait for its own disk, as far as its rights go', {
    skip: process.getuid?.() === 0 ? false : 'only root may ask for that',
  }, async () => {
    const { pid, sid } = session;
    const log = readFileSync(sessionFolder(folder.paths.runDir, sid).log, 'utf8');
    const score = Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'));
    const flushers = threads(pid).filter((flags) => (flags & IO_FLUSHER) === IO_FLUSHER).length;
    if (!mayAsk()) {
      assert.match(log, /not exempt from the out-of-memory killer: EACCES/);
      assert.match(log, /not an I\/O flusher: /);
      return;
    }
    assert.equal(score, -1000);
    if ((await cLibrary()) === null) return;
    assert.equal(flushers, threads(pid).length, 'all threads, also those of V8');
  });

  it('is not locked, and grows by no more than what its clients may have in flight', {
    skip: fioMissing(),
    timeout: 120_000,
  }, async () => {
    const { pid, devices } = session;
    const before = Number(status(pid, 'VmRSS'));
    const jobs = 4;
    // Four connections, each asking for 64 MiB at once: twice what one may have in flight.
    const { code, output } = await fio(devices[0]?.nbd ?? '', [
      ...['--rw=write', '--bs=4m', '--iodepth=16', `--numjobs=${jobs}`, '--size=256m', '--time_based'],
      `--runtime=${SECONDS}`,
    ]);
    assert.equal(code, 0, output);
    const grown = Number(status(pid, 'VmHWM')) - before;
    // 32 MiB for each connection; the rest is V8's heap and the receive side.
    assert.ok(grown < (jobs * 32 + 96) * MIB, `${Math.round(grown / MIB)} MiB`);
    assert.equal(status(pid, 'VmLck'), '0');
  });
});

/** The flags of each thread, field 9 of its stat. */
function threads(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map((tid) => {
    const stat = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[6]);
  });
}
