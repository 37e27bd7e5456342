// F27: a record that is cut off, flipped, emptied, or whose writer is killed costs itself at most, and never looks like another.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { recordFileText } from '../../src/records/format.js';
import { newNodeValues } from '../../src/records/new-record.js';
import { nodePath } from '../../src/records/node-ref.js';
import { listNodes, readNode, writeNode } from '../../src/records/node-store.js';
import { updateNodes } from '../../src/services/records/edit-nodes.js';
import { pruneRecords } from '../../src/services/records/prune.js';
import { AppError } from '../../src/util/errors.js';

const STRIDE = Number(process.env.F27_STRIDE ?? '5');
const FLIPS = Number(process.env.F27_FLIPS ?? '400');
const KILLS = Number(process.env.F27_KILLS ?? '4');
const signal = new AbortController().signal;
const ref = { targetName: 'iqn.2022-08.com.test:a', address: '10.0.0.1', port: 3260, tpgt: 1, iface: 'default' };
const other = { ...ref, targetName: 'iqn.2022-08.com.test:b' };

let root: string;
let whole: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'lunctl-f27-'));
  for (const one of [ref, other]) await writeNode(root, { ref: one, values: newNodeValues(one, null, new Map()) });
  whole = readFileSync(nodePath(root, ref), 'utf8');
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** What is read of a damaged record: it, or one clear error; and the other record is there whatever becomes of it. */
async function readsOrSaysWhy(text: string): Promise<'read' | 'refused'> {
  writeFileSync(nodePath(root, ref), text, 'latin1');
  try {
    const read = await readNode(root, ref);
    // Its path says which record it is: damage never makes it another.
    assert.deepEqual(read?.record.ref, ref);
    for (const [key, value] of read?.record.values ?? []) assert.ok(!/\p{Cc}/u.test(key + value), key);
    return 'read';
  } catch (error) {
    assert.ok(error instanceof AppError && error.code === 'ERR_DATABASE', String(error));
    assert.match(error.message, /iqn\.2022-08\.com\.test:a/);
    return 'refused';
  }
}

async function othersAreThere(): Promise<void> {
  const { items, warnings } = await listNodes(root);
  assert.ok(items.some((record) => record.ref.targetName === other.targetName));
  assert.ok(items.length === 2 || warnings.length > 0);
}

describe('F27: damaged records', () => {
  it(`cut off at every ${STRIDE}. byte`, async () => {
    const seen = new Set<string>();
    for (let length = 0; length < whole.length; length += STRIDE)
      seen.add(await readsOrSaysWhy(whole.slice(0, length)));
    assert.deepEqual([...seen].sort(), ['read', 'refused']);
    await othersAreThere();
  });
  it(`${FLIPS} single bits flipped`, async () => {
    const bytes = Buffer.from(whole);
    for (let n = 0; n < FLIPS; n++) {
      // Spread over all bits by a stride that shares no factor with their number.
      const bit = (n * 7919) % (bytes.length * 8);
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await readsOrSaysWhy(flipped.toString('latin1'));
    }
    await othersAreThere();
  });
  it('a damaged record that can be read is whole again after the next change', async () => {
    writeFileSync(nodePath(root, ref), whole.slice(0, whole.indexOf('node.session.queue_depth')));
    const { results } = await updateNodes(
      { configDir: root, dbDir: root },
      [ref],
      [['node.startup', 'onboot']],
      signal,
    );
    assert.equal(results[0]?.error, null);
    assert.match(
      readFileSync(nodePath(root, ref), 'utf8'),
      /^# BEGIN RECORD.*node\.startup = onboot\n.*# END RECORD\n$/s,
    );
  });
  it('a file of 100 MB, a folder of links and a deep one are refused at once', async () => {
    const path = nodePath(root, ref);
    spawnSync('truncate', ['-s', '100M', path]);
    await assert.rejects(readNode(root, ref), { code: 'ERR_DATABASE', message: /larger than/ });
    for (let i = 0; i < 300; i++)
      mkdirSync(join(root, 'nodes', `${ref.targetName}${i}`, 'x', 'y'), { recursive: true });
    await othersAreThere();
  });
});

describe('F27: a writer that is killed', () => {
  it(`${KILLS} times leaves the old record or the new one, and nothing that prune does not take`, {
    timeout: KILLS * 8000 + 30_000,
  }, async () => {
    const source = (path: string) => JSON.stringify(join(import.meta.dirname, '../../src', path));
    const script = `import { updateNodes } from ${source('services/records/edit-nodes.ts')};
      const paths = { configDir: ${JSON.stringify(root)}, dbDir: ${JSON.stringify(root)} };
      for (let n = 1; ; n++) {
        await updateNodes(paths, [${JSON.stringify(ref)}], [['node.session.cmds_max', String(n % 60000)]], new AbortController().signal);
        if (n === 1) process.stdout.write('at work');
      }`;
    for (let kill = 0; kill < KILLS; kill++) {
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await new Promise((resolve) => child.stdout.once('data', resolve));
      const gone = new Promise((resolve) => child.once('exit', resolve));
      setTimeout(() => child.kill('SIGKILL'), (kill * 13) % 40);
      await gone;
      const text = readFileSync(nodePath(root, ref), 'utf8');
      const { items, warnings } = await listNodes(root);
      assert.deepEqual(warnings, []);
      assert.equal(items.length, 2);
      const [record] = items;
      assert.ok(record);
      assert.equal(text, recordFileText(record.values));
      const { removed } = await pruneRecords({ configDir: root, dbDir: root }, { inUse: () => false }, signal);
      assert.deepEqual(removed, []);
      assert.deepEqual(readdirSync(root).sort(), ['.lunctl-lock', 'nodes']);
    }
  });
  it('has the new text on the disk before it has the name, and the name before it is done', {
    skip: spawnSync('strace', ['-V']).status === 0 ? false : 'strace is missing: apt-get install strace',
  }, () => {
    const trace = join(root, 'trace');
    const store = JSON.stringify(join(import.meta.dirname, '../../src/records/files.ts'));
    const path = nodePath(root, ref);
    const script = `import { writeTextFile } from ${store}; await writeTextFile(${JSON.stringify(root)}, ${JSON.stringify(path)}, 'x');`;
    const options = ['-f', '-y', '-o', trace, '-e', 'trace=fsync,rename,renameat,renameat2'];
    const command = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', script];
    const { status } = spawnSync('strace', [...options, ...command], { timeout: 60_000 });
    assert.equal(status, 0);
    const calls = readFileSync(trace, 'utf8')
      .split('\n')
      .filter((line) => line.includes(root) && /fsync|rename/.test(line))
      .map((line) =>
        /rename/.test(line) ? 'rename' : line.includes(`<${dirname(path)}>`) ? 'fsync folder' : 'fsync file',
      );
    assert.deepEqual(calls, ['fsync file', 'rename', 'fsync folder']);
  });
});
