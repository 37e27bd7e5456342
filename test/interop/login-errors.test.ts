// What can go wrong at a login and at a discovery, each with peers that do it: one line that can be grepped, with the object,
// the protocol's status and the exit code, and one hint with a command that exists. No two causes say the same.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createWebServer } from 'node:http';
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { Server } from '../../src/services/serve/options.js';
import { FAKE_TARGET, FakeServer } from '../faults/fake-server.js';
import { ISTGT_TARGET, type Istgt, istgtMissing, startIstgt } from '../helpers/istgt.js';
import { serveDisks } from '../helpers/own-target.js';
import { type Run, Sandbox } from '../helpers/sandbox.js';
import { INITIATOR } from '../helpers/session.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const USER = 'username';
const SECRET = 'canary-12345';
const MUTUAL = { user: 'mutualuser', secret: 'canary-mutual' };

let box: Sandbox;
const files: Record<string, string> = {};
before(async () => {
  box = await Sandbox.make(INITIATOR);
  for (const [name, secret] of Object.entries({ right: SECRET, wrong: 'canary-wrong1', mutual: MUTUAL.secret })) {
    files[name] = await box.secretFile(name, secret);
  }
});
after(() => box.stop());

type Credentials = 'none' | 'right' | 'wrong' | 'mutual' | 'mutual-wrong';
function flags(credentials: Credentials): string[] {
  if (credentials === 'none') return [];
  const own = ['--chap-user', USER, '--chap-secret-file', files[credentials === 'wrong' ? 'wrong' : 'right'] as string];
  if (!credentials.startsWith('mutual')) return own;
  const file = files[credentials === 'mutual' ? 'mutual' : 'wrong'] as string;
  return [...own, '--mutual-user', MUTUAL.user, '--mutual-secret-file', file];
}
const login = (target: string, port: number, credentials: Credentials, ...more: string[]) =>
  box.run('node', 'login', target, '-p', `127.0.0.1:${port}`, '--attach', 'none', ...flags(credentials), ...more);
const discovery = (port: number, credentials: Credentials, ...more: string[]) =>
  box.run('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`, ...flags(credentials), ...more);

/** What is said for each cause: the reason with the status that the protocol gave, and the next command. */
const CAUSES = {
  'wrong secret': [
    24,
    /refused: wrong CHAP user or secret \(user username\)(, or it knows no mutual CHAP)? \(login status 0x0201\)/,
    /check user.*chap setup /,
  ],
  'wants CHAP': [
    24,
    /refused: it wants CHAP, and no credentials are configured \((login status 0x0201|AuthMethod=(CHAP|Reject))\)/,
    /^hint: lunctl chap setup /,
  ],
  'CHAP refused': [
    24,
    /refused: the target did not accept our CHAP offer \(login status 0x0201\)/,
    /lunctl chap show /,
  ],
  'wrong mutual secret': [
    24,
    /the target did not prove its identity \(mutual CHAP\)/,
    /lunctl chap setup .* --mutual /,
  ],
  'not in the ACL': [
    24,
    new RegExp(`refused: ${INITIATOR} is not on the target's access list \\(login status 0x0202\\)`),
    /--allow iqn\.\S+initiator01/,
  ],
  'no such target': [
    19,
    /no such target at this portal \(login status 0x0203\)/,
    /^hint: lunctl discovery sendtargets -p 127\.0\.0\.1:\d+ /,
  ],
  'initiator error': [
    19,
    /refused: the target found an error in the login \(login status 0x0200\)/,
    /log of the target .*lunctl discovery sendtargets /,
  ],
  'not in service': [
    8,
    /the target is not in service now \(login status 0x0301\)/,
    /it may come back by itself: lunctl node login /,
  ],
  'out of resources': [
    8,
    /the target is out of resources \(login status 0x0302\)/,
    /end sessions .*lunctl node login iqn\.\S+ --wait 60/,
  ],
  'only None': [24, /refused by us: the target offers no authentication \(AuthMethod=None\)/, /lunctl chap clear /],
  'no CHAP': [24, /the target does not take CHAP \(AuthMethod=Reject\)/, /lunctl chap test /],
  'no iSCSI': [
    8,
    /no iSCSI target listens there, but (an SSH|a web|a TLS|a mail or FTP) server/,
    /iSCSI has 3260.*lunctl discovery sendtargets -p 127\.0\.0\.1 /,
  ],
  'closed at once': [
    8,
    /the target closed the connection without an answer/,
    /admit nobody from this address.*lunctl discovery /,
  ],
  silent: [8, /no answer( to the login)? within 2 s/, /says nothing/],
  'nobody there': [8, /cannot connect to 127\.0\.0\.1:\d+: connection refused/, /firewall/],
} as const satisfies Record<string, readonly [exit: number, reason: RegExp, hint: RegExp]>;

const LOGIN = /^lunctl: Could not login to \[iface: default, target: iqn\.\S+, portal: 127\.0\.0\.1,\d+\]: /;
const DISCOVERY = /^lunctl: discovery at 127\.0\.0\.1:\d+ failed: /;

/** One line of error that is this cause's and no other's, then one hint of the same kind, with a command that exists. */
function check({ code, stdout, stderr }: Run, cause: keyof typeof CAUSES): void {
  const lines = stderr.trimEnd().split('\n');
  assert.equal(lines.length, 2, stdout + stderr);
  const [error = '', hint = ''] = lines;
  const login = LOGIN.test(error);
  assert.ok(login || DISCOVERY.test(error), error);
  const [loginExit] = CAUSES[cause];
  const exit = loginExit === 8 && !login ? 11 : loginExit;
  assert.equal(code, exit, error);
  assert.ok(error.endsWith(` [${exit}]`), error);
  for (const [name, [, reason, next]] of Object.entries(CAUSES)) {
    assert.equal(reason.test(error), name === cause, `${name}: ${error}`);
    assert.equal(next.test(hint), name === cause, `${name}: ${hint}`);
  }
  assert.match(hint, /^hint: /);
  for (const [, words = '', rest = ''] of hint.matchAll(/lunctl ((?:[a-z]+ ?)+)([^;,)]*)/g)) exists(words, rest);
}

