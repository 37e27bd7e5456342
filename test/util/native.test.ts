// The C library by koffi: a call that works, one that fails, and its errno.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cLibrary } from '../../src/util/native.js';

test('calls return what the C library returns, and errno says why one failed', async (t) => {
  const library = await cLibrary();
  if (library === null) return t.skip('koffi is not installed: npm install koffi');
  assert.equal(library.func('int getpid(void)')(), process.pid);
  assert.equal(library.func('int close(int fd)')(-1), -1);
  assert.equal(library.errno(), 9);
  assert.throws(() => library.func('int no_such_function(void)'));
  assert.equal(await cLibrary(), library);
});
