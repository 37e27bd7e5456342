import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CheckCondition } from '../../src/scsi/check-condition.js';
import {
  buildFullStatus,
  buildReadKeys,
  buildReadReservation,
  buildRegisterAndMove,
  buildReportCapabilities,
  buildReserveOut,
  parseFullStatus,
  parseReadKeys,
  parseReadReservation,
  parseRegisterAndMove,
  parseReportCapabilities,
  parseReservationTypes,
  parseReserveOut,
  type Registration,
  ReservationType,
} from '../../src/scsi/persistent-reserve.js';
import { buildTransportId } from '../../src/scsi/transport-id.js';
import { ProtocolError } from '../../src/util/errors.js';
import { hammer, hex } from './hostile.js';

const PORT = { name: 'iqn.2022-08.com.test:node01.initiator01', isid: '00023d000007' };
const OTHER = { name: 'iqn.2022-08.com.test:node02', isid: null };

const refused =
  (asc: number) =>
  (error: unknown): boolean =>
    error instanceof CheckCondition && error.sense.asc === asc;

test('READ KEYS, both ways, and cut off', () => {
  const text = hex('00000005 00000010 0000000000000001 ffffffffffffffff');
  assert.deepEqual(parseReadKeys(text), { generation: 5, keys: [1n, 2n ** 64n - 1n] });
  assert.deepEqual(buildReadKeys({ generation: 5, keys: [1n, 2n ** 64n - 1n] }), text);
  assert.deepEqual(parseReadKeys(text.subarray(0, 23)), { generation: 5, keys: [1n] });
  assert.deepEqual(parseReadKeys(hex('00000000 ffffffff')).keys, []);
  assert.throws(() => parseReadKeys(hex('00000000 000000')), ProtocolError);
});

test('READ RESERVATION, held and not', () => {
  const held = hex('00000005 00000010 00000000000000ab 00000000 00 05 0000');
  const reservation = { key: 0xabn, type: ReservationType.WriteExclusiveRegistrantsOnly };
  assert.deepEqual(parseReadReservation(held), { generation: 5, reservation });
  assert.deepEqual(buildReadReservation(5, reservation), held);
  assert.deepEqual(buildReadReservation(5, null), hex('00000005 00000000'));
  assert.deepEqual(parseReadReservation(hex('00000005 00000000')), { generation: 5, reservation: null });
  assert.deepEqual(parseReadReservation(held.subarray(0, 20)), { generation: 5, reservation: null });
});

test('REPORT CAPABILITIES, both ways', () => {
  const capabilities = {
    specifyInitiatorPorts: true,
    allTargetPorts: true,
    persistCapable: true,
    persistActive: true,
  };
  assert.equal(buildReportCapabilities(capabilities).toString('hex'), '00080d81ea010000');
  assert.deepEqual(parseReportCapabilities(hex('00080d81ea010000')), capabilities);
  // SPC-4 table 187: byte 4 bits 7, 6, 5, 3, 1 are WR_EX_AR, EX_AC_RO, WR_EX_RO, EX_AC, WR_EX; byte 5 bit 0 is EX_AC_AR.
  assert.deepEqual(parseReservationTypes(hex('00080d81ea010000')), [1, 3, 5, 6, 7, 8]);
  assert.deepEqual(parseReservationTypes(hex('0008008022000000')), [1, 5]);
  assert.equal(parseReservationTypes(hex('00080d01ea010000')), null);
  assert.equal(parseReservationTypes(hex('00080d81')), null);
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      ([a = false, b = false, c = false, d = false]) => {
        const any = { specifyInitiatorPorts: a, allTargetPorts: b, persistCapable: c, persistActive: d };
        assert.deepEqual(parseReportCapabilities(buildReportCapabilities(any)), any);
      },
    ),
  );
  const none = { specifyInitiatorPorts: false, allTargetPorts: false, persistCapable: false, persistActive: false };
  assert.deepEqual(parseReportCapabilities(buildReportCapabilities(none)), none);
  assert.deepEqual(parseReportCapabilities(hex('00080000')), none);
  assert.throws(() => parseReportCapabilities(hex('000800')), ProtocolError);
});

test('READ FULL STATUS, both ways, and cut off', () => {
  const registrations: Registration[] = [
    { key: 1n, allTargetPorts: true, holds: null, relativePort: 1, transportId: PORT },
    { key: 2n, allTargetPorts: false, holds: 8, relativePort: 2, transportId: OTHER },
  ];
  const b = buildFullStatus(7, registrations);
  assert.equal(b.toString('hex', 8, 32), '0000000000000001000000000200000000000001' + '00000040');
  assert.deepEqual(parseFullStatus(b), { generation: 7, registrations });
  assert.deepEqual(parseFullStatus(b.subarray(0, b.length - 1)).registrations, registrations.slice(0, 1));
  const foreign = Buffer.from(b);
  foreign[32] = 0x06; // the first TransportID becomes one of another protocol
  const [first, ...rest] = registrations;
  const nameless = { ...first, transportId: { name: '', isid: null } };
  assert.deepEqual(parseFullStatus(foreign).registrations, [nameless, ...rest]);
});