const MANIFEST = JSON.parse(readFileSync(new URL('../../oclif.manifest.json', import.meta.url), 'utf8')) as {
  commands: Record<string, { flags: Record<string, { char?: string }> }>;
};
function exists(words: string, rest: string): void {
  const parts = words.trim().split(' ');
  const id = [2, 1].map((n) => parts.slice(0, n).join(':')).find((name) => name in MANIFEST.commands);
  assert.ok(id, `lunctl ${words} exists`);
  const known = Object.entries(MANIFEST.commands[id]?.flags ?? {}).flatMap(([name, { char }]) => [
    `--${name}`,
    `-${char}`,
  ]);
  for (const flag of rest.match(/(?<= |^)--?[a-z-]+/g) ?? []) assert.ok(known.includes(flag), `${id} has ${flag}`);
}

describe('login errors: our own target', () => {
  const servers: Server[] = [];
  const serve = async (changes: Parameters<typeof serveDisks>[2]) => {
    const server = await serveDisks(TARGET, [{ kind: 'ramdisk', name: 'ram', sizeBytes: 2 ** 20 }], changes);
    servers.push(server);
    return server.portals[0]?.port ?? 0;
  };
  after(async () => {
    for (const server of servers) await server.close();
  });

  it('with CHAP', async () => {
    const port = await serve({ account: { user: USER, secret: SECRET }, mutual: MUTUAL });
    check(await login(TARGET, port, 'wrong'), 'wrong secret');
    check(await login(TARGET, port, 'none'), 'wants CHAP');
    check(await login(TARGET, port, 'mutual-wrong'), 'wrong mutual secret');
  });
  it('discovery with CHAP, which it wants from nobody', async () => {
    const port = await serve({ account: { user: USER, secret: SECRET }, mutual: MUTUAL, open: true, allow: [] });
    check(await discovery(port, 'wrong'), 'wrong secret');
    check(await discovery(port, 'mutual-wrong'), 'wrong mutual secret');
  });
  it('with an ACL', async () => {
    const port = await serve({ allow: ['iqn.2022-08.com.test:other'] });
    check(await login(TARGET, port, 'none'), 'not in the ACL');
    check(await login('iqn.2022-08.com.test:unknown', port, 'none'), 'no such target');
  });
});

describe('login errors: tgt', { skip: tgtMissing() }, () => {
  let tgt: Tgt;
  before(async () => {
    tgt = await startTgt(2 ** 20);
  });
  after(() => tgt.stop());
  it('without an account', async () => {
    check(await login(TGT_TARGET, tgt.port, 'right'), 'CHAP refused');
    check(await login('iqn.2022-08.com.test:unknown', tgt.port, 'none'), 'no such target');
  });
  it('with one', async () => {
    tgt.requireChap(USER, SECRET);
    check(await login(TGT_TARGET, tgt.port, 'none'), 'wants CHAP');
    check(await login(TGT_TARGET, tgt.port, 'wrong'), 'wrong secret');
    // It has no account of its own to prove itself with.
    check(await login(TGT_TARGET, tgt.port, 'mutual'), 'wrong secret');
  });
  it('an initiator that it does not admit is told of no target', async () => {
    tgt.adm('--op', 'unbind', '--mode', 'target', '--tid', '1', '-I', 'ALL');
    check(await login(TGT_TARGET, tgt.port, 'right'), 'no such target');
  });
});

