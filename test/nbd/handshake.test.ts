import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import type { NbdExport } from '../../src/nbd/exports.js';
import { TransmissionFlag as Flag, Option, OptionReply } from '../../src/nbd/wire/constants.js';
import { ProtocolError } from '../../src/util/errors.js';
import { NbdDriver } from '../helpers/nbd-driver.js';
import { clientFlags, infoData, option, readOptionReplies } from '../helpers/nbd-wire.js';

const lun0: NbdExport = {
  name: 'lun0',
  description: 'LIO-ORG disk01',
  device: new MemoryDevice({ sizeBytes: 2 ** 33, blockSize: 512, physicalBlockSize: 4096 }),
  readOnly: false,
};
const backup: NbdExport = {
  name: 'sichern-ü',
  description: '',
  device: new MemoryDevice({ sizeBytes: 2 ** 20, blockSize: 4096 }),
  readOnly: true,
  multiConn: false,
};

/** A driver past the greeting and the client flags. */
function started(flags = 3): NbdDriver {
  const driver = new NbdDriver([lun0, backup]);
  driver.take();
  driver.feed(clientFlags(flags));
  return driver;
}
/** The replies to one option. */
function ask(driver: NbdDriver, bytes: Buffer): { type: number; data: Buffer }[] {
  driver.feed(bytes);
  return readOptionReplies(driver.take());
}
function assertBroken(driver: NbdDriver): void {
  assert.ok(driver.closed);
  assert.ok(driver.error instanceof ProtocolError, String(driver.error));
  driver.feed(option(Option.List));
  assert.equal(driver.take().length, 0, 'nothing follows the end');
}
const USUAL = Flag.HasFlags | Flag.SendFlush | Flag.SendFua | Flag.SendCache;

