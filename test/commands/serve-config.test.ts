// serve with a configuration as a program: LIO's file, one serve at a time, changes by other commands, what is refused.
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
/** An address of the loopback that no other process has: what else runs here cannot have taken the port. */
const ADDRESS = `127.77.${(process.pid >> 8) & 0xff}.${process.pid & 0xff || 1}`;
const PORT = 33_267;
const PORTALS = `/iscsi/${TARGET}/tpg1/portals`;

let box: Sandbox;
let config: string;
let server: { port: number; child: ChildProcess; output: () => string };

/** As LIO has saved it, but for the folder of its disk, and a port that is free. */
function lioFile(): string {
  const text = readFileSync(new URL('../saveconfig/data/lio-fileio-chap.json', import.meta.url), 'utf8');
  const own = text.replace('/var/lib/iscsi_disks', box.folder).replace('"0.0.0.0"', `"${ADDRESS}"`);
  return own.replace('"port": 3260', '"port": PORT');
}

before(async () => {
  box = await Sandbox.make(INITIATOR);
  config = join(box.folder, 'lio.json');
  writeFileSync(join(box.folder, 'disk01.img'), '', { mode: 0o600 });
  truncateSync(join(box.folder, 'disk01.img'), 10_737_418_240);
});
after(() => box.stop());

describe('serve --config', () => {
  it('a file that does not exist, is damaged, or shows its secrets, is one clear error', async () => {
    const absent = await box.run('serve', '--config', config);
    assert.deepEqual([absent.code, absent.stderr], [21, `lunctl: ${config} does not exist [21]\n`]);
    writeFileSync(config, lioFile(), { mode: 0o600 });
    const damaged = await box.run('serve', '--config', config);
    assert.equal(damaged.code, 6);
    assert.match(damaged.stderr, /lio\.json:\d+:\d+: a value is expected/);
    writeFileSync(join(box.folder, 'open.json'), lioFile().replace('PORT', '3260'), { mode: 0o644 });
    assert.equal((await box.run('serve', '--config', join(box.folder, 'open.json'))).code, 13);
    const both = await box.run('serve', 'ramdisk:1M', '--config', config);
    assert.equal(both.code, 7);
    assert.equal((await box.run('serve', '--config', config, '--no-auth')).code, 7);
  });

  it("LIO's own file is served, by one serve at a time", async () => {
    writeFileSync(config, lioFile().replace('PORT', String(PORT)), { mode: 0o600 });
    server = await box.serve('--config', config);
    assert.match(server.output(), /LUN 0 = fileio .*disk01\.img {2}ACL 1 {2}auth CHAP/);
    const second = await box.run('serve', '--config', config);
    assert.equal(second.code, 28);
    const found = await box.ok('discovery', 'sendtargets', '-p', `${ADDRESS}:${PORT}`);
    assert.match(found.stdout, new RegExp(TARGET));
  });

  it('other commands change it while it runs, and save it', async () => {
    const control = ['--control', /^control (.*)$/m.exec(server.output())?.[1] ?? ''];
    const created = await box.ok('target', 'create', '/backstores/ramdisk', 'rd0', '8M', ...control);
    assert.equal(created.stdout, 'Created ramdisk rd0 with size 8M.\n');
    await box.ok('target', 'create', `/iscsi/${TARGET}/tpg1/luns`, '/backstores/ramdisk/rd0', ...control);
    const { stdout } = await box.ok('target', 'explain-auth', INITIATOR, ...control);
    assert.match(stdout, /LUN 1 {2}\/backstores\/ramdisk\/rd0 {2}rw/);
    const gone = await box.run('target', 'delete', PORTALS, '192.0.2.9', '3260', ...control);
    assert.notEqual(gone.code, 0);
    const saved = await box.ok('target', 'saveconfig', ...control);
    assert.equal(saved.stdout, `Configuration saved to ${config}\n`);
    assert.equal(JSON.parse(readFileSync(config, 'utf8')).storage_objects.length, 2);
    assert.ok(existsSync(join(box.folder, 'backup')));
    assert.match(
      (await box.ok('target', 'metrics', ...control)).stdout,
      /^lunctl_target_logins_total\{type="discovery"\} 1$/m,
    );
    assert.equal((await box.ok('target', 'sessions', ...control)).stdout, '');
  });

  it('a restore that fails as a whole names the object and changes nothing', async () => {
    const control = ['--control', /^control (.*)$/m.exec(server.output())?.[1] ?? ''];
    const bad = JSON.parse(readFileSync(config, 'utf8'));
    bad.storage_objects.push({
      plugin: 'fileio',
      name: 'x',
      dev: join(box.folder, 'no/x'),
      size: 512,
      write_back: true,
    });
    const path = join(box.folder, 'bad.json');
    writeFileSync(path, JSON.stringify(bad), { mode: 0o600 });
    const failed = await box.run('target', 'restoreconfig', path, '--clear-existing', ...control);
    assert.equal(failed.code, 21);
    assert.match(failed.stderr, /\/backstores\/fileio\/x: /);
    const now = await box.ok('target', 'ls', '/backstores', ...control);
    assert.match(now.stdout, /rd0/);
    assert.doesNotMatch(now.stdout, / x /);
  });

  it('ends with SIGTERM, and leaves no socket behind', async () => {
    const closed = new Promise((resolve) => server.child.once('close', resolve));
    server.child.kill('SIGTERM');
    assert.equal(await closed, 143);
    assert.ok(!existsSync(join(box.folder, 'run/t')));
  });
});
