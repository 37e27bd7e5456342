// Text data segments, RFC 7143 §6.1 and §6.2: bounds, continuation, round trip.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  emitText,
  findKey,
  LOGIN_TEXT,
  parseText,
  SEND_TARGETS_TEXT,
  splitText,
  TextAssembler,
  type TextPair,
} from '../../../src/iscsi/wire/text.js';
import { ProtocolError } from '../../../src/util/errors.js';
import { text } from './codec.js';

const key = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9.\-+@_/#]{0,62}$/);
const value = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((s) => !s.includes('\0'));
const pairs = fc.array(fc.tuple(key, value), { maxLength: 20 });

describe('parseText', () => {
  const table: [name: string, data: Buffer, expected: TextPair[]][] = [
    ['nothing', Buffer.alloc(0), []],
    ['one pair', text('SendTargets=All'), [['SendTargets', 'All']]],
    ['an empty value', text('TargetAlias='), [['TargetAlias', '']]],
    ['an equals sign in a value', text('X-com.example=a=b'), [['X-com.example', 'a=b']]],
    ['UTF-8', text('TargetAlias=Größe'), [['TargetAlias', 'Größe']]],
    [
      'padding with NULs',
      Buffer.concat([text('A=1'), Buffer.alloc(5), text('B=2')]),
      [
        ['A', '1'],
        ['B', '2'],
      ],
    ],
    [
      'a key that comes twice',
      text('TargetAddress=a', 'TargetAddress=b'),
      [
        ['TargetAddress', 'a'],
        ['TargetAddress', 'b'],
      ],
    ],
    ['a public extension key', text('X#NodeArchitecture=x'), [['X#NodeArchitecture', 'x']]],
  ];
  for (const [name, data, expected] of table) it(`reads ${name}`, () => assert.deepEqual(parseText(data), expected));

  for (const [name, data] of [
    ['no equals sign', text('SendTargets')],
    ['no final NUL', Buffer.from('A=1\0B=2')],
    ['an empty key', text('=1')],
    ['a key of 64 bytes', text(`${'k'.repeat(64)}=1`)],
    ['a key with a blank', text('A B=1')],
    ['a key outside ASCII', text('Schlüssel=1')],
    ['a value that is too long', text(`A=${'x'.repeat(LOGIN_TEXT.valueBytes + 1)}`)],
    ['too many keys', text(...Array.from({ length: LOGIN_TEXT.pairs + 1 }, (_, i) => `k${i}=`))],
    ['too many bytes', Buffer.alloc(LOGIN_TEXT.bytes + 1)],
  ] as const) {
    it(`refuses ${name}`, () => assert.throws(() => parseText(data), ProtocolError));
  }

  it('takes what its limits allow', () => {
    assert.equal(parseText(text(`${'k'.repeat(63)}=${'x'.repeat(LOGIN_TEXT.valueBytes)}`)).length, 1);
    assert.equal(parseText(Buffer.alloc(LOGIN_TEXT.bytes)).length, 0);
    const targets = Array.from({ length: 4096 }, (_, i) => [
      `TargetName=iqn.2022-08.x:${i}`,
      'TargetAddress=[::1]:3260,1',
    ]);
    assert.equal(parseText(text(...targets.flat()), SEND_TARGETS_TEXT).length, 8192);
  });

  it('ends any bytes in pairs or ProtocolError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        try {
          parseText(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof ProtocolError);
        }
      }),
    );
  });
});

describe('emitText', () => {
  it('survives parseText', () => {
    fc.assert(fc.property(pairs, (list) => assert.deepEqual(parseText(emitText(list)), list)));
  });
  it('refuses what could not be read back', () => {
    for (const pair of [
      ['A=B', '1'],
      ['', '1'],
      ['A', '1\0B=2'],
    ] as const) {
      assert.throws(() => emitText([pair]), /cannot be sent/);
    }
  });
  it('finds a key', () => {
    assert.equal(
      findKey(
        [
          ['A', '1'],
          ['A', '2'],
        ],
        'A',
      ),
      '1',
    );
    assert.equal(findKey([], 'A'), undefined);
  });
});

describe('continuation', () => {
  it('gives the same text from any cuts', () => {
    fc.assert(
      fc.property(pairs, fc.integer({ min: 1, max: 64 }), (list, limit) => {
        const segments = splitText(emitText(list), limit);
        const assembler = new TextAssembler();
        segments.forEach((segment, i) => {
          assert.ok(segment.length <= limit);
          const more = i < segments.length - 1;
          const copy = Buffer.from(segment);
          const result = assembler.push(copy, more);
          copy.fill(0xff);
          assert.equal(assembler.pending, more);
          assert.deepEqual(result, more ? null : list);
        });
      }),
    );
  });

  it('starts anew after a text', () => {
    const assembler = new TextAssembler();
    for (let i = 0; i < 3; i++) {
      assert.equal(assembler.push(Buffer.from('A='), true), null);
      assert.deepEqual(assembler.push(Buffer.from('1\0'), false), [['A', '1']]);
    }
  });

  it('is bounded over all its segments', () => {
    const assembler = new TextAssembler({ bytes: 100, pairs: 10, valueBytes: 100 });
    assert.equal(assembler.push(Buffer.alloc(60), true), null);
    assert.throws(() => assembler.push(Buffer.alloc(41), true), ProtocolError);
    const other = new TextAssembler({ bytes: 100, pairs: 10, valueBytes: 100 });
    assert.equal(other.push(Buffer.alloc(60), true), null);
    assert.deepEqual(other.push(Buffer.alloc(40), false), []);
  });

  it('takes a long text in tiny segments without a growing cost', () => {
    const assembler = new TextAssembler(SEND_TARGETS_TEXT);
    const byte = Buffer.alloc(1);
    for (let i = 0; i < 200_000; i++) assembler.push(byte, true);
    assert.deepEqual(assembler.push(byte, false), []);
  });

  it('refuses an empty segment that says there is more', () => {
    assert.throws(() => new TextAssembler().push(Buffer.alloc(0), true), ProtocolError);
  });
});
