// What a command costs before it does anything: its CPU time against that of an empty Node in the same run, and the modules
// it loads. Scripts call these in loops.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';

const root = join(import.meta.dirname, '../..');
const TARGET = 'iqn.2022-08.com.test:start-up';
const RUNS = Number(process.env.START_UP_RUNS || 8);
const BIN = join(root, 'bin/run.js');
const SHIM = join(root, 'bin/iscsiadm.js');

/** Tells on file descriptor 3 what the process has used, in microseconds. */
const METER = `process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  require('node:fs').writeSync(3, String(user + system));
});`;

/** Tells every module that is loaded, on standard error. */
const HOOK = `import { writeSync } from 'node:fs';
export async function resolve(name, context, next) {
  const found = await next(name, context);
  writeSync(2, found.url + '\\n');
  return found;
}`;

let box: Sandbox;
let folder: string;
let meter: string;
before(async () => {
  box = await Sandbox.make('iqn.2022-08.com.test:starter');
  folder = mkdtempSync(join(tmpdir(), 'lunctl-start-'));
  meter = join(folder, 'meter.cjs');
  writeFileSync(meter, METER);
  const { port } = await box.serve(`${box.folder}/disk.img=8M`, '--target', TARGET);
  await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
});
after(async () => {
  await box.stop();
  rmSync(folder, { recursive: true });
});

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds of CPU. */
  readonly cpu: number;
}

function measured(...args: string[]): Outcome {
  const stdio = ['ignore', 'pipe', 'pipe', 'pipe'] as const;
  // With NODE_EXTRA_CA_CERTS Node 20 reads certificates at every start, whatever it runs: the sandbox has none.
  const run = spawnSync(process.execPath, ['-r', meter, ...args], { env: box.env, stdio: [...stdio] });
  const [, stdout, stderr, cpu] = run.output.map(String);
  return { status: run.status, stdout: stdout ?? '', stderr: stderr ?? '', cpu: Number(cpu) / 1000 };
}

/** The least CPU time of `command` over that of an empty Node; they take turns, so that both meet the same machine. */
function ratio(status: number, ...command: string[]): number {
  const empty: number[] = [];
  const ours: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    empty.push(measured('-e', '0').cpu);
    const run = measured(...command);
    assert.equal(run.status, status, run.stderr);
    ours.push(run.cpu);
  }
  const times = Math.min(...ours) / Math.min(...empty);
  console.log(`${command.slice(1).join(' ')}: ${times.toFixed(2)} times the CPU of an empty Node`);
  return times;
}

async function withSession<T>(work: () => T | Promise<T>): Promise<T> {
  await box.ok('login', TARGET, '--attach', 'none');
  const result = await work();
  await box.ok('logout', '--all');
  return result;
}

/** The modules that the sources behind a bundle load: what the one runs, the other loads. */
async function loaded(program: 'main' | 'quick', ...args: string[]): Promise<string[]> {
  const data = (text: string) => `data:text/javascript,${encodeURIComponent(text)}`;
  const watch = data(`import { register } from 'node:module'; register(${JSON.stringify(data(HOOK))});`);
  const main = `import { main } from ${JSON.stringify(join(root, `dist/cli/${program}.js`))};
    await main(process.argv.slice(1), ${JSON.stringify(root)});
    process.exit();`;
  const command = ['--import', watch, '--input-type=module', '--eval', main, ...args];
  const child = spawn(process.execPath, command, { env: box.env, stdio: ['ignore', 'ignore', 'pipe'] });
  let urls = '';
  child.stderr.on('data', (chunk) => (urls += chunk));
  await once(child, 'close');
  return [...new Set(urls.split('\n').filter((url) => url.startsWith('file:')))];
}

