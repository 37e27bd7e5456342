// What shells complete, as a table: made from the commands that there are, and nothing in it that a shell would expand.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Command, Interfaces } from '@oclif/core';
import { listedColumns } from '../../src/cli/completion/columns.js';
import { completionScript, SHELLS } from '../../src/cli/completion/scripts.js';
import { completionTable, kindText } from '../../src/cli/completion/table.js';
import { MODES } from '../../src/cli/iscsiadm/options.js';

const root = join(import.meta.dirname, '../..');
const manifest = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as Interfaces.Manifest;
const commands = Object.values(manifest.commands) as unknown as Command.Loadable[];
const places = completionTable(commands, { 'session:show': ['SID', 'STATE'] });
const place = (path: string) => places.find((one) => one.path === path);
const value = (path: string, flag: string) => {
  const found = place(path)?.flags.find(({ names }) => names.includes(flag))?.value;
  return found === null || found === undefined ? found : kindText(found);
};

describe('the table', () => {
  it('has a place for each command and alias, each once', () => {
    const paths = places.map(({ path }) => path);
    assert.equal(new Set(paths).size, paths.length);
    for (const { id, aliases, hidden } of commands) {
      if (hidden === true) continue;
      for (const name of [id, ...aliases]) assert.ok(paths.includes(name.replaceAll(':', ' ')), name);
    }
    for (const { next } of places) assert.equal(new Set(next).size, next.length);
  });
  it('has the visible flags of each command, and no others', () => {
    for (const { id, flags } of commands) {
      const names = place(id.replaceAll(':', ' '))?.flags.flatMap((flag) => flag.names) ?? [];
      const long = Object.entries(flags)
        .filter(([, { hidden }]) => hidden !== true)
        .map(([name]) => `--${name}`);
      assert.deepEqual(names.filter((name) => name.startsWith('--')).sort(), [...long, '--help'].sort(), id);
    }
  });
  it('knows what stands behind flags and as arguments', () => {
    assert.equal(value('node login', '--attach'), '=auto nbd fuse none');
    assert.equal(value('node login', '-p'), '@portals');
    assert.equal(value('login', '--chap-secret-file'), 'file');
    assert.equal(value('session show', '-P'), '=0 1 2 3');
    assert.equal(value('session show', '-o'), '=json SID STATE');
    assert.equal(value('session show', '-n'), null);
    assert.equal(value('iscsiadm node', '-n'), '@names');
    assert.equal(value('iscsiadm', '--mode'), `=${Object.keys(MODES).join(' ')}`);
    assert.deepEqual(place('disk mount')?.args.map(kindText), ['@devices', 'dir']);
    assert.equal(kindText(place('node set')?.rest ?? 'nothing'), '@keys');
  });
  it('knows the columns of every command that lists', () => {
    const listing = commands.filter(({ flags }) => 'list-columns' in flags).map(({ id }) => id);
    assert.deepEqual(Object.keys(listedColumns()).sort(), listing.sort());
  });
  it('a word that a shell would not leave alone is refused', () => {
    for (const word of ['$(id)', 'a b', '`x`', "it's", '*', '']) assert.throws(() => kindText({ words: [word] }));
  });
});

for (const shell of SHELLS) {
  it(`the script for ${shell} is text without surprises`, () => {
    const script = completionScript(shell, places);
    assert.ok(script.endsWith('\n') && !script.includes('undefined') && !script.includes('\\${'));
    assert.match(script, new RegExp(`^(#compdef lunctl lunctl-iscsiadm\\n)?# ${shell} completion for lunctl`));
  });
}
