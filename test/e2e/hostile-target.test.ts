// Targets that mean harm: their names go into no path and onto no terminal, and they can hold no command up.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:good';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const LOGIN = 0x23;
const TEXT = 0x24;

/** A response PDU (RFC 7143 §11.13, §11.11) to the request in `request`. */
function answer(
  opcode: number,
  request: Buffer,
  pairs: string[],
  { flags = 0x87, status = 0, more = false } = {},
): Buffer {
  const data = Buffer.from(pairs.map((pair) => `${pair}\0`).join(''));
  const pdu = Buffer.alloc(48 + data.length + (-data.length & 3));
  pdu[0] = opcode;
  pdu[1] = flags;
  pdu.writeUIntBE(data.length, 5, 3);
  if (opcode === LOGIN) request.copy(pdu, 8, 8, 14);
  request.copy(pdu, 16, 16, 20);
  if (opcode === LOGIN) pdu.writeUInt16BE(status === 0 && flags === 0x87 ? 1 : 0, 14);
  else pdu.writeUInt32BE(more ? 1 : 0xffff_ffff, 20);
  const statSn = request.readUInt32BE(28);
  pdu.writeUInt32BE(statSn, 24);
  pdu.writeUInt32BE(request.readUInt32BE(24), 28);
  pdu.writeUInt32BE(request.readUInt32BE(24) + 8, 32);
  if (opcode === LOGIN) pdu.writeUInt16BE(status, 36);
  data.copy(pdu, 48);
  return pdu;
}

/** Lets the initiator through the stage of `request`, without authentication. */
function letIn(request: Buffer): Buffer {
  const inSecurityStage = ((request[1] ?? 0) & 0x0c) === 0;
  return inSecurityStage ? answer(LOGIN, request, ['AuthMethod=None'], { flags: 0x81 }) : answer(LOGIN, request, []);
}

describe('hostile targets', () => {
  let box: Sandbox;
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  before(async () => {
    box = await Sandbox.make(INITIATOR);
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers.splice(0)) server.close();
  });
  after(() => box.stop());

  /** Answers each request by what `react` makes of it. Returns the portal. */
  const listen = async (react: (request: Buffer, socket: Socket) => Buffer | null): Promise<string> => {
    const listening = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      let held = Buffer.alloc(0);
      socket.on('data', (chunk) => {
        held = Buffer.concat([held, chunk]);
        while (held.length >= 48) {
          const length = 48 + ((held.readUIntBE(5, 3) + 3) & ~3);
          if (held.length < length) return;
          const reply = react(held.subarray(0, length), socket);
          held = held.subarray(length);
          if (reply !== null) socket.write(reply);
        }
      });
    }).listen(0, '127.0.0.1');
    servers.push(listening);
    await new Promise((resolve) => listening.once('listening', resolve));
    return `127.0.0.1:${(listening.address() as { port: number }).port}`;
  };
  /** Lets the initiator in, and answers SendTargets by `pairs`. */
  const naming = (pairs: string[]) =>
    listen((request) => {
      const opcode = (request[0] ?? 0) & 0x3f;
      if (opcode === 0x03) return letIn(request);
      return opcode === 0x04 ? answer(TEXT, request, pairs, { flags: 0x80 }) : null;
    });
  const discover = (portal: string) => box.run('discovery', 'sendtargets', '-p', portal);
  const targets = () => {
    try {
      return readdirSync(join(box.folder, 'db/nodes'));
    } catch {
      return [];
    }
  };

  it('that name paths, control characters and new lines get into no record and onto no terminal', async () => {
    const bad = ['../../../../tmp/x', 'iqn.2022-08.com.test:a/../../b', `${TARGET}\n node.startup = automatic`];
    bad.push(`${TARGET}\u001b]0;pwned\u0007`, `iqn.2022-08.com.test:${'x'.repeat(300)}`, '.', '..', '');
    const portal = await naming([
      ...bad.flatMap((name) => [`TargetName=${name}`, 'TargetAddress=127.0.0.1:3260,1']),
      `TargetName=${TARGET}`,
      'TargetAddress=127.0.0.1:3260,1',
      'TargetAddress=../../etc:3260,1',
      'TargetAddress=127.0.0.1\u001b[31m:3260,1',
    ]);
    const run = await discover(portal);
    assert.equal(run.code, 0, run.stderr);
    assert.equal(run.stdout, `127.0.0.1:3260,1 ${TARGET}\n`);
    // It never answers the logout, for which two seconds are given.
    await box.assertQuick(run, 6000, '--version');
    assert.doesNotMatch(run.stderr.replaceAll('\n', ''), /\p{Cc}/u);
    assert.deepEqual(targets(), [TARGET]);
    assert.deepEqual(readdirSync(join(box.folder, 'db/nodes', TARGET)), ['127.0.0.1,3260,1']);
    assert.ok(!(readdirSync(box.folder, { recursive: true }) as string[]).some((name) => /pwned|\p{Cc}/u.test(name)));
  });

  it('that name more targets than anybody has are refused as a whole', async () => {
    const before = targets();
    const names = Array.from({ length: 5000 }, (_, i) => `TargetName=iqn.2022-08.com.test:t${i}`);
    const run = await discover(await naming(names));
    assert.notEqual(run.code, 0);
    assert.equal(
      run.stderr
        .trimEnd()
        .split('\n')
        .filter((line) => line.startsWith('lunctl: ')).length,
      1,
    );
    assert.deepEqual(targets(), before);
  });

  it('that never end their text, or their login, are given up', async () => {
    let sent = 0;
    const endless = await listen((request) => {
      if ((request[0] ?? 0) === 0x43) return letIn(request);
      sent++;
      return answer(TEXT, request, [`TargetName=iqn.2022-08.com.test:${'y'.repeat(200)}`], { flags: 0x40, more: true });
    });
    const text = await discover(endless);
    assert.notEqual(text.code, 0);
    assert.ok(sent > 1);
    await box.assertQuick(text, 17_000, '--version');
    const rounds = await listen((request) => answer(LOGIN, request, [], { flags: (request[1] ?? 0) & 0x0c }));
    const login = await discover(rounds);
    assert.notEqual(login.code, 0);
    // Not after 15 s, as one that is silent.
    await box.assertQuick(login, 10_000, '--version');
  });

  it('that send us round in circles are told so at the fourth turn', async () => {
    let logins = 0;
    let portal = '';
    portal = await listen((request, socket) => {
      logins++;
      socket.end(answer(LOGIN, request, [`TargetAddress=${portal}`], { flags: 0, status: 0x0101 }));
      return null;
    });
    const loop = await discover(portal);
    assert.notEqual(loop.code, 0);
    assert.match(loop.stderr, /redirects more than 3 times/);
    assert.equal(logins, 4);
    await box.assertQuick(loop, 2000, '--version');
  });
});
