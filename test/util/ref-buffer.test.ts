// Reference-counted buffers and their pool.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BufferPool, RefBuffer } from '../../src/util/ref-buffer.js';

describe('RefBuffer', () => {
  it('is freed once, by its last holder', () => {
    let freed = 0;
    const owner = new RefBuffer(Buffer.alloc(1), () => freed++);
    owner.retain();
    owner.release();
    assert.equal(freed, 0);
    owner.release();
    assert.deepEqual([freed, owner.references], [1, 0]);
    assert.throws(() => owner.release(), /twice/);
    assert.throws(() => owner.retain(), /released/);
  });
  it('cannot be reset while it is held', () => {
    const owner = new RefBuffer(Buffer.alloc(1));
    assert.throws(() => owner.reset(), /in use/);
    owner.release();
    owner.reset();
    assert.equal(owner.references, 1);
  });
});

describe('BufferPool', () => {
  it('gives a power of two from 4 KiB, and what came back', () => {
    const pool = new BufferPool();
    const first = pool.take(5000);
    assert.equal(first.buffer.length, 8192);
    assert.equal(pool.take(1).buffer.length, 4096);
    first.release();
    assert.equal(pool.take(8192), first);
    assert.equal(first.references, 1);
    assert.notEqual(pool.take(8192), first);
  });
  it('keeps no more than it was told, and nothing above its largest size', () => {
    const pool = new BufferPool({ largest: 8192, keepBytes: 8192 });
    const [a, b] = [pool.take(8192), pool.take(8192)];
    a.release();
    b.release();
    assert.equal(pool.take(8192), a);
    assert.notEqual(pool.take(8192), b);
    const big = pool.take(10_000);
    assert.equal(big.buffer.length, 10_000);
    big.release();
    assert.notEqual(pool.take(10_000), big);
  });
  it('never gives one buffer to two holders', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 20_000 })), { maxLength: 60 }), (steps) => {
        const pool = new BufferPool({ keepBytes: 40_000 });
        const held: RefBuffer[] = [];
        for (const [take, length] of steps) {
          if (take || held.length === 0) {
            const owner = pool.take(length);
            assert.ok(owner.buffer.length >= length && !held.includes(owner));
            held.push(owner);
          } else held.splice(length % held.length, 1)[0]?.release();
        }
      }),
    );
  });
});
