import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CheckCondition } from '../../src/scsi/check-condition.js';
import { buildTransportId, parseTransportId } from '../../src/scsi/transport-id.js';
import { hammer, hex } from './hostile.js';

const NAME = 'iqn.2022-08.com.test:node01.initiator01';

test('with and without ISID, both ways', () => {
  const port = buildTransportId({ name: NAME, isid: '00023d000007' });
  assert.equal(port.toString('latin1', 0, 4), 'E\0\0<');
  assert.equal(port.length, 4 + 60);
  assert.equal(port.toString('latin1', 4), `${NAME},i,0x00023d000007\0\0\0\0`);
  assert.deepEqual(parseTransportId(port), { id: { name: NAME, isid: '00023d000007' }, length: 64 });
  const device = buildTransportId({ name: NAME, isid: null });
  assert.equal(device.readUInt8(0), 0x05);
  assert.deepEqual(parseTransportId(device), { id: { name: NAME, isid: null }, length: 44 });
  assert.equal(buildTransportId({ name: 'iqn.a', isid: null }).length, 24);
});

test('what is malformed is refused with its place in the list', () => {
  const good = buildTransportId({ name: NAME, isid: '00023d000007' });
  const change = (at: number, value: number): Buffer => {
    const b = Buffer.from(good);
    b[at] = value;
    return b;
  };
  for (const [what, b, byte] of [
    ['another protocol', change(0, 0x46), 24],
    ['another format', change(0, 0x85), 24],
    ['an ISID in the format without', change(0, 0x05), 28],
    ['no digit in the ISID', change(4 + NAME.length + 6, 0x7a), 28],
    ['a length that is no multiple of 4', change(3, 59), 26],
    ['a length below 20', change(3, 16), 26],
    ['a length beyond the end', change(3, 64), 26],
    ['no NUL', good.fill(0x61, 60, 64), 28],
    ['nothing', Buffer.alloc(3), 24],
    ['an empty name', buildTransportId({ name: '', isid: null }), 28],
  ] as const) {
    assert.throws(
      () => parseTransportId(b, 0, 24),
      (error) => {
        assert.ok(error instanceof CheckCondition);
        assert.deepEqual(error.sense, { key: 5, asc: 0x26, ascq: 0, field: { inCdb: false, byte } });
        return true;
      },
      what,
    );
  }
});

test('any name and ISID round trip', () => {
  const name = fc.stringMatching(/^iqn\.[a-z0-9.:-]{1,200}$/);
  const isid = fc.option(fc.stringMatching(/^[0-9a-f]{12}$/));
  fc.assert(
    fc.property(name, isid, (n, i) => {
      const b = buildTransportId({ name: n, isid: i });
      assert.equal(b.length % 4, 0);
      assert.deepEqual(parseTransportId(b), { id: { name: n, isid: i }, length: b.length });
    }),
  );
});

test('any bytes give an ID or a ProtocolError', () => {
  hammer((data) => parseTransportId(data), [buildTransportId({ name: NAME, isid: '00023d000007' })], hex('45'));
});
