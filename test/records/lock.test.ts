// The database lock: one at a time, also against open-iscsi, and gone with its holder however that ends.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type LockOptions, withDatabaseLock } from '../../src/records/lock.js';

let root: string;
let linkDir: string;
const never = new AbortController().signal;
const options = (more: Partial<LockOptions> = {}): LockOptions => ({
  linkDir: null,
  signal: never,
  peersRun: async () => true,
  ...more,
});
const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'lunctl-lock-'));
  linkDir = join(root, 'run');
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('the database lock', () => {
  it('lets one in at a time', async () => {
    let inside = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++inside);
      await pause(5);
      inside--;
    };
    await Promise.all(Array.from({ length: 8 }, () => withDatabaseLock(root, options(), work)));
    assert.equal(most, 1);
    assert.equal(statSync(join(root, '.lunctl-lock')).mode & 0o777, 0o600);
  });
  it('passes on what the work gives, and is given back when it throws', async () => {
    assert.equal(await withDatabaseLock(root, options(), async () => 7), 7);
    await assert.rejects(
      withDatabaseLock(root, options(), async () => {
        throw new Error('inside');
      }),
      /inside/,
    );
    assert.equal(await withDatabaseLock(root, options({ waitMs: 100 }), async () => 8), 8);
  });
  it('held too long is ERR_DATABASE', async () => {
    await withDatabaseLock(root, options(), async () => {
      await assert.rejects(
        withDatabaseLock(root, options({ waitMs: 50 }), async () => undefined),
        { code: 'ERR_DATABASE', message: /held by another lunctl/ },
      );
    });
  });
  it('removes what writers that were killed have begun, and nothing else', async () => {
    const kept = ['.lunctl-lock', `.lunctl-${process.pid}-abc`, '.lunctl-notes', '.other-99999999-1', 'nodes'];
    for (const name of [...kept, '.lunctl-99999999-0a1b', '.lunctl-99999998-2c3d']) writeFileSync(join(root, name), '');
    await withDatabaseLock(root, options(), async () => undefined);
    assert.deepEqual(readdirSync(root).sort(), kept.sort());
  });
  it('is taken by the flock of the system, whatever stands first in PATH', async () => {
    const planted = join(root, 'bin');
    mkdirSync(planted);
    writeFileSync(join(planted, 'flock'), `#!/bin/sh\ntouch '${root}/planted-ran'\n`, { mode: 0o755 });
    const path = process.env.PATH;
    process.env.PATH = `${planted}:${path}`;
    try {
      assert.equal(await withDatabaseLock(root, options(), async () => 9), 9);
    } finally {
      process.env.PATH = path;
    }
    assert.ok(!existsSync(join(root, 'planted-ran')));
  });
  it('ends with a holder that is killed', async () => {
    const script = `import { withDatabaseLock } from ${JSON.stringify(join(import.meta.dirname, '../../src/records/lock.ts'))};
      await withDatabaseLock(${JSON.stringify(root)}, { linkDir: ${JSON.stringify(linkDir)}, signal: new AbortController().signal }, () => {
        process.stdout.write('held');
        return new Promise(() => setInterval(() => {}, 1000));
      });`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((held) => child.stdout.once('data', held));
    const gone = new Promise((done) => child.once('exit', done));
    child.kill('SIGKILL');
    await gone;
    assert.ok(existsSync(join(linkDir, 'lock.write')));
    // Its link names no owner, but our own lock file remembers that a process of ours made this very link.
    assert.equal(await withDatabaseLock(root, options({ linkDir, waitMs: 1000 }), async () => 'in'), 'in');
    assert.ok(!existsSync(join(linkDir, 'lock.write')));
  });
  it('can be given up while waiting', async () => {
    await withDatabaseLock(root, options(), async () => {
      const abort = new AbortController();
      const waiting = withDatabaseLock(root, options({ signal: abort.signal }), async () => undefined);
      setTimeout(() => abort.abort(new Error('enough')), 20);
      await assert.rejects(waiting);
    });
  });
});

describe('open-iscsi’s lock', () => {
  const lock = () => join(linkDir, 'lock');
  const write = () => join(linkDir, 'lock.write');
  const takenByIscsiadm = () => {
    mkdirSync(linkDir, { recursive: true });
    writeFileSync(lock(), '');
    linkSync(lock(), write());
  };
  it('is a link while we work, and none after', async () => {
    await withDatabaseLock(root, options({ linkDir }), async () => {
      assert.equal(statSync(write()).ino, statSync(lock()).ino);
      assert.equal(statSync(lock()).nlink, 2);
    });
    assert.deepEqual(readdirSync(linkDir), ['.lunctl-lock', 'lock']);
    assert.equal(statSync(linkDir).mode & 0o777, 0o700);
  });
  it('is one for all databases: ours in another folder is not taken for an orphan', async () => {
    const other = join(root, 'other');
    const more = { linkDir, waitMs: 60, peersRun: async () => false };
    await withDatabaseLock(root, options({ linkDir }), async () => {
      await assert.rejects(
        withDatabaseLock(other, options(more), async () => undefined),
        { code: 'ERR_DATABASE', message: /held by another lunctl/ },
      );
      assert.ok(existsSync(write()));
    });
    assert.equal(await withDatabaseLock(other, options(more), async () => 2), 2);
  });
  it('is waited for while iscsiadm may hold it', async () => {
    takenByIscsiadm();
    setTimeout(() => void rm(write()), 60);
    const began = performance.now();
    await withDatabaseLock(root, options({ linkDir }), async () => undefined);
    assert.ok(performance.now() - began > 40);
  });
  it('that stays is ERR_DATABASE with the way out', async () => {
    takenByIscsiadm();
    await assert.rejects(
      withDatabaseLock(root, options({ linkDir, waitMs: 60 }), async () => undefined),
      { code: 'ERR_DATABASE', hint: /rm .*lock\.write/ },
    );
    assert.ok(existsSync(write()));
  });
  it('is taken over at once when no open-iscsi tool runs', async () => {
    takenByIscsiadm();
    const more = { linkDir, waitMs: 0, peersRun: async () => false };
    assert.equal(await withDatabaseLock(root, options(more), async () => 1), 1);
    assert.ok(!existsSync(write()));
  });
  it('made anew by iscsiadm after ours was removed is not taken for ours', async () => {
    await withDatabaseLock(root, options({ linkDir }), async () => {
      // As if somebody had removed our link and iscsiadm had taken the lock since.
      await rm(write());
      await pause(10);
      linkSync(lock(), write());
    }).catch(() => undefined);
    takenByIscsiadmAgain();
    await assert.rejects(withDatabaseLock(root, options({ linkDir, waitMs: 40 }), async () => undefined));
    function takenByIscsiadmAgain(): void {
      if (!existsSync(write())) linkSync(lock(), write());
    }
  });
});
