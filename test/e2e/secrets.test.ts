// No secret in the arguments or the environment of any process, in any log, output or file that others may read.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const CANARIES = ['canary-one-way-55aa', 'canary-mutual-aa55'];

describe('secrets stay secret', () => {
  let box: Sandbox;
  let printed = '';
  let serveOutput: () => string;
  before(async () => {
    box = await Sandbox.make(INITIATOR);
    const [own, mutual] = [
      await box.secretFile('own', CANARIES[0] as string),
      await box.secretFile('mutual', CANARIES[1] as string),
    ];
    const chap = [
      '--chap-user',
      'username',
      '--chap-secret-file',
      own,
      '--mutual-user',
      'target',
      '--mutual-secret-file',
      mutual,
    ];
    const { port, output } = await box.serve(
      join(box.folder, 'disk.img=64M'),
      '--target',
      TARGET,
      '--allow',
      INITIATOR,
      ...chap,
    );
    serveOutput = output;
    const portal = `127.0.0.1:${port}`;
    for (const args of [
      ['discovery', 'sendtargets', '-p', portal, ...chap],
      ['node', 'login', '-T', TARGET, '-p', portal, '--attach', 'none', ...chap, '--save'],
      ['node', 'show', '-T', TARGET],
      ['node', 'show', '-T', TARGET, '--json'],
      ['session', 'show', '-P', '3'],
      ['session', 'show', '--json'],
      ['disk', 'list', '--json'],
    ]) {
      const run = await box.ok(...args);
      printed += run.stdout + run.stderr;
    }
  });
  after(() => box.stop());

  const clean = (what: string, text: string) => {
    for (const canary of CANARIES) assert.ok(!text.includes(canary), `${what} shows a secret`);
  };

  it('not in anything printed, and the listing masks what the record holds', () => {
    clean('output', printed);
    clean('the log of serve', serveOutput());
    assert.match(printed, /node\.session\.auth\.password = \*{8}/);
  });
  it('not in the arguments or the environment of any process', () => {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      for (const file of ['cmdline', 'environ', 'comm']) {
        let text: string;
        try {
          text = readFileSync(`/proc/${pid}/${file}`, 'latin1');
        } catch {
          continue;
        }
        clean(`/proc/${pid}/${file}`, text);
      }
    }
  });
  it('only in files that their owner alone may read, and in no run state or log', () => {
    let holders = 0;
    for (const name of readdirSync(box.folder, { recursive: true }) as string[]) {
      const path = join(box.folder, name);
      const stat = statSync(path);
      if (!stat.isFile() || stat.size > 2 ** 20) continue;
      const text = readFileSync(path, 'latin1');
      if (!CANARIES.some((canary) => text.includes(canary))) continue;
      holders++;
      assert.equal(stat.mode & 0o077, 0, `${name} may be read by others`);
      assert.ok(!name.startsWith('run/'), `${name} holds a secret`);
    }
    assert.ok(holders >= 3, 'the two secret files and the record hold them');
  });
});
