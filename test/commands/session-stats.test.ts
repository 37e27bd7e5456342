// session stats, top and logout as users and scripts run them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { BIN, Sandbox } from '../helpers/sandbox.js';
import { noTerminal, onTerminal } from '../helpers/terminal.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
interface Stats {
  readonly schema: string;
  readonly sessions: {
    readonly sid: number;
    readonly counters: Record<string, number>;
    readonly commands: Record<string, number>;
    readonly rates: { readonly seconds: number } | null;
  }[];
}

describe('what sessions count', () => {
  let box: Sandbox;
  let name: string;
  before(async () => {
    box = await Sandbox.make('iqn.2022-08.com.test:node01.initiator01');
    const { port } = await box.serve('ramdisk:8M', '--target', TARGET, '--no-auth');
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
    await box.ok('login', TARGET, '--attach', 'none');
    name = `[sid: 1, target: ${TARGET}, portal: 127.0.0.1,${port}]`;
  });
  after(() => box.stop());
  const json = async (...args: string[]) => JSON.parse((await box.ok(...args, '--json')).stdout) as Stats;

  it('in the words of iscsiadm -s', async () => {
    const { stdout, stderr } = await box.ok('session', 'stats');
    assert.equal(stderr, '');
    const lines = stdout.split('\n');
    assert.deepEqual(lines.slice(0, 3), [`Stats for session ${name}`, 'iSCSI SNMP:', lines[2]]);
    assert.match(lines[2] ?? '', /^\ttxdata_octets: [1-9]\d*$/);
    assert.deepEqual(lines.slice(23, 28), [
      'iSCSI Extended:',
      '\ttx_sendpage_failures: 0',
      '\trx_discontiguous_hdr: 0',
      '\teh_abort_cnt: 0',
      '',
    ]);
    assert.equal((await box.ok('session', 'stats', '-r', '1')).stdout.split('\n')[0], lines[0]);
  });
  it('as JSON, with the commands by name and rates since the login', async () => {
    const before = (await json('session', 'stats', '1')).sessions[0];
    await box.ok('lun', 'show', 'lun0');
    const after = (await json('session', 'stats', '1')).sessions[0];
    assert.ok((after?.commands.INQUIRY ?? 0) > (before?.commands.INQUIRY ?? 0));
    assert.ok((after?.counters.scsicmd_pdus ?? 0) > (before?.counters.scsicmd_pdus ?? 0));
    assert.ok((after?.rates?.seconds ?? 0) > 0);
  });
  it('--watch --json is one object a line, and ends when nobody reads any more', async () => {
    const child = spawn(process.execPath, [BIN, 'session', 'stats', '--watch', '1', '--json'], { env: box.env });
    child.stdout.setEncoding('utf8');
    const [first] = (await once(child.stdout, 'data')) as [string];
    const [second] = (await once(child.stdout, 'data')) as [string];
    child.stdout.destroy();
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(code, 0);
    for (const line of [first, second]) {
      assert.ok(line.endsWith('}\n') && line.indexOf('\n') === line.length - 1, line);
      const { schema, sessions } = JSON.parse(line) as Stats;
      assert.equal(schema, 'lunctl.session-stats/1');
      assert.ok((sessions[0]?.rates?.seconds ?? 0) > 0.5);
    }
  });
  it('--watch in a pipe: a heading, a line for each look; SIGTERM ends it with 143', async () => {
    const child = spawn(process.execPath, [BIN, 'session', 'stats', '--watch', '1'], { env: box.env });
    let out = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    while (out.split('\n').length < 4) await once(child.stdout, 'data');
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(code, 143);
    assert.match(
      out,
      /^SID +TARGET +STATE +IOPS +READ +WRITE +P50 +P99 +QUEUE\n( +1 +iqn\S+ +LOGGED_IN .*\d+\/\d+\n){2}$/,
    );
  });
  it('a session that does not answer is named; others would be shown', async () => {
    const pid = (JSON.parse((await box.ok('session', 'show', '--json')).stdout) as { sessions: { pid: number }[] })
      .sessions[0]?.pid;
    process.kill(pid ?? 0, 'SIGSTOP');
    try {
      const { code, stderr, ms } = await box.run('session', 'stats');
      assert.equal(code, 11);
      assert.match(stderr, /^warning: session 1 does not answer: .*\nlunctl: no session answers \[11\]\n$/);
      assert.ok(ms < 20_000);
    } finally {
      process.kill(pid ?? 0, 'SIGCONT');
    }
  });
  it('of a session that there is not: 2', async () => {
    assert.equal((await box.run('session', 'stats', '7')).code, 2);
    assert.equal((await box.run('session', 'stats', '7', '--watch', '1')).code, 2);
    assert.equal((await box.run('session', 'stats', '1', '-r', '2')).code, 7);
  });
  it('top without a terminal: 7, naming the way for programs', async () => {
    for (const args of [[], ['--json']]) {
      const { code, stderr } = await box.run('session', 'top', ...args);
      assert.equal(code, 7);
      assert.match(stderr, /session top needs a terminal \[7\]\nhint: lunctl session stats --watch 1/);
    }
  });
  for (const [how, ending, status] of [
    ['q', 'q', 0],
    ['Ctrl-C', '\u0003', 130],
  ] as const) {
    it(`top on a terminal until ${how}, which is given back as it was`, { skip: noTerminal }, async () => {
      // The pseudo-terminal's own settings are printed after it.
      const command = `session top; code=$?; stty -a | grep -qw -- -icanon && echo raw || echo cooked; exit $code`;
      const { code, output } = await onTerminal(command, { env: box.env, question: 'LOGGED_IN', answer: ending });
      assert.equal(code, status, output);
      assert.match(output, /SID {2}TARGET +STATE +IOPS +READ +WRITE +P50 +P99 +QUEUE {2}LAST 60 s/);
      assert.ok(output.indexOf('\u001b[?1049h') < output.indexOf('\u001b[?1049l'));
      assert.ok(
        output.includes('\u001b[?25h') && output.trimEnd().endsWith('cooked'),
        JSON.stringify(output.slice(-200)),
      );
    });
  }
  it('top is drawn anew for another size of the terminal', { skip: noTerminal }, async () => {
    // A shell without job control gives a job in the background no standard input.
    const command = 'session top < /dev/tty & sleep 3; stty cols 60 rows 10; sleep 2; kill -TERM $!; wait $!';
    const { output } = await onTerminal(command, { env: box.env });
    const last = output.split('\u001b[H').at(-1)?.split('\u001b[J')[0]?.split('\n') ?? [];
    assert.ok(
      last.some((line) => line.includes('LOGGED_IN')),
      output,
    );
    for (const line of last) assert.ok(line.replace('\u001b[K', '').trimEnd().length <= 60, line);
  });
  it('SIGTERM gives the terminal back too', { skip: noTerminal }, async () => {
    const command = `session top < /dev/tty & sleep 3; kill -TERM $!; wait $!; code=$?; stty -a | grep -qw -- -icanon && echo raw || echo cooked; exit $code`;
    const { code, output } = await onTerminal(command, { env: box.env });
    assert.deepEqual([code, output.trimEnd().endsWith('cooked')], [143, true], output);
  });
  it('logout by number, of a number that there is not, of all', async () => {
    assert.equal((await box.run('session', 'logout', '9')).code, 2);
    assert.equal((await box.run('session', 'logout', '1', '--all')).code, 7);
    const { stdout } = await box.ok('session', 'logout', '1');
    assert.equal(stdout, `Logging out of session ${name}\nLogout of ${name} successful.\n`);
    assert.equal((await box.run('session', 'logout', '--all')).code, 21);
    await box.ok('login', TARGET, '--attach', 'none');
    const { schema, sessions } = await json('session', 'logout', '--all');
    assert.deepEqual([schema, sessions.length], ['lunctl.session-logout/1', 1]);
    assert.equal((await box.run('session', 'stats')).code, 21);
  });
});
