// PDUs that break the rules end the session, never the process, and never touch another command's bytes (RFC 7143 §11).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { NO_TAG, Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { DataInFlag } from '../../src/iscsi/wire/data-in.js';
import { emitReject, RejectReason } from '../../src/iscsi/wire/reject.js';
import { ProtocolError } from '../../src/util/errors.js';
import { fakeLun, fakePair, start } from '../helpers/fake-pair.js';
import type { FakeTarget, SeenPdu } from '../helpers/fake-target.js';

type Misdeed = (itt: number, target: FakeTarget) => void;
const END = DataInFlag.Final | DataInFlag.Status;
const bytes = (length: number): Buffer => Buffer.alloc(length, 0x5a);

/** A target that answers the first command with `misdeed`. */
function commits(misdeed: Misdeed): { onPdu: (pdu: SeenPdu, target: FakeTarget) => boolean } {
  let done = false;
  return {
    onPdu: (pdu, target) => {
      if (pdu.opcode !== Opcode.ScsiCommand || done) return false;
      done = true;
      misdeed(tagOf(pdu.bhs), target);
      return true;
    },
  };
}

const READS: [string, Misdeed][] = [
  ['more data than was asked for', (itt, t) => t.dataIn(itt, { flags: END, dataSn: 0, offset: 0, data: bytes(8193) })],
  ['data beyond the buffer', (itt, t) => t.dataIn(itt, { flags: 0, dataSn: 0, offset: 8192, data: bytes(512) })],
  ['a gap', (itt, t) => t.dataIn(itt, { flags: 0, dataSn: 0, offset: 512, data: bytes(512) })],
  ['a huge offset', (itt, t) => t.dataIn(itt, { flags: 0, dataSn: 0, offset: 0xffff_fe00, data: bytes(512) })],
  ['a DataSN out of order', (itt, t) => t.dataIn(itt, { flags: 0, dataSn: 1, offset: 0, data: bytes(512) })],
  ['an R2T for a read', (itt, t) => t.r2t(itt, { ttt: 1, sn: 0, offset: 0, length: 512 })],
  ['sense data that runs past the segment', (_itt, t) => badSense(t)],
  ['a Login Response', (_itt, t) => raw(t, Opcode.LoginResponse)],
  ['a request that only initiators send', (_itt, t) => raw(t, Opcode.ScsiCommand)],
  ['an operation code that nobody knows', (_itt, t) => raw(t, 0x2e)],
];
function raw(target: FakeTarget, opcode: number): void {
  target.writer.send((b, at) => {
    b.fill(0, at, at + 48);
    b[at] = opcode;
    b[at + 1] = 0x80;
  });
}
function badSense(target: FakeTarget): void {
  const [command] = target.all(Opcode.ScsiCommand);
  const itt = tagOf(command?.bhs ?? Buffer.alloc(48));
  target.writer.send(
    (b, at) => {
      raw48(b, at, Opcode.ScsiResponse);
      b[at + 3] = 0x02;
      b.writeUInt32BE(itt, at + 16);
    },
    Buffer.from([0xff, 0xff, 0x70]),
  );
}
function raw48(b: Buffer, at: number, opcode: number): void {
  b.fill(0, at, at + 48);
  b[at] = opcode;
  b[at + 1] = 0x80;
}

for (const [name, misdeed] of READS) {
  test(`a read is answered with ${name}`, () => {
    const pair = fakePair(commits(misdeed));
    const read = start(fakeLun(pair), BlockOp.Read, 0, 8192);
    pair.rig.pump();
    assert.equal(read.status, BlockStatus.Eio);
    assert.equal(read.received, 0, 'nothing of it was handed on');
    assert.ok(pair.rig.link.thrown instanceof ProtocolError, String(pair.rig.link.thrown));
    assert.equal(pair.rig.session.state, 'FAILED');
    assert.equal(pair.rig.all('lost')[0]?.error.code, 'ERR_PROTOCOL');
    assert.equal(pair.rig.session.tasksInUse, 0);
  });
}

