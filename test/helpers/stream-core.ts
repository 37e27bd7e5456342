// Stream consumers for tests of the drivers: they record what they are given and do what a test tells them to.
import type { RefBuffer } from '../../src/util/ref-buffer.js';
import type { StreamConsumer } from '../../src/util/stream.js';

/** Collects all bytes. Override what a test is about. */
export class Collector implements StreamConsumer {
  readonly chunks: Buffer[] = [];
  bytes = 0;
  drains = 0;
  paused = false;

  onBytes(chunk: Buffer, _owner: RefBuffer): void {
    this.chunks.push(Buffer.from(chunk));
    this.bytes += chunk.length;
  }
  readTarget(): Buffer | null {
    return null;
  }
  onTargetFilled(_length: number): void {
    throw new Error('no target was given');
  }
  onDrain(): void {
    this.drains++;
  }
  get all(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

/** Milliseconds: far more than anything takes that a test waits for, on a slow and busy machine too. */
const UNTIL_MS = 30_000;

/** Waits until `condition` holds; throws with `what` after half a minute. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = Date.now() + UNTIL_MS;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Bytes that differ at every place a mistake could confuse: a counter in every four bytes. */
export function pattern(length: number, seed = 0): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32BE((seed + at * 2_654_435_761) >>> 0, at);
  return bytes;
}
