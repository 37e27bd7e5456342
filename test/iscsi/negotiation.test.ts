// Operational negotiation, RFC 7143 §6.2 and §13: real exchanges, both ends against each other, and bad peers.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { KEYS, keyNamed, readBoolean, readNumber } from '../../src/iscsi/keys.js';
import { type NegotiationWishes, Negotiator } from '../../src/iscsi/negotiation.js';
import { DEFAULT_PARAMS, type OperationalParams } from '../../src/iscsi/params.js';
import type { TextPair } from '../../src/iscsi/wire/text.js';
import { ProtocolError } from '../../src/util/errors.js';

function pairs(...text: string[]): TextPair[] {
  return text.map((item) => item.split('=', 2) as TextPair);
}
function initiator(wishes: NegotiationWishes = {}, discovery = false): Negotiator {
  return new Negotiator({ role: 'initiator', discovery, wishes });
}
function target(wishes: NegotiationWishes = {}, discovery = false): Negotiator {
  return new Negotiator({ role: 'target', discovery, wishes });
}

const openIscsi: NegotiationWishes = {
  defaultTime2Retain: 0,
  initialR2T: false,
  maxBurstLength: 16_776_192,
  firstBurstLength: 262_144,
  maxRecvDataSegmentLength: 262_144,
};
/** What open-iscsi offers to a target, without the marker keys. */
const OFFER = [
  ...['HeaderDigest=None', 'DataDigest=None', 'DefaultTime2Wait=2', 'DefaultTime2Retain=0', 'ErrorRecoveryLevel=0'],
  ...['InitialR2T=No', 'ImmediateData=Yes', 'MaxBurstLength=16776192', 'FirstBurstLength=262144'],
  ...['MaxOutstandingR2T=1', 'MaxConnections=1', 'DataPDUInOrder=Yes', 'DataSequenceInOrder=Yes'],
  'MaxRecvDataSegmentLength=262144',
];

