// Every block as a register: what a read may return, given which writes had been acknowledged and which were under way.
import assert from 'node:assert/strict';

interface Write {
  readonly id: number;
  readonly began: number;
  /** Infinite until it has ended. */
  ended: number;
  /** Whether its data must be there. One that failed may have got there, but not after its end. */
  done: boolean;
}

/** Time is the order of the calls. Write number 0 is the disk as it was: zeros. */
export class RegisterChecker {
  readonly #blockSize: number;
  readonly #blocks: Write[][];
  #time = 1;

  constructor(blocks: number, blockSize = 512) {
    this.#blockSize = blockSize;
    this.#blocks = Array.from({ length: blocks }, () => [{ id: 0, began: 0, ended: 0, done: true }]);
  }
  /** The bytes that write `id` puts into `count` blocks, and that it has begun. */
  write(id: number, at: number, count: number): { readonly payload: Buffer; ended(done: boolean): void } {
    const began = this.#time++;
    const writes = Array.from({ length: count }, (_, i) => {
      const write: Write = { id, began, ended: Number.POSITIVE_INFINITY, done: false };
      this.#blocks[at + i]?.push(write);
      return write;
    });
    const payload = Buffer.alloc(count * this.#blockSize);
    for (let i = 0; i < payload.length; i += 4) payload.writeUInt32LE(id, i);
    return {
      payload,
      ended: (done) => {
        const ended = this.#time++;
        for (const write of writes) Object.assign(write, { ended, done });
      },
    };
  }
  /** A read begins; the result is called with its bytes when it has ended, and throws if it should not have seen them. */
  read(at: number): (bytes: Buffer, what?: string) => void {
    const began = this.#time++;
    return (bytes, what = 'read') => {
      for (let i = 0; i * this.#blockSize < bytes.length; i++) {
        this.#check(at + i, bytes.subarray(i * this.#blockSize, (i + 1) * this.#blockSize), began, what);
      }
    };
  }
  #check(block: number, bytes: Buffer, began: number, what: string): void {
    const id = bytes.readUInt32LE(0);
    for (let i = 0; i < bytes.length; i += 4) {
      assert.equal(bytes.readUInt32LE(i), id, `${what}: block ${block} is of two writes`);
    }
    const writes = this.#blocks[block] ?? [];
    const seen = writes.find((write) => write.id === id);
    assert.ok(seen, `${what}: block ${block} has the data of write ${id}, which was never made there`);
    const newer = writes.find((write) => write.done && write.began > seen.ended && write.ended < began);
    assert.ok(!newer, `${what}: block ${block} has write ${id}; write ${newer?.id} had replaced it for good`);
  }
}
