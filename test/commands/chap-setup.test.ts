// `chap setup` as a person meets it, on a pseudo-terminal: what is asked, what is said of mistakes, and what is kept.
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BIN, Sandbox } from '../helpers/sandbox.js';
import { noTmux, TmuxTerminal } from '../helpers/tmux.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const USER = 'username';
const SECRET = 'canary-typed-1234';
const MUTUAL = { user: 'target', secret: 'canary-typed-back' };

describe('chap setup on a terminal', { skip: noTmux }, () => {
  let box: Sandbox;
  let terminal: TmuxTerminal;
  let record: string;
  const setup = (more = '') => `"${process.execPath}" "${BIN}" chap setup ${TARGET}${more}`;
  const ask = {
    user: (text: string) => terminal.answer(/User name for \S+:/, text),
    /** The n-th time. */
    secret: (text: string, n = 1) => terminal.answer(times('Secret \\(not shown\\):', n), text),
    again: (text: string, n = 1) => terminal.answer(times('Again:', n), text),
    mutual: (text: string) => terminal.answer(/Should the target prove itself too \(mutual CHAP\)\?/, text),
    test: (text: string) => terminal.answer(/Try it now\?/, text),
  };

  before(async () => {
    box = await Sandbox.make('iqn.2022-08.com.test:node01.initiator01');
    const [own, back] = [await box.secretFile('own', SECRET), await box.secretFile('back', MUTUAL.secret)];
    const chap = ['--chap-user', USER, '--chap-secret-file', own];
    const mutual = ['--mutual-user', MUTUAL.user, '--mutual-secret-file', back];
    const { port } = await box.serve('ramdisk:8M', '--target', TARGET, ...chap, ...mutual);
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`, ...chap);
    record = join(box.folder, `db/nodes/${TARGET}/127.0.0.1,${port},1/default`);
    terminal = new TmuxTerminal({ ...box.env, PATH: process.env.PATH });
  });
  after(async () => {
    terminal.stop();
    await box.stop();
  });

  const stored = () => readFileSync(record, 'utf8');
  function hidden(): void {
    const shown = terminal.everything();
    for (const secret of [SECRET, MUTUAL.secret, 'canary']) assert.ok(!shown.includes(secret), shown);
  }
  /** Lines are edited and echoed again, and the cursor is there. */
  async function restored(): Promise<void> {
    assert.ok(terminal.cursor, 'the cursor is hidden');
    await terminal.run('stty -a');
    assert.match(terminal.everything(), / icanon /);
    assert.match(terminal.everything(), /(^| )echo /m);
  }

  it('no terminal: 7, naming the flags', async () => {
    for (const redirection of ['</dev/null', '2>errors', '--no-input', '--json']) {
      const line = `cd "${box.folder}"; ${setup(` ${redirection}`)} 2>&1`;
      assert.equal(
        await terminal.run(redirection === '2>errors' ? `${setup(' 2>errors')}; r=$?; cat errors; (exit $r)` : line),
        7,
      );
      const shown = terminal.everything();
      for (const word of ['--chap-user', '--chap-secret-file', '--chap-secret-fd', 'LUNCTL_CHAP_SECRET_FILE']) {
        assert.ok(shown.includes(word), `${redirection}: ${shown}`);
      }
    }
    assert.doesNotMatch(stored(), /auth\.password/);
  });
  it('Ctrl-C: 130, nothing written, and the terminal is as it was', async () => {
    const before = stored();
    const code = await terminal.run(setup(), async () => {
      await ask.user(`${USER}\r`);
      await ask.secret(SECRET);
      terminal.press('C-c');
    });
    assert.equal(code, 130);
    assert.match(terminal.everything(), /^lunctl: interrupted \[130\]$/m);
    hidden();
    await restored();
    assert.equal(stored(), before);
  });
  it('a secret that the target refuses is not kept without another question', async () => {
    const before = stored();
    const code = await terminal.run(setup(), async () => {
      await ask.user(`${USER}\r`);
      await ask.secret('canary-wrong-1234\r');
      await ask.again('canary-wrong-1234\r');
      await ask.mutual('\r');
      await ask.test('\r');
      await terminal.answer(/wrong CHAP user or secret .* \(login status 0x0201\)\n.*Save it all the same\?/, '\r');
    });
    assert.equal(code, 24);
    assert.match(terminal.everything(), /^lunctl: nothing was stored: .*wrong CHAP user or secret.* \[24\]$/m);
    hidden();
    assert.equal(stored(), before);
  });
  it('a mistyped repeat and a weak secret are explained; what is right is tried, and kept for its owner alone', async () => {
    const code = await terminal.run(`cd "${box.folder}"; ${setup(' >out')}`, async () => {
      await ask.user(`${USER}\r`);
      await ask.secret(`${SECRET}\r`);
      await ask.again('canary-mistyped\r');
      await terminal.shows(/the two are not the same; once more/);
      await ask.secret(' canary-blank\r', 2);
      await terminal.shows(/begins or ends with a blank; once more/);
      await ask.secret(`${SECRET}\r`, 3);
      await ask.again(`${SECRET}\r`, 2);
      await ask.mutual('n\r');
      await ask.test('\r');
    });
    assert.equal(code, 0, terminal.everything());
    hidden();
    const out = readFileSync(join(box.folder, 'out'), 'utf8').split('\n');
    assert.match(out[0] ?? '', new RegExp(`^${TARGET} at 127\\.0\\.0\\.1:\\d+: login accepted \\(CHAP, SHA3-256; `));
    assert.deepEqual(out.slice(1), [`Saved to ${record} (mode 0600)`, '']);
    assert.equal(statSync(record).mode & 0o777, 0o600);
    assert.match(stored(), new RegExp(`^node\\.session\\.auth\\.password = ${SECRET}$`, 'm'));
    await restored();
  });
  it('mutual: the same secret both ways is explained, the stored names are offered', async () => {
    const code = await terminal.run(setup(' --mutual'), async () => {
      await terminal.answer(/User name for \S+: \(username\)/, '\r');
      await ask.secret(`${SECRET}\r`);
      await ask.again(`${SECRET}\r`);
      await terminal.answer(/User name of the target:/, `${MUTUAL.user}\r`);
      await terminal.answer(/Secret of the target \(not shown\):/, `${SECRET}\r`);
      await terminal.shows(/both directions of mutual CHAP have the same secret .*; once more/);
      await terminal.answer(times('Secret of the target \\(not shown\\):', 2), `${MUTUAL.secret}\r`);
      await ask.again(`${MUTUAL.secret}\r`, 2);
      await ask.test('\r');
    });
    assert.equal(code, 0, terminal.everything());
    assert.match(terminal.everything(), /login accepted \(CHAP, SHA3-256; the target proved itself as target\)/);
    hidden();
    assert.match(stored(), /^node\.session\.auth\.username_in = target$/m);
  });
  it('a short one is warned of, and kept where the target is not asked', async () => {
    const code = await terminal.run(setup(' --no-test'), async () => {
      await ask.user(`${USER}\r`);
      await ask.secret('canary-\r');
      await ask.again('canary-\r');
      await terminal.shows(/^warning: the CHAP secret has 7 bytes; RFC 7143 asks for at least 12/m);
      await ask.mutual('n\r');
    });
    assert.equal(code, 0, terminal.everything());
    assert.match(stored(), /^node\.session\.auth\.password = canary-$/m);
    assert.doesNotMatch(stored(), /^node\.session\.auth\.password_in/m);
  });
});

/** `text` for the n-th time. */
function times(text: string, n: number): RegExp {
  return new RegExp(Array.from({ length: n }, () => text).join('[^]*'));
}
