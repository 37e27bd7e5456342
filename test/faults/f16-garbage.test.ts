// F16: an NBD client sends garbage, huge lengths, things in the wrong order. One clear error ends its connection, or one reply
// answers what is wrong; the disk holds what was acknowledged and nothing else, memory stays small, others are served.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { DEFAULT_LIMITS } from '../../src/nbd/limits.js';
import { Command, CommandFlag, Option, OptionReply } from '../../src/nbd/wire/constants.js';
import { ProtocolError } from '../../src/util/errors.js';
import { NbdDriver } from '../helpers/nbd-driver.js';
import {
  type Answer,
  assemble,
  clientFlags,
  infoData,
  metaContextData,
  option,
  readAnswers,
  readOptionReplies,
  request,
} from '../helpers/nbd-wire.js';
import { count, figure, footprint, Rig, tgtMissing } from './rig.js';

const RUNS = count('F16_RUNS', 300);
const CLIENTS = count('F16_CLIENTS', 120);
const AT_ONCE = 12;
const MOST_GROWTH_KIB = 64 * 1024;
const MIB = 2 ** 20;
const SIZE = 256 * 1024;
const WORD = 2 ** 32;
const ERRORS = [0, 1, 5, 12, 22, 28, 75, 95, 108];

function disk(): MemoryDevice {
  return new MemoryDevice({ sizeBytes: SIZE });
}
function exportsOf(device: MemoryDevice) {
  return [
    { name: 'lun0', description: 'LIO-ORG disk01', device, readOnly: false },
    { name: 'lun0p1', description: '', device, readOnly: true },
  ];
}
/** The end of a client that has been fed something: whatever it was, one clear error or none, and nothing kept. */
function assertSound(driver: NbdDriver): void {
  assert.ok(driver.error === null || driver.error instanceof ProtocolError, String(driver.error));
  const left = driver.core.readTarget();
  driver.core.disconnected();
  driver.take();
  const held = driver.pool.lent.filter((owner) => owner.buffer.buffer !== left?.buffer);
  assert.equal(held.length, 0, 'pool buffers');
  assert.equal(driver.held - driver.pool.lent.length, 0, 'receive buffers');
}

// What hostile clients say

const hostile = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 4, 5, 8, 4095, 4096, 4097, 8191, 8192, 8193, 65_535, 65_536, 65_537, 2 ** 31, WORD - 1),
  fc.nat(WORD - 1),
);
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((b) => Buffer.from(b));
const name = fc.oneof(
  fc.constantFrom('lun0', 'lun0p1', '', 'lun7', '../../etc/passwd', 'lun0\0'),
  fc.string(),
  bytes(40),
);
const query = fc.oneof(
  fc.constantFrom('base:', 'base:allocation', 'base', 'qemu:dirty-bitmap:', ''),
  fc.string(),
  bytes(9),
);
const code = fc.oneof(fc.integer({ min: 1, max: 11 }), fc.nat(WORD - 1));
/** Data of the right form for the option, of which then a number may be overwritten by a hostile one. */
const formed = fc
  .tuple(
    fc.oneof(
      fc
        .tuple(fc.constantFrom(Option.Info, Option.Go), name, fc.array(fc.nat(65_535), { maxLength: 5 }))
        .map(([c, n, types]) => [c, infoData(n, types)] as const),
      fc
        .tuple(fc.constantFrom(Option.ListMetaContext, Option.SetMetaContext), name, fc.array(query, { maxLength: 40 }))
        .map(([c, n, queries]) => [c, metaContextData(n, queries)] as const),
      fc.tuple(fc.constantFrom(Option.List, Option.StructuredReply, Option.StartTls), bytes(3)),
      fc.tuple(code, bytes(60)),
    ),
    fc.option(fc.tuple(fc.nat(60), hostile), { freq: 2 }),
  )
  .map(([[c, data], change]) => {
    const spoilt = Buffer.from(data);
    if (change !== null && change[0] + 4 <= spoilt.length) spoilt.writeUInt32BE(change[1], change[0]);
    return option(c, spoilt);
  });
/** An option whose length says something else than the bytes that follow. */
const lying = fc.tuple(code, bytes(60), hostile).map(([c, data, length]) => option(c, data, length));
const longOption = fc
  .tuple(code, fc.constantFrom(4097, 8192, 8193, 65_536))
  .map(([c, length]) => option(c, Buffer.alloc(length, 0x62)));
