import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { connectUnix } from '../../src/transport/connect.js';
import { type ControlServer, callControl, serveControl } from '../../src/transport/control.js';
import { listenUnix } from '../../src/transport/listen.js';
import { delay } from '../../src/transport/timers.js';
import { LONGEST_SOCKET_PATH } from '../../src/transport/unix-path.js';
import { AppError } from '../../src/util/errors.js';
import { until } from '../helpers/stream-core.js';

const folder = mkdtempSync(join(tmpdir(), 'lunctl-control-'));
const path = join(folder, 'c.sock');
const bound = { timeoutMs: 30_000 };
let server: ControlServer;
let bigAnswers = 0;
let waiting = 0;
const left: unknown[] = [];

before(async () => {
  server = await serveControl(path, {
    echo: (params) => params,
    nothing: () => undefined,
    big: () => {
      bigAnswers++;
      return 'x'.repeat(2 ** 20);
    },
    slow: async () => delay(1000),
    patient: (_params, gone) =>
      new Promise((resolve) => {
        waiting++;
        gone.addEventListener('abort', () => resolve(left.push(gone.reason)));
      }),
    refuse: () => {
      throw new AppError('ERR_BUSY', 'mounted on /mnt', { hint: 'unmount it' });
    },
    fault: () => {
      throw new Error('a bug');
    },
  });
});
after(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** Sends raw bytes and returns all that came back until the server closed. */
function raw(bytes: Buffer | string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
    socket.end(bytes);
  });
}

describe('the control socket', () => {
  it('keeps few answers for a client that asks and never reads, and serves others meanwhile', async () => {
    const socket = connect(path).pause();
    socket.on('error', () => {});
    socket.write('{"op":"big"}\n'.repeat(500));
    await until(() => bigAnswers > 0, 'it has begun to answer');
    await delay(300);
    assert.ok(bigAnswers >= 1 && bigAnswers <= 4, `${bigAnswers} answers of 1 MiB`);
    assert.equal(await callControl(path, 'nothing', {}, bound), null);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.destroy();
    await closed;
  });

  it('tells an operation that its client has gone, however it went', async () => {
    const controller = new AbortController();
    const asked = callControl(path, 'patient', {}, { ...bound, signal: controller.signal });
    await until(() => waiting === 1, 'asked');
    controller.abort();
    await assert.rejects(asked, { code: 'ERR_INTERRUPTED' });
    const socket = connect(path).resume();
    socket.on('error', () => {});
    socket.write('{"op":"patient"}\n');
    await until(() => waiting === 2, 'asked again');
    socket.end();
    await until(() => left.length === 2, 'both are told');
    for (const reason of left) assert.equal((reason as AppError).code, 'ERR_INTERRUPTED');
    // One that stays is not taken for gone: what it asks is answered.
    assert.deepEqual(await callControl(path, 'slow', {}, bound), null);
    assert.equal(left.length, 2);
  });

  it('answers, and carries errors with code and hint', async () => {
    assert.deepEqual(await callControl(path, 'echo', { a: [1, 'zwei'] }, bound), { a: [1, 'zwei'] });
    assert.equal(await callControl(path, 'nothing', {}, bound), null);
    assert.equal(((await callControl(path, 'big', {}, bound)) as string).length, 2 ** 20);
    await assert.rejects(callControl(path, 'refuse', {}, bound), {
      name: 'AppError',
      code: 'ERR_BUSY',
      message: 'mounted on /mnt',
      hint: 'unmount it',
    });
    await assert.rejects(callControl(path, 'fault', {}, bound), { code: 'ERR_INTERNAL', message: 'a bug' });
    await assert.rejects(callControl(path, 'toString', {}, bound), { code: 'ERR_NOT_SUPPORTED' });
  });

  it('answers several requests of one client in order, also in one write', async () => {
    const lines = (await raw('{"op":"echo","params":{"n":1}}\n{"op":"refuse"}\n{"op":"echo","params":{"n":2}}\n'))
      .trim()
      .split('\n');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      [
        { result: { n: 1 } },
        { error: { code: 'ERR_BUSY', message: 'mounted on /mnt', hint: 'unmount it' } },
        { result: { n: 2 } },
      ],
    );
  });

  it('does not let one slow answer hold up other clients', async () => {
    const slow = callControl(path, 'slow', {}, { timeoutMs: 200 });
    assert.deepEqual(await callControl(path, 'echo', {}, bound), {});
    await assert.rejects(slow, { code: 'ERR_TIMEOUT' });
    await assert.rejects(callControl(path, 'slow', {}, { timeoutMs: 5000, signal: AbortSignal.timeout(20) }), {
      code: 'ERR_INTERRUPTED',
    });
  });

  it('refuses garbage and drops its sender', async () => {
    for (const garbage of ['hello\n', '[]\n', 'null\n', '{"op":7}\n', '{"op":"echo","params":[]}\n']) {
      const { error } = JSON.parse((await raw(garbage)).split('\n')[0] ?? '') as { error: { code: string } };
      assert.match(error.code, /^ERR_(USAGE|NOT_SUPPORTED)$/);
    }
    const { error } = JSON.parse(await raw('x'.repeat(70_000))) as { error: { code: string } };
    assert.equal(error.code, 'ERR_PROTOCOL');
  });

  it('survives any bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        for (const line of (await raw(Buffer.from(bytes))).split('\n')) {
          if (line !== '') assert.ok('error' in JSON.parse(line));
        }
      }),
      { numRuns: 50 },
    );
    assert.deepEqual(await callControl(path, 'echo', {}, bound), {});
  });

  it('is open to its user only', async () => {
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const open = join(folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o755);
    await assert.rejects(serveControl(join(open, 'c.sock'), {}), { code: 'ERR_ACCESS' });
    await assert.rejects(callControl(join(open, 'c.sock'), 'info', {}, bound), { code: 'ERR_ACCESS' });
  });

  it('says when nobody is there', async () => {
    await assert.rejects(callControl(join(folder, 'none.sock'), 'info', {}, bound), { code: 'ERR_NOT_CONNECTED' });
    await assert.rejects(callControl(join(folder, 'no', 'c.sock'), 'info', {}, bound), { code: 'ERR_NOT_CONNECTED' });
  });

  it('takes over the socket of a dead process, but no other file', async () => {
    const stale = join(folder, 's.sock');
    const first = await listenUnix(stale, () => {});
    first.stop();
    const second = await serveControl(stale, { who: () => 'second' });
    assert.equal(await callControl(stale, 'who', {}, bound), 'second');
    await second.close();
    writeFileSync(stale, 'data');
    await assert.rejects(serveControl(stale, {}));
  });
});

describe('socket paths', () => {
  it('of 107 bytes work and longer ones are refused before the kernel cuts them', async () => {
    const longest = join(folder, 'p'.repeat(LONGEST_SOCKET_PATH - folder.length - 1));
    assert.equal(Buffer.byteLength(longest), 107);
    const listener = await listenUnix(longest, (wire) => wire.end());
    const wire = await connectUnix(longest, { timeoutMs: 1000 });
    wire.destroy();
    await listener.close();
    assert.throws(() => listenUnix(`${longest}x`, () => {}), { code: 'ERR_USAGE' });
    await assert.rejects(connectUnix(`${longest}x`, { timeoutMs: 1000 }), { code: 'ERR_USAGE' });
    await assert.rejects(serveControl(`${longest}x`, {}), { code: 'ERR_USAGE' });
  });
});
