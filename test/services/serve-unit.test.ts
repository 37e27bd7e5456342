// lunctl-serve.service: what systemd takes it for, and that awkward paths survive.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { serveUnit } from '../../src/services/unit-file.js';

const PROGRAM = { node: process.execPath, script: '/srv/run.js' };
const missing = spawnSync('systemd-analyze', ['--version']).error !== undefined;

it('systemd finds nothing wrong in it', { skip: missing && 'systemd-analyze is missing: apt install systemd' }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-unit-'));
  try {
    const path = join(folder, 'lunctl-serve.service');
    writeFileSync(path, serveUnit(PROGRAM, '/etc/target/saveconfig.json'));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', '--recursive-errors=no', path], {
      encoding: 'utf8',
    });
    assert.deepEqual([status, stderr], [0, '']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('the configuration is served whatever its path looks like', () => {
  const text = serveUnit(PROGRAM, '/srv/my disks/100%.json');
  assert.match(text, /^ExecStart=\S+ \/srv\/run\.js serve --config "\/srv\/my disks\/100%%\.json" --no-input$/m);
  assert.match(text, /^ConditionPathExists=\/srv\/my disks\/100%%\.json$/m);
});