const handshakeWord = fc.oneof(
  { weight: 8, arbitrary: formed },
  { weight: 1, arbitrary: lying },
  { weight: 1, arbitrary: longOption },
  { weight: 1, arbitrary: bytes(30) },
);

const range = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(fc.nat(SIZE), fc.integer({ min: 0, max: 20_000 })) },
  {
    weight: 1,
    arbitrary: fc.tuple(
      fc.oneof(fc.constantFrom(2n ** 64n - 1n, 2n ** 63n, 2n ** 53n, BigInt(SIZE)), fc.bigInt(0n, 2n ** 64n - 1n)),
      hostile,
    ),
  },
);
const flags = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(31) }, fc.nat(65_535));
const anyRequest = fc
  .tuple(fc.oneof({ weight: 6, arbitrary: fc.nat(8) }, fc.nat(65_535)), flags, range)
  .filter(([type]) => type !== Command.Disc && type !== Command.Write)
  .map(([type, flags, [offset, length]]) => ({ type, flags, offset, length }));
const anyWrite = fc.tuple(flags, range, fc.nat(20_000), fc.nat(255)).map(([flags, [offset], length, fill]) => ({
  type: Command.Write,
  flags,
  offset,
  payload: Buffer.alloc(length, fill),
}));

/** What the server says after the greeting, cut into pieces as told. */
function said(driver: NbdDriver, parts: readonly Buffer[], cuts: readonly number[]): Buffer {
  driver.take();
  driver.feed(Buffer.concat(parts), cuts);
  return driver.take();
}

describe('F16: garbage in the handshake', () => {
  it('every option has its replies and one last one, or ends the connection; any chunking gives the same', () => {
    let options = 0;
    const device = disk();
    fc.assert(
      fc.property(
        fc.array(handshakeWord, { maxLength: 12 }),
        fc.array(fc.nat(4000), { maxLength: 9 }),
        (words, cuts) => {
          const parts = [clientFlags(3), ...words];
          const driver = new NbdDriver(exportsOf(device));
          const whole = said(driver, parts, []);
          const again = new NbdDriver(exportsOf(device));
          assert.ok(said(again, parts, cuts).equals(whole), 'the same for any chunking');
          assert.equal(String(again.error), String(driver.error));
          options += words.length;
          // EXPORT_NAME has no option reply, and once an export is open what follows are no options.
          if (driver.core.exportName === null) {
            const replies = readOptionReplies(whole);
            const last = replies.filter(({ type }) => type === OptionReply.Ack || type >>> 31 === 1);
            assert.ok(last.length <= words.length + 1);
            assert.ok(replies.length <= 40 * words.length);
            for (const { type, data } of replies)
              assert.ok(type >>> 31 === 0 || data.length <= 4096, 'a message is a string');
          }
          assertSound(driver);
          assertSound(again);
        },
      ),
      { numRuns: RUNS },
    );
    figure('F16', `${RUNS} handshakes of ${options} options`);
  });

  it('takes no memory for what a length only says', () => {
    for (const type of [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 200]) {
      for (const length of [8192, 8193, 65_536, 65_537, 2 ** 31, WORD - 1]) {
        const driver = new NbdDriver(exportsOf(disk()));
        const before = process.memoryUsage().arrayBuffers;
        driver.feed(Buffer.concat([clientFlags(3), option(type, 'abc', length)]));
        assert.ok(process.memoryUsage().arrayBuffers - before < 100_000, `option ${type} of ${length} bytes`);
        const fatal = length > DEFAULT_LIMITS.optionDrain || (type === Option.ExportName && length > 8192);
        assert.equal(driver.closed, fatal);
        assertSound(driver);
      }
    }
  });

  const word = (n: number) => Buffer.of(n >>> 24, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff);
  /** Inputs that have brought servers down. */
  const known: [string, Buffer[], 'closed' | 'goes on'][] = [
    ['CVE-2017-15119: a long option, read to its end', [option(99, Buffer.alloc(65_536))], 'goes on'],
    ['CVE-2020-10761: an unknown name of 4096 bytes', [option(Option.Go, infoData('a'.repeat(4096)))], 'goes on'],
    [
      'CVE-2022-26495: a name of 2^32 − 1 bytes',
      [option(Option.Info, Buffer.concat([word(WORD - 1), Buffer.alloc(8)]))],
      'goes on',
    ],
    [
      'CVE-2022-26495: a name of 2^32 − 5 bytes',
      [option(Option.Go, Buffer.concat([word(WORD - 5), Buffer.alloc(8)]))],
      'goes on',
    ],
    [
      'CVE-2022-26496: a name longer than its option',
      [option(Option.Go, Buffer.concat([word(4096), Buffer.alloc(100)]))],
      'goes on',
    ],
    [
      'CVE-2019-14851: contexts before anything else',
      [option(Option.SetMetaContext, metaContextData('lun0', ['base:']))],
      'goes on',
    ],
    ['CVE-2013-6410, -7441: nothing but a magic', [option(Option.Go).subarray(0, 8)], 'goes on'],
    ['2^32 − 1 information requests', [option(Option.Go, Buffer.concat([word(0), Buffer.of(0xff, 0xff)]))], 'goes on'],
    ['STARTTLS twice', [option(Option.StartTls), option(Option.StartTls)], 'goes on'],
    ['EXPORT_NAME of an unknown export', [option(Option.ExportName, 'lun7')], 'closed'],
    ['an option without its magic', [Buffer.alloc(16)], 'closed'],
    ['a request where an option is due', [request({ type: Command.Read, length: 512 })], 'closed'],
    ['1000 options', Array.from({ length: 1000 }, () => option(Option.List)), 'closed'],
    ['SET_META_CONTEXT 1000 times', Array.from({ length: 1000 }, () => option(Option.SetMetaContext)), 'closed'],
  ];
  for (const [what, parts, end] of known) {
    it(`${what}: ${end}`, () => {
      const driver = new NbdDriver(exportsOf(disk()));
      said(driver, [clientFlags(3), ...parts], []);
      assert.equal(driver.closed ? 'closed' : 'goes on', end, String(driver.error));
      assertSound(driver);
    });
  }
});

