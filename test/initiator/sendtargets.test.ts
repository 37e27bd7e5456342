// Discovery sessions: the list, its bounds, and what is left out of it (RFC 7143 §4.3, Appendix C).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TIMERS } from '../../src/initiator/options.js';
import {
  type DiscoveryOptions,
  type DiscoveryOutput,
  DiscoverySession,
  MOST_TARGETS,
  readTargets,
} from '../../src/initiator/sendtargets.js';
import { makeIsid } from '../../src/iscsi/isid.js';
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { parseText, type TextPair } from '../../src/iscsi/wire/text.js';
import { BufferPool } from '../../src/util/ref-buffer.js';
import { FakeTarget, type FakeTargetOptions, textAnswerer } from '../helpers/fake-target.js';
import { FakeClock, MemorySink } from '../helpers/memory-link.js';
import { INITIATOR, MemoryConnection } from '../helpers/pair.js';

const PORTAL = { address: '192.0.2.1', port: 3260 };

function discover(
  targetOptions: FakeTargetOptions,
  options: Partial<DiscoveryOptions> = {},
  back: { cutAt?: number; held?: boolean } = {},
): {
  outputs: DiscoveryOutput[];
  target: FakeTarget;
  link: MemoryConnection;
  session: DiscoverySession;
  clock: FakeClock;
} {
  const clock = new FakeClock();
  const sink = new MemorySink();
  const target = new FakeTarget({ disk: Buffer.alloc(0), ...targetOptions });
  const outputs: DiscoveryOutput[] = [];
  const session = new DiscoverySession(
    { initiatorName: INITIATOR, isid: makeIsid(1, 1), credentials: null, portal: PORTAL, ...options },
    { pool: new BufferPool(), now: clock.now, timers: DEFAULT_TIMERS },
    sink,
  );
  const link = new MemoryConnection(session, sink, { consumer: target, sink: target.sink }, { back });
  link.pump();
  for (let output = session.poll(); output !== undefined; output = session.poll()) outputs.push(output);
  return { outputs, target, link, session, clock };
}
function names(count: number): TextPair[] {
  return Array.from({ length: count }, (_, i): TextPair[] => [
    ['TargetName', `iqn.2022-08.com.test:disk${i}`],
    ['TargetAddress', `192.0.2.${i % 250}:3260,1`],
  ]).flat();
}

test('the session is a discovery session, and asks for all targets, then logs out', () => {
  const { outputs, target } = discover({ onPdu: textAnswerer(names(2), 8192) });
  assert.deepEqual(outputs, [
    {
      kind: 'found',
      targets: [
        { targetName: 'iqn.2022-08.com.test:disk0', address: '192.0.2.0', port: 3260, tpgt: 1 },
        { targetName: 'iqn.2022-08.com.test:disk1', address: '192.0.2.1', port: 3260, tpgt: 1 },
      ],
    },
    { kind: 'closed' },
  ]);
  const login = new Map(parseText(target.all(Opcode.LoginRequest)[0]?.data ?? Buffer.alloc(0)));
  assert.equal(login.get('SessionType'), 'Discovery');
  assert.equal(login.has('TargetName'), false);
  assert.equal(login.has('InitialR2T'), false, 'no key that discovery has no use for');
  const [text] = target.all(Opcode.TextRequest);
  assert.equal(text?.data.toString(), 'SendTargets=All\0');
  assert.equal(text?.immediate, false);
  assert.equal(target.all(Opcode.LogoutRequest).length, 1);
});

test('an answer in many PDUs is put together, each asked for with the tag of the last', () => {
  const { outputs, target } = discover({ onPdu: textAnswerer(names(1000), 512) });
  const [found] = outputs;
  assert.equal(found?.kind === 'found' && found.targets.length, 1000);
  const requests = target.all(Opcode.TextRequest);
  assert.ok(requests.length > 100);
  assert.ok(requests.slice(1).every(({ bhs, data }) => bhs.readUInt32BE(20) === 0x77 && data.length === 0));
  assert.equal(new Set(requests.map(({ bhs }) => tagOf(bhs))).size, 1);
});

test('4096 targets are taken, one more is refused', () => {
  const most = discover({ onPdu: textAnswerer(names(MOST_TARGETS), 8192) }).outputs[0];
  assert.equal(most?.kind === 'found' && most.targets.length, MOST_TARGETS);
  const [more] = discover({ onPdu: textAnswerer(names(MOST_TARGETS + 1), 8192) }).outputs;
  assert.equal(more?.kind === 'failed' && more.error.code, 'ERR_PROTOCOL');
});

