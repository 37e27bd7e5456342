// A session whose target dies and comes back: its NBD clients see a pause, and no error and no wrong byte.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type ForegroundSession, loginForeground } from '../../src/services/login.js';
import { NbdClient, NbdError } from '../faults/nbd-client.js';
import { count } from '../faults/rig.js';
import { loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';

const SIZE = 32 * 2 ** 20;
/** Restarts of a target that has unflushed writes, one right after the other; 20 in the long form. */
const RESTARTS = count('RECOVERY_RESTARTS', 5);
const RESTART_MS = 300;

describe('a session whose target is killed and restarted', { skip: tgtMissing() }, () => {
  let tgt: Tgt;
  let folder: RunFolder;
  let session: ForegroundSession;

  before(async () => {
    folder = makeRunFolder();
    tgt = await startTgt(SIZE);
    session = await loginForeground(loginRequest(TGT_TARGET, tgt.port), { paths: folder.paths });
  });
  after(async () => {
    // Whatever tgt had not been told to flush when it was killed may be lost, and the last one to hear so is the logout.
    await session?.logout().catch((error: Error) => assert.match(error.message, /last writes may be lost: flush/));
    await tgt.stop();
    folder.remove();
  });

  it('goes on without an error under verified writes', { timeout: 60_000 }, async () => {
    const uri = session.info.devices[0]?.nbd ?? '';
    const fio = promisify(execFile)(
      'fio',
      [
        '--name=kill',
        '--ioengine=nbd',
        `--uri=${uri}`,
        '--rw=randwrite',
        '--bs=4k',
        '--iodepth=16',
        '--size=32M',
        '--verify=crc32c',
        '--verify_state_save=0',
        '--rate=4m',
        '--do_verify=1',
      ],
      { cwd: folder.paths.runDir },
    );
    for (const outage of [0, 300, 1200]) {
      await sleep(1000);
      await tgt.kill();
      await sleep(outage);
      await tgt.restart();
    }
    const { stdout } = await fio;
    assert.match(stdout, /err= 0/);
  });

  it('fails the next flush once for each restart under unflushed writes, however short the session had been back', {
    timeout: 30_000 + RESTARTS * 10_000,
  }, async () => {
    const client = await NbdClient.connect(session.info.socket, session.info.devices[0]?.exportName ?? '');
    const flush = () =>
      client.flush().then(
        () => 'done',
        (error: unknown) => (error instanceof NbdError ? error.errno : error),
      );
    try {
      await flush();
      const outcomes: unknown[] = [];
      for (let i = 0; i < RESTARTS; i++) {
        await client.write(i * 4096, Buffer.alloc(4096, i + 1));
        await tgt.kill();
        await sleep(RESTART_MS);
        await tgt.restart();
        outcomes.push([await flush(), await flush()]);
      }
      assert.deepEqual(outcomes, Array(RESTARTS).fill([5, 'done']));
    } finally {
      client.close();
    }
  });
});
