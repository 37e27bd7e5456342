// Who has the exports of a session open: clients of the socket for anybody, and the helpers behind our own devices and
// disk commands, which have a socket of their own. That is how the two are told apart.
import { delay } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import type { ExportServer } from '../export-server.js';
import { type OwnerProcess, ownerLives } from './folder.js';

/** For helpers that have just been ended to be gone here too, milliseconds. */
const LEAVE_MS = 1000;
const POLL_MS = 10;

export class SessionClients {
  readonly #servers: readonly ExportServer[];
  /** Disk commands that have been let in, by number: each before it connects, and until it says that it is done. */
  readonly #holds = new Map<number, OwnerProcess & { readonly exportName: string }>();
  #lastHold = 0;

  /** `servers`: the one for anybody, then the one for helpers, each once it listens. */
  constructor(servers: readonly ExportServer[]) {
    this.#servers = servers;
  }

  /** Connections of other programs that may write to blocks of that export. */
  writers(exportName: string): number {
    return this.#servers[0]?.clientsOf((used, readOnly) => !readOnly && shareBlocks(used, exportName)) ?? 0;
  }

  /** Connections of anybody to blocks of that export, also those that only read. */
  connections(exportName: string): number {
    const matches = (used: string) => shareBlocks(used, exportName);
    return this.#servers.reduce((sum, server) => sum + server.clientsOf(matches), 0);
  }

  /** Connections of our own helpers to blocks of that export. */
  helpers(exportName: string): number {
    return this.#servers[1]?.clientsOf((used) => shareBlocks(used, exportName)) ?? 0;
  }

  /** Lets a disk command in: nobody else may write to blocks of that export until it is released or its process ends. */
  hold(exportName: string, owner: OwnerProcess): number {
    this.#holds.set(++this.#lastHold, { ...owner, exportName });
    return this.#lastHold;
  }

  release(hold: number): void {
    this.#holds.delete(hold);
  }

  /** Whether a helper, or a command that has been let in, uses blocks of that export. */
  isHeld(exportName: string): boolean {
    for (const [number, hold] of this.#holds) if (!ownerLives(hold)) this.#holds.delete(number);
    const held = [...this.#holds.values()].some((hold) => shareBlocks(hold.exportName, exportName));
    return held || this.helpers(exportName) > 0;
  }

  /** Throws ERR_BUSY while a helper or command uses blocks of that export, after a moment for one that is just leaving. */
  async refuseHelpers(exportName: string): Promise<void> {
    const deadline = performance.now() + LEAVE_MS;
    while (this.isHeld(exportName)) {
      if (performance.now() > deadline) {
        throw new AppError('ERR_BUSY', `${exportName} is in use: another disk command works on it`);
      }
      await delay(POLL_MS);
    }
  }
}

/** Whether two exports have blocks in common: the same one, or a disk and one of its partitions. */
function shareBlocks(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}p`) || b.startsWith(`${a}p`);
}
