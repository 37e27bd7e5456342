// A session whose target dies and comes back: its NBD clients see a pause, and no error and no wrong byte.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type ForegroundSession, loginForeground } from '../../src/services/login.js';
import { loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';

const SIZE = 32 * 2 ** 20;

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
});
