// The shorter recordings, replayed on ours; `npm run test:transcripts` takes all of them, and test:lab those that need LIO.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { missing } from './namespaces.js';

const SHORT = ['usage', 'guide', 'mutual-chap', 'iface-host'];

test(`${SHORT.join(', ')}: as recorded, but for the list of differences`, { skip: missing() ?? false }, async () => {
  const run = join(import.meta.dirname, 'run.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', run, ...SHORT], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.match(output, /^transcripts: \d+ of 126 identical .*, 0 unexplained$/m, output);
  assert.equal(code, 0, output);
});
