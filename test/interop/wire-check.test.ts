// The wire check itself: an honest exchange passes, and every rule is broken once and noticed.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WireReader } from './wire-check.js';

const NO_TAG = 0xffffffff;

function pdu(opcode: number, flags: number, words: Readonly<Record<number, number>>, data = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(48 + data.length + (-data.length & 3));
  bytes[0] = opcode;
  bytes[1] = flags;
  bytes.writeUIntBE(data.length, 5, 3);
  for (const [at, value] of Object.entries(words)) bytes.writeUInt32BE(value, Number(at));
  data.copy(bytes, 48);
  return bytes;
}
const text = (keys: Readonly<Record<string, string>>) =>
  Buffer.from(
    Object.entries(keys)
      .map(([key, value]) => `${key}=${value}\0`)
      .join(''),
  );
const command = (itt: number, flags: number, length: number, immediate = 0, cmdSn = 1) =>
  pdu(0x01, 0x20 | flags, { 16: itt, 20: length, 24: cmdSn }, Buffer.alloc(immediate));
const dataOut = (itt: number, ttt: number, flags: number, dataSn: number, at: number, length: number) =>
  pdu(0x05, flags, { 16: itt, 20: ttt, 36: dataSn, 40: at }, Buffer.alloc(length));
const r2t = (itt: number, ttt: number, at: number, length: number) =>
  pdu(0x31, 0x80, { 16: itt, 20: ttt, 28: 1, 32: 10, 40: at, 44: length });

const KEYS = { FirstBurstLength: '1024', MaxBurstLength: '4096', MaxRecvDataSegmentLength: '2048' };
const OPEN = { ...KEYS, InitialR2T: 'No', ImmediateData: 'Yes' };
const STRICT = { ...KEYS, InitialR2T: 'Yes', ImmediateData: 'No' };
const FINAL = 0x80;

/** Keys of the login, R2Ts that the target sends at once, what the initiator then sends, and the rule that it breaks. */
type Case = readonly [
  name: string,
  keys: Readonly<Record<string, string>>,
  target: readonly Buffer[],
  initiator: readonly Buffer[],
  broken: RegExp | null,
];
const CASES: readonly Case[] = [
  [
    'an honest write: immediate, unsolicited, then two R2Ts',
    OPEN,
    [r2t(5, 7, 1024, 2048), r2t(5, 8, 3072, 1024)],
    [
      command(5, 0, 4096, 512),
      dataOut(5, NO_TAG, FINAL, 0, 512, 512),
      dataOut(5, 7, 0, 0, 1024, 1024),
      dataOut(5, 7, FINAL, 1, 2048, 1024),
      dataOut(5, 8, FINAL, 0, 3072, 1024),
    ],
    null,
  ],
  ['immediate data that was not agreed', STRICT, [], [command(5, FINAL, 4096, 512)], /13\.11/],
  ['unsolicited data with InitialR2T=Yes', STRICT, [], [command(5, 0, 4096)], /13\.10/],
  ['immediate data above FirstBurstLength', OPEN, [], [command(5, FINAL, 4096, 1028)], /13\.14/],
  [
    'unsolicited data above FirstBurstLength',
    OPEN,
    [],
    [command(5, 0, 4096, 512), dataOut(5, NO_TAG, FINAL, 0, 512, 516)],
    /13\.14/,
  ],
  ['unannounced Data-Out', OPEN, [], [command(5, FINAL, 4096, 0), dataOut(5, NO_TAG, FINAL, 0, 0, 512)], /13\.10/],
  [
    'unsolicited data out of order',
    OPEN,
    [],
    [command(5, 0, 4096, 512), dataOut(5, NO_TAG, FINAL, 0, 516, 4)],
    /out of order/,
  ],
  ['a segment above what the target takes', OPEN, [], [command(5, FINAL, 8192, 2052)], /13\.12/],
  ['a CmdSN outside the window', OPEN, [], [command(5, FINAL, 512, 512, 11)], /4\.2\.2\.1/],
  ['Data-Out for no write', OPEN, [], [dataOut(9, NO_TAG, FINAL, 0, 0, 512)], /no write/],
  ['Data-Out for no R2T', OPEN, [], [command(5, FINAL, 4096), dataOut(5, 7, FINAL, 0, 0, 512)], /not open/],
  [
    'a sequence that is longer than its R2T',
    OPEN,
    [r2t(5, 7, 0, 512)],
    [command(5, FINAL, 4096), dataOut(5, 7, FINAL, 0, 0, 1024)],
    /where its R2T does/,
  ],
  [
    'a sequence that ends early',
    OPEN,
    [r2t(5, 7, 0, 1024)],
    [command(5, FINAL, 4096), dataOut(5, 7, FINAL, 0, 0, 512)],
    /where its R2T does/,
  ],
];

describe('the wire check', () => {
  for (const [name, keys, target, initiator, broken] of CASES) {
    it(name, () => {
      const wire = new WireReader();
      wire.push('initiator', pdu(0x43, 0x87, {}, text(keys)));
      wire.push('target', pdu(0x23, 0x87, { 28: 1, 32: 10 }, text(keys)));
      const [first = Buffer.alloc(0), ...rest] = initiator;
      wire.push('initiator', first);
      for (const bytes of target) wire.push('target', bytes);
      // In pieces, as a network gives them.
      const whole = Buffer.concat(rest);
      for (let at = 0; at < whole.length; at += 100) wire.push('initiator', whole.subarray(at, at + 100));
      const { violations, agreed } = wire.log;
      assert.equal(agreed?.firstBurstLength, 1024);
      if (broken === null) assert.deepEqual(violations, []);
      else assert.match(violations.join('\n'), broken);
    });
  }
});
