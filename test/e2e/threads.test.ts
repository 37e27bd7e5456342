// The thread pool that a server's disks work in: its size is in force before the first thread starts.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';

let sandbox: Sandbox;
before(async () => {
  sandbox = await Sandbox.make('iqn.2022-08.com.test:node01.initiator01');
});
after(() => sandbox.stop());

test('serve has sixteen threads for its disks', async () => {
  const { child } = await sandbox.serve(`${join(sandbox.folder, 'disk.img')}=8M`);
  // Beside them Node has its main thread and at least four for the compiler and the collector.
  const threads = readdirSync(`/proc/${child.pid}/task`).length;
  assert.ok(threads > 16 + 4, `${threads} threads`);
});