const WRITES: [string, Misdeed][] = [
  ['an R2T beyond the buffer', (itt, t) => t.r2t(itt, { ttt: 1, sn: 0, offset: 2 ** 20 - 512, length: 1024 })],
  ['an R2T at a huge offset', (itt, t) => t.r2t(itt, { ttt: 1, sn: 0, offset: 0xffff_ff00, length: 512 })],
  ['an R2T of huge length', (itt, t) => t.r2t(itt, { ttt: 1, sn: 0, offset: 0, length: 0xffff_ffff })],
  ['an R2T above MaxBurstLength', (itt, t) => t.r2t(itt, { ttt: 1, sn: 0, offset: 0, length: 524_288 })],
  ['an R2T for nothing', (itt, t) => t.r2t(itt, { ttt: 1, sn: 0, offset: 0, length: 0 })],
  ['an R2TSN out of order', (itt, t) => t.r2t(itt, { ttt: 1, sn: 1, offset: 0, length: 512 })],
  [
    'more R2Ts than were agreed',
    (itt, t) => {
      for (let sn = 0; sn < 5; sn++) t.r2t(itt, { ttt: sn + 1, sn, offset: sn * 4096, length: 4096 });
    },
  ],
  ['Data-In for a write', (itt, t) => t.dataIn(itt, { flags: 0, dataSn: 0, offset: 0, data: bytes(512) })],
];
for (const [name, misdeed] of WRITES) {
  test(`a write is answered with ${name}`, () => {
    const pair = fakePair({ ...commits(misdeed), wishes: { maxBurstLength: 262_144, maxOutstandingR2T: 4 } });
    const write = start(fakeLun(pair), BlockOp.Write, 0, 2 ** 20, { payload: bytes(2 ** 20) });
    pair.rig.pump();
    assert.equal(write.status, BlockStatus.Eio);
    assert.ok(pair.rig.link.thrown instanceof ProtocolError, String(pair.rig.link.thrown));
    assert.equal(pair.rig.session.tasksInUse, 0);
  });
}

test('a target that asks for the same bytes again and again is given up', () => {
  let sn = 0;
  const pair = fakePair({
    onPdu: (pdu, target) => {
      const again = pdu.opcode === Opcode.DataOut && (pdu.bhs[1] as number) >= 0x80;
      if (pdu.opcode !== Opcode.ScsiCommand && !again) return pdu.opcode === Opcode.DataOut;
      target.r2t(tagOf(pdu.bhs), { ttt: 9, sn: sn++, offset: 0, length: 65_536 });
      return true;
    },
    wishes: { initialR2T: true, immediateData: false },
  });
  const write = start(fakeLun(pair), BlockOp.Write, 0, 2 ** 20, { payload: bytes(2 ** 20) });
  pair.rig.pump();
  assert.equal(write.status, BlockStatus.Eio);
  assert.equal(sn, 17, 'one more R2T than a mebibyte has');
});

test('answers to tags that were never given, or have ended, are passed over', () => {
  const pair = fakePair({
    onPdu: (pdu, target) => {
      if (pdu.opcode !== Opcode.ScsiCommand) return false;
      const itt = tagOf(pdu.bhs);
      for (const stale of [itt ^ 0x1_0000, 0xffff_0000, 0x3fff, NO_TAG - 1]) {
        target.dataIn(stale, { flags: 0, dataSn: 0, offset: 0, data: bytes(512) });
        target.r2t(stale, { ttt: 1, sn: 0, offset: 0, length: 512 });
        target.response(stale, 0);
      }
      return false;
    },
  });
  const lun = fakeLun(pair);
  for (let i = 0; i < 3; i++) {
    const read = start(lun, BlockOp.Read, 0, 4096);
    pair.rig.pump();
    assert.equal(read.status, BlockStatus.Ok);
  }
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
});

test('a slot that is used again gets another tag', () => {
  const pair = fakePair();
  const lun = fakeLun(pair);
  for (let i = 0; i < 5; i++) {
    start(lun, BlockOp.Read, 0, 512);
    pair.rig.pump();
  }
  const tags = pair.target.all(Opcode.ScsiCommand).map(({ bhs }) => tagOf(bhs));
  assert.equal(new Set(tags).size, 5);
  assert.equal(new Set(tags.map((tag) => tag & 0xffff)).size, 1, 'it is one slot');
});

