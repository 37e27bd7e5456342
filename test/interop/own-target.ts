// Our `serve` inside a test: one file as LUN 0, on a port of the kernel's choice, open to every initiator unless told otherwise.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServe } from '../../src/services/serve.js';
import type { ServeOptions } from '../../src/services/serve-options.js';

export const OWN_TARGET = 'iqn.2022-08.com.test:own01';

export interface OwnTarget {
  readonly port: number;
  /** The file behind LUN 0. */
  readonly image: string;
  stop(): Promise<void>;
}

export async function startOwn(changes: Partial<ServeOptions> = {}): Promise<OwnTarget> {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-own-'));
  const image = join(folder, 'disk.img');
  const server = await startServe({
    disks: [{ kind: 'fileio', path: image, sizeBytes: 16 * 2 ** 20 }],
    targetName: OWN_TARGET,
    portals: [{ address: '127.0.0.1', port: 0 }],
    allow: [],
    open: true,
    account: null,
    mutual: null,
    readOnly: false,
    ...changes,
  });
  return {
    port: server.portals[0]?.port ?? 0,
    image,
    async stop() {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
