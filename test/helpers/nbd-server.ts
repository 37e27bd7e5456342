// An NBD server on a unix socket in this process, for real clients to connect to.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExportTable, type NbdExport } from '../../src/nbd/exports.js';
import type { NbdLimits } from '../../src/nbd/limits.js';
import { NbdServerConnection } from '../../src/nbd/server-connection.js';
import { now } from '../../src/transport/clock.js';
import { listenUnix } from '../../src/transport/listen.js';
import type { Wire } from '../../src/transport/wire.js';
import { BufferPool } from '../../src/util/ref-buffer.js';

export interface TestNbdServer {
  readonly socketPath: string;
  /** `nbd+unix:///NAME?socket=…` */
  uri(name: string): string;
  /** The errors with which connections ended, in order. */
  readonly errors: Error[];
  readonly connections: ReadonlySet<NbdServerConnection>;
  /** Every connection so far that opened an export, also those that have ended. */
  readonly sessions: ReadonlySet<NbdServerConnection>;
  close(): Promise<void>;
}

export async function startNbdServer(
  exports: readonly NbdExport[],
  limits: Partial<NbdLimits> = {},
): Promise<TestNbdServer> {
  const folder = await mkdtemp(join(tmpdir(), 'lunctl-nbd-'));
  const socketPath = join(folder, 'nbd.sock');
  const table = new ExportTable(exports);
  const pool = new BufferPool();
  const errors: Error[] = [];
  const connections = new Set<NbdServerConnection>();
  const sessions = new Set<NbdServerConnection>();

  const accept = (wire: Wire): void => {
    const drain = (): void => {
      for (let output = core.poll(); output; output = core.poll()) {
        if (core.exportName !== null) sessions.add(core);
        if (output.kind !== 'close') continue;
        if (output.error) errors.push(output.error);
        wire.end();
      }
    };
    const wake = (): void => wire.wake();
    const core = new NbdServerConnection({ exports: table, sink: wire.sink, pool, now: now(), limits, wake });
    connections.add(core);
    wire.attach(core, {
      timed: [core],
      afterCall: drain,
      onClose: () => {
        core.disconnected();
        connections.delete(core);
      },
    });
  };
  const listener = await listenUnix(socketPath, accept);
  return {
    socketPath,
    uri: (name) => `nbd+unix:///${name}?socket=${socketPath}`,
    errors,
    connections,
    sessions,
    close: async () => {
      await listener.close();
      await rm(folder, { recursive: true });
    },
  };
}