describe('the initiator', () => {
  it('offers what open-iscsi does, in its order', () => {
    assert.deepEqual(initiator(openIscsi).offer(), pairs(...OFFER));
  });

  it('offers less for discovery', () => {
    assert.deepEqual(
      initiator({ defaultTime2Retain: 0, maxRecvDataSegmentLength: 32_768 }, true).offer(),
      pairs(
        ...['HeaderDigest=None', 'DataDigest=None', 'DefaultTime2Wait=2', 'DefaultTime2Retain=0'],
        ...['ErrorRecoveryLevel=0', 'MaxRecvDataSegmentLength=32768'],
      ),
    );
  });

  it('offers each key once', () => {
    const one = initiator();
    assert.ok(one.offer().length > 0);
    assert.deepEqual(one.offer(), []);
  });

  it('ends with LIO where open-iscsi did', () => {
    const one = initiator(openIscsi);
    one.offer();
    const answer = [
      ...['TargetAlias=LIO Target', 'TargetPortalGroupTag=1', 'HeaderDigest=None', 'DataDigest=None'],
      ...['MaxConnections=1', 'InitialR2T=Yes', 'ImmediateData=Yes', 'MaxRecvDataSegmentLength=262144'],
      ...['MaxBurstLength=262144', 'FirstBurstLength=65536', 'DefaultTime2Wait=2', 'DefaultTime2Retain=0'],
      ...['MaxOutstandingR2T=1', 'ErrorRecoveryLevel=0'],
    ];
    assert.deepEqual(one.receive(pairs(...answer)), []);
    // LIO leaves these two out.
    assert.deepEqual(one.pending, ['DataPDUInOrder', 'DataSequenceInOrder']);
    assert.deepEqual(one.result(), {
      ...DEFAULT_PARAMS,
      maxRecvDataSegmentLength: 262_144,
      maxXmitDataSegmentLength: 262_144,
      defaultTime2Retain: 0,
    });
  });

  it('holds the middle between its wish and the default for keys without an answer', () => {
    const one = initiator({ maxBurstLength: 65_536, immediateData: false, initialR2T: false, defaultTime2Wait: 0 });
    one.offer();
    one.receive(pairs('MaxBurstLength=Reject', 'InitialR2T=NotUnderstood', 'DefaultTime2Wait=Irrelevant'));
    const result = one.result();
    assert.equal(result.maxBurstLength, 65_536);
    assert.equal(result.firstBurstLength, 65_536);
    assert.equal(result.immediateData, false);
    assert.equal(result.initialR2T, true);
    assert.equal(result.defaultTime2Wait, 2);
    assert.equal(result.maxXmitDataSegmentLength, 8192);
  });

  it("takes a target's own value for the result", () => {
    const one = initiator({ maxBurstLength: 65_536, maxOutstandingR2T: 4, initialR2T: true });
    one.offer();
    one.receive(pairs('MaxBurstLength=1048576', 'MaxOutstandingR2T=16', 'InitialR2T=No'));
    const { maxBurstLength, maxOutstandingR2T, initialR2T } = one.result();
    assert.deepEqual([maxBurstLength, maxOutstandingR2T, initialR2T], [65_536, 4, true]);
  });

  it('answers what the target begins', () => {
    const one = initiator({ maxBurstLength: 65_536 });
    const answers = one.receive(pairs('MaxBurstLength=1048576', 'ImmediateData=No', 'X-org.example.feature=1'));
    assert.deepEqual(answers, pairs('MaxBurstLength=65536', 'ImmediateData=No', 'X-org.example.feature=NotUnderstood'));
    assert.ok(one.offer().every(([name]) => name !== 'MaxBurstLength'));
    assert.equal(one.result().maxBurstLength, 65_536);
    assert.equal(one.result().immediateData, false);
  });

  for (const answer of [
    ...['HeaderDigest=CRC32C', 'HeaderDigest=', 'InitialR2T=yes', 'InitialR2T=1', 'MaxBurstLength=511'],
    ...[
      'MaxBurstLength=16777216',
      'MaxBurstLength=-1',
      'MaxBurstLength=1e6',
      'MaxBurstLength=',
      'ErrorRecoveryLevel=3',
    ],
    ...['MaxRecvDataSegmentLength=0', 'MaxRecvDataSegmentLength=16777216', 'MaxRecvDataSegmentLength=x'],
    ...['DefaultTime2Wait=3601', 'DefaultTime2Wait=02'],
  ]) {
    it(`refuses the answer ${answer}`, () => {
      const one = initiator(openIscsi);
      one.offer();
      assert.throws(() => one.receive(pairs(answer)), ProtocolError);
    });
  }

  it('refuses an answer that comes twice', () => {
    const one = initiator(openIscsi);
    one.offer();
    assert.throws(() => one.receive(pairs('InitialR2T=Yes', 'InitialR2T=Yes')), { clause: 'RFC 7143 §6.3' });
  });

  it('insists on a digest', () => {
    const one = initiator({ headerDigest: 'CRC32C', dataDigest: ['CRC32C', 'None'] });
    assert.deepEqual(one.offer().slice(0, 2), pairs('HeaderDigest=CRC32C', 'DataDigest=CRC32C,None'));
    one.receive(pairs('HeaderDigest=Reject', 'DataDigest=None'));
    assert.throws(() => one.result(), { clause: 'RFC 7143 §13.1' });
  });

  it('offers no length that ends between two words, nor a first burst above the burst', () => {
    const negotiator = initiator({ maxRecvDataSegmentLength: 777, maxBurstLength: 3001, firstBurstLength: 16_777_215 });
    const offered = new Map(negotiator.offer());
    const names = ['MaxRecvDataSegmentLength', 'MaxBurstLength', 'FirstBurstLength'];
    assert.deepEqual(
      names.map((name) => offered.get(name)),
      ['776', '3000', '3000'],
    );
    assert.equal(negotiator.result().maxRecvDataSegmentLength, 776);
  });

  it('refuses wishes that are no values', () => {
    for (const wishes of [
      { maxBurstLength: 100 },
      { maxBurstLength: 2 ** 24 },
      { errorRecoveryLevel: 3 },
      { defaultTime2Wait: 1.5 },
      { headerDigest: [] },
      { headerDigest: 'CRC64' as 'CRC32C' },
    ] as NegotiationWishes[]) {
      assert.throws(() => initiator(wishes), { code: 'ERR_USAGE' });
    }
  });
});

