// The demo as `npm start` runs it: it goes through, also without root, and leaves nothing behind in any ending.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loopDevices, mounts } from '../../src/disk/sysfs.js';
import { type DemoResult, runDemo } from '../../src/services/demo.js';
import { AppError } from '../../src/util/errors.js';
import { whyNoLoopDisks } from '../helpers/disk.js';

const BIN = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const skip =
  whyNoLoopDisks() ?? (existsSync(new URL('../../dist', import.meta.url)) ? false : 'npm run build comes first');
/** Far above what it takes, so that a slow machine does not fail; 60 s is the promise. */
const LONGEST_MS = 60_000;

interface Seen {
  readonly commands: string[];
  readonly text: string[];
  folder: string;
}

/** Runs the demo; `stopAt`: aborts when a step whose title starts so begins. */
async function run(stopAt?: string): Promise<{ seen: Seen; result: DemoResult | AppError }> {
  const controller = new AbortController();
  const seen: Seen = { commands: [], text: [], folder: '' };
  const result = await runDemo({
    signal: controller.signal,
    reporter: {
      step: (title, command) => {
        seen.commands.push(command);
        if (stopAt !== undefined && title.startsWith(stopAt)) {
          controller.abort(new AppError('ERR_INTERRUPTED', 'interrupted'));
        }
      },
      output: (text) => seen.text.push(text),
      note: (text) => {
        seen.text.push(text);
        seen.folder ||= /lives in (\S+):/.exec(text)?.[1] ?? '';
      },
    },
  }).catch((error: unknown) => {
    assert.ok(error instanceof AppError);
    return error;
  });
  return { seen, result };
}

function nothingLeft(folder: string): void {
  assert.match(folder, /\/lunctl-demo-\w+$/);
  assert.ok(!existsSync(folder), `${folder} is still there`);
  assert.deepEqual(
    loopDevices().filter(({ backingFile }) => backingFile.startsWith(folder)),
    [],
  );
  assert.deepEqual(
    mounts().filter(({ target }) => target.startsWith(folder)),
    [],
  );
  const processes = readdirSync('/proc').filter((entry) => {
    try {
      return /^\d+$/.test(entry) && readFileSync(`/proc/${entry}/cmdline`, 'latin1').includes(folder);
    } catch {
      return false;
    }
  });
  assert.deepEqual(processes, []);
}

describe('demo', { skip }, () => {
  test('from a served file to a remounted file system', async () => {
    const start = performance.now();
    const { seen, result } = await run();
    assert.ok(!(result instanceof AppError), String(result));
    assert.ok(performance.now() - start < LONGEST_MS);
    assert.deepEqual([result.mounted, result.fileSystem], [true, 'xfs']);
    const words = seen.commands.map((command) =>
      command
        .replace(/^lunctl /, '')
        .split(' ')
        .slice(0, 2)
        .join(' '),
    );
    for (const step of [
      'discovery sendtargets',
      'node show',
      'node login',
      'session show',
      'disk label',
      'disk partition',
    ]) {
      assert.ok(words.includes(step), step);
    }
    assert.ok(
      seen.commands.some((command) =>
        /^lunctl disk format \w+p1 --type xfs -- -i size=1024 -s size=4096$/.test(command),
      ),
    );
    assert.match(seen.text.join('\n'), /\/dev\/\w+p1 +xfs +10G .*\/mnt/);
    assert.doesNotMatch([...seen.text, ...seen.commands].join('\n'), /a-demo-secret/);
    nothingLeft(seen.folder);
  });

  for (const title of ['Share', 'Log in', 'Make an', 'Mount again']) {
    test(`interrupted at "${title}"`, async () => {
      const { seen, result } = await run(title);
      assert.ok(result instanceof AppError && result.code === 'ERR_INTERRUPTED', String(result));
      nothingLeft(seen.folder);
    });
  }

  test('without root: label, partition and format over NBD, and what root would add', async () => {
    // Read access to everything stays, so that it works in a clone that only root can enter.
    const keepReading = ['--inh-caps', '+dac_read_search', '--ambient-caps', '+dac_read_search'];
    const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', ...keepReading];
    const env = { PATH: process.env.PATH, HOME: '/', TMPDIR: tmpdir() };
    const child = spawn('/usr/bin/setpriv', [...nobody, '--', process.execPath, BIN, 'demo', '--json'], { env });
    let printed = '';
    let complained = '';
    child.stdout.on('data', (chunk) => (printed += chunk));
    child.stderr.on('data', (chunk) => (complained += chunk));
    const code = await new Promise((resolve) => child.on('close', resolve));
    assert.equal(code, 0, complained);
    const result = JSON.parse(printed) as DemoResult & { schema: string };
    assert.equal(result.schema, 'lunctl.demo/1');
    assert.deepEqual([result.attach, result.mounted, result.fileSystem], ['none', false, 'xfs']);
    assert.match(result.leftOut.join('\n'), /no block device and no mount: .*needs root/);
    assert.ok(result.steps.some(({ command }) => /disk format \S+\/0p1 --type xfs/.test(command)));
    nothingLeft(/(\/\S*\/lunctl-demo-\w+)/.exec(result.steps[0]?.command ?? '')?.[1] ?? '');
  });
});
