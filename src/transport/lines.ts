// Lines of text from a socket, bounded.
import type { Socket } from 'node:net';
import { ProtocolError } from '../util/errors.js';

const NEWLINE = 0x0a;

/**
 * The lines that `socket` receives, without their newline. Ends with the stream; a last line without a newline is
 * dropped. Throws ProtocolError for a line of more than `longest` bytes, before more than that is kept.
 */
export async function* linesOf(socket: Socket, longest: number): AsyncGenerator<string, void, void> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  // The socket stays open when the reader stops early, for a last answer.
  const chunks: AsyncIterable<Buffer> = socket.iterator({ destroyOnReturn: false });
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      if (heldBytes + end + 1 - from > longest) throw tooLong(longest);
      const line = Buffer.concat([...held, chunk.subarray(from, end)]).toString('utf8');
      held = [];
      heldBytes = 0;
      from = end + 1;
      yield line;
    }
    if (heldBytes + chunk.length - from > longest) throw tooLong(longest);
    if (from < chunk.length) held.push(chunk.subarray(from));
    heldBytes += chunk.length - from;
  }
}

function tooLong(longest: number): ProtocolError {
  return new ProtocolError('control socket', `a line of more than ${longest} bytes`);
}
