// NBD_OPT_STARTTLS in the server core: FORCEDTLS, and nothing of the plain text survives (proto.md "TLS versions").
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import type { NbdLimits } from '../../src/nbd/limits.js';
import { Option, OptionReply } from '../../src/nbd/wire/constants.js';
import { ProtocolError } from '../../src/util/errors.js';
import { NbdDriver } from '../helpers/nbd-driver.js';
import { clientFlags, infoData, option, readOptionReplies } from '../helpers/nbd-wire.js';

const GREETING = 18;
const DF = 1 << 7;

/** A driver that demands TLS, past the greeting and the client flags. */
function started(limits: Partial<NbdLimits> = {}): NbdDriver {
  const device = new MemoryDevice({ sizeBytes: 2 ** 20 });
  const lun0 = { name: 'lun0', description: 'a secret', device, readOnly: false };
  const driver = new NbdDriver([lun0], limits, undefined, { tls: true });
  assert.equal(driver.take().length, GREETING);
  driver.feed(clientFlags(3));
  return driver;
}
function types(driver: NbdDriver): number[] {
  return readOptionReplies(driver.take()).map(({ type }) => type);
}
function secured(limits: Partial<NbdLimits> = {}, before: readonly Buffer[] = []): NbdDriver {
  const driver = started(limits);
  driver.feed(Buffer.concat([...before, option(Option.StartTls)]));
  assert.equal(types(driver).at(-1), OptionReply.Ack);
  assert.ok(driver.outputs.some(({ kind }) => kind === 'start-tls'));
  driver.core.secured();
  return driver;
}

describe('NBD_OPT_STARTTLS', () => {
  const set = Buffer.concat([infoData('lun0').subarray(0, 8), Buffer.alloc(4)]);
  const plain: [string, Buffer][] = [
    ['LIST', option(Option.List)],
    ['INFO', option(Option.Info, infoData('lun0'))],
    ['GO', option(Option.Go, infoData('lun0'))],
    ['STRUCTURED_REPLY', option(Option.StructuredReply)],
    ['SET_META_CONTEXT', option(Option.SetMetaContext, set)],
    ['an option that is too long', option(Option.Info, Buffer.alloc(9000))],
    ['an option that nobody knows', option(99)],
  ];
  for (const [name, bytes] of plain) {
    it(`is demanded before ${name}, wherever its bytes are cut`, () => {
      for (let at = 0; at < Math.min(bytes.length, 64); at++) {
        const driver = started();
        driver.feed(bytes, [at]);
        const replies = readOptionReplies(driver.take());
        assert.deepEqual(
          replies.map(({ type }) => type),
          [OptionReply.ErrTlsReqd],
        );
        assert.ok(!replies[0]?.data.includes('secret'));
        assert.ok(!driver.closed);
      }
    });
  }

  it('is no condition for an orderly end', () => {
    const driver = started();
    driver.feed(option(Option.Abort));
    assert.deepEqual(types(driver), [OptionReply.Ack]);
    assert.ok(driver.closed);
    assert.equal(driver.error, null);
  });

  it('cannot be told to a client that asks by EXPORT_NAME: the connection ends', () => {
    for (const bytes of [option(Option.ExportName, 'lun0'), option(Option.ExportName, Buffer.alloc(9000))]) {
      const driver = started();
      driver.feed(bytes);
      assert.ok(driver.error instanceof ProtocolError);
      assert.equal(driver.take().length, 0);
    }
  });

  it('pauses the connection, and ends it for every byte of plain text behind it', () => {
    for (const behind of [1, 16, 1000]) {
      const driver = started();
      driver.feed(Buffer.concat([option(Option.StartTls), Buffer.alloc(behind, 0x16)]));
      assert.ok(driver.error instanceof ProtocolError, String(driver.error));
      assert.match(driver.error.message, /plain text behind STARTTLS/);
      assert.ok(!driver.outputs.some(({ kind }) => kind === 'start-tls'));
    }
    const driver = started();
    driver.feed(option(Option.StartTls));
    assert.equal(driver.core.paused, true);
    assert.throws(() => started().core.secured(), /without NBD_OPT_STARTTLS/);
  });

  it('ends the connection when a driver delivers plain text although it is paused', () => {
    const driver = started();
    driver.feed(option(Option.StartTls));
    driver.outputs.length = 0;
    driver.deliverPaused(option(Option.Go, infoData('lun0')));
    assert.ok(driver.error instanceof ProtocolError);
  });

  it('forgets structured replies and meta contexts of before, and takes them anew', () => {
    const driver = secured({}, [option(Option.StructuredReply), option(Option.SetMetaContext, set)]);
    driver.feed(option(Option.Go, infoData('lun0')));
    const info = readOptionReplies(driver.take()).find(({ type }) => type === OptionReply.Info);
    assert.equal((info?.data.readUInt16BE(10) ?? 0) & DF, 0);
    const again = secured();
    again.feed(option(Option.StructuredReply));
    again.feed(option(Option.Go, infoData('lun0')));
    const offered = readOptionReplies(again.take()).find(({ type }) => type === OptionReply.Info);
    assert.equal((offered?.data.readUInt16BE(10) ?? 0) & DF, DF);
    assert.equal(again.core.exportName, 'lun0');
  });

  it('is refused once TLS is up, and with data', () => {
    const driver = secured();
    driver.feed(option(Option.StartTls));
    assert.deepEqual(types(driver), [OptionReply.ErrInvalid]);
    const talkative = started();
    talkative.feed(option(Option.StartTls, 'x'));
    assert.deepEqual(types(talkative), [OptionReply.ErrInvalid]);
    assert.ok(!talkative.outputs.some(({ kind }) => kind === 'start-tls'));
  });

  it('keeps the client flags: the short answer to EXPORT_NAME, and no second greeting', () => {
    const driver = secured();
    assert.equal(driver.take().length, 0);
    driver.feed(option(Option.ExportName, 'lun0'));
    assert.equal(driver.take().length, 10);
  });

  it('counts the options of before and the time of before', () => {
    const driver = secured({ options: 4, optionsOfExport: 0 }, [option(Option.List), option(Option.List)]);
    driver.feed(option(Option.List));
    assert.ok(!driver.closed);
    driver.feed(option(Option.List));
    assert.ok(driver.error instanceof ProtocolError);
    const slow = secured({ handshakeMs: 1000 });
    assert.equal(slow.core.deadline, 1000);
    slow.core.handleTimeout(1000);
    slow.drain();
    assert.match(String(slow.error), /did not finish its handshake/);
    const stuck = started({ handshakeMs: 1000 });
    stuck.feed(option(Option.StartTls));
    stuck.core.handleTimeout(1000);
    stuck.drain();
    assert.match(String(stuck.error), /did not finish its handshake/);
  });

  it('is not offered where there is no TLS', () => {
    const driver = new NbdDriver([]);
    driver.take();
    driver.feed(clientFlags(3));
    driver.feed(option(Option.StartTls));
    assert.deepEqual(types(driver), [OptionReply.ErrPolicy]);
  });
});
