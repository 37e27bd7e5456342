// What the parts of `disk grow` share: opening a disk for one look or one change, and running steps on what may be mounted.
import type { Hold } from '../../disk/identity.js';
import type { Step } from '../../disk/plan.js';
import { checkInterrupted, runTool } from '../../disk/run.js';
import { AppError } from '../../util/errors.js';
import { type DiskAccess, type DiskContext, openDisk, refuseUsed } from './access.js';
import type { DiskTarget } from './name.js';

/** Told after each thing that has been done; `kernel`: its partitions follow the table. */
export type OnStep = (done: { readonly name: Step['name'] | 'kernel'; readonly stdout: string }) => void;

export interface GrowContext extends DiskContext {
  readonly onStep?: OnStep | undefined;
}

/** Opens a disk or partition, whatever uses it, for as long as `use` takes. */
export async function opened<T>(
  target: DiskTarget,
  context: DiskContext,
  use: (access: DiskAccess) => Promise<T>,
): Promise<T> {
  const access = await openDisk(target, context);
  try {
    return await use(access);
  } finally {
    await access.close();
  }
}

/** Runs the steps. Before each it is proved that the device is ours, and that `partition` is free or mounted here. */
export async function runSteps(
  target: DiskTarget,
  access: DiskAccess,
  { steps, partition }: { readonly steps: readonly Step[]; readonly partition: number | null },
  { signal, onStep }: GrowContext,
): Promise<void> {
  for (const step of steps) {
    checkInterrupted(signal);
    const hold = await holdWhileUsed(access);
    try {
      refuseUsed(target, await access.usersBesidesMounts(partition));
      const { name, tool, args, ...how } = step;
      const { stdout } = await runTool(tool, args, { ...how, signal });
      onStep?.({ name, stdout });
    } finally {
      await hold.release();
    }
  }
}

const HOLDS = 3;

/** The proof compares blocks read one after the other: a mounted file system may write one of them between the two. */
async function holdWhileUsed(access: DiskAccess): Promise<Hold> {
  for (let tries = 1; ; tries++) {
    try {
      return await access.hold();
    } catch (error) {
      if (tries === HOLDS || !(error instanceof AppError) || error.code !== 'ERR_USAGE') throw error;
    }
  }
}
