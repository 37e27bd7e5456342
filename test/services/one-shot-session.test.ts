// `lunctl nbd` as a service, in this process: a LUN that grows, partitions that a client makes, the kernel's sessions, a target
// that goes away at the start.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { Senses } from '../../src/scsi/check-condition.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { type OneShot, startOneShot } from '../../src/services/one-shot/one-shot.js';
import { SILENT_LOG } from '../../src/services/session/log.js';
import type { AppError } from '../../src/util/errors.js';
import { FAKE_TARGET, FakeServer } from '../faults/fake-server.js';
import { run } from '../helpers/programs.js';
import { loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';
import { until } from '../helpers/stream-core.js';

const SIZE = 2 ** 22;
const missing = existsSync('/usr/bin/nbdinfo') ? false : 'nbdinfo is not installed: apt-get install libnbd-bin';

describe('one LUN served in the foreground', { skip: missing }, () => {
  let server: FakeServer;
  let folder: RunFolder;
  let served: OneShot | null = null;
  const traces = () => {
    const path = join(folder.paths.runDir, 'n');
    return existsSync(path) ? readdirSync(path) : [];
  };
  const start = async (changes: Parameters<typeof loginRequest>[2] = {}, kernelSessions = '/nowhere') => {
    const login = loginRequest(FAKE_TARGET, server.port, changes);
    const place = { kind: 'unix', path: null } as const;
    const request = { login, lun: 0, exportName: null, place, persistent: true };
    const signal = new AbortController().signal;
    served = await startOneShot(request, { paths: folder.paths, log: SILENT_LOG, signal, kernelSessions });
    return served;
  };
  const uri = () => served?.exports[0]?.uri ?? '';

  before(async () => {
    server = await new FakeServer().start();
    folder = makeRunFolder();
  });
  afterEach(async () => {
    server.script.onCommand = () => 'serve';
    await served?.close();
    served = null;
    assert.deepEqual(traces(), []);
  });
  after(async () => {
    await server.stop();
    folder.remove();
  });

  it('has its new size for the next client once it has grown', async () => {
    await start();
    assert.equal(Number((await run('nbdinfo', '--size', uri())).stdout), SIZE);
    server.disk().resize(2 * SIZE);
    let told = false;
    server.script.onCommand = ({ op }) => {
      if (told || op !== ScsiOp.Read16) return 'serve';
      told = true;
      return { sense: Senses.CapacityChanged };
    };
    await run('qemu-io', '-f', 'raw', uri(), '-c', 'read 0 4k');
    await until(() => served?.exports[0]?.sizeBytes === 2 * SIZE, 'the new size is known');
    assert.equal(Number((await run('nbdinfo', '--size', uri())).stdout), 2 * SIZE);
  });

  it('has the partitions that a client has made, once it has gone', async () => {
    const image = join(folder.paths.runDir, '../image');
    writeFileSync(image, Buffer.alloc(server.disk().bytes.length));
    const parted = await run('parted', '--script', image, 'mklabel', 'gpt', 'mkpart', 'a', '1MiB', '2MiB');
    assert.equal(parted.code, 0, parted.stderr);
    const { exports } = await start();
    assert.deepEqual(
      exports.map(({ name }) => name),
      ['lun0'],
    );
    const copied = await run('nbdcopy', image, uri());
    assert.equal(copied.code, 0, copied.stderr);
    assert.ok(server.disk().bytes.equals(readFileSync(image)));
    await until(() => served?.exports.length === 2, 'the partition is there');
    assert.deepEqual(
      served?.exports.map(({ name, sizeBytes }) => [name, sizeBytes]),
      [
        ['lun0', server.disk().bytes.length],
        ['lun0p1', 2 ** 20],
      ],
    );
  });

  it("is refused while the kernel's own initiator is logged in to the target, unless --also", async () => {
    const sessions = join(folder.paths.runDir, '../sys');
    mkdirSync(join(sessions, 'session1'), { recursive: true });
    writeFileSync(join(sessions, 'session1/targetname'), `${FAKE_TARGET}\n`);
    await assert.rejects(start({}, sessions), (error: AppError) => error.code === 'ERR_SESSION_EXISTS');
    assert.equal((await start({ also: true }, sessions)).exports.length > 0, true);
  });

  it('asks the target nothing for clients that only connect', async () => {
    await start();
    const [, path = ''] = uri().split('socket=');
    let commands = 0;
    server.script.onCommand = () => {
      commands++;
      return 'serve';
    };
    for (let i = 0; i < 100; i++) {
      const socket = connect(path);
      await once(socket, 'data');
      socket.destroy();
    }
    assert.equal(commands, 0);
  });

  it('ends a start that is given up at once, and leaves nothing', async () => {
    server.script.onAccept = () => false;
    const given = new AbortController();
    const login = loginRequest(FAKE_TARGET, server.port);
    const request = { login, lun: 0, exportName: null, place: { kind: 'unix', path: null }, persistent: true } as const;
    const options = { paths: folder.paths, log: SILENT_LOG, signal: given.signal, kernelSessions: '/nowhere' };
    const began = performance.now();
    setTimeout(() => given.abort(), 200);
    await assert.rejects(startOneShot(request, options), (error: AppError) => error.code === 'ERR_INTERRUPTED');
    // Not after the 10 s that a login has.
    assert.ok(performance.now() - began < 9000);
    delete server.script.onAccept;
    assert.deepEqual(traces(), []);
  });

  it('leaves nothing where the target goes away before clients could come', async () => {
    server.script.onCommand = ({ op, connection }) => {
      if (op !== ScsiOp.Inquiry) return 'serve';
      connection.reset();
      return 'keep';
    };
    await assert.rejects(start());
    assert.deepEqual(traces(), []);
  });
});