describe('F16: garbage in the transmission phase', () => {
  /** A client with everything negotiated, or with nothing. */
  function opened(device: MemoryDevice, structured: boolean, limits = {}): NbdDriver {
    const driver = new NbdDriver(exportsOf(device), limits);
    driver.feed(clientFlags(3));
    if (structured) {
      driver.feed(option(Option.StructuredReply));
      driver.feed(option(Option.SetMetaContext, metaContextData('lun0', ['base:allocation'])));
    }
    driver.feed(option(Option.Go, infoData('lun0')));
    driver.take();
    return driver;
  }
  const settle = () => new Promise((resolve) => setImmediate(resolve));

  it('every request has one reply, with an error of the protocol, and the disk holds what was acknowledged', async () => {
    let requests = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(anyRequest, anyWrite), { maxLength: 20 }),
        fc.array(fc.nat(60_000), { maxLength: 9 }),
        fc.boolean(),
        async (fields, cuts, structured) => {
          const device = disk();
          await writeBytes(device, 0, Buffer.alloc(SIZE, 0xc3));
          const model = Buffer.alloc(SIZE, 0xc3);
          const driver = opened(device, structured);
          requests += fields.length;
          for (const [i, field] of fields.entries()) {
            const cookie = BigInt(i);
            const bytes = request({ ...field, cookie });
            driver.feed(bytes, cuts);
            await settle();
            const length = 'length' in field ? field.length : 0;
            const read = field.type === Command.Read ? length : 0;
            const answers = readAnswers(driver.take(), new Map([[cookie, read]]));
            assert.deepEqual(
              answers.map((answer) => answer.cookie),
              [cookie],
              'one reply, to this request',
            );
            const answer = answers[0] as Answer;
            assert.ok(ERRORS.includes(answer.error), `error ${answer.error}`);
            if (answer.error === 0) acknowledged(model, field, answer);
            assert.equal(driver.closed, false);
          }
          assert.ok((await readBytes(device, 0, SIZE)).equals(model));
          assertSound(driver);
        },
      ),
      { numRuns: RUNS },
    );
    figure('F16', `${RUNS} clients with ${requests} requests`);
  });

  /** Does to the model what the server says that it has done to the disk; a read must tell what the model holds. */
  function acknowledged(model: Buffer, field: { type: number; offset: number | bigint }, answer: Answer): void {
    const offset = Number(field.offset);
    const length = 'length' in field ? Number(field.length) : 0;
    if (field.type === Command.Read) {
      assert.ok(assemble(answer, offset, length).equals(model.subarray(offset, offset + length)));
    } else if ('payload' in field && Buffer.isBuffer(field.payload)) {
      assert.ok(offset + field.payload.length <= SIZE);
      field.payload.copy(model, offset);
    } else if (field.type === Command.WriteZeroes) {
      model.fill(0, offset, offset + length);
    } else if (field.type === Command.Trim) {
      // What is trimmed may be anything; this disk gives whole blocks back, which read as zeros.
      model.fill(
        0,
        Math.ceil(offset / 512) * 512,
        Math.max(Math.ceil(offset / 512), Math.floor((offset + length) / 512)) * 512,
      );
    } else if (field.type === Command.BlockStatus) {
      const extents = answer.status?.extents ?? [];
      const told = extents.reduce((sum, [size]) => sum + size, 0);
      assert.ok(extents.length > 0 && told <= length);
    } else {
      assert.ok(field.type === Command.Flush || field.type === Command.Cache, `command ${field.type} has succeeded`);
    }
  }

  it('a write above 32 MiB is drained and refused up to 64 MiB, in step and without memory; beyond, the client is dropped', async () => {
    const device = disk();
    const driver = opened(device, true);
    for (const length of [2 ** 25 + 1, 2 ** 26]) {
      const before = process.memoryUsage().arrayBuffers;
      driver.feed(request({ type: Command.Write, cookie: 7n, length }));
      for (let left = length; left > 0; left -= MIB) driver.feed(Buffer.alloc(Math.min(MIB, left)));
      assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 25, 'it is not collected');
      assert.equal(driver.pool.lent.length, 0);
      assert.equal(readAnswers(driver.take())[0]?.error, 22);
      driver.feed(request({ type: Command.Flush, cookie: 8n }));
      assert.deepEqual(
        readAnswers(driver.take()).map(({ cookie, error }) => [cookie, error]),
        [[8n, 0]],
      );
    }
    for (const length of [2 ** 26 + 1, 2 ** 31, WORD - 1]) {
      const other = opened(device, true);
      other.feed(request({ type: Command.Write, length }));
      assert.ok(other.error instanceof ProtocolError);
      assertSound(other);
    }
    assertSound(driver);
  });

  it('a cookie that is used twice at once is given back twice', async () => {
    const driver = opened(disk(), true);
    const same = { cookie: 2n ** 64n - 1n, length: 512 };
    driver.feed(
      Buffer.concat(
        [Command.BlockStatus, Command.Read, Command.Cache, Command.BlockStatus].map((type) =>
          request({ type, ...same }),
        ),
      ),
    );
    await settle();
    assert.deepEqual(
      readAnswers(driver.take()).map(({ cookie, error }) => [cookie, error]),
      Array(4).fill([2n ** 64n - 1n, 0]),
    );
    assertSound(driver);
  });

  const broken: [string, Buffer][] = [
    ['zeros', Buffer.alloc(28)],
    ['ones', Buffer.alloc(28, 0xff)],
    ['a request of extended headers', Buffer.concat([Buffer.from('21e41c71', 'hex'), Buffer.alloc(28)])],
    ['a reply', Buffer.concat([Buffer.from('67446698', 'hex'), Buffer.alloc(24)])],
    ['an option', Buffer.concat([option(Option.Go, infoData('lun0')), Buffer.alloc(12)])],
    ['another handshake', Buffer.concat([clientFlags(3), option(Option.StructuredReply), Buffer.alloc(8)])],
    ['a request a byte too late', Buffer.concat([Buffer.of(0), request({ type: Command.Read, length: 512 })])],
  ];
  for (const [what, garbage] of broken) {
    it(`${what} in place of a request: the end, after what came before`, () => {
      const driver = opened(disk(), true);
      driver.feed(Buffer.concat([request({ type: Command.Flush, cookie: 5n }), garbage]), [30, 40]);
      assert.deepEqual(
        readAnswers(driver.take()).map(({ cookie, error }) => [cookie, error]),
        [[5n, 0]],
      );
      assert.ok(driver.error instanceof ProtocolError);
      driver.feed(request({ type: Command.Read, length: 512 }));
      assert.equal(driver.take().length, 0, 'nothing follows the end');
      assertSound(driver);
    });
  }

  it('flags that are not a command’s own are refused for each command', async () => {
    const own: Record<number, number> = {
      [Command.Read]: CommandFlag.Fua | CommandFlag.Df,
      [Command.Write]: CommandFlag.Fua,
      [Command.Flush]: CommandFlag.Fua,
      [Command.Trim]: CommandFlag.Fua,
      [Command.Cache]: CommandFlag.Fua,
      [Command.WriteZeroes]: CommandFlag.Fua | CommandFlag.NoHole | CommandFlag.FastZero,
      [Command.BlockStatus]: CommandFlag.Fua | CommandFlag.ReqOne,
    };
    const driver = opened(disk(), true);
    for (const [type, allowed] of Object.entries(own)) {
      const length = Number(type) === Command.Flush ? 0 : 512;
      for (let bit = 0; bit < 16; bit++) {
        const payload = Number(type) === Command.Write ? { payload: Buffer.alloc(length) } : { length };
        driver.feed(request({ type: Number(type), flags: 1 << bit, ...payload }));
        await settle();
        const error = readAnswers(driver.take())[0]?.error;
        assert.equal(error === 22, ((1 << bit) & allowed) === 0, `command ${type}, flag bit ${bit}: ${error}`);
      }
    }
    assertSound(driver);
  });
});

