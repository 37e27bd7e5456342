// Each flag bit, set alone, changes the field that the clause gives it and no other; reserved bits change nothing, and
// builders leave them 0.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { buildReadCapacity16, parseReadCapacity16 } from '../../src/scsi/capacity.js';
import { parseCdb } from '../../src/scsi/cdb-parse.js';
import { parseDesignators } from '../../src/scsi/designator.js';
import { buildInquiry, parseInquiry } from '../../src/scsi/inquiry.js';
import { parseModeSense } from '../../src/scsi/mode.js';
import { buildCachingPage, buildControlPage, parseCachingPage, parseControlPage } from '../../src/scsi/mode-pages.js';
import {
  buildReportCapabilities,
  buildReserveOut,
  parseFullStatus,
  parseRegisterAndMove,
  parseReportCapabilities,
  parseReserveOut,
} from '../../src/scsi/persistent-reserve.js';
import { buildSupportedTmfs, parseAllOpcodes, parseSupportedTmfs } from '../../src/scsi/report-opcodes.js';
import { parseSense } from '../../src/scsi/sense.js';
import { parseTargetPortGroups } from '../../src/scsi/target-port-groups.js';
import { buildTransportId } from '../../src/scsi/transport-id.js';
import { buildExtendedInquiry, parseExtendedInquiry } from '../../src/scsi/vpd.js';
import {
  buildProvisioning,
  parseBlockCharacteristics,
  parseBlockLimits,
  parseProvisioning,
} from '../../src/scsi/vpd-block.js';
import { hex, valueOrProtocolError } from './hostile.js';

type Fields = Record<string, unknown>;
type Parse = (data: Buffer) => unknown;

/** Names of the fields by bit, 7 first; '' for a bit that is reserved or not read, '!' for one that makes it another command or format, or refused. */
type Bits = readonly [string, string, string, string, string, string, string, string];
const NONE: Bits = ['', '', '', '', '', '', '', ''];

function fieldsOf(value: unknown): Fields {
  assert.ok(typeof value === 'object' && value !== null);
  return value as Fields;
}

function changed(parse: Parse, base: Buffer, byte: number, bit: number): string {
  const b = Buffer.from(base);
  b.writeUInt8(b.readUInt8(byte) ^ (1 << bit), byte);
  const before = fieldsOf(parse(base));
  const after = valueOrProtocolError(() => parse(b));
  if (after === undefined || after instanceof Error) return '!';
  const now = fieldsOf(after);
  const names = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...names].filter((name) => !isDeepStrictEqual(before[name], now[name])).join('+');
}

const zeros = (length: number, start = ''): Buffer => Buffer.concat([hex(start), Buffer.alloc(length)]);
const first =
  (parse: (data: Buffer) => readonly unknown[]): Parse =>
  (data) =>
    parse(data)[0];
const cdb: Parse = (data) => parseCdb(data);
const pr = zeros(24);
const fullStatus = Buffer.concat([
  hex('0000000000000044'),
  zeros(23),
  hex('2c'),
  buildTransportId({ name: 'iqn.2022-08.com.test:node01.initiator', isid: null }),
]);
const move = Buffer.concat([zeros(23), hex('18'), buildTransportId({ name: 'iqn.a', isid: null })]);

const same8 = (name: string): Bits => [name, name, name, name, name, name, name, name];

