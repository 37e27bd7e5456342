// What every parser of hostile bytes owes: a value or ProtocolError, whatever it is given.
import fc from 'fast-check';
import { ProtocolError } from '../../src/util/errors.js';

/** Bytes from hex; blanks between them are for the reader. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

/** Runs `parse`; anything that it throws but ProtocolError is thrown on. */
export function valueOrProtocolError<T>(parse: () => T): T | ProtocolError {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

/** Runs `parse` on any bytes, on every beginning of each good vector, and on each vector with bytes changed. */
export function hammer(
  parse: (data: Buffer) => unknown,
  vectors: readonly Buffer[],
  prefix: Buffer = Buffer.alloc(0),
): void {
  for (const vector of vectors) {
    for (let length = 0; length <= vector.length; length++) {
      valueOrProtocolError(() => parse(Buffer.from(vector.subarray(0, length))));
    }
  }
  const anyBytes = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.concat([prefix, bytes]));
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      valueOrProtocolError(() => parse(bytes));
    }),
    { numRuns: 500 },
  );
  if (vectors.length === 0) return;
  const change = fc.tuple(fc.nat(), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(fc.constantFrom(...vectors), fc.array(change, { minLength: 1, maxLength: 4 }), (vector, changes) => {
      const bytes = Buffer.from(vector);
      for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
      valueOrProtocolError(() => parse(bytes));
    }),
    { numRuns: 500 },
  );
}
