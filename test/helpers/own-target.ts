// Our `serve` inside a test, on a port of the kernel's choice.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServeDisk, ServeOptions, Server } from '../../src/services/serve/options.js';
import { startServe } from '../../src/services/serve/serve.js';
import { INITIATOR } from './session.js';

export const OWN_TARGET = 'iqn.2022-08.com.test:own01';

export interface OwnTarget {
  readonly port: number;
  /** The file behind LUN 0. */
  readonly image: string;
  stop(): Promise<void>;
}

/** For the tests' own initiator alone, without CHAP, unless told otherwise. */
export function serveDisks(
  targetName: string,
  disks: readonly ServeDisk[],
  changes: Partial<ServeOptions> = {},
): Promise<Server> {
  return startServe({
    disks,
    targetName,
    portals: [{ address: '127.0.0.1', port: 0 }],
    allow: [INITIATOR],
    open: false,
    account: null,
    mutual: null,
    readOnly: false,
    ...changes,
  });
}

/** One file as LUN 0, open to every initiator unless told otherwise. */
export async function startOwn(changes: Partial<ServeOptions> = {}): Promise<OwnTarget> {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-own-'));
  const image = join(folder, 'disk.img');
  const disk: ServeDisk = { kind: 'fileio', path: image, sizeBytes: 16 * 2 ** 20 };
  const server = await serveDisks(OWN_TARGET, [disk], { allow: [], open: true, ...changes });
  return {
    port: server.portals[0]?.port ?? 0,
    image,
    async stop() {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