const TABLE: readonly [string, Parse, Buffer, number, Bits][] = [
  [
    'INQUIRY 0',
    parseInquiry,
    zeros(91, '000000005b'),
    0,
    ['qualifier', 'qualifier', 'qualifier', 'deviceType', 'deviceType', 'deviceType', 'deviceType', 'deviceType'],
  ],
  ['INQUIRY 1', parseInquiry, zeros(91, '000000005b'), 1, ['removable', '', '', '', '', '', '', '']],
  ['INQUIRY 2', parseInquiry, zeros(91, '000000005b'), 2, same8('version')],
  ['INQUIRY 3', parseInquiry, zeros(91, '000000005b'), 3, ['', '', 'normAca', 'hiSup', '', '', '', '']],
  [
    'INQUIRY 5',
    parseInquiry,
    zeros(91, '000000005b'),
    5,
    ['', '', 'tpgs', 'tpgs', 'thirdPartyCopy', '', '', 'protect'],
  ],
  ['INQUIRY 6', parseInquiry, zeros(91, '000000005b'), 6, ['', '', '', 'multiPort', '', '', '', '']],
  ['INQUIRY 7', parseInquiry, zeros(91, '000000005b'), 7, ['', '', '', '', '', '', 'commandQueuing', '']],
  ['VPD 86h 4', parseExtendedInquiry, zeros(60, '0086003c'), 4, NONE],
  [
    'VPD 86h 5',
    parseExtendedInquiry,
    zeros(60, '0086003c'),
    5,
    ['', '', '', '', '', 'headOfQueue', 'ordered', 'simple'],
  ],
  [
    'VPD 86h 6',
    parseExtendedInquiry,
    zeros(60, '0086003c'),
    6,
    ['', '', '', '', '', '', 'nonVolatileCache', 'volatileCache'],
  ],
  ['VPD 86h 7', parseExtendedInquiry, zeros(60, '0086003c'), 7, ['', '', '', '', '', '', '', 'nexusClear']],
  ['VPD B0h 4', parseBlockLimits, zeros(60, '00b0003c'), 4, ['', '', '', '', '', '', '', 'writeSameNonZero']],
  [
    'VPD B1h 7',
    parseBlockCharacteristics,
    zeros(60, '00b1003c'),
    7,
    ['wabereq', 'wabereq', '', '', 'formFactor', 'formFactor', 'formFactor', 'formFactor'],
  ],
  [
    'VPD B2h 5',
    parseProvisioning,
    zeros(4, '00b20004'),
    5,
    ['unmap', 'writeSame16', 'writeSame10', '', '', 'readsZero', 'anchor', ''],
  ],
  ['VPD B2h 6', parseProvisioning, zeros(4, '00b20004'), 6, ['', '', '', '', '', 'type', 'type', 'type']],
  [
    'VPD 83h 0',
    first(parseDesignators),
    hex('0083000800800004 00000000'),
    4,
    ['protocol', 'protocol', 'protocol', 'protocol', 'codeSet', 'codeSet', 'codeSet', 'codeSet'],
  ],
  [
    'VPD 83h 1',
    first(parseDesignators),
    hex('0083000800800004 00000000'),
    5,
    ['protocol', '', 'association', 'association', 'type', 'type', 'type', 'type'],
  ],
  [
    'mode header (6)',
    (b) => parseModeSense(b, 6),
    hex('03000000'),
    2,
    ['writeProtected', '', '', 'dpoFua', '', '', '', ''],
  ],
  [
    'mode header (10)',
    (b) => parseModeSense(b, 10),
    hex('0006000000000000'),
    3,
    ['writeProtected', '', '', 'dpoFua', '', '', '', ''],
  ],
  [
    'mode page 0',
    (b) => parseModeSense(b, 6).pages.map(({ data: _, ...page }) => page)[0],
    hex('ff000000 8003 000000 00'),
    4,
    ['savable', '!', 'code', 'code', 'code', 'code', 'code', 'code'],
  ],
  ['caching 2', parseCachingPage, zeros(18, '0812'), 2, ['', '', '', '', '', 'writeCache', '', 'readCacheDisabled']],
  ['caching 12', parseCachingPage, zeros(18, '0812'), 12, ['', '', 'readAheadDisabled', '', '', '', '', '']],
  [
    'control 2',
    parseControlPage,
    zeros(10, '0a0a'),
    2,
    ['taskSetType', 'taskSetType', 'taskSetType', '', '', 'descriptorSense', '', ''],
  ],
  [
    'control 3',
    parseControlPage,
    zeros(10, '0a0a'),
    3,
    ['queueAlgorithm', 'queueAlgorithm', 'queueAlgorithm', 'queueAlgorithm', '', '', '', ''],
  ],
  [
    'control 4',
    parseControlPage,
    zeros(10, '0a0a'),
    4,
    ['', '', 'unitAttentionInterlock', 'unitAttentionInterlock', 'softwareWriteProtect', '', '', ''],
  ],
  ['control 5', parseControlPage, zeros(10, '0a0a'), 5, ['', 'taskAbortedStatus', '', '', '', '', '', '']],
  [
    'READ CAPACITY(16) 12',
    parseReadCapacity16,
    zeros(20, '0000000000000001 00000200'),
    12,
    ['', '', '', '', '', '', '', 'protectionType'],
  ],
  [
    'READ CAPACITY(16) 12 with PROT_EN',
    parseReadCapacity16,
    zeros(19, '0000000000000001 00000200 01'),
    12,
    ['', '', '', '', 'protectionType', 'protectionType', 'protectionType', 'protectionType'],
  ],
  [
    'READ CAPACITY(16) 13',
    parseReadCapacity16,
    zeros(20, '0000000000000001 00000200'),
    13,
    ['', '', '', '', 'physicalBlockSize', 'physicalBlockSize', 'physicalBlockSize', 'physicalBlockSize'],
  ],
  [
    'READ CAPACITY(16) 14',
    parseReadCapacity16,
    zeros(20, '0000000000000001 00000200'),
    14,
    [
      'thin',
      'unmappedReadsZero',
      'lowestAlignedLba',
      'lowestAlignedLba',
      'lowestAlignedLba',
      'lowestAlignedLba',
      'lowestAlignedLba',
      'lowestAlignedLba',
    ],
  ],
  [
    'port group 0',
    first(parseTargetPortGroups),
    zeros(8, '00000008'),
    4,
    ['preferred', '', '', '!', 'state', 'state', 'state', 'state'],
  ],
  ['opcodes 5', first(parseAllOpcodes), zeros(8, '00000008'), 9, ['', '', '', '', '', '', '', 'serviceAction']],
  [
    'TMFs 0',
    parseSupportedTmfs,
    zeros(4),
    0,
    ['abortTask', 'abortTaskSet', 'clearAca', 'clearTaskSet', 'logicalUnitReset', 'queryTask', '', ''],
  ],
  ['TMFs 1', parseSupportedTmfs, zeros(4), 1, ['', '', '', '', '', '', 'queryTaskSet', 'nexusReset']],
  [
    'PR capabilities 2',
    parseReportCapabilities,
    zeros(8),
    2,
    ['', '', '', '', 'specifyInitiatorPorts', 'allTargetPorts', '', 'persistCapable'],
  ],
  ['PR capabilities 3', parseReportCapabilities, zeros(8), 3, ['', '', '', '', '', '', '', 'persistActive']],
  [
    'PR full status 12',
    (b) => parseFullStatus(b).registrations[0],
    fullStatus,
    20,
    ['', '', '', '', '', '', 'allTargetPorts', 'holds'],
  ],
  ['PR OUT 20', parseReserveOut, pr, 20, ['', '', '', '', '!', 'allTargetPorts', '', 'persist']],
  ['REGISTER AND MOVE 17', parseRegisterAndMove, move, 17, ['', '', '', '', '', '', 'unregister', 'persist']],
  ['READ(10) 1', cdb, zeros(15, '28'), 1, ['protect', 'protect', 'protect', 'dpo', 'fua', '', '', '']],
  ['WRITE(16) 1', cdb, zeros(15, '8a'), 1, ['protect', 'protect', 'protect', 'dpo', 'fua', '', '', '']],
  ['READ(6) 1', cdb, zeros(15, '08'), 1, ['', '', '', 'lba', 'lba', 'lba', 'lba', 'lba']],
  [
    'VERIFY(10) 1 with BYTCHK 01b',
    cdb,
    hex('2f02000000000000000000'),
    1,
    ['protect', 'protect', 'protect', 'dpo', '', 'byteCheck', 'byteCheck', ''],
  ],
  [
    'WRITE AND VERIFY(12) 1',
    cdb,
    zeros(15, 'ae'),
    1,
    ['protect', 'protect', 'protect', 'dpo', '', '!', 'byteCheck', ''],
  ],
  ['WRITE SAME(10) 1', cdb, zeros(15, '41'), 1, ['protect', 'protect', 'protect', 'anchor', 'unmap', '', '', '']],
  [
    'WRITE SAME(16) 1',
    cdb,
    zeros(15, '93'),
    1,
    ['protect', 'protect', 'protect', 'anchor', 'unmap', '', '', 'outBlocks+noDataOut'],
  ],
  ['SYNCHRONIZE CACHE(10) 1', cdb, zeros(15, '35'), 1, ['', '', '', '', '', '', 'immediate', '']],
  ['PRE-FETCH(16) 1', cdb, zeros(15, '90'), 1, ['', '', '', '', '', '', 'immediate', '']],
  ['COMPARE AND WRITE 1', cdb, zeros(15, '89'), 1, ['protect', 'protect', 'protect', 'dpo', 'fua', '', '', '']],
  ['COMPARE AND WRITE 12', cdb, zeros(15, '89'), 12, NONE],
  ['COMPARE AND WRITE 13', cdb, zeros(15, '89'), 13, same8('blocks+outBlocks')],
  ['REQUEST SENSE 1', cdb, zeros(15, '03'), 1, ['', '', '', '', '', '', '', 'descriptor']],
  ['INQUIRY 1', cdb, zeros(15, '12'), 1, ['', '', '', '', '', '', '!', 'page']],
  ['MODE SENSE(6) 1', cdb, zeros(15, '1a'), 1, ['', '', '', '', 'noBlockDescriptor', '', '', '']],
  ['MODE SENSE(10) 1', cdb, zeros(15, '5a'), 1, ['', '', '', 'longLba', 'noBlockDescriptor', '', '', '']],
  [
    'MODE SENSE(10) 2',
    cdb,
    zeros(15, '5a'),
    2,
    ['pageControl', 'pageControl', 'page', 'page', 'page', 'page', 'page', 'page'],
  ],
  ['MODE SELECT(6) 1', cdb, zeros(15, '15'), 1, ['', '', '', 'pageFormat', '', '', '', 'save']],
  ['START STOP UNIT 1', cdb, zeros(15, '1b'), 1, ['', '', '', '', '', '', '', 'immediate']],
  [
    'START STOP UNIT 4',
    cdb,
    zeros(15, '1b'),
    4,
    ['powerCondition', 'powerCondition', 'powerCondition', 'powerCondition', '', 'noFlush', 'loadEject', 'start'],
  ],
  ['PREVENT ALLOW 4', cdb, zeros(15, '1e'), 4, ['', '', '', '', '', '', 'prevent', 'prevent']],
  ['UNMAP 1', cdb, zeros(15, '42'), 1, ['', '', '', '', '', '', '', 'anchor']],
  [
    'REPORT OPCODES 2',
    cdb,
    hex('a30c0300000000000000000000'),
    2,
    ['timeouts', '', '', '', '', '!', 'query+lenient', 'lenient'],
  ],
  ['REPORT TMFS 2', cdb, zeros(14, 'a30d'), 2, ['extended', '', '', '', '', '', '', '']],
  ['REPORT TARGET PORT GROUPS 1', cdb, zeros(14, 'a30a'), 1, ['', '', 'extended', '!', '!', '!', '!', '!']],
  [
    'PERSISTENT RESERVE OUT 2',
    cdb,
    zeros(15, '5f'),
    2,
    ['scope', 'scope', 'scope', 'scope', 'type', 'type', 'type', 'type'],
  ],
  [
    'PERSISTENT RESERVE OUT 1',
    cdb,
    zeros(15, '5f'),
    1,
    ['', '', '', 'serviceAction', 'serviceAction', 'serviceAction', 'serviceAction', 'serviceAction'],
  ],
  [
    'fixed sense 15',
    parseSense,
    hex('700005000000000a0000000024000080 0000'),
    15,
    ['field', 'field', '', '', 'field', '', '', ''],
  ],
  [
    'fixed sense 2',
    parseSense,
    hex('700005000000000a00000000240000000000'),
    2,
    ['', '', '', '', 'key', 'key', 'key', 'key'],
  ],
];

