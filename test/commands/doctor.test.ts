// lunctl doctor as a person runs it: what it finds, that it changes nothing, and what it says of portals.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
interface Doctor {
  readonly schema: string;
  readonly findings: {
    readonly check: string;
    readonly level: string;
    readonly message: string;
    readonly fix: string | null;
  }[];
  readonly problems: number;
  readonly warnings: number;
}

/** A Login Response of status 0201h, authentication failure, RFC 7143 §11.13. */
function refusal(request: Buffer): Buffer {
  const response = Buffer.alloc(48);
  request.copy(response, 8, 8, 20);
  response[0] = 0x23;
  response.writeUInt16BE(0x0201, 36);
  return response;
}

describe('doctor', () => {
  let box: Sandbox;
  let chap: string[];
  let port: number;
  const servers: Server[] = [];
  before(async () => {
    box = await Sandbox.make('iqn.2022-08.com.test:node01.initiator01');
    chap = ['--chap-user', 'username', '--chap-secret-file', await box.secretFile('secret', 'canary-for-testing\n')];
    ({ port } = await box.serve('ramdisk:8M', '--target', TARGET, ...chap));
  });
  after(async () => {
    for (const server of servers) server.close();
    await box.stop();
  });
  /** The findings of one check, as `level message`; the exit status must go with the problems. */
  const look = async (...args: string[]) => {
    const { code, stdout } = await box.run('doctor', ...args, '--json');
    const { schema, findings, problems } = JSON.parse(stdout) as Doctor;
    assert.equal(schema, 'lunctl.doctor/1');
    assert.equal(code, problems > 0 ? 1 : 0);
    return (check: string) => findings.filter((one) => one.check === check);
  };
  const listen = async (answer: string): Promise<number> => {
    const server = createServer((socket) => socket.on('error', () => {}).write(answer)).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  /** Every file and folder of the sandbox with its content. */
  const tree = (folder = box.folder): string[] =>
    readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return [path, ...tree(path)];
      return entry.isFile() ? [`${path} ${statSync(path).mode} ${readFileSync(path, 'latin1')}`] : [path];
    });

  it('a line for each thing, and a summary; nothing is changed, not even what a dead session left', async () => {
    const folder = join(box.folder, 'run/s/5');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(join(box.folder, 'run'), 0o700);
    chmodSync(join(box.folder, 'run/s'), 0o700);
    writeFileSync(join(folder, 'state.json'), 'no state\n');
    const before = tree();
    const { stdout, stderr, ms } = await box.run('doctor');
    assert.equal(stderr, '');
    assert.match(stdout, /^ok {4}node \d+\.\d+\.\d+\n/);
    assert.match(
      stdout,
      /^ok {4}initiator name iqn\.2022-08\.com\.test:node01\.initiator01 \(.*initiatorname\.iscsi\)$/m,
    );
    assert.match(stdout, /^FAIL {2}session 5 does not answer: .*run\/s\/5\/log$/m);
    assert.match(stdout, /\n\d+ problems?(, \d+ warnings?)?\n$/);
    assert.deepEqual(tree(), before);
    assert.ok(ms < 30_000);
  });
  it('a secret in an iscsid.conf that others may read; the secret is not shown', async () => {
    const path = join(box.folder, 'etc/iscsid.conf');
    writeFileSync(path, 'node.session.auth.password = for-all-in-the-config\n', { mode: 0o644 });
    chmodSync(path, 0o644);
    const { stdout } = await box.run('doctor');
    assert.match(
      stdout,
      new RegExp(`^warn {2}${path} holds CHAP secrets, and others may read it +chmod 600 ${path}$`, 'm'),
    );
    assert.ok(!stdout.includes('for-all'));
    chmodSync(path, 0o600);
    assert.deepEqual(
      (await look())('iscsid.conf').map(({ level }) => level),
      ['ok'],
    );
  });
  it('a record that cannot be read', async () => {
    const folder = join(box.folder, 'db/nodes', TARGET, '127.0.0.1,3260,1');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'default'), '\u0000garbage\n');
    const [bad, rest] = (await look())('records');
    assert.deepEqual([bad?.level, rest?.level], ['warn', 'ok']);
    assert.match(bad?.message ?? '', /127\.0\.0\.1,3260,1/);
  });
  it('a portal where nobody listens, whose name leads nowhere, that is something else', async () => {
    const closed = (await look('127.0.0.1:1'))('connect');
    assert.deepEqual(
      closed.map(({ level }) => level),
      ['fail'],
    );
    assert.match(closed[0]?.message ?? '', /connection refused/);
    assert.match((await look('no-such-host.invalid'))('connect')[0]?.message ?? '', /cannot resolve/);
    const other = await look(
      `127.0.0.1:${await listen('SSH-2.0-OpenSSH_9.2p1 Debian, which is longer than a header\r\n')}`,
    );
    assert.equal(other('connect')[0]?.level, 'ok');
    assert.match(other('discovery')[0]?.message ?? '', /is no iSCSI target/);
  });
  it('a portal that wants CHAP for a discovery', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (request) => socket.end(refusal(request)));
    }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const [found] = (await look(`127.0.0.1:${(server.address() as AddressInfo).port}`))('discovery');
    assert.equal(found?.level, 'fail');
    assert.match(found?.message ?? '', /wants CHAP for a discovery/);
    assert.match(found?.fix ?? '', /--chap-user NAME --chap-secret-file FILE --save/);
  });
  it('a portal that answers: how fast, and what it names; no record is made', async () => {
    const before = tree();
    const after = await look(`127.0.0.1:${port}`);
    assert.deepEqual(
      after('connect').map(({ level }) => level),
      ['ok'],
    );
    assert.match(after('connect')[0]?.message ?? '', /^127\.0\.0\.1:\d+ answers in [\d.]+ ms$/);
    assert.match(after('discovery')[0]?.message ?? '', /names 1 target at 1 portal/);
    assert.deepEqual(tree(), before);
  });
  it('what is no portal is 7', async () => {
    assert.equal((await box.run('doctor', 'a:b:c:')).code, 7);
  });
});
