// Hostile bytes: whatever comes, a connection ends in a ProtocolError or goes on, and leaves nothing behind.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ProtocolError } from '../../src/util/errors.js';
import { makeNode, type Node, ScriptedInitiator } from './scripted-initiator.js';

/** Feeds `chunks`; false once the connection has ended. */
function feed(initiator: ScriptedInitiator, chunk: Buffer): boolean {
  try {
    initiator.raw(chunk);
    return !initiator.closed;
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error));
    return false;
  }
}

/** Ends the connection as its driver would and looks for what is left. */
async function nothingLeft(node: Node, initiator: ScriptedInitiator): Promise<void> {
  initiator.connection.onClosed('end of the test');
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  assert.equal(node.context.sessions.size, 0);
  assert.equal(node.context.memory.held, 0);
  assert.equal(node.unit.nexuses.size, 0);
}

/** A header whose fields are likely ones, with data. */
const pdu = fc
  .record({
    opcode: fc.constantFrom(0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x10, 0x40, 0x41, 0x42, 0x44, 0x46, 0x1f),
    flags: fc.integer({ min: 0, max: 255 }),
    lun: fc.constantFrom(0, 0, 0, 1, 255),
    itt: fc.integer({ min: 0, max: 6 }),
    word20: fc.constantFrom(0, 1, 2, 512, 4096, 65_536, 0xffffffff),
    cmdSn: fc.integer({ min: -2, max: 12 }),
    word36: fc.constantFrom(0, 1, 2, 0xffffffff),
    word40: fc.constantFrom(0, 512, 1024, 4096, 0xfffffe00),
    opcodes: fc.constantFrom(
      0x00,
      0x12,
      0x28,
      0x2a,
      0x2a,
      0x88,
      0x8a,
      0x42,
      0x41,
      0x93,
      0x89,
      0x5f,
      0x15,
      0x1a,
      0xa3,
      0x2f,
    ),
    cdb: fc.uint8Array({ minLength: 15, maxLength: 15 }),
    small: fc.boolean(),
    length: fc.constantFrom(0, 0, 1, 24, 512, 1024, 4096, 8192),
  })
  .map((fields) => {
    const header = Buffer.alloc(48);
    header[0] = fields.opcode;
    header[1] = fields.flags;
    header.writeUIntBE(fields.length, 5, 3);
    header[9] = fields.lun;
    header.writeUInt32BE(fields.itt, 16);
    header.writeUInt32BE(fields.word20, 20);
    header.writeUInt32BE((7 + fields.cmdSn) >>> 0, 24);
    header[32] = fields.opcodes;
    Buffer.from(fields.cdb).copy(header, 33);
    if (fields.small) header.fill(0, 34, 39);
    if (fields.opcode === 0x05) {
      header.writeUInt32BE(fields.word36, 36);
      header.writeUInt32BE(fields.word40, 40);
    }
    return Buffer.concat([header, Buffer.alloc((fields.length + 3) & ~3, fields.cdb[0])]);
  });

describe('hostile bytes', () => {
  test('before login: any bytes, in any pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 6 }),
        fc.boolean(),
        async (chunks, asLogin) => {
          const node = makeNode();
          const initiator = new ScriptedInitiator(node);
          for (const [index, chunk] of chunks.entries()) {
            const bytes = Buffer.from(chunk);
            // Most random first bytes are no Login Request; half of the runs are given one.
            if (index === 0 && asLogin && bytes.length > 8) {
              bytes[0] = 0x43;
              bytes[4] = 0;
              bytes.writeUIntBE(bytes.length > 48 ? bytes.length - 48 : 0, 5, 3);
            }
            if (!feed(initiator, bytes)) break;
          }
          assert.equal(initiator.connection.session, null);
          await nothingLeft(node, initiator);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('after login: any sequence of PDUs; another session goes on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(pdu, { minLength: 1, maxLength: 30 }), async (pdus) => {
        const node = makeNode();
        const initiator = new ScriptedInitiator(node);
        initiator.logIn([['InitialR2T', 'No']]);
        for (const bytes of pdus) if (!feed(initiator, bytes)) break;
        await initiator.settle().catch(() => []);
        await nothingLeft(node, initiator);
        const honest = new ScriptedInitiator(node, Buffer.from('80aabbcc0002', 'hex'));
        honest.logIn();
        honest.clearAttention();
        honest.command('12 00 00 0024 00', { read: 36 });
        assert.equal(honest.one().data.length, 36);
      }),
      { numRuns: 500 },
    );
  });
});
