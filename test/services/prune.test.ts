// What `node prune` takes out of a database, and what it leaves alone.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { listNodes } from '../../src/records/node-store.js';
import { addNode } from '../../src/services/records/edit-nodes.js';
import { pruneRecords } from '../../src/services/records/prune.js';
import { readConfig, recordDiscovery } from '../../src/services/records/records.js';

const signal = new AbortController().signal;
const portal = { address: '10.0.0.1', port: 3260 };
const name = (short: string) => `iqn.2022-08.com.test:${short}`;
const linkOf = (short: string) => `${name(short)},10.0.0.1,3260,1,default`;

let root: string;
let paths: { configDir: string; dbDir: string };
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'lunctl-prune-'));
  paths = { configDir: root, dbDir: root };
  const found = ['a', 'b', 'c', 'd'].map((short) => ({ targetName: name(short), ...portal, tpgt: 1 }));
  const config = await readConfig(paths);
  await recordDiscovery(paths, { portal, found, config, save: null, inUse: () => false, signal });
  await addNode(paths, { targetName: name('hand'), portal, tpgt: 2 }, signal);
  await addNode(paths, { targetName: name('flat'), portal, tpgt: -1 }, signal);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const prune = (dryRun: boolean, used: readonly string[] = []) =>
  pruneRecords(paths, { inUse: ({ targetName }) => used.includes(targetName), dryRun }, signal);
const targets = async () => [...new Set((await listNodes(root)).items.map(({ ref }) => ref.targetName.slice(21)))];
function put(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

describe('node prune', () => {
  it('finds nothing in a database that is in order', async () => {
    assert.deepEqual(await prune(false), { removed: [], kept: [] });
    assert.deepEqual(await targets(), ['a', 'b', 'c', 'd', 'flat', 'hand']);
  });
  it('takes what a portal no longer names, what cannot be read, and what is left of them', async () => {
    const links = join(root, 'send_targets/10.0.0.1,3260');
    unlinkSync(join(links, linkOf('a')));
    writeFileSync(join(root, `nodes/${name('b')}/10.0.0.1,3260,1/default`), '');
    writeFileSync(join(root, `nodes/${name('c')}/10.0.0.1,3260,1/default`), '\u0000garbage');
    put(
      `nodes/${name('e')}/10.0.0.9,3260,1/default`,
      readFileSync(join(root, `nodes/${name('d')}/10.0.0.1,3260,1/default`), 'utf8'),
    );
    symlinkSync(join(root, 'nodes/gone'), join(links, linkOf('gone')));
    mkdirSync(join(root, `nodes/${name('empty')}/10.0.0.1,3260,1`), { recursive: true });
    const before = execFileSync('find', [root], { encoding: 'utf8' });
    const planned = await prune(true);
    assert.equal(execFileSync('find', [root], { encoding: 'utf8' }), before);
    assert.deepEqual(
      planned.removed.map(({ kind, path }) => `${kind} ${path.replaceAll('iqn.2022-08.com.test:', '')}`).sort(),
      [
        'folder nodes/empty/10.0.0.1,3260,1',
        'link send_targets/10.0.0.1,3260/b,10.0.0.1,3260,1,default',
        'link send_targets/10.0.0.1,3260/c,10.0.0.1,3260,1,default',
        'link send_targets/10.0.0.1,3260/gone,10.0.0.1,3260,1,default',
        'orphan nodes/a/10.0.0.1,3260,1/default',
        'unreadable nodes/b/10.0.0.1,3260,1/default',
        'unreadable nodes/c/10.0.0.1,3260,1/default',
        'unreadable nodes/e/10.0.0.9,3260,1/default',
      ],
    );
    assert.deepEqual((await prune(false)).removed, planned.removed);
    assert.deepEqual(await targets(), ['d', 'flat', 'hand']);
    assert.deepEqual(
      readdirSync(join(root, 'nodes')).map((one) => one.slice(21)),
      ['d', 'flat', 'hand'],
    );
    assert.deepEqual(readdirSync(links), [linkOf('d'), 'st_config']);
    assert.deepEqual(await prune(false), { removed: [], kept: [] });
  });
  it('takes the records of a portal that is no longer asked, except those in use', async () => {
    await rm(join(root, 'send_targets'), { recursive: true });
    const { removed, kept } = await prune(false, [name('b')]);
    assert.deepEqual(
      removed.map(({ kind }) => kind),
      ['orphan', 'orphan', 'orphan'],
    );
    assert.deepEqual(
      kept.map(({ ref }) => ref?.targetName),
      [name('b')],
    );
    assert.deepEqual(await targets(), ['b', 'flat', 'hand']);
  });
  it('leaves alone what is not named like a record', async () => {
    put('nodes/README', 'hello');
    put(`nodes/${name('d')}/notes`, 'hello');
    mkdirSync(join(root, `nodes/${name('d')}/10.0.0.5,3260,1/default`), { recursive: true });
    assert.deepEqual(await prune(false), { removed: [], kept: [] });
    assert.ok(existsSync(join(root, 'nodes/README')));
  });
});
