// The manual pages: made from the options that there are, complete both ways, and clean mdoc.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Interfaces } from '@oclif/core';
import { globalFlags } from '../../src/cli/global-flags.js';
import { LONG } from '../../src/cli/iscsiadm/options.js';
import { manPages } from '../../src/cli/man.js';
import { PAGES, parseProse } from '../../src/cli/man-page.js';

const root = join(import.meta.dirname, '../..');
const manifest = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as Interfaces.Manifest;
const pages = new Map(manPages(root, manifest));
const committed = (file: string) => readFileSync(join(root, 'man', file), 'utf8');
const mandoc = existsSync('/usr/bin/mandoc') ? false : 'mandoc is not installed: apt-get install mandoc';

describe('manual pages', () => {
  it('are those that are committed: node dist/cli/man.js', () => {
    assert.deepEqual(
      readdirSync(join(root, 'man'))
        .filter((name) => name.endsWith('.8'))
        .sort(),
      [...pages.keys()].sort(),
    );
    for (const [file, text] of pages) assert.equal(committed(file), text, `${file} is stale`);
  });
  it('every command has its page', () => {
    for (const { id, hidden } of Object.values(manifest.commands)) {
      if (hidden) continue;
      assert.ok(
        PAGES.some(({ scope }) => scope !== null && (id === scope || id.startsWith(`${scope}:`))),
        id,
      );
    }
  });
  for (const { name, scope, byHand } of PAGES) {
    it(`${name}: its options are those of its commands, both ways`, () => {
      const text = committed(`${name}.8`);
      const documented = [...text.matchAll(/^\.It (?:Fl (\w) , )?Fl Fl ([\w-]+)/gm)].map(([, char, long]) => [
        long,
        char,
      ]);
      const own = Object.values(manifest.commands).filter(
        ({ id, hidden }) => !hidden && scope !== null && (id === scope || id.startsWith(`${scope}:`)),
      );
      const flags = byHand
        ? LONG
        : scope === null
          ? [['json', undefined], ...Object.entries(globalFlags).map(([long, flag]) => [long, flag.char])]
          : own.flatMap(({ flags: all }) =>
              Object.entries(all)
                .filter(([long, flag]) => !(long in globalFlags) && long !== 'json' && !flag.hidden)
                .map(([long, flag]) => [long, flag.char]),
            );
      assert.deepEqual(documented.map(String).sort(), flags.map(String).sort());
    });
    it(`${name} is clean mdoc`, { skip: mandoc }, () => {
      const { status, stdout, stderr } = spawnSync(
        'mandoc',
        ['-Tlint', '-W', 'warning', join(root, 'man', `${name}.8`)],
        {
          encoding: 'utf8',
        },
      );
      assert.equal(`${stdout}${stderr}`, '');
      assert.equal(status, 0);
    });
  }
  it('show what they should', { skip: mandoc }, () => {
    // Bold and underlined letters come as letter, backspace, letter.
    const overstruck = new RegExp(`.${String.fromCharCode(8)}`, 'g');
    const page = join(root, 'man/lunctl-node.8');
    const text = execFileSync('mandoc', ['-Tascii', page], { encoding: 'utf8' }).replaceAll(overstruck, '');
    for (const part of [
      'lunctl node login',
      '-T, --targetname target',
      '--chap-secret-file file',
      'The default is auto.',
      '# lunctl login iqn.',
    ]) {
      assert.ok(text.includes(part), part);
    }
    assert.ok(!text.includes('<%='));
  });
  it('hand-written text must stand in a section', () => {
    assert.throws(() => parseProse('stray\n.Sh A\n'), /stray/);
    assert.deepEqual(
      [...parseProse('.Sh A\nx\n\n\n.Sh B\ny\n')],
      [
        ['A', 'x\n'],
        ['B', 'y\n'],
      ],
    );
  });
});
