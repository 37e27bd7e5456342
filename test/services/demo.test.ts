// The demo's steps, from end to end and interrupted: it leaves nothing behind in any ending.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import { type DemoResult, runDemo } from '../../src/services/demo/demo.js';
import { AppError } from '../../src/util/errors.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { nothingLeft } from '../helpers/nothing-left.js';

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
});
