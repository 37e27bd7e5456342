// On a terminal: tables, the next command, and questions that never show a secret. script(1) is the terminal.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';
import { noTerminal, onTerminal as runOnTerminal } from '../helpers/terminal.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const SECRET = 'canary-typed-1234';

describe('on a terminal', { skip: noTerminal }, () => {
  let box: Sandbox;
  let port: number;

  before(async () => {
    box = await Sandbox.make('iqn.2022-08.com.test:node01.initiator01');
    const secret = await box.secretFile('secret', SECRET);
    const chap = ['--chap-user', 'username', '--chap-secret-file', secret];
    ({ port } = await box.serve('ramdisk:8M', '--target', TARGET, ...chap));
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`, ...chap);
  });
  after(() => box.stop());

  const onTerminal = (args: string, question?: string, answer?: string, more: NodeJS.ProcessEnv = {}) =>
    runOnTerminal(args, { question, answer, env: { ...box.env, ...more } });

  it('a secret is asked for, without echo', async () => {
    const { code, output } = await onTerminal('login --attach none --chap-user username', 'CHAP secret', `${SECRET}\r`);
    assert.equal(code, 0, output);
    assert.ok(!output.includes(SECRET), output);
    assert.ok(!output.includes('toggle'), 'nor can it be made visible');
    assert.match(output, /successful\./);
  });
  it('sessions are a table', async () => {
    const { code, output } = await onTerminal('session show');
    assert.equal(code, 0);
    assert.match(output, /^SID {2}STATE +TARGET +PORTAL +DEVICES +AGE +READ +WRITE/);
    assert.match(output, new RegExp(`1 {2}LOGGED_IN {2}${TARGET} +127\\.0\\.0\\.1:${port},1 +lun0`));
  });
  it('records are a table, and -P 0 is still iscsiadm’s line', async () => {
    assert.match((await onTerminal('node list')).output, /^PORTAL +TPGT {2}TARGET +IFACE +STARTUP/);
    assert.equal((await onTerminal('node list -P 0')).output, `127.0.0.1:${port},1 ${TARGET}\r\n`);
  });
  it('the end of a name is enough', async () => {
    const { code, output } = await onTerminal('logout :dlp.target01');
    assert.equal(code, 0, output);
    assert.match(output, /Logout of .* successful\./);
  });
  it('a wait has a sign past a second, and the error takes its place', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const portal = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const { code, output } = await onTerminal(`discovery sendtargets -p ${portal} --timeout 2`);
    silent.close();
    assert.equal(code, 11, output);
    assert.match(output, new RegExp(`^\\rasking ${portal} for its targets … 1 s`));
    const [sign = '', error = ''] = output.split('\r\x1b[K');
    assert.ok(!sign.includes('\n'), output);
    assert.match(error, /^lunctl: discovery at .* no answer within 2 s \[11\]\r\n/);
  });
  it('Ctrl-C at a question ends with 130 and leaves nothing', async () => {
    const { code, output } = await onTerminal('login --attach none --chap-user username', 'CHAP secret', '\u0003');
    assert.equal(code, 130, output);
    assert.match(output, /lunctl: interrupted \[130\]/);
    assert.deepEqual(
      box.leftovers().filter((line) => !line.includes(' serve ')),
      [],
    );
  });
  for (const [how, flags, env] of [
    ['--no-input', ' --no-input', {}],
    ['CI', '', { CI: 'true' }],
    ['--json', ' --json', {}],
  ] as const) {
    it(`nothing is asked with ${how}`, async () => {
      const { code, output } = await onTerminal(
        `login --attach none --chap-user username${flags}`,
        undefined,
        undefined,
        env,
      );
      assert.equal(code, 7, output);
      assert.match(output, /--chap-secret-file/);
    });
  }
});
