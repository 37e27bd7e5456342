// What the parts of `disk grow` share: opening a disk for one look or one change, and running steps on what may be mounted.
import type { Step } from '../../disk/plan.js';
import { type DiskAccess, type DiskContext, openDisk } from './access.js';
import type { DiskTarget } from './name.js';
import { runSteps } from './run-steps.js';

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

/** `partition`: what is to grow, free or mounted here; null for the disk. */
export function runGrowSteps(
  target: DiskTarget,
  access: DiskAccess,
  { steps, partition }: { readonly steps: readonly Step[]; readonly partition: number | null },
  { signal, onStep }: GrowContext,
): Promise<void> {
  return runSteps(steps, target, access, {
    users: () => access.usersBesidesMounts(partition),
    // Half a resize is worse than one that nobody waits for.
    diesWithUs: false,
    onStep: ({ step, stdout }) => onStep?.({ name: step.name, stdout }),
    signal,
  });
}
