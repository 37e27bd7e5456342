// Additional Header Segments, RFC 7143 §11.2.2. Vectors by the layout of that clause.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  type Ahs,
  AhsType,
  bidiReadLength,
  bidiReadLengthAhs,
  buildAhs,
  extendedCdbAhs,
  parseAhs,
  wholeCdb,
} from '../../../src/iscsi/wire/ahs.js';
import { ProtocolError } from '../../../src/util/errors.js';
import { hex } from './codec.js';

const cdb32 = hex('7f000000 00000018 00090000 00000000 00000000 00000800 00000000 00000008');

describe('AHS', () => {
  const table: [name: string, row: string, segments: Ahs[]][] = [
    [
      'a 32-byte CDB: AHSLength is CDBLength - 15',
      '0011 01 00 00000000 00000800 00000000 00000008',
      [{ type: AhsType.ExtendedCdb, content: hex('00 00000000 00000800 00000000 00000008') }],
    ],
    [
      'a bidirectional read length',
      '0005 02 00 00010000',
      [{ type: AhsType.BidiReadLength, content: hex('00 00010000') }],
    ],
    [
      'a padded segment of a type not defined, then another',
      '0002 3f ab cd000000 0005 02 00 00000200',
      [
        { type: 0x3f, content: hex('abcd') },
        { type: AhsType.BidiReadLength, content: hex('00 00000200') },
      ],
    ],
    ['nothing', '', []],
  ];
  for (const [name, row, segments] of table) {
    it(`parses and builds ${name}`, () => {
      assert.deepEqual(parseAhs(hex(row)), segments);
      assert.equal(buildAhs(segments).toString('hex'), row.replaceAll(' ', ''));
    });
  }

  it('builds what the command needs', () => {
    const row = buildAhs([extendedCdbAhs(cdb32), bidiReadLengthAhs(65_536)]);
    assert.equal(
      row.toString('hex'),
      hex('0011 01 00 00000000 00000800 00000000 00000008 0005 02 00 00010000').toString('hex'),
    );
    const segments = parseAhs(row);
    assert.deepEqual(wholeCdb(cdb32.subarray(0, 16), segments), cdb32);
    assert.equal(bidiReadLength(segments), 65_536);
  });

  it('knows a command without them', () => {
    assert.equal(wholeCdb(cdb32, []), cdb32);
    assert.equal(bidiReadLength([]), undefined);
  });

  it('refuses segments that are too long or too short', () => {
    assert.throws(() => parseAhs(hex('0006 02 00 00010000')), ProtocolError);
    assert.throws(() => parseAhs(hex('ffff 01 00')), ProtocolError);
    assert.throws(() => wholeCdb(cdb32, parseAhs(hex('0001 01 00'))), ProtocolError);
    assert.throws(() => bidiReadLength(parseAhs(hex('0001 02 00'))), ProtocolError);
  });

  it('round-trips any row', () => {
    const segment = fc
      .tuple(fc.integer({ min: 0, max: 0x3f }), fc.uint8Array({ maxLength: 40 }))
      .map(([type, content]) => ({ type, content: Buffer.from(content) }));
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 8 }), (segments) => {
        const row = buildAhs(segments);
        assert.equal(row.length % 4, 0);
        assert.deepEqual(parseAhs(row), segments);
      }),
    );
  });

  it('ends any bytes in segments or ProtocolError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 255 }), (bytes) => {
        const row = Buffer.from(bytes.subarray(0, bytes.length & ~3));
        try {
          const total = parseAhs(row).reduce((sum, { content }) => sum + content.length + 3, 0);
          assert.ok(total <= row.length);
        } catch (error) {
          assert.ok(error instanceof ProtocolError);
        }
      }),
    );
  });
});
