// The saved configuration in its file: atomic, private, with backups; edits that meet; damaged files.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { EMPTY_CONFIG } from '../../../src/saveconfig/defaults.js';
import type { SaveConfig } from '../../../src/saveconfig/model.js';
import { printSaveConfig } from '../../../src/saveconfig/print.js';
import { SavedStore } from '../../../src/services/target/saved-store.js';
import { whyNoLoopDisks } from '../../helpers/disk.js';

const SIGNAL = new AbortController().signal;
let root: string;
let count = 0;
before(() => {
  root = mkdtempSync(join(tmpdir(), 'lunctl-store-'));
});
after(() => rmSync(root, { recursive: true }));

/** A store in a folder of its own that does not exist yet. */
function fresh(): SavedStore {
  return new SavedStore(join(root, String(count++), 'target', 'saveconfig.json'), SIGNAL);
}

function withDisk(name: string): SaveConfig {
  const object = { plugin: 'ramdisk', name, size: 2 ** 20, attributes: {}, alua_tpgs: [] } as const;
  return { ...EMPTY_CONFIG, storage_objects: [object] };
}

describe('the saved configuration', () => {
  it('where there is none it is empty; an edit makes the file, for its owner alone', async () => {
    const store = fresh();
    const { config, revision } = await store.read();
    assert.deepEqual(config, EMPTY_CONFIG);
    await store.apply(withDisk('a'), revision);
    assert.equal(readFileSync(store.path, 'utf8'), printSaveConfig(withDisk('a')));
    assert.equal(statSync(store.path).mode & 0o777, 0o600);
    assert.equal(statSync(join(store.path, '..')).mode & 0o777, 0o700);
    const { status } = await store.read();
    assert.deepEqual(status.backstores, { '/backstores/ramdisk/a': { sizeBytes: 2 ** 20 } });
  });

  it('of two that have read the same, the second is told that it came late', async () => {
    const store = fresh();
    const other = new SavedStore(store.path, SIGNAL);
    const [mine, theirs] = [await store.read(), await other.read()];
    await store.apply(withDisk('a'), mine.revision);
    await assert.rejects(other.apply(withDisk('b'), theirs.revision), { code: 'ERR_BUSY', retriable: true });
    const { config, revision } = await other.read();
    assert.equal(config.storage_objects[0]?.name, 'a');
    await other.apply(withDisk('b'), revision);
  });

  it('the size of a block device is that of the device, which the file does not say', {
    skip: whyNoLoopDisks() ?? false,
  }, async () => {
    const image = join(root, 'image');
    writeFileSync(image, '');
    truncateSync(image, 3 * 2 ** 20);
    const dev = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
    try {
      const block = {
        plugin: 'block',
        name: 'b1',
        dev,
        readonly: false,
        write_back: false,
        attributes: {},
        alua_tpgs: [],
      } as const;
      const store = fresh();
      await store.apply({ ...EMPTY_CONFIG, storage_objects: [block] }, 0);
      const { status } = await store.read();
      assert.deepEqual(status.backstores, { '/backstores/block/b1': { sizeBytes: 3 * 2 ** 20 } });
    } finally {
      execFileSync('losetup', ['--detach', dev]);
    }
  });
  it('edits of many at once: each is made or refused, none is lost', async () => {
    const store = fresh();
    const made: string[] = [];
    await Promise.all(
      Array.from({ length: 8 }, async (_, n) => {
        const mine = new SavedStore(store.path, SIGNAL);
        for (;;) {
          const { config, revision } = await mine.read();
          const [object] = withDisk(`d${n}`).storage_objects;
          if (object === undefined) return;
          const next = { ...config, storage_objects: [...config.storage_objects, object] };
          const done = await mine.apply(next, revision).catch((error) => {
            assert.equal(error.code, 'ERR_BUSY');
            return null;
          });
          if (done === null) continue;
          made.push(object.name);
          return;
        }
      }),
    );
    const { config } = await store.read();
    assert.deepEqual(config.storage_objects.map(({ name }) => name).sort(), made.sort());
    assert.equal(made.length, 8);
    const left = readdirSync(join(store.path, '..')).filter(
      (name) => !['saveconfig.json', '.lunctl-lock'].includes(name),
    );
    assert.deepEqual(left, []);
  });

  it('a configuration that contradicts itself is not written', async () => {
    const store = fresh();
    const twice = {
      ...EMPTY_CONFIG,
      storage_objects: [...withDisk('a').storage_objects, ...withDisk('a').storage_objects],
    };
    await assert.rejects(store.apply(twice, 0), {
      code: 'ERR_USAGE',
      message: '/backstores/ramdisk/a: is there twice',
    });
    assert.deepEqual((await store.read()).config, EMPTY_CONFIG);
  });

  it('saving keeps the last 10 that differ, newest last', async () => {
    const store = fresh();
    for (let n = 0; n < 12; n++) {
      const { revision } = await store.read();
      await store.apply(withDisk(`d${n}`), revision);
      assert.deepEqual(await store.save(), { path: store.path, backedUp: true });
      assert.deepEqual(await store.save(), { path: store.path, backedUp: false });
    }
    const folder = join(store.path, '..', 'backup');
    const names = readdirSync(folder).sort();
    assert.equal(names.length, 10);
    for (const [index, name] of names.entries()) {
      assert.match(name, /^saveconfig-\d{8}-\d\d:\d\d:\d\d-json\.gz$/);
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
      assert.equal(gunzipSync(readFileSync(join(folder, name))).toString(), printSaveConfig(withDisk(`d${index + 2}`)));
    }
  });

  it('a damaged file is named with its place and the last backup, and is left as it is', async () => {
    const store = fresh();
    await store.apply(withDisk('a'), 0);
    await store.save();
    writeFileSync(store.path, '{"storage_objects": [');
    const backup = join(store.path, '..', 'backup', readdirSync(join(store.path, '..', 'backup'))[0] ?? '');
    for (const attempt of [() => store.read(), () => store.save()]) {
      await assert.rejects(attempt, (error: { code: string; message: string; hint: string }) => {
        assert.equal(error.code, 'ERR_DATABASE');
        assert.match(error.message, /saveconfig\.json:1:22: the file ends here$/);
        assert.ok(error.hint.includes(backup));
        return true;
      });
    }
    await assert.rejects(store.apply(withDisk('b'), 0), { code: 'ERR_BUSY' });
    assert.equal(readFileSync(store.path, 'utf8'), '{"storage_objects": [');
  });

  it('a file with secrets that others can read is refused; a folder and a pipe are no files', async () => {
    const store = fresh();
    const secret = { name: 'iscsi', discovery_userid: 'u', discovery_password: 'canary-secret' };
    await store.apply({ ...EMPTY_CONFIG, fabric_modules: [secret] }, 0);
    chmodSync(store.path, 0o644);
    await assert.rejects(store.read(), (error: { code: string; message: string }) => {
      assert.equal(error.code, 'ERR_ACCESS');
      assert.ok(!error.message.includes('canary'));
      return true;
    });
    const folder = fresh();
    mkdirSync(folder.path, { recursive: true });
    await assert.rejects(folder.read(), { code: 'ERR_DATABASE' });
  });
});
