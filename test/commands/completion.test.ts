// Completion in the shells themselves: what Tab offers for a line, with a record and a session that exist.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { BIN, Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const run = promisify(execFile);

/** How a shell is asked, without a terminal: what it would offer for `$LINE`, a word a line. */
const ASK = {
  // What bash itself hands to a completion function; COMP_WORDS is not used by ours.
  bash: `source "$SCRIPT"; COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'; COMP_LINE=$LINE; COMP_POINT=\${#LINE}; _lunctl; printf '%s\\n' "\${COMPREPLY[@]}"`,
  // zsh's completion builtins exist only in its line editor: they are played here.
  zsh: `compdef() { }; compset() { }; _files() { print -l -- *(N) }
    compadd() { while [[ $1 != -- ]]; do shift; done; shift; for w in "$@"; do [[ $w == $cur* ]] && print -r -- $lead$w; done }
    source "$SCRIPT"; words=(\${=LINE}); [[ $LINE == *' ' ]] && words+=(''); CURRENT=$#words; _lunctl; true`,
  fish: 'source $SCRIPT; complete -C "$LINE"',
} as const;
type Shell = keyof typeof ASK;
const OPTIONS = { bash: ['--norc', '-c'], zsh: ['-f', '-c'], fish: ['--no-config', '-c'] } as const;

describe('completion', () => {
  let box: Sandbox;
  let port: number;
  let env: NodeJS.ProcessEnv;
  before(async () => {
    box = await Sandbox.make('iqn.2022-08.com.test:node01.initiator01');
    ({ port } = await box.serve('ramdisk:8M', '--target', TARGET, '--no-auth'));
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
    await box.ok('login', TARGET, '--attach', 'none');
    // A name that no command makes, but that could lie in the database.
    mkdirSync(join(box.folder, 'db/nodes/iqn.2022-08.com.test:$(touch pwned)/127.0.0.1,3260,1'), { recursive: true });
    writeFileSync(join(box.folder, 'a-file'), '');
    mkdirSync(join(box.folder, 'a-folder'));
    mkdirSync(join(box.folder, 'bin'));
    symlinkSync(BIN, join(box.folder, 'bin/lunctl'));
    env = { ...box.env, PATH: `${join(box.folder, 'bin')}:${process.env.PATH}`, TERM: 'dumb' };
  });
  after(() => box.stop());

  for (const shell of Object.keys(ASK) as Shell[]) {
    const there = [`/bin/${shell}`, `/usr/bin/${shell}`].some(existsSync);
    describe(shell, { skip: there ? false : `${shell} is not installed: apt-get install ${shell}` }, () => {
      let script: string;
      before(async () => {
        script = join(box.folder, `completion.${shell}`);
        writeFileSync(script, (await box.ok('completion', shell)).stdout);
      });
      /** Whole words, sorted: bash is given the end of one where it breaks words itself, fish explains some. */
      const offered = async (line: string): Promise<string[]> => {
        const options = { env: { ...env, SCRIPT: script, LINE: line }, cwd: box.folder };
        const { stdout, stderr } = await run(shell, [...OPTIONS[shell], ASK[shell]], options);
        assert.equal(stderr, '');
        const typed = line.slice(line.lastIndexOf(' ') + 1);
        const lead =
          shell === 'bash' ? typed.slice(0, Math.max(typed.lastIndexOf(':'), typed.lastIndexOf('=')) + 1) : '';
        const words = stdout.split('\n').filter((word) => word !== '');
        return words.map((word) => `${lead}${word.split('\t')[0]}`).sort();
      };

      for (const [line, expected] of [
        ['lunctl ses', ['session']],
        ['lunctl session s', ['show', 'stats']],
        ['lunctl --no-color session s', ['show', 'stats']],
        ['lunctl session show --o', ['--output', '--output-all']],
        ['lunctl session show -o T', ['TARGET', 'TSIH']],
        ['lunctl session show --output=T', ['--output=TARGET', '--output=TSIH']],
        ['lunctl node login --attach ', ['auto', 'fuse', 'nbd', 'none']],
        ['lunctl login --timeout 5 --attach n', ['nbd', 'none']],
        ['lunctl login ', [TARGET]],
        ['lunctl login iqn.2022-08.com.test:dl', [TARGET]],
        ['lunctl login other', []],
        ['lunctl session logout ', ['1']],
        ['lunctl session logout 1 ', []],
        ['lunctl lun show ', [`${TARGET}/0`]],
        ['lunctl node set x node.conn[0].st', ['node.conn[0].startup=']],
        ['lunctl iface show ', ['default', 'iser']],
        ['lunctl schema session sh', ['show']],
        ['lunctl completion ', ['bash', 'fish', 'zsh']],
        ['lunctl nosuch ', []],
        ['lunctl-iscsiadm -m ', ['discovery', 'discoverydb', 'fw', 'host', 'iface', 'node', 'session']],
        ['lunctl-iscsiadm -m node --lo', ['--login', '--loginall', '--logout', '--logoutall']],
        ['lunctl-iscsiadm --mode=node -o u', ['update']],
        ['lunctl-iscsiadm -mnode -T ', [TARGET]],
        ['lunctl iscsiadm -m session -r ', ['1']],
        ['lunctl-iscsiadm -m node -n node.sta', ['node.startup']],
      ] as const) {
        it(line, async () => assert.deepEqual(await offered(line), expected));
      }
      it('portals, of records and sessions', async () => {
        const portal = `127.0.0.1:${port}`;
        assert.deepEqual(await offered('lunctl node list -p 127'), [portal]);
        assert.deepEqual(await offered(`lunctl-iscsiadm -m node -p ${portal.slice(0, -1)}`), [portal]);
      });
      it('files where a file is wanted', async () => {
        assert.ok((await offered('lunctl login --chap-secret-file a-')).some((word) => word.startsWith('a-file')));
      });
      it('nothing of what exists is run', () => assert.ok(!existsSync(join(box.folder, 'pwned'))));
    });
  }
  it('__complete is silent about what it does not know, and makes nothing', async () => {
    const empty = await Sandbox.make('iqn.2022-08.com.test:node02.initiator01');
    try {
      for (const kind of ['targets', 'portals', 'sids', 'devices', 'nosuch', 'constructor', '']) {
        assert.deepEqual(await empty.ok('__complete', kind).then(({ stdout, stderr }) => stdout + stderr), '');
      }
      assert.ok(!existsSync(join(empty.folder, 'db')) && !existsSync(join(empty.folder, 'run')));
    } finally {
      await empty.stop();
    }
  });
  it('an unknown shell is 7', async () => {
    assert.equal((await box.run('completion', 'powershell')).code, 7);
    assert.equal((await box.run('completion')).code, 7);
  });
});
