import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { ExportTable } from '../../src/nbd/exports.js';
import { ExportServer } from '../../src/services/export-server.js';
import { SILENT_LOG } from '../../src/services/session/log.js';
import { BufferPool } from '../../src/util/ref-buffer.js';
import { succeed } from '../helpers/programs.js';
import { until } from '../helpers/stream-core.js';

const missing = existsSync('/usr/bin/nbdinfo') ? false : 'nbdinfo is not installed: apt-get install libnbd-bin';

describe('the NBD server of a session', { skip: missing }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-export-'));
  const path = join(folder, 'nbd.sock');
  let server: ExportServer;
  const any = () => true;

  before(async () => {
    const device = new MemoryDevice({ sizeBytes: 2 ** 20 });
    const exports = new ExportTable([{ name: 'lun0', description: '', device, readOnly: false }]);
    server = await ExportServer.listen({ path, exports, pool: new BufferPool(), log: SILENT_LOG });
  });
  after(async () => {
    await server.shutdown(100);
    rmSync(folder, { recursive: true });
  });

  it('is open to its user only', () => {
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  it('counts a client for as long as it is there, whichever way it leaves', async () => {
    for (const program of ['nbdinfo', 'nbdinfo --list', 'nbdinfo --json']) {
      const [name = '', ...args] = program.split(' ');
      await succeed(name, ...args, `nbd+unix:///lun0?socket=${path}`);
      await until(() => server.clientsOf(any) === 0, `${program} is forgotten`);
    }
  });

  it('drops clients that do not speak NBD, and turns more than 16 away', async () => {
    const sockets = Array.from({ length: 22 }, () => connect(path));
    const closed = sockets.map(
      (socket) =>
        new Promise<void>((resolve) =>
          socket
            .resume()
            .on('error', () => {})
            .once('close', () => resolve()),
        ),
    );
    await Promise.all(closed.slice(16));
    for (const socket of sockets) socket.write(Buffer.alloc(64, 0xee));
    await Promise.all(closed);
    assert.equal(Number(await succeed('nbdinfo', '--size', `nbd+unix:///lun0?socket=${path}`)), 2 ** 20);
  });
});
