// CHAP secrets: where they may come from, and what is refused.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type CredentialFlagValues, givenSecret, readCredentials } from '../../src/cli/credentials.js';
import { askSecret, askText, canAsk, confirmByName } from '../../src/cli/prompt.js';

/** Prints what a shell gives at descriptor 5. */
const READ_FIVE = `import('${new URL('../../src/cli/credentials.ts', import.meta.url).href}').then((m) => m.givenSecret('chap', { 'chap-secret-fd': 5 })).then((s) => process.stdout.write(s))`;

let folder: string;
let warnings: string[];
const nobody = { interactive: false, signal: new AbortController().signal };
const read = (flags: CredentialFlagValues) =>
  readCredentials(flags, { prompts: nobody, warn: (text) => warnings.push(text) });
const file = (name: string, content: string | Buffer, mode = 0o600) => {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
};
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lunctl-chap-'));
  warnings = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('secrets from files', () => {
  const user = { 'chap-user': 'username' };
  it('lose one line end and nothing else', async () => {
    for (const content of ['canary-12345', 'canary-12345\n', 'canary-12345\r\n']) {
      assert.deepEqual(await read({ ...user, 'chap-secret-file': file('s', content) }), {
        user: 'username',
        secret: 'canary-12345',
      });
    }
    assert.deepEqual(warnings, []);
  });
  it('are not asked for without a user', async () => assert.equal(await read({}), null));
  it('that others may read are refused with 13', async () => {
    for (const mode of [0o644, 0o640, 0o604, 0o620, 0o601]) {
      const path = file('s', 'for-all-1234', mode);
      await assert.rejects(read({ ...user, 'chap-secret-file': path }), { code: 'ERR_ACCESS', hint: /^chmod 600 / });
    }
  });
  it('may come through a pipe', async () => {
    const path = join(folder, 'fifo');
    execFileSync('mkfifo', ['-m', '600', path]);
    const reading = read({ ...user, 'chap-secret-file': path });
    execFileSync('sh', ['-c', `(printf canary-; sleep 0.1; printf '12345\\n') > ${path}`]);
    assert.equal((await reading)?.secret, 'canary-12345');
  });
  it('that are none are refused', async () => {
    mkdirSync(join(folder, 'dir'), { mode: 0o700 });
    const cases: [string, string][] = [
      [join(folder, 'missing'), 'ERR_USAGE'],
      [join(folder, 'dir'), 'ERR_USAGE'],
      [file('empty', ''), 'ERR_USAGE'],
      [file('newline', '\n'), 'ERR_USAGE'],
      [file('two', 'a\nb'), 'ERR_USAGE'],
      [file('blank', ' secret1234567'), 'ERR_USAGE'],
      [file('nul', 'a\0b'), 'ERR_USAGE'],
      [file('bytes', Buffer.from([0xff, 0xfe, 0x41])), 'ERR_USAGE'],
      [file('long', 'x'.repeat(256)), 'ERR_USAGE'],
      [file('huge', 'x'.repeat(1_000_000)), 'ERR_USAGE'],
    ];
    for (const [path, code] of cases) {
      await assert.rejects(read({ ...user, 'chap-secret-file': path }), (error: Error & { code: string }) => {
        assert.equal(error.code, code, path);
        assert.ok(!error.message.includes('secret1234567'));
        return true;
      });
    }
    assert.equal((await read({ ...user, 'chap-secret-file': file('max', 'x'.repeat(255)) }))?.secret.length, 255);
  });
  it('under 12 bytes are a warning each, without the secret', async () => {
    const mutual = { 'mutual-user': 'target', 'mutual-secret-file': file('m', 'elevenbytes') };
    await read({ ...user, 'chap-secret-file': file('s', 'password'), ...mutual });
    assert.equal(warnings.length, 2);
    assert.match(warnings[0] ?? '', /has 8 bytes/);
    assert.ok(!warnings.join().includes('password'));
  });
  it('under 12 bytes are refused where strong ones are required', async () => {
    const strong = { 'require-strong-secret': true };
    const weak = { ...user, 'chap-secret-file': file('s', 'elevenbytes'), ...strong };
    await assert.rejects(read(weak), { code: 'ERR_USAGE', message: /CHAP secret has 11 bytes/ });
    const good = { ...user, 'chap-secret-file': file('s', 'twelve bytes'), ...strong };
    const mutual = { 'mutual-user': 'target', 'mutual-secret-file': file('m', 'short') };
    await assert.rejects(read({ ...good, ...mutual }), {
      code: 'ERR_USAGE',
      message: /mutual CHAP secret has 5 bytes/,
    });
    assert.equal((await read(good))?.secret, 'twelve bytes');
  });
  it('of mutual CHAP must differ', async () => {
    const same = { 'mutual-user': 'target', 'mutual-secret-file': file('m', 'canary-12345\n') };
    const given = { ...user, 'chap-secret-file': file('s', 'canary-12345') };
    await assert.rejects(read({ ...given, ...same }), { code: 'ERR_USAGE', message: /same secret/ });
    const mutual = { 'mutual-user': 'target', 'mutual-secret-file': file('m', 'canary-other2') };
    assert.deepEqual(await read({ ...given, ...mutual }), {
      user: 'username',
      secret: 'canary-12345',
      mutual: { user: 'target', secret: 'canary-other2' },
    });
    await assert.rejects(read({ ...user, 'chap-secret-file': '-', 'mutual-user': 't', 'mutual-secret-file': '-' }), {
      code: 'ERR_USAGE',
    });
  });
  it('user names that cannot be a record value are refused', async () => {
    const secret = { 'chap-secret-file': file('s', 'canary-12345') };
    for (const name of ['', 'a\nb', ' a', 'x'.repeat(256)]) {
      await assert.rejects(read({ 'chap-user': name, ...secret }), { code: 'ERR_USAGE' });
    }
  });
});

