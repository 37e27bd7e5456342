// What speaks at a portal that is none, told by its first bytes: a server of another protocol often sends less than the 48
// bytes of a header, and then waits, so that without a look at them a login would end in a long silence.
import { FINAL, Opcode, opcodeOf } from '../iscsi/wire/bhs.js';
import { printable } from '../util/printable.js';

const FROM_TARGETS: ReadonlySet<number> = new Set(Object.values(Opcode).filter((opcode) => opcode >= 0x20));
/** Of a greeting this much is shown, in characters. */
const MOST_SHOWN = 60;

/** Who answers with the bytes `first`, in words; null while they may start a PDU (RFC 7143 §11.2.1): then the framer judges. */
export function foreignSpeaker(first: Buffer): string | null {
  if (first.length === 0 || startsPdu(first)) return null;
  const text = first.toString('latin1');
  const [line = ''] = text.split(/[\r\n]/, 1);
  const greeting = /^[\x20-\x7e]{3}/.test(text) ? ` ("${printable(line, MOST_SHOWN)}")` : '';
  return `${who(first, text)}${greeting}`;
}

/** A target sends no byte with a bit above the operation code; all of its PDUs but a Login Response have the F bit then. */
function startsPdu(first: Buffer): boolean {
  const opcode = opcodeOf(first);
  if (first[0] !== opcode || !FROM_TARGETS.has(opcode)) return false;
  const flags = first[1];
  return opcode === Opcode.LoginResponse || flags === undefined || (flags & FINAL) !== 0;
}

function who(first: Buffer, text: string): string {
  if (text.startsWith('SSH-')) return 'an SSH server';
  if (text.startsWith('HTTP/') || /^<(!doctype|html)/i.test(text)) return 'a web server';
  // A TLS record: content type 20 to 23, then version 3.x (RFC 8446 §5.1).
  if ((first[0] as number) >= 20 && (first[0] as number) <= 23 && first[1] === 3) return 'a TLS server';
  if (/^220[ -]/.test(text)) return 'a mail or FTP server';
  if (text.startsWith('NBDMAGIC')) return 'an NBD server';
  return 'something else';
}