describe('the target', () => {
  it('answers open-iscsi as LIO does', () => {
    const one = target({ maxRecvDataSegmentLength: 262_144, maxBurstLength: 1_048_576, maxOutstandingR2T: 16 });
    const request = [
      'InitiatorName=iqn.x',
      'SessionType=Normal',
      'AuthMethod=None',
      ...OFFER,
      'IFMarker=No',
      'OFMarker=No',
    ];
    assert.deepEqual(
      one.receive(pairs(...request)),
      pairs(
        ...['HeaderDigest=None', 'DataDigest=None', 'DefaultTime2Wait=2', 'DefaultTime2Retain=0'],
        ...['ErrorRecoveryLevel=0', 'InitialR2T=Yes', 'ImmediateData=Yes', 'MaxBurstLength=1048576'],
        ...['FirstBurstLength=65536', 'MaxOutstandingR2T=1', 'MaxConnections=1', 'DataPDUInOrder=Yes'],
        ...['DataSequenceInOrder=Yes', 'IFMarker=No', 'OFMarker=No', 'MaxRecvDataSegmentLength=262144'],
      ),
    );
    assert.deepEqual(one.offer(), []);
    assert.equal(one.result().maxXmitDataSegmentLength, 262_144);
  });

  it('declares its own length once, also to an initiator that says nothing', () => {
    const one = target({ maxRecvDataSegmentLength: 65_536 });
    assert.deepEqual(one.receive([]), pairs('MaxRecvDataSegmentLength=65536'));
    assert.deepEqual(one.receive([]), []);
    assert.deepEqual(one.result(), { ...DEFAULT_PARAMS, maxRecvDataSegmentLength: 65_536 });
  });

  it('answers each kind of key by its rules', () => {
    const table: [offer: string, answer: string, wishes?: NegotiationWishes][] = [
      ['HeaderDigest=CRC32C,None', 'CRC32C', { headerDigest: ['None', 'CRC32C'] }],
      ['HeaderDigest=None,CRC32C', 'None', { headerDigest: ['CRC32C', 'None'] }],
      ['HeaderDigest=XYZ,CRC32C', 'CRC32C', { headerDigest: ['CRC32C', 'None'] }],
      ['HeaderDigest=None', 'Reject', { headerDigest: 'CRC32C' }],
      ['DataDigest=CRC32C', 'Reject'],
      ['InitialR2T=No', 'No', { initialR2T: false }],
      ['InitialR2T=Maybe', 'Reject'],
      ['ImmediateData=Yes', 'No', { immediateData: false }],
      ['MaxConnections=8', '1'],
      ['MaxConnections=0', 'Reject'],
      ['MaxBurstLength=0x10000', '65536'],
      ['MaxBurstLength=99999999999999999999', 'Reject'],
      ['DefaultTime2Wait=5', '5'],
      ['DefaultTime2Wait=0', '2'],
      ['DefaultTime2Retain=5', '5'],
      ['ErrorRecoveryLevel=2', '0'],
      ['TaskReporting=FastAbort,ResponseFence,RFC3720', 'RFC3720'],
      ['TaskReporting=FastAbort', 'Reject'],
      ['iSCSIProtocolLevel=2', '1'],
      ['IFMarker=Yes', 'No'],
      ['OFMarkInt=1~65535', 'Reject'],
      ['X-com.example.key=value', 'NotUnderstood'],
      ['Y#unknown=1', 'NotUnderstood'],
    ];
    for (const [offer, answer, wishes] of table) {
      const one = target(wishes);
      one.receive([]);
      const [name = ''] = offer.split('=');
      assert.deepEqual(one.receive(pairs(offer)), [[name, answer]], offer);
    }
  });

  it('keeps FirstBurstLength below a MaxBurstLength that comes behind it', () => {
    const one = target({ firstBurstLength: 262_144 });
    one.receive([]);
    assert.deepEqual(
      one.receive(pairs('FirstBurstLength=262144', 'MaxBurstLength=32768')),
      pairs('FirstBurstLength=32768', 'MaxBurstLength=32768'),
    );
    assert.equal(one.result().firstBurstLength, 32_768);
  });

  it('passes over what is settled elsewhere, and does not answer answers', () => {
    const one = target({}, true);
    one.receive([]);
    assert.deepEqual(
      one.receive(
        pairs(
          'InitiatorAlias=x',
          'CHAP_N=u',
          'X#NodeArchitecture=y',
          'X-unknown=NotUnderstood',
          'MaxBurstLength=Reject',
        ),
      ),
      [],
    );
  });

  it('calls keys of a normal session irrelevant to discovery', () => {
    const one = target({}, true);
    assert.deepEqual(one.receive(pairs('MaxConnections=4', 'HeaderDigest=None')), [
      ...pairs('MaxConnections=Irrelevant', 'HeaderDigest=None', 'MaxRecvDataSegmentLength=8192'),
    ]);
    assert.equal(one.result().maxConnections, 1);
  });

  it('refuses a key that comes twice, at once or later', () => {
    assert.throws(() => target().receive(pairs('MaxConnections=1', 'MaxConnections=1')), ProtocolError);
    const one = target();
    one.receive(pairs('MaxRecvDataSegmentLength=512'));
    assert.throws(() => one.receive(pairs('MaxRecvDataSegmentLength=1024')), ProtocolError);
    assert.throws(() => target().receive(pairs('X-a=1', 'X-a=2')), ProtocolError);
  });

  it('offers itself what a silent initiator leaves at a default that is not ours', () => {
    const wishes = {
      maxBurstLength: 65_536,
      maxOutstandingR2T: 16,
      defaultTime2Wait: 5,
      headerDigest: 'CRC32C',
    } as const;
    const one = target(wishes);
    one.receive([]);
    const offered = one.offer();
    assert.deepEqual(offered, pairs('HeaderDigest=CRC32C', 'DefaultTime2Wait=5', 'MaxBurstLength=65536'));
    const other = initiator({ headerDigest: ['None', 'CRC32C'] });
    const answers = other.receive(offered);
    assert.deepEqual(answers, pairs('HeaderDigest=CRC32C', 'DefaultTime2Wait=5', 'MaxBurstLength=65536'));
    assert.deepEqual(one.receive(answers), []);
    assert.deepEqual(one.pending, []);
    assert.equal(one.result().maxBurstLength, 65_536);
    assert.equal(one.result().headerDigest, 'CRC32C');
  });
});