describe('start-up', () => {
  it('iscsiadm -m session costs little more than Node itself', async () => {
    assert.ok(ratio(21, SHIM, '-m', 'session') <= 1.5);
    await withSession(() => assert.ok(ratio(0, SHIM, '-m', 'session') <= 1.5));
  });

  it('session show costs a small multiple', async () => {
    assert.ok(ratio(21, BIN, 'session', 'show') <= 4);
    await withSession(() => assert.ok(ratio(0, BIN, 'session', 'show') <= 4));
  });

  it('session show loads no schema and no library that it does not need, with a session or without', async () => {
    const none = await loaded('main', 'session', 'show', '--json');
    const one = await withSession(() => loaded('main', 'session', 'show', '--json'));
    for (const urls of [none, one]) {
      assert.ok(urls.some((url) => url.endsWith('/dist/services/session/registry.js')));
      const own = urls.filter((url) => url.startsWith(`file://${root}/dist/`));
      console.log(`session show: ${own.length} modules of ours`);
      assert.ok(own.length <= 80, own.join('\n'));
      const large = /valibot|\/schemas\/|execa|inquirer|pino|koffi|cli-table3|\/initiator\/|\/target\//;
      assert.deepEqual(
        urls.filter((url) => large.test(url)),
        [],
      );
    }
  });

  it('iscsiadm -m session loads no framework', async () => {
    const urls = await loaded('quick', 'iscsiadm', '-m', 'session');
    console.log(`iscsiadm -m session: ${urls.length} modules`);
    assert.ok(urls.length > 5 && urls.length <= 40, urls.join('\n'));
    assert.deepEqual(
      urls.filter((url) => url.includes('node_modules')),
      [],
    );
  });
});

describe('the bundles', () => {
  it('serve iscsiadm under each of its names', () => {
    const link = join(folder, 'iscsiadm');
    symlinkSync(BIN, link);
    const ways = [[SHIM], [BIN], [BIN, 'iscsiadm'], [link]].map((command) => [...command, '-m', 'session']);
    ways.push([BIN, '--mode', 'session'], [BIN, '--mode=session'], [BIN, '-msession']);
    for (const command of ways) {
      const { status, stdout, stderr } = measured(...command);
      assert.deepEqual([status, stdout, stderr], [21, '', 'iscsiadm: No active sessions.\n'], command.join(' '));
    }
  });

  it('is linked as iscsiadm when asked to, and never in the place of something else', async () => {
    const place = join(folder, 'sbin');
    mkdirSync(place);
    const install = (...more: string[]) => box.run('config', 'shim', '--install', place, ...more);
    assert.match((await install('--dry-run')).stdout, /would be linked/);
    assert.deepEqual(readdirSync(place), []);
    assert.equal((await install()).stdout, `${place}/iscsiadm linked to ${SHIM}\n`);
    assert.equal(measured(join(place, 'iscsiadm'), '-m', 'session').stderr, 'iscsiadm: No active sessions.\n');
    const again = await install();
    assert.deepEqual([again.code, again.stdout], [0, `${place}/iscsiadm unchanged, linked to ${SHIM}\n`]);
    rmSync(join(place, 'iscsiadm'));
    writeFileSync(join(place, 'iscsiadm'), 'of somebody else');
    assert.equal((await install()).code, 40);
    assert.equal(readFileSync(join(place, 'iscsiadm'), 'utf8'), 'of somebody else');
    assert.equal((await box.run('config', 'shim', '--install', join(place, 'none'))).code, 7);
  });

  it('say the version as oclif would', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    const { status, stdout } = measured(BIN, '--version');
    assert.equal(status, 0);
    assert.equal(stdout, `lunctl/${version} ${process.platform}-${process.arch} node-${process.version}\n`);
  });

  it('work without what has been compiled beforehand, and with what does not fit', () => {
    const copy = join(folder, 'copy');
    for (const part of ['bin', 'package.json', 'oclif.manifest.json', 'dist/bundle'])
      cpSync(join(root, part), join(copy, part), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    const compiled = readdirSync(join(copy, 'dist/bundle')).filter((name) => name.endsWith('.cache'));
    assert.ok(compiled.length > 10);
    const show = (change: (file: string) => void) => {
      for (const name of compiled) change(join(copy, 'dist/bundle', name));
      const { status, stdout, stderr } = measured(join(copy, 'bin/run.js'), 'session', 'show');
      assert.deepEqual([status, stdout, stderr], [21, '', 'lunctl: No active sessions. [21]\n']);
    };
    show((file) => writeFileSync(file, 'nothing that V8 has made'));
    const another = readFileSync(join(root, 'dist/bundle/quick.pack.cache'));
    show((file) => writeFileSync(file, another));
    show((file) => rmSync(file));
  });

  it('name the terms of every package that has gone into them', () => {
    const text = readFileSync(join(root, 'dist/licenses.txt'), 'utf8');
    for (const name of ['@oclif/core', 'execa', 'write-file-atomic']) {
      assert.match(text, new RegExp(`^${name} [0-9.]+, (MIT|ISC)$`, 'm'));
    }
  });
});