describe('F16: garbage for a worker', { skip: tgtMissing() }, () => {
  const starts = [
    Buffer.alloc(0),
    clientFlags(3),
    Buffer.concat([
      clientFlags(3),
      option(Option.StructuredReply),
      option(Option.SetMetaContext, metaContextData('', ['base:allocation'])),
      option(Option.Go, infoData('')),
    ]),
    Buffer.concat([clientFlags(3), option(Option.ExportName, '')]),
  ];
  /** Says `said` and waits a little for what becomes of it. */
  async function harass(socketPath: string, said: Buffer): Promise<void> {
    const socket = connect(socketPath);
    socket.on('error', () => {});
    socket.resume();
    socket.end(said);
    const bored = setTimeout(() => socket.destroy(), 200);
    if (!socket.closed) await once(socket, 'close');
    clearTimeout(bored);
  }

  it('it lives, keeps nothing, and serves its good client all the while', async () => {
    const rig = await Rig.start({ proxy: false });
    try {
      const { socket, pid } = rig.session;
      const good = await rig.connect();
      const words = fc.sample(fc.oneof(handshakeWord, anyRequest.map(request), bytes(200)), CLIENTS * 5);
      const round = async (from: number) => {
        const parts = words.slice(from * 5, from * 5 + 5);
        // Nothing of this may write where the good client does.
        const safe = parts.filter((part) => !writes(part));
        await harass(
          socket,
          Buffer.concat([starts[from % starts.length] ?? Buffer.alloc(0), ...safe, randomBytes(64)]),
        );
      };
      const side = Math.min(AT_ONCE, CLIENTS);
      await Promise.all(Array.from({ length: side }, (_, i) => round(i)));
      const before = footprint(pid);
      for (let at = 0; at < CLIENTS; at += side) {
        const fill = Buffer.alloc(4096, at & 0xff);
        await Promise.all([
          ...Array.from({ length: side }, (_, i) => round((at + i) % CLIENTS)),
          good.write(MIB, fill).then(async () => assert.ok((await good.read(MIB, 4096)).equals(fill))),
        ]);
      }
      const after = footprint(pid);
      figure('F16', `${CLIENTS} clients of a worker, RSS ${before.rssKiB} → ${after.rssKiB} KiB`);
      assert.ok(
        after.descriptors <= before.descriptors + 2,
        `${before.descriptors} → ${after.descriptors} descriptors`,
      );
      assert.ok(after.rssKiB - before.rssKiB < MOST_GROWTH_KIB, `${before.rssKiB} → ${after.rssKiB} KiB`);
      assert.equal((await rig.info()).state, 'LOGGED_IN');
      await good.flush();
    } finally {
      await rig.stop();
    }
  });
});

/** Whether a request of the transmission phase changes the disk. */
function writes(part: Buffer): boolean {
  if (part.length < 28 || part.readUInt32BE(0) !== 0x2560_9513) return false;
  const type = part.readUInt16BE(6);
  return type === Command.Trim || type === Command.WriteZeroes || type === Command.Write;
}