describe('secrets from elsewhere', () => {
  const user = { 'chap-user': 'username' };
  it('a descriptor: a file of the owner alone, or a pipe', async () => {
    const descriptor = openSync(file('s', 'canary-12345\n'), 'r');
    const open = openSync(file('o', 'for-all-1234', 0o644), 'r');
    try {
      assert.equal((await read({ ...user, 'chap-secret-fd': descriptor }))?.secret, 'canary-12345');
      await assert.rejects(read({ ...user, 'chap-secret-fd': open }), { code: 'ERR_ACCESS', message: /mode 0644/ });
    } finally {
      for (const one of [descriptor, open]) closeSync(one);
    }
    await assert.rejects(read({ ...user, 'chap-secret-fd': 999 }), {
      code: 'ERR_USAGE',
      message: /nothing is open there/,
    });
    const line = `"${process.execPath}" --import tsx -e "${READ_FIVE}" 5<<<canary-in-a-pipe`;
    assert.equal(execFileSync('bash', ['-c', line], { encoding: 'utf8' }), 'canary-in-a-pipe');
  });
  it('the file that the environment names, unless a flag names one', async () => {
    const [named, flagged] = [file('e', 'canary-of-env'), file('f', 'canary-of-flag')];
    const env = { LUNCTL_CHAP_SECRET_FILE: named, LUNCTL_MUTUAL_SECRET_FILE: flagged };
    assert.equal(await givenSecret('chap', {}, env), 'canary-of-env');
    assert.equal(await givenSecret('mutual', {}, env), 'canary-of-flag');
    assert.equal(await givenSecret('chap', { 'chap-secret-file': flagged }, env), 'canary-of-flag');
    assert.equal(await givenSecret('chap', {}, { LUNCTL_CHAP_SECRET_FILE: '' }), null);
    await assert.rejects(givenSecret('chap', {}, { LUNCTL_CHAP_SECRET_FILE: `${named}x` }), { code: 'ERR_USAGE' });
  });
  it('a credential of the unit; that its user may read it shows as bits of the group', async () => {
    const env = { CREDENTIALS_DIRECTORY: folder };
    assert.equal(await givenSecret('chap', {}, env), null);
    file('chap-secret', 'canary-of-unit', 0o440);
    assert.equal(await givenSecret('chap', {}, env), 'canary-of-unit');
    assert.equal(await givenSecret('mutual', {}, env), null);
    file('chap-secret', 'for-all-1234', 0o444);
    await assert.rejects(givenSecret('chap', {}, env), { code: 'ERR_ACCESS' });
  });
  it('no variable holds a secret itself', async () => {
    for (const name of ['LUNCTL_CHAP_SECRET', 'LUNCTL_CHAP_PASSWORD', 'CHAP_SECRET']) {
      assert.equal(await givenSecret('chap', {}, { [name]: 'for-all-1234' }), null);
    }
  });
  it('standard input is good for one of them', async () => {
    const both = { ...user, 'chap-secret-fd': 0, 'mutual-user': 't', 'mutual-secret-file': '-' };
    await assert.rejects(read(both), { code: 'ERR_USAGE', message: /only one secret/ });
  });
});

describe('questions', () => {
  it('need somebody to answer: the flag is named', async () => {
    await assert.rejects(read({ 'chap-user': 'u' }), { code: 'ERR_USAGE', hint: /--chap-secret-file/ });
    await assert.rejects(askSecret(nobody, 'Secret', '--x'), { code: 'ERR_USAGE', hint: 'give --x' });
    await assert.rejects(askText(nobody, 'Name', '--y'), { code: 'ERR_USAGE', hint: 'give --y' });
  });
  it('are never asked without terminals, in CI or with --no-input', () => {
    assert.equal(canAsk(false, {}), false);
    assert.equal(canAsk(true, {}), false);
    const ends = [process.stdin, process.stderr] as unknown as { isTTY: boolean | undefined }[];
    const before = ends.map(({ isTTY }) => isTTY);
    try {
      for (const end of ends) end.isTTY = true;
      assert.equal(canAsk(false, {}), true);
      assert.equal(canAsk(false, { CI: 'true' }), false);
      assert.equal(canAsk(false, { CI: 'false' }), true);
      assert.equal(canAsk(true, {}), false);
    } finally {
      for (const [i, end] of ends.entries()) end.isTTY = before[i];
    }
  });
  it('before destruction: only the right name goes on, anything else is 40', async () => {
    const what = 'lun 0 holds an ext4 file system\nsize 10G';
    const confirm = (given?: string) =>
      confirmByName(nobody, { what, name: 'nbd0', given, accepted: ['iqn.x/0', 'serial1'] });
    await confirm('iqn.x/0');
    await confirm('serial1');
    // A kernel name is reused: it is good for a person who looks at the disk, not for a script.
    await assert.rejects(confirm('nbd0'), { code: 'ERR_REFUSED' });
    await assert.rejects(confirm(''), { code: 'ERR_REFUSED' });
    await assert.rejects(confirm(), {
      code: 'ERR_REFUSED',
      message: 'lun 0 holds an ext4 file system',
      hint: /--confirm iqn\.x\/0/,
    });
  });
});