describe('any two ends agree', () => {
  const digest = fc.constantFrom('None', 'CRC32C', ['None', 'CRC32C'], ['CRC32C', 'None']) as fc.Arbitrary<
    NonNullable<NegotiationWishes['headerDigest']>
  >;
  const length = fc.oneof(fc.integer({ min: 512, max: 2 ** 24 - 1 }), fc.constantFrom(512, 2 ** 24 - 1));
  const wishes: fc.Arbitrary<NegotiationWishes> = fc.record(
    {
      headerDigest: digest,
      dataDigest: digest,
      maxConnections: fc.integer({ min: 1, max: 65_535 }),
      initialR2T: fc.boolean(),
      immediateData: fc.boolean(),
      maxRecvDataSegmentLength: length,
      maxBurstLength: length,
      firstBurstLength: length,
      defaultTime2Wait: fc.integer({ min: 0, max: 3600 }),
      defaultTime2Retain: fc.integer({ min: 0, max: 3600 }),
      maxOutstandingR2T: fc.integer({ min: 1, max: 65_535 }),
      dataPDUInOrder: fc.boolean(),
      dataSequenceInOrder: fc.boolean(),
      errorRecoveryLevel: fc.integer({ min: 0, max: 2 }),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  /** A result, or that a digest could not be agreed. */
  const outcome = (one: Negotiator): OperationalParams | 'no digest' => {
    try {
      return one.result();
    } catch (error) {
      assert.ok(error instanceof ProtocolError && error.clause === 'RFC 7143 §13.1');
      return 'no digest';
    }
  };

  it('in everything but the lengths that each declares', () => {
    let agreed = 0;
    fc.assert(
      fc.property(wishes, wishes, fc.boolean(), (a, b, discovery) => {
        const [i, t] = [initiator(a, discovery), target(b, discovery)];
        assert.deepEqual(i.receive(t.receive(i.offer())), []);
        const more = t.offer();
        t.receive(i.receive(more));
        assert.deepEqual([i.pending, t.pending], [[], []]);
        const [left, right] = [outcome(i), outcome(t)];
        if (left === 'no digest' || right === 'no digest') return;
        agreed++;
        const mirrored = {
          ...right,
          maxRecvDataSegmentLength: right.maxXmitDataSegmentLength,
          maxXmitDataSegmentLength: right.maxRecvDataSegmentLength,
        };
        assert.deepEqual(left, mirrored);
        assert.ok(left.firstBurstLength <= left.maxBurstLength);
      }),
      { numRuns: 300 },
    );
    assert.ok(agreed > 50);
  });

  it('and any text ends in answers or ProtocolError', () => {
    const name = fc.oneof(fc.constantFrom(...KEYS.map((key) => key.name)), fc.string({ maxLength: 10 }));
    const value = fc.oneof(
      fc.constantFrom('Yes', 'No', 'None', 'CRC32C', 'Reject', 'Irrelevant', 'NotUnderstood', '1', '512', '0x200', ''),
      fc.string({ maxLength: 12 }),
    );
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.tuple(name, value), { maxLength: 6 }), { maxLength: 4 }),
        fc.boolean(),
        (texts, asks) => {
          const one = asks ? initiator(openIscsi) : target(openIscsi);
          try {
            if (asks) one.offer();
            for (const text of texts) {
              const answers = one.receive(text);
              assert.ok(answers.length <= text.length + 1);
            }
            const result = one.result();
            assert.ok(result.maxXmitDataSegmentLength >= 512 && result.maxBurstLength >= 512);
          } catch (error) {
            assert.ok(error instanceof ProtocolError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('the table of keys', () => {
  it('has no name twice, and a legal default for each', () => {
    assert.equal(new Set(KEYS.map((key) => key.name)).size, KEYS.length);
    for (const key of KEYS) {
      assert.equal(keyNamed(key.name), key);
      if (key.range !== undefined) {
        const value = readNumber(key.default) as number;
        assert.ok(value >= key.range[0] && value <= key.range[1], key.name);
      }
      if (key.kind === 'and' || key.kind === 'or') assert.notEqual(readBoolean(key.default), undefined);
      if (key.kind === 'list') assert.ok(key.values?.includes(key.default));
    }
  });
  it('gives the defaults of the parameters', () => {
    assert.deepEqual(initiator().result(), DEFAULT_PARAMS);
    assert.deepEqual(target().result(), DEFAULT_PARAMS);
  });
});