test('every flag bit has its field', () => {
  for (const [name, parse, base, byte, bits] of TABLE) {
    for (let bit = 0; bit < 8; bit++) {
      const expected = bits[7 - bit];
      const got = changed(parse, base, byte, bit);
      if (expected === '!') assert.notEqual(got, '', `${name} bit ${bit}`);
      else assert.equal(got, expected, `${name} bit ${bit}`);
    }
  }
});

test('with every flag off nothing is set but lengths and codes', () => {
  const off = false;
  const built: readonly [Buffer, string][] = [
    [
      buildInquiry({
        qualifier: 0,
        deviceType: 0,
        removable: off,
        version: 0,
        normAca: off,
        hiSup: off,
        tpgs: 0,
        thirdPartyCopy: off,
        protect: off,
        multiPort: off,
        commandQueuing: off,
        vendor: '',
        product: '',
        revision: '',
        versionDescriptors: [],
      }),
      `000000025b000000${'20'.repeat(28)}${'00'.repeat(60)}`,
    ],
    [
      buildExtendedInquiry({
        headOfQueue: off,
        ordered: off,
        simple: off,
        nonVolatileCache: off,
        volatileCache: off,
        nexusClear: off,
      }),
      `0086003c${'00'.repeat(60)}`,
    ],
    [
      buildProvisioning({
        thresholdExponent: 0,
        unmap: off,
        writeSame16: off,
        writeSame10: off,
        readsZero: off,
        anchor: off,
        type: 0,
      }),
      '00b2000400000000',
    ],
    [buildCachingPage({ writeCache: off, readCacheDisabled: off, readAheadDisabled: off }), `0812${'00'.repeat(18)}`],
    [
      buildControlPage({
        taskSetType: 0,
        descriptorSense: off,
        queueAlgorithm: 0,
        unitAttentionInterlock: 0,
        softwareWriteProtect: off,
        taskAbortedStatus: off,
      }),
      `0a0a${'00'.repeat(10)}`,
    ],
    [
      buildReadCapacity16({
        blocks: 1,
        blockSize: 512,
        physicalBlockSize: 512,
        lowestAlignedLba: 0,
        protectionType: 0,
        thin: off,
        unmappedReadsZero: off,
      }),
      `000000000000000000000200${'00'.repeat(20)}`,
    ],
    [
      buildSupportedTmfs(
        {
          abortTask: off,
          abortTaskSet: off,
          clearAca: off,
          clearTaskSet: off,
          logicalUnitReset: off,
          queryTask: off,
          queryTaskSet: off,
          nexusReset: off,
        },
        false,
      ),
      '00000000',
    ],
    [
      buildReportCapabilities({
        specifyInitiatorPorts: off,
        allTargetPorts: off,
        persistCapable: off,
        persistActive: off,
      }),
      '00080080ea010000',
    ],
    [
      buildReserveOut({
        reservationKey: 0n,
        serviceActionKey: 0n,
        persist: off,
        allTargetPorts: off,
        initiatorPorts: null,
      }),
      '00'.repeat(24),
    ],
  ];
  for (const [bytes, expected] of built) assert.equal(bytes.toString('hex'), expected);
});
