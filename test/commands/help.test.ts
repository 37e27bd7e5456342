// The command tree as users see it: help everywhere, nothing on standard error, no change that nobody meant.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Interfaces } from '@oclif/core';
import { buildManifest } from '../../src/cli/manifest.js';
import { Sandbox } from '../helpers/sandbox.js';

const root = join(import.meta.dirname, '../..');
const read = (path: string): unknown => JSON.parse(readFileSync(join(root, path), 'utf8'));
const manifest = read('oclif.manifest.json') as Interfaces.Manifest;
const SNAPSHOT = 'test/commands/snapshot.json';

/** What scripts rely on: commands, aliases, arguments, and each flag with its letter and kind. */
function surface({ commands }: Interfaces.Manifest): Record<string, unknown> {
  const entries = Object.values(commands).map(({ id, aliases, hiddenAliases, args, flags }) => {
    const described = Object.entries(flags).map(([name, flag]) => {
      const value = flag.type === 'option' ? ` ${flag.options?.join('|') ?? 'VALUE'}${flag.multiple ? '...' : ''}` : '';
      return `${flag.char ? `-${flag.char} ` : ''}--${name}${value}`;
    });
    return [
      id,
      {
        aliases: [...aliases, ...(hiddenAliases ?? [])].join(' '),
        args: Object.keys(args).join(' '),
        flags: described.sort(),
      },
    ];
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)));
}

describe('the command tree', () => {
  let box: Sandbox;
  before(async () => {
    box = await Sandbox.make('iqn.2022-08.com.test:help');
  });
  after(() => box.stop());

  it('is the one in the snapshot; LUNCTL_UPDATE_SNAPSHOT=1 writes a new one', () => {
    const now = surface(manifest);
    if (process.env.LUNCTL_UPDATE_SNAPSHOT === '1') {
      writeFileSync(join(root, SNAPSHOT), `${JSON.stringify(now, null, 2)}\n`);
    }
    assert.deepEqual(now, read(SNAPSHOT));
  });
  it('is the one in the manifest', async () => {
    assert.deepEqual(surface(await buildManifest(root)), surface(manifest));
  });
  it('a letter means one thing everywhere', () => {
    const meanings = new Map<string, string>();
    for (const { id, flags } of Object.values(manifest.commands)) {
      for (const [name, { char }] of Object.entries(flags)) {
        if (char === undefined) continue;
        const before = meanings.get(char) ?? name;
        // serve names its own target, in the target's words.
        const same = before === name || [before, name].sort().join() === 'target,targetname';
        assert.ok(same, `-${char} is --${before} and, in ${id}, --${name}`);
        meanings.set(char, before);
      }
    }
  });
  it('no flag takes a secret', () => {
    for (const { id, flags } of Object.values(manifest.commands)) {
      for (const name of Object.keys(flags)) {
        assert.ok(!/secret|password/.test(name) || /-(file|fd)$|^require-/.test(name), `${id} --${name}`);
      }
    }
  });
  for (const { id } of Object.values(manifest.commands)) {
    it(`lunctl ${id.replaceAll(':', ' ')} --help`, async () => {
      const { code, stdout, stderr } = await box.run(...id.split(':'), '--help');
      assert.deepEqual([code, stderr], [0, '']);
      assert.match(stdout, /USAGE/);
      assert.match(stdout, /EXAMPLES/);
      assert.match(stdout, /--json/);
    });
  }
  it('bare lunctl shows the way in five steps, without oclif', async () => {
    for (const args of [[], ['--help'], ['-h'], ['help']]) {
      const { code, stdout, stderr } = await box.run(...args);
      assert.deepEqual([code, stderr], [0, '']);
      for (const step of [
        '1. lunctl discovery',
        '2. lunctl login',
        '3. lunctl disk label',
        '4. lunctl disk format',
        '5. lunctl disk mount',
      ]) {
        assert.ok(stdout.includes(step), step);
      }
      assert.ok(stdout.split('\n').every((line) => line.length <= 80));
    }
  });
  it('topics, -h anywhere, help TOPIC, --version', async () => {
    for (const args of [['node'], ['node', '-h'], ['help', 'node']]) {
      const { code, stdout } = await box.run(...args);
      assert.equal(code, 0);
      assert.match(stdout, /node login\s+Log in/);
    }
    assert.match((await box.ok('node', 'login', 'iqn.x', '-h')).stdout, /--attach/);
    assert.match((await box.ok('--version')).stdout, /^lunctl\/\d+\.\d+\.\d+ /);
  });
  it('colour only where it is wanted', async () => {
    for (const args of [
      ['node', '--help'],
      ['node', 'login', '--help', '--no-color'],
      ['node', 'list', '--color', 'never'],
    ]) {
      const { stdout, stderr } = await box.run(...args);
      assert.ok(!(stdout + stderr).includes('\u001b['));
    }
    assert.ok((await box.run('node', 'login', '--help', '--color=always')).stdout.includes('\u001b['));
  });
});