test('an answer without an end is cut off', () => {
  const filler = Buffer.from(`${'X-a=b\0'.repeat(1000)}`);
  for (const continues of [true, false]) {
    const { outputs, link } = discover({
      onPdu: (pdu, target) => {
        if (pdu.opcode !== Opcode.TextRequest) return false;
        target.textResponse(tagOf(pdu.bhs), { final: false, continues, ttt: 5, data: filler });
        return true;
      },
    });
    assert.equal(outputs[0]?.kind, 'failed');
    assert.ok(link.back.arrived < 2 ** 24);
  }
});

test('a continuation without a tag, or with both bits, is refused', () => {
  for (const pdu of [
    { final: false, continues: false, ttt: 0xffff_ffff },
    { final: true, continues: true, ttt: 1 },
  ]) {
    const { outputs } = discover({
      onPdu: (seen, target) => {
        if (seen.opcode === Opcode.TextRequest) target.textResponse(tagOf(seen.bhs), { ...pdu, data: Buffer.alloc(0) });
        return true;
      },
    });
    assert.equal(outputs[0]?.kind === 'failed' && outputs[0].error.code, 'ERR_PROTOCOL');
  }
});

test('a login that is refused, redirected or cut ends once', () => {
  const [refused] = discover({ onLogin: () => ({ status: 0x0202 }) }).outputs;
  assert.equal(refused?.kind === 'failed' && refused.error.code, 'ERR_LOGIN_AUTH');
  assert.match((refused?.kind === 'failed' && refused.error.message) || '', /^discovery refused/);
  const moved = discover({ onLogin: () => ({ status: 0x0101, pairs: [['TargetAddress', 'other.example:3261']] }) });
  assert.deepEqual(moved.outputs, [
    { kind: 'redirect', to: { address: 'other.example', port: 3261, permanent: false } },
  ]);
  for (const cutAt of [0, 10, 60]) {
    const { outputs, session } = discover({ onPdu: textAnswerer(names(3), 8192) }, {}, { cutAt });
    assert.equal(outputs.length, 1);
    assert.equal(outputs[0]?.kind, 'failed');
    assert.equal(session.deadline, undefined);
  }
});

test('CHAP protects discovery too', () => {
  const chap = { find: () => ({ secret: 'password1234' }) };
  const credentials = { user: 'username', secret: 'password1234', algorithms: [8, 5] };
  const options = { chap, onPdu: textAnswerer(names(1), 8192) };
  assert.equal(discover(options, { credentials }).outputs[0]?.kind, 'found');
  const wrong = discover(options, { credentials: { ...credentials, secret: 'wrongsecret12' } }).outputs[0];
  assert.equal(wrong?.kind === 'failed' && wrong.error.code, 'ERR_LOGIN_AUTH');
});

test('an answer that never comes ends by its time', () => {
  const { outputs, session, clock } = discover({ onPdu: () => true });
  assert.equal(outputs.length, 0);
  clock.ms += DEFAULT_TIMERS.loginTimeoutMs;
  session.handleTimeout(clock.ms);
  const output = session.poll();
  assert.equal(output?.kind === 'failed' && output.error.code, 'ERR_TIMEOUT');
  assert.equal(session.deadline, undefined);
});

test('names and addresses that are none are left out and told', () => {
  const told: string[] = [];
  const pairs: TextPair[] = [
    ['TargetName', 'iqn.2022-08.com.test:../../etc/passwd'],
    ['TargetAddress', '192.0.2.9:3260,1'],
    ['TargetName', 'iqn.2022-08.com.test:good\u0007'],
    ['TargetName', 'iqn.2022-08.com.test:alone'],
    ['TargetName', 'iqn.2022-08.com.test:many'],
    ['TargetAddress', '[2001:db8::1]:3261,2'],
    ['TargetAddress', '[2001:db8::1]:3261,2'],
    ['TargetAddress', 'host.example'],
    ['TargetAddress', '192.0.2.1:99999,1'],
    ['TargetAddress', '192.0.2.1;rm -rf,1'],
  ];
  const targets = readTargets(pairs, { ...PORTAL, tpgt: 3 }, (message) => told.push(message));
  assert.deepEqual(
    targets.map(({ targetName, address, port, tpgt }) => `${targetName.slice(21)} ${address} ${port} ${tpgt}`).sort(),
    ['alone 192.0.2.1 3260 3', 'many 2001:db8::1 3261 2', 'many host.example 3260 -1'],
  );
  assert.equal(told.length, 4);
  assert.ok(told.every((message) => !message.includes('\u0007')));
});
