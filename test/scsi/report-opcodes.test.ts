import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCdb } from '../../src/scsi/cdb-parse.js';
import { COMMAND_USAGE } from '../../src/scsi/command-usage.js';
import { cdbLength, commandName, hasServiceAction } from '../../src/scsi/opcodes.js';
import {
  buildAllOpcodes,
  buildOneOpcode,
  buildSupportedTmfs,
  parseAllOpcodes,
  parseOneOpcode,
  parseSupportedTmfs,
} from '../../src/scsi/report-opcodes.js';
import { ProtocolError } from '../../src/util/errors.js';
import { hammer, hex } from './hostile.js';

test('one command recorded from tgt', () => {
  assert.deepEqual(parseOneOpcode(hex('000300061201ffffff07')), { supported: true, usage: hex('1201ffffff07') });
  assert.deepEqual(parseOneOpcode(hex('0003001093f8ffffffffffffffffffffffff0007')).usage.length, 16);
});

test('one command: supported, not supported, not known, cut off', () => {
  const inquiry = COMMAND_USAGE.find(({ opcode }) => opcode === 0x12) ?? assert.fail();
  assert.equal(buildOneOpcode(inquiry, false).toString('hex'), '000300061201ffffff00');
  assert.equal(buildOneOpcode(inquiry, true).toString('hex'), `008300061201ffffff00${'000a'}${'00'.repeat(10)}`);
  assert.equal(buildOneOpcode(null, true).toString('hex'), '00010000');
  assert.deepEqual(parseOneOpcode(hex('00010000')), { supported: false, usage: Buffer.alloc(0) });
  assert.deepEqual(parseOneOpcode(hex('0000ffff')), { supported: null, usage: Buffer.alloc(0) });
  assert.deepEqual(parseOneOpcode(hex('0005ffff 93')), { supported: true, usage: hex('93') });
  assert.throws(() => parseOneOpcode(hex('000300')), ProtocolError);
});

test('all commands, with and without timeouts, both ways', () => {
  const expected = COMMAND_USAGE.map(({ opcode, serviceAction, usage }) => ({
    opcode,
    serviceAction,
    cdbLength: usage.length,
  }));
  for (const timeouts of [false, true]) {
    const b = buildAllOpcodes(COMMAND_USAGE, timeouts);
    assert.equal(b.readUInt32BE(0), b.length - 4);
    assert.equal(b.length, 4 + COMMAND_USAGE.length * (timeouts ? 20 : 8));
    assert.deepEqual(parseAllOpcodes(b), expected);
    assert.deepEqual(parseAllOpcodes(b.subarray(0, b.length - 13)), expected.slice(0, timeouts ? -1 : -2));
  }
  assert.equal(
    buildAllOpcodes([COMMAND_USAGE[0] ?? assert.fail()], false).toString('hex'),
    '00000008 00 00 0000 00 00 0006'.replaceAll(' ', ''),
  );
  assert.deepEqual(parseAllOpcodes(hex('ffffffff 00000000 00000006')), [
    { opcode: 0, serviceAction: null, cdbLength: 6 },
  ]);
});

test('the usage data fit the CDBs that parseCdb knows', () => {
  const seen = new Set<string>();
  for (const { opcode, serviceAction, usage } of COMMAND_USAGE) {
    const name = commandName(opcode, serviceAction ?? 0);
    assert.equal(usage.length, cdbLength(opcode), name);
    assert.equal(usage.readUInt8(0), opcode, name);
    assert.equal(serviceAction !== null, hasServiceAction(opcode), name);
    if (serviceAction !== null) assert.equal(usage.readUInt8(1) & 0x1f, serviceAction, name);
    const zero = Buffer.alloc(16);
    zero[0] = opcode;
    zero[1] = serviceAction ?? 0;
    assert.notEqual(parseCdb(zero).kind, 'unknown', name);
    seen.add(`${opcode}/${serviceAction}`);
  }
  assert.equal(seen.size, COMMAND_USAGE.length);
});

test('every command that parseCdb knows has usage data', () => {
  const known = new Set(COMMAND_USAGE.map(({ opcode, serviceAction }) => opcode * 256 + (serviceAction ?? 0)));
  for (let opcode = 0; opcode < 256; opcode++) {
    const zero = Buffer.alloc(16);
    zero[0] = opcode;
    if (hasServiceAction(opcode)) continue;
    assert.equal(parseCdb(zero).kind !== 'unknown', known.has(opcode * 256), commandName(opcode));
  }
});

test('task management functions, both ways and both formats', () => {
  const lio = {
    abortTask: true,
    abortTaskSet: false,
    clearAca: false,
    clearTaskSet: false,
    logicalUnitReset: true,
    queryTask: false,
    queryTaskSet: false,
    nexusReset: true,
  };
  assert.equal(buildSupportedTmfs(lio, false).toString('hex'), '88010000');
  assert.equal(buildSupportedTmfs(lio, true).toString('hex'), `8801000c${'00'.repeat(12)}`);
  assert.deepEqual(parseSupportedTmfs(hex('8801')), lio);
  assert.throws(() => parseSupportedTmfs(hex('88')), ProtocolError);
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), fc.boolean(), (bits, extended) => {
      const keys = Object.keys(lio) as (keyof typeof lio)[];
      const any = { ...lio };
      for (const [index, key] of keys.entries()) any[key] = bits[index] ?? false;
      assert.deepEqual(parseSupportedTmfs(buildSupportedTmfs(any, extended)), any);
    }),
  );
});

test('any bytes give a value or a ProtocolError', () => {
  hammer(parseAllOpcodes, [buildAllOpcodes(COMMAND_USAGE.slice(0, 5), true)]);
  hammer(parseOneOpcode, [hex('000300061201ffffff07')]);
  hammer(parseSupportedTmfs, [hex('88010000')]);
});
