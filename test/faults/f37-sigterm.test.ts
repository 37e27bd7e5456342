// F37: SIGTERM to a session's worker, with an idle NBD client, with requests in flight and before a black hole: it ends
// within 15 s, what was acknowledged has been flushed before the Logout, and nothing is left.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { CDB_AT } from '../../src/iscsi/wire/scsi-command.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { login } from '../../src/services/login.js';
import { DEFAULT_TIMERS, type SessionInfo } from '../../src/services/session/info.js';
import { loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';
import { pattern } from '../helpers/stream-core.js';
import { FAKE_TARGET, FakeServer } from './fake-server.js';
import { NbdClient, NbdError } from './nbd-client.js';
import { FaultProxy } from './proxy.js';
import { isAlive } from './rig.js';

const BLOCK = 4096;
const BOUND_MS = 15_000;
/** Errors that a client may see: EIO, ESHUTDOWN, or the end of its connection. */
const ENDED = [5, 108, 0];

describe('F37 SIGTERM', { concurrency: true }, () => {
  let folder: RunFolder;
  before(() => {
    folder = makeRunFolder();
  });
  after(() => {
    assert.deepEqual([folder.sids(), folder.workers()], [[], []]);
    folder.remove();
  });

  interface Bench {
    readonly server: FakeServer;
    readonly proxy: FaultProxy;
    readonly session: SessionInfo;
    readonly client: NbdClient;
    /** Signals the worker; resolves with how long it took to end, in milliseconds. */
    terminate(): Promise<number>;
    /** Operations of the last connection: opcodes of PDUs, and of commands as `cdb …`. */
    tail(): string[];
  }
  const bench = async (use: (bench: Bench) => Promise<void>, timers = DEFAULT_TIMERS) => {
    const server = await new FakeServer().start();
    const proxy = await FaultProxy.start(server.port);
    const session = await login(loginRequest(FAKE_TARGET, proxy.port, { timers }), { paths: folder.paths });
    const client = await NbdClient.connect(session.socket, 'lun0');
    const seen: string[] = [];
    server.script.onPdu = ({ opcode, bhs }) => {
      if (opcode === Opcode.ScsiCommand) seen.push(`cdb ${bhs[CDB_AT]?.toString(16)}`);
      else seen.push(`opcode ${opcode}`);
      return false;
    };
    const terminate = async () => {
      const began = performance.now();
      process.kill(session.pid, 'SIGTERM');
      while (isAlive(session.pid)) {
        if (performance.now() - began > BOUND_MS + 15_000) assert.fail('it does not end');
        await wait(10);
      }
      return performance.now() - began;
    };
    try {
      await use({ server, proxy, session, client, terminate, tail: () => seen });
      assert.ok(!readdirSync(join(folder.paths.runDir, 's')).includes(String(session.sid)), 'its folder is gone');
    } finally {
      if (isAlive(session.pid)) process.kill(session.pid, 'SIGKILL');
      client.close();
      await proxy.close();
      await server.stop();
    }
    assert.deepEqual(server.faults, []);
  };

  it('with an idle client that keeps its socket open: flushed, logged out, gone within 10 s', () =>
    bench(async ({ client, terminate, tail }) => {
      await client.write(0, pattern(BLOCK));
      const took = await terminate();
      assert.ok(took < 10_000, `${took} ms`);
      const flushed = tail().lastIndexOf(`cdb ${ScsiOp.SynchronizeCache16.toString(16)}`);
      const written = tail().lastIndexOf(`cdb ${ScsiOp.Write16.toString(16)}`);
      const loggedOut = tail().indexOf(`opcode ${Opcode.LogoutRequest}`);
      assert.ok(written >= 0 && flushed > written && loggedOut > flushed, tail().join(', '));
      assert.equal(client.open, false);
    }));

  it('with requests in flight: what was acknowledged is on the disk and flushed', () =>
    bench(async ({ server, client, terminate, tail }) => {
      const acknowledged: number[] = [];
      const refused: number[] = [];
      let stop = false;
      // Slow enough that some are always in flight.
      server.script.onCommand = (command) => {
        if (command.op !== ScsiOp.Write16) return 'serve';
        setTimeout(() => command.connection.serve(command), 20);
        return 'keep';
      };
      const writers = Array.from({ length: 8 }, async (_, writer) => {
        for (let i = writer; !stop && i < 1024; i += 8) {
          try {
            await client.write(i * BLOCK, pattern(BLOCK, i));
            acknowledged.push(i);
          } catch (error) {
            assert.ok(error instanceof NbdError);
            refused.push(error.errno);
            return;
          }
        }
      });
      while (acknowledged.length <= 8 && refused.length === 0) await wait(10);
      const took = await terminate();
      stop = true;
      await Promise.all(writers);
      assert.ok(took < BOUND_MS, `${took} ms`);
      assert.ok(acknowledged.length > 8);
      for (const errno of refused) assert.ok(ENDED.includes(errno), `NBD error ${errno}`);
      const disk = server.disk().bytes;
      for (const i of acknowledged) {
        assert.ok(disk.subarray(i * BLOCK, (i + 1) * BLOCK).equals(pattern(BLOCK, i)), `write ${i} is lost`);
      }
      const last = (what: string) => tail().lastIndexOf(what);
      const flushed = last(`cdb ${ScsiOp.SynchronizeCache16.toString(16)}`);
      assert.ok(flushed > last(`cdb ${ScsiOp.Write16.toString(16)}`), 'flushed after the last write');
      assert.ok(last(`opcode ${Opcode.LogoutRequest}`) > flushed, 'logged out after the flush');
    }));

  it('before a black hole, with requests in flight: gone within 15 s, and the requests have ended with errors', () =>
    bench(async ({ proxy, client, terminate }) => {
      proxy.live.blackHole();
      await proxy.setDoor('swallow');
      const writes = [0, 1, 2].map((i) => client.write(i * BLOCK, pattern(BLOCK)).then(() => -1, errnoOf));
      await wait(100);
      const took = await terminate();
      // What it gives itself, and the time to end.
      assert.ok(took < BOUND_MS + 5000, `${took} ms`);
      for (const errno of await Promise.all(writes)) assert.ok(ENDED.includes(errno), `${errno}`);
    }));

  it('while it is logging in again to a target that has gone: gone within 15 s', () =>
    bench(async ({ server, client, terminate }) => {
      await server.stop();
      const write = client.write(0, pattern(BLOCK)).then(() => -1, errnoOf);
      await wait(700);
      const took = await terminate();
      assert.ok(took < BOUND_MS, `${took} ms`);
      assert.ok(ENDED.includes(await write));
    }));

  it('a target that does not answer the Logout holds nothing up', () =>
    bench(async ({ server, terminate }) => {
      server.script.onPdu = ({ opcode }) => opcode === Opcode.LogoutRequest;
      const took = await terminate();
      assert.ok(took < BOUND_MS, `${took} ms`);
    }));
});

function errnoOf(error: unknown): number {
  return error instanceof NbdError ? error.errno : Number.NaN;
}
function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