test('a rejected command is sent again twice, a rejected data PDU is left to the command, a rejected logout ends the connection', async () => {
  const rejects = (pdu: SeenPdu, target: FakeTarget): void => {
    const { expCmdSn, maxCmdSn } = target;
    const reject = { reason: 0x04, statSn: target.takeStatSn(), expCmdSn, maxCmdSn, dataSn: 0 };
    target.writer.send((b, at) => emitReject(reject, b, at), pdu.bhs);
  };
  const pair = fakePair({
    onPdu: (pdu, target) => {
      if (pdu.opcode === Opcode.DataOut) rejects(pdu, target);
      if (pdu.opcode !== Opcode.ScsiCommand || pdu.bhs[32] !== 0x88) return false;
      rejects(pdu, target);
      return true;
    },
  });
  const lun = fakeLun(pair);
  const read = start(lun, BlockOp.Read, 0, 512);
  await pair.rig.advance(2000);
  assert.equal(read.status, BlockStatus.Eio);
  assert.equal(pair.target.all(Opcode.ScsiCommand).length, 3);
  const write = start(lun, BlockOp.Write, 0, 524_288, { payload: bytes(524_288) });
  pair.rig.pump();
  assert.equal(write.status, BlockStatus.Ok);
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
  assert.ok(pair.rig.all('log').some(({ message }) => message.includes('rejected ScsiCommand')));
  assert.ok(pair.rig.session.counters.rjt_pdus > 1);

  const logout = fakePair({
    onPdu: (pdu, target) => {
      if (pdu.opcode === Opcode.LogoutRequest) rejects(pdu, target);
      return pdu.opcode === Opcode.LogoutRequest;
    },
  });
  logout.rig.session.logout().catch(() => undefined);
  logout.rig.pump();
  assert.equal(logout.rig.all('lost').length, 1);
});

test('a command rejected for its data digest costs the connection: its CmdSN is missing, so no later one is executed', () => {
  const pair = fakePair({
    onPdu: (pdu, target) => {
      if (pdu.opcode !== Opcode.ScsiCommand) return false;
      const { expCmdSn, maxCmdSn } = target;
      const reason = RejectReason.DataDigestError;
      const reject = { reason, statSn: target.takeStatSn(), expCmdSn, maxCmdSn, dataSn: 0 };
      target.writer.send((b, at) => emitReject(reject, b, at), pdu.bhs);
      return true;
    },
  });
  start(fakeLun(pair), BlockOp.Write, 0, 512, { payload: bytes(512) });
  pair.rig.pump();
  assert.equal(pair.rig.all('lost').length, 1);
  assert.equal(pair.rig.session.state, 'FAILED');
});

test('a corrupted byte anywhere after the login is seen with digests on', () => {
  const digests = { headerDigest: 'CRC32C', dataDigest: 'CRC32C' } as const;
  const login = { negotiate: digests };
  const clean = fakePair({ wishes: digests }, { login });
  const loggedIn = clean.rig.link.back.arrived;
  const read = start(fakeLun(clean), BlockOp.Read, 0, 4096);
  clean.rig.pump();
  assert.equal(read.status, BlockStatus.Ok);
  const all = clean.rig.link.back.arrived;
  for (let at = loggedIn; at < all; at += 37) {
    const pair = fakePair({ wishes: digests }, { login, back: { corrupt: { at, mask: 0x10 } } });
    const hit = start(fakeLun(pair), BlockOp.Read, 0, 4096);
    pair.rig.pump();
    const waits = hit.status === null; // a corrupted length may make the framer wait for more
    assert.ok(waits || hit.status === BlockStatus.Eio, `byte ${at}`);
    if (!waits) assert.equal(pair.rig.session.state, 'FAILED');
  }
});

test('any bytes at all end the session with an AppError, or are waited upon', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.nat(5), (noise, opcodeIndex) => {
      const pair = fakePair({
        disk: Buffer.alloc(8192),
        onPdu: (pdu, target) => {
          if (pdu.opcode !== Opcode.ScsiCommand) return true;
          const opcodes = [
            Opcode.DataIn,
            Opcode.ScsiResponse,
            Opcode.R2T,
            Opcode.Reject,
            Opcode.AsyncMessage,
            Opcode.NopIn,
          ];
          const junk = Buffer.from(noise);
          junk[0] = opcodes[opcodeIndex] as number;
          if (junk.length > 7) junk.fill(0, 4, 7);
          target.sink.append(junk, null);
          return true;
        },
      });
      const lun = fakeLun(pair);
      const read = start(lun, BlockOp.Read, 0, 4096);
      const write = start(lun, BlockOp.Write, 0, 4096, { payload: bytes(4096) });
      pair.rig.pump();
      const { thrown } = pair.rig.link;
      assert.ok(thrown === null || thrown instanceof ProtocolError, String(thrown));
      pair.rig.link.close('over');
      assert.notEqual(read.status, null);
      assert.notEqual(write.status, null);
      assert.equal(pair.rig.session.tasksInUse, 0);
    }),
    { numRuns: 300 },
  );
});
