// The watch over a run's secrets sees what it is there for, and nothing else.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

/** Not that of the other tests: a run of all of them is being watched itself. */
const MARK = 'planted-';
const WATCH = join(import.meta.dirname, 'secret-watch.ts');

describe('the watch over secrets', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'lunctl-watch-'));
    mkdirSync(join(folder, 'x/run'), { recursive: true });
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** What the watch says while a process of this kind runs. */
  async function watch(words: readonly string[], env: Record<string, string> = {}) {
    const options = { env: { PATH: process.env.PATH, ...env }, stdio: 'ignore' } as const;
    const subject = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)', '--', ...words], options);
    const watcher = spawn(process.execPath, ['--import', 'tsx', WATCH, folder, MARK], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let text = '';
    watcher.stderr.on('data', (chunk) => (text += chunk));
    try {
      await sleep(3000);
      watcher.stdin.end();
      const [code] = await once(watcher, 'close');
      return { code, found: text.match(/^a secret .*$/gm) ?? [] };
    } finally {
      subject.kill();
    }
  }

  it('finds nothing where there is nothing', async () => {
    writeFileSync(join(folder, 'kept'), `${MARK}1`, { mode: 0o600 });
    assert.deepEqual(await watch(['/x/bin/run.js', 'login']), { code: 0, found: [] });
    // A caller's, which our process takes away, and somebody else's.
    assert.deepEqual(await watch(['/x/bin/iscsiadm.js', '-v', `${MARK}2`]), { code: 0, found: [] });
    assert.deepEqual(await watch(['tgtadm', `${MARK}3`]), { code: 0, found: [] });
  });
  it('finds arguments, the environment, and files', async () => {
    const line = '.*/x/bin/run\\.js login';
    const argument = await watch(['/x/bin/run.js', 'login', `${MARK}4`]);
    assert.equal(argument.code, 1);
    assert.match(
      argument.found.join('\n'),
      new RegExp(`^a secret of the tests is in the arguments: ${line} planted-4`),
    );
    const environment = await watch(['/x/bin/run.js', 'login'], { NAME: `${MARK}5` });
    assert.equal(environment.code, 1);
    assert.match(environment.found.join('\n'), new RegExp(`^a secret of the tests is in the environment of: ${line}`));
    writeFileSync(join(folder, 'open'), `x = ${MARK}6`, { mode: 0o644 });
    writeFileSync(join(folder, 'x/run/state'), `x = ${MARK}7`, { mode: 0o600 });
    const files = await watch(['/x/bin/run.js', 'login']);
    assert.equal(files.code, 1);
    assert.deepEqual(files.found.sort(), [
      `a secret of the tests is in the file of mode 600: ${folder}/x/run/state`,
      `a secret of the tests is in the file of mode 644: ${folder}/open`,
    ]);
  });
});