describe('NBD handshake', () => {
  it('greets with both magics and offers fixed newstyle without zeroes', () => {
    const greeting = new NbdDriver([lun0]).take();
    assert.equal(greeting.toString('hex'), '4e42444d4147494349484156454f50540003');
  });

  it('ends the connection for unknown client flags', () => {
    for (const flags of [4, 7, 0x8000_0000]) {
      assertBroken(started(flags));
    }
  });

  it('ends the connection for an option without its magic', () => {
    const driver = started();
    driver.feed(Buffer.alloc(16, 0x49));
    assertBroken(driver);
  });

  it('lists every export with its description', () => {
    const replies = ask(started(), option(Option.List));
    assert.deepEqual(
      replies.map((reply) => [reply.type, reply.data.toString()]),
      [
        [OptionReply.Server, '\0\0\0\x04lun0LIO-ORG disk01'],
        [OptionReply.Server, '\0\0\0\x0asichern-ü'],
        [OptionReply.Ack, ''],
      ],
    );
  });

  it('describes an export to INFO as far as asked, and stays in the handshake', () => {
    const driver = started();
    const replies = ask(driver, option(Option.Info, infoData('lun0', [3, 1, 99, 2])));
    const infos = new Map(
      replies.filter((r) => r.type === OptionReply.Info).map((r) => [r.data.readUInt16BE(0), r.data]),
    );
    assert.deepEqual([...infos.keys()].toSorted(), [0, 1, 2, 3]);
    assert.equal(infos.get(0)?.readBigUInt64BE(2), 2n ** 33n);
    const flags = USUAL | Flag.SendTrim | Flag.SendWriteZeroes | Flag.SendFastZero | Flag.CanMultiConn;
    assert.equal(infos.get(0)?.readUInt16BE(10), flags);
    assert.equal(infos.get(1)?.toString('utf8', 2), 'lun0');
    assert.equal(infos.get(2)?.toString('utf8', 2), 'LIO-ORG disk01');
    assert.deepEqual(
      [2, 6, 10].map((at) => infos.get(3)?.readUInt32BE(at)),
      [512, 4096, 2 ** 25],
    );
    assert.equal(replies.at(-1)?.type, OptionReply.Ack);
    assert.equal(driver.core.exportName, null);
  });

  it('sends only NBD_INFO_EXPORT when nothing else is asked for', () => {
    const replies = ask(started(), option(Option.Info, infoData('sichern-ü', [2])));
    assert.deepEqual(
      replies.map((r) => r.type),
      [OptionReply.Info, OptionReply.Ack],
    );
    assert.equal(replies[0]?.data.readUInt16BE(10), USUAL | Flag.ReadOnly);
  });

  it('enters the transmission phase with GO, also for the default export', () => {
    for (const name of ['lun0', '']) {
      const driver = started();
      const replies = ask(driver, option(Option.Go, infoData(name, [1])));
      assert.equal(replies[1]?.data.toString('utf8', 2), 'lun0', 'the canonical name');
      assert.equal(replies.at(-1)?.type, OptionReply.Ack);
      assert.equal(driver.core.exportName, 'lun0');
      assert.equal(driver.core.deadline, undefined);
      assert.deepEqual(
        driver.outputs.map((output) => output.kind),
        ['log'],
      );
    }
  });

  it('enters it with EXPORT_NAME, with and without the zeroes', () => {
    for (const [flags, length] of [
      [3, 10],
      [1, 134],
      [0, 134],
    ] as const) {
      const driver = started(flags);
      driver.feed(option(Option.ExportName, 'lun0'));
      const reply = driver.take();
      assert.equal(reply.length, length);
      assert.equal(reply.readBigUInt64BE(0), 2n ** 33n);
      assert.equal(reply.readUInt16BE(8) & USUAL, USUAL);
      assert.ok(reply.subarray(10).every((byte) => byte === 0));
      assert.equal(driver.core.exportName, 'lun0');
    }
  });

  it('offers DF only after structured replies', () => {
    const driver = started();
    assert.deepEqual(
      ask(driver, option(Option.StructuredReply)).map((r) => r.type),
      [OptionReply.Ack],
    );
    const [info] = ask(driver, option(Option.Go, infoData('lun0')));
    assert.ok((info?.data.readUInt16BE(10) ?? 0) & Flag.SendDf);
  });

  it('answers an unknown export: UNKNOWN to INFO and GO, the end to EXPORT_NAME', () => {
    const driver = started();
    for (const code of [Option.Info, Option.Go]) {
      assert.deepEqual(
        ask(driver, option(code, infoData('lun7'))).map((r) => r.type),
        [OptionReply.ErrUnknown],
      );
    }
    driver.feed(option(Option.ExportName, 'lun7'));
    assertBroken(driver);
  });

  const refused: [string, Buffer, number][] = [
    ['LIST with data', option(Option.List, 'x'), OptionReply.ErrInvalid],
    ['STRUCTURED_REPLY with data', option(Option.StructuredReply, 'x'), OptionReply.ErrInvalid],
    ['STARTTLS', option(Option.StartTls), OptionReply.ErrPolicy],
    ['STARTTLS with data', option(Option.StartTls, 'x'), OptionReply.ErrInvalid],
    [
      'LIST_META_CONTEXT before structured replies',
      option(Option.ListMetaContext, Buffer.alloc(8)),
      OptionReply.ErrInvalid,
    ],
    [
      'SET_META_CONTEXT before structured replies',
      option(Option.SetMetaContext, Buffer.alloc(8)),
      OptionReply.ErrInvalid,
    ],
    ['EXTENDED_HEADERS', option(Option.ExtendedHeaders), OptionReply.ErrUnsup],
    ['PEEK_EXPORT', option(4, 'abc'), OptionReply.ErrUnsup],
    ['an option of the future', option(0xffff_ffff, Buffer.alloc(100)), OptionReply.ErrUnsup],
    ['GO without data', option(Option.Go), OptionReply.ErrInvalid],
    ['GO with a name length of 2^32 − 1', option(Option.Go, Buffer.alloc(10, 0xff)), OptionReply.ErrInvalid],
    [
      'GO with bytes left over',
      option(Option.Go, Buffer.concat([infoData('lun0'), Buffer.from([0])])),
      OptionReply.ErrInvalid,
    ],
    ['GO with too few requests', option(Option.Go, infoData('lun0', [1]).subarray(0, 11)), OptionReply.ErrInvalid],
    ['a name that is not UTF-8', option(Option.Go, infoData(Buffer.from([0xc3, 0x28]))), OptionReply.ErrInvalid],
    ['a name with NUL', option(Option.Info, infoData('lun0\0')), OptionReply.ErrInvalid],
    ['a name of 4097 bytes', option(Option.Info, infoData('a'.repeat(4097))), OptionReply.ErrInvalid],
    ['a name of 4096 bytes', option(Option.Info, infoData('a'.repeat(4096))), OptionReply.ErrUnknown],
    ['8193 bytes of data', option(Option.Info, Buffer.alloc(8193)), OptionReply.ErrTooBig],
    ['65536 bytes of data', option(200, Buffer.alloc(65_536)), OptionReply.ErrTooBig],
  ];
  for (const [what, bytes, type] of refused) {
    it(`refuses ${what} and goes on`, () => {
      const driver = started();
      assert.deepEqual(
        ask(driver, bytes).map((r) => r.type >>> 0),
        [type],
      );
      assert.equal(ask(driver, option(Option.Go, infoData('lun0'))).at(-1)?.type, OptionReply.Ack);
    });
  }

  const fatal: [string, Buffer][] = [
    ['65537 bytes of option data', option(200, '', 65_537)],
    ['2^32 − 1 bytes of option data', option(Option.Go, '', 0xffff_ffff)],
    ['EXPORT_NAME of 2^32 − 1 bytes', option(Option.ExportName, '', 0xffff_ffff)],
    ['EXPORT_NAME of 8193 bytes', option(Option.ExportName, '', 8193)],
    ['EXPORT_NAME that is not UTF-8', option(Option.ExportName, Buffer.from([0xff]))],
  ];
  for (const [what, bytes] of fatal) {
    it(`ends the connection for ${what}`, () => {
      const driver = started();
      driver.feed(bytes);
      assertBroken(driver);
    });
  }

  it('ends the connection after 32 options and 4 for each export', () => {
    const driver = started();
    const listed = ask(driver, option(Option.List)).filter(({ type }) => type === OptionReply.Server);
    assert.ok(listed.length > 0);
    for (let i = 1; i < 32 + 4 * listed.length; i++)
      assert.equal(ask(driver, option(Option.List)).at(-1)?.type, OptionReply.Ack);
    driver.feed(option(Option.List));
    assertBroken(driver);
  });

  it('takes nothing but EXPORT_NAME from a client without fixed newstyle', () => {
    const driver = started(0);
    driver.feed(option(Option.List));
    assertBroken(driver);
  });

  it('acknowledges ABORT, whatever its data, and closes', () => {
    const driver = started();
    const replies = ask(driver, option(Option.Abort, 'bye'));
    assert.deepEqual(
      replies.map((r) => r.type),
      [OptionReply.Ack],
    );
    assert.ok(driver.closed);
    assert.equal(driver.error, null);
  });

  it('ends after 10 s in all, however busy the client was', () => {
    const driver = started();
    assert.equal(driver.core.deadline, 10_000);
    driver.core.handleTimeout(9999);
    driver.feed(option(Option.List));
    driver.drain();
    assert.equal(driver.closed, false);
    driver.core.handleTimeout(10_000);
    driver.drain();
    assert.equal(driver.error?.message, 'an NBD client did not finish its handshake in 10 s');
    driver.core.handleTimeout(20_000);
  });

  it('closes at once on shutdown', () => {
    const driver = started();
    driver.core.shutdown(5);
    driver.core.shutdown(6);
    driver.drain();
    assert.deepEqual(driver.outputs, [{ kind: 'close', error: null }]);
  });
});