describe('login errors: istgt', { skip: istgtMissing() }, () => {
  let istgt: Istgt;
  before(async () => {
    istgt = await startIstgt(4, { user: USER, secret: SECRET }, MUTUAL);
  });
  after(() => istgt.stop());
  it('with CHAP', async () => {
    check(await login(ISTGT_TARGET, istgt.port, 'none'), 'wants CHAP');
    check(await login(ISTGT_TARGET, istgt.port, 'wrong'), 'wrong secret');
    check(await login(ISTGT_TARGET, istgt.port, 'mutual-wrong'), 'wrong mutual secret');
    check(await login('iqn.2022-08.com.test:unknown', istgt.port, 'right'), 'no such target');
    check(await discovery(istgt.port, 'none'), 'wants CHAP');
  });
});

describe('login errors: what no peer here says by itself', () => {
  let server: FakeServer;
  before(async () => {
    server = await new FakeServer().start();
  });
  after(async () => {
    await server.stop();
    assert.deepEqual(server.faults, []);
  });
  for (const [status, cause] of [
    [0x0200, 'initiator error'],
    [0x0201, 'wants CHAP'],
    [0x0202, 'not in the ACL'],
    [0x0203, 'no such target'],
    [0x0301, 'not in service'],
    [0x0302, 'out of resources'],
  ] as const) {
    it(`status 0x0${status.toString(16)}: ${cause}`, async () => {
      server.script = { onLogin: () => ({ status }) };
      check(await login(FAKE_TARGET, server.port, 'none'), cause);
    });
  }
  it('None, where CHAP was asked for', async () => {
    server.script = {};
    check(await login(FAKE_TARGET, server.port, 'right'), 'only None');
  });
  it('a method that is neither CHAP nor None', async () => {
    server.script = { onLogin: () => ({ pairs: [['AuthMethod', 'Reject']] }) };
    check(await login(FAKE_TARGET, server.port, 'right'), 'no CHAP');
  });
});

describe('login errors: portals that are none', () => {
  const servers: NetServer[] = [];
  const sockets = new Set<Socket>();
  const listen = async (server: NetServer) => {
    servers.push(server.on('connection', (socket) => sockets.add(socket.on('error', () => {}))));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const talks = (talk: (socket: Socket) => void) => listen(createServer(talk));
  after(() => {
    for (const server of servers) server.close();
    for (const socket of sockets) socket.destroy();
  });
  const both = async (port: number, cause: keyof typeof CAUSES, ...more: string[]) => {
    check(await login(TARGET, port, 'none', ...more), cause);
    check(await discovery(port, 'none', ...more), cause);
  };

  it('SSH: greets, and waits for a greeting', async () => {
    const port = await talks((socket) => void socket.write('SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n'));
    await both(port, 'no iSCSI');
    const { stderr, ms } = await login(TARGET, port, 'none');
    assert.match(stderr, /an SSH server \("SSH-2\.0-OpenSSH_9\.2p1 Debian-2"\)/);
    assert.ok(ms < 10_000, 'nobody waits for the rest of a header');
  });
  it('HTTP', async () => both(await listen(createWebServer()), 'no iSCSI'));
  it('TLS: an alert', async () => {
    const alert = Buffer.from([21, 3, 3, 0, 2, 2, 70]);
    await both(await talks((socket) => void socket.once('data', () => socket.end(alert))), 'no iSCSI');
  });
  it('mail', async () =>
    both(await talks((socket) => void socket.write('220 mail.example.com ESMTP\r\n')), 'no iSCSI'));
  it('one that closes at once', async () => both(await talks((socket) => void socket.end()), 'closed at once'));
  it('one that resets', async () =>
    both(await talks((socket) => void socket.once('data', () => socket.resetAndDestroy())), 'closed at once'));
  it('one that closes on AuthMethod=None, and refuses a login without a security stage, as LIO does where it wants CHAP', async () => {
    const stages: number[] = [];
    const port = await talks((socket) =>
      socket.on('data', (request) => {
        const stage = ((request[1] as number) >> 2) & 3;
        stages.push(stage, (request[1] as number) >> 7);
        if (stage === 0) return socket.end();
        const response = Buffer.alloc(48);
        response.writeUInt8(0x23, 0);
        request.copy(response, 16, 16, 20);
        response.writeUInt16BE(0x0201, 36);
        return socket.end(response);
      }),
    );
    await both(port, 'wants CHAP');
    assert.deepEqual(stages, [0, 1, 1, 0, 0, 1, 1, 0], 'the question leaves no stage');
  });
  it('one that says nothing', async () => both(await talks(() => {}), 'silent', '--timeout', '2'));
  it('nobody at all', async () => {
    const port = await talks(() => {});
    servers.at(-1)?.close();
    await both(port, 'nobody there');
  });
});