test('READ FULL STATUS of istgt, whose TransportIDs have no header', () => {
  const id = Buffer.from('iqn.2022-08.com.test:node01.initiator01,i,0x800000123456');
  const head = hex('00000001 00000050 000000000000000a 00000000 01 01 00000000 0001 00000038');
  assert.deepEqual(parseFullStatus(Buffer.concat([head, id])).registrations, [
    {
      key: 10n,
      allTargetPorts: false,
      holds: 1,
      relativePort: 1,
      transportId: { name: 'iqn.2022-08.com.test:node01.initiator01', isid: '800000123456' },
    },
  ]);
});

const BASIC = '00000000000000aa 00000000000000bb 00000000 05 00 0000';

test('the PERSISTENT RESERVE OUT list, both ways', () => {
  const out = {
    reservationKey: 0xaan,
    serviceActionKey: 0xbbn,
    persist: true,
    allTargetPorts: true,
    initiatorPorts: null,
  };
  assert.deepEqual(parseReserveOut(hex(BASIC)), out);
  assert.deepEqual(buildReserveOut(out), hex(BASIC));
  const named = { ...out, persist: false, allTargetPorts: false, initiatorPorts: [PORT, OTHER] };
  assert.equal(buildReserveOut(named).readUInt8(20), 0x08);
  assert.deepEqual(parseReserveOut(buildReserveOut(named)), named);
  const nobody = { ...named, initiatorPorts: [] };
  assert.deepEqual(parseReserveOut(buildReserveOut(nobody)), nobody);
});

test('a PERSISTENT RESERVE OUT list of a wrong length is refused with 05/1A/00', () => {
  for (let length = 0; length < 24; length++) {
    assert.throws(() => parseReserveOut(hex(BASIC).subarray(0, length)), refused(0x1a));
  }
  assert.throws(() => parseReserveOut(Buffer.concat([hex(BASIC), Buffer.alloc(1)])), refused(0x1a));
  const named = buildReserveOut({
    reservationKey: 0n,
    serviceActionKey: 0n,
    persist: false,
    allTargetPorts: false,
    initiatorPorts: [PORT],
  });
  for (let length = 0; length < named.length; length++) {
    assert.throws(() => parseReserveOut(named.subarray(0, length)), refused(0x1a));
  }
});

test('TransportIDs of a list are bounded and checked', () => {
  const out = { reservationKey: 0n, serviceActionKey: 0n, persist: false, allTargetPorts: false };
  const many = (n: number): Buffer =>
    buildReserveOut({ ...out, initiatorPorts: Array.from({ length: n }, () => OTHER) });
  assert.equal(parseReserveOut(many(64)).initiatorPorts?.length, 64);
  assert.throws(() => parseReserveOut(many(65)), refused(0x26));
  const broken = many(2);
  broken[28] = 0x06;
  assert.throws(() => parseReserveOut(broken), refused(0x26));
});

test('REGISTER AND MOVE, both ways, and of a wrong length', () => {
  const move = {
    reservationKey: 1n,
    serviceActionKey: 2n,
    persist: true,
    unregister: true,
    relativePort: 3,
    destination: PORT,
  };
  const b = buildRegisterAndMove(move);
  assert.equal(b.toString('hex', 0, 24), '0000000000000001' + '0000000000000002' + '00030003' + '00000040');
  assert.deepEqual(parseRegisterAndMove(b), move);
  for (let length = 0; length < b.length; length++) {
    assert.throws(() => parseRegisterAndMove(b.subarray(0, length)), refused(0x1a));
  }
  const tail = Buffer.concat([b, Buffer.alloc(4)]);
  tail.writeUInt32BE(68, 20);
  assert.throws(() => parseRegisterAndMove(tail), refused(0x1a));
  assert.equal(buildTransportId(PORT).length, 64);
});

test('any keys round trip', () => {
  const key = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(fc.array(key, { maxLength: 50 }), fc.nat({ max: 0xffff_ffff }), (keys, generation) => {
      assert.deepEqual(parseReadKeys(buildReadKeys({ generation, keys })), { generation, keys });
    }),
  );
});

test('any bytes give a value or a ProtocolError', () => {
  const status = buildFullStatus(7, [{ key: 1n, allTargetPorts: true, holds: 1, relativePort: 1, transportId: PORT }]);
  hammer(parseReadKeys, [hex('00000005 00000010 0000000000000001 ffffffffffffffff')]);
  hammer(parseReadReservation, [hex('00000005 00000010 00000000000000ab 00000000 00 05 0000')]);
  hammer(parseReportCapabilities, [hex('00080d81ea010000')]);
  hammer(parseFullStatus, [status], hex('0000000000000030'));
  hammer(parseReserveOut, [hex(BASIC)]);
  hammer(parseRegisterAndMove, [
    buildRegisterAndMove({
      reservationKey: 1n,
      serviceActionKey: 2n,
      persist: true,
      unregister: true,
      relativePort: 3,
      destination: PORT,
    }),
  ]);
});
