// Runs the steps of a plan on a disk. Right before each it is proved once more that the device is ours and free.
import type { Step } from '../../disk/plan.js';
import { checkInterrupted, runTool } from '../../disk/run.js';
import { type DiskAccess, type DiskContext, refuseUsed } from './access.js';
import type { DiskTarget } from './name.js';

export interface StepResult {
  readonly step: Step;
  readonly stdout: string;
}

/** Told of each step as it begins, with null, and then of what its program prints. */
export type OnProgress = (step: Step, printed: string | null) => void;

export interface StepOptions extends Pick<DiskContext, 'signal'> {
  /** Who uses what is about to be changed, or null. */
  users(): Promise<string | null>;
  /** Whether a program ends with this process. One that is better brought to its end does not. */
  readonly diesWithUs: boolean;
  onStep(result: StepResult): void;
  readonly onProgress?: OnProgress | undefined;
}

/** @throws AppError ERR_BUSY, ERR_USAGE, ERR_HELPER, ERR_INTERRUPTED: the steps before it are done then. */
export async function runSteps(
  steps: readonly Step[],
  target: DiskTarget,
  access: DiskAccess,
  { users, diesWithUs, onStep, onProgress, signal }: StepOptions,
): Promise<void> {
  for (const step of steps) {
    checkInterrupted(signal);
    const hold = await access.hold();
    try {
      refuseUsed(target, await users());
      onProgress?.(step, null);
      const { tool, args, name: _, ...how } = step;
      const onOutput = (text: string) => onProgress?.(step, text);
      const { stdout } = await runTool(tool, args, { ...how, signal, diesWithUs, onOutput });
      onStep({ step, stdout });
    } finally {
      await hold.release();
    }
  }
}
