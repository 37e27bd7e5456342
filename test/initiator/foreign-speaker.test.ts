// Who answers at a portal, by the first bytes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { foreignSpeaker } from '../../src/initiator/foreign-speaker.js';
import { Opcode } from '../../src/iscsi/wire/bhs.js';

const SPEAKERS: readonly [name: string, first: Buffer | string, who: string][] = [
  ['ssh', 'SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n', 'an SSH server ("SSH-2.0-OpenSSH_9.2p1 Debian-2")'],
  ['http', 'HTTP/1.1 400 Bad Request\r\nServer: x\r\n', 'a web server ("HTTP/1.1 400 Bad Request")'],
  ['a page', '<html><head>', 'a web server ("<html><head>")'],
  ['a TLS alert', Buffer.from([21, 3, 3, 0, 2, 2, 70]), 'a TLS server'],
  ['ftp', '220 ProFTPD Server\r\n', 'a mail or FTP server ("220 ProFTPD Server")'],
  ['nbd', 'NBDMAGICIHAVEOPT\0\u0003', 'an NBD server ("NBDMAGICIHAVEOPT")'],
  ['a request', Buffer.from([0x43, 0x87]), 'something else'],
  ['redis', '-ERR unknown command\r\n', 'something else ("-ERR unknown command")'],
  ['escapes', '\u001b]0;title\u0007', 'something else'],
  ['a long line', `SSH-${'x'.repeat(5000)}`, `an SSH server ("SSH-${'x'.repeat(56)}…")`],
];
for (const [name, first, who] of SPEAKERS) {
  test(`${name}: ${who.slice(0, 40)}`, () => assert.equal(foreignSpeaker(Buffer.from(first as string, 'latin1')), who));
}

test('what a target sends is none, from its first byte on', () => {
  assert.equal(foreignSpeaker(Buffer.alloc(0)), null);
  for (const opcode of Object.values(Opcode).filter((code) => code >= 0x20)) {
    const header = Buffer.alloc(48);
    header[0] = opcode;
    header[1] = 0x80;
    for (const length of [1, 2, 48]) assert.equal(foreignSpeaker(header.subarray(0, length)), null);
  }
  // A Login Response may leave T out, and may be one of several.
  for (const flags of [0x00, 0x04, 0x40, 0x44]) assert.equal(foreignSpeaker(Buffer.from([0x23, flags])), null);
});
test('any bytes give a line without control characters, or none', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.doesNotMatch(foreignSpeaker(Buffer.from(bytes)) ?? '', /\p{C}/u);
    }),
  );
});
