// What the disk commands share: naming a disk, arguments for a helper program, a dry run, and asking before data goes.
import { Args, Flags } from '@oclif/core';
import { shellLines } from '../disk/plan.js';
import { clearedBytes } from '../disk/wipe.js';
import type { PartitionPath } from '../services/disk/access.js';
import type { BootMount } from '../services/disk/boot.js';
import type { DiskTarget } from '../services/disk/name.js';
import type { DiskJob, Loss } from '../services/disk/prepare.js';
import type { StepResult } from '../services/disk/run-steps.js';
import { BaseCommand } from './base-command.js';
import { Pace } from './pace.js';
import { formatSize, settled } from './render/text.js';
import type { diskFormat, diskLabel, diskPartition, diskWipe } from './schemas/disk.js';
import type { Result } from './schemas/parts.js';

export const devArgument = {
  dev: Args.string({
    name: 'DEV',
    required: true,
    description: 'The disk: /dev/nbd0, nbd0, loop0, or TARGET/LUN; a partition as nbd0p1 or TARGET/LUNp1.',
  }),
};

export const partitionFlag = {
  partition: Flags.integer({ summary: 'The partition of DEV, by its number.', min: 1, max: 128, helpValue: 'N' }),
};

export const dryRunFlag = {
  'dry-run': Flags.boolean({ summary: 'Print the plan as shell lines and change nothing.', default: false }),
};

export const confirmFlag = {
  confirm: Flags.string({
    summary: 'Agree to lose what is on the disk, by its TARGET/LUN or its serial number.',
    helpValue: 'NAME',
  }),
};

/** What label, partition and format print under --json. */
export type DiskJobJson = Result<typeof diskLabel | typeof diskPartition | typeof diskFormat>;
export type DiskWipeJson = Result<typeof diskWipe>;

export interface JobFlags {
  readonly 'dry-run': boolean;
  readonly confirm?: string | undefined;
}

export abstract class DiskCommand extends BaseCommand {
  /** What --fstab has come to. */
  protected showBoot({ fstab, startup, warnings }: BootMount): void {
    this.render(`${fstab.changed ? 'added to' : 'unchanged in'} ${fstab.path}: ${fstab.line}`);
    if (startup?.changed) this.render(`node.startup of ${startup.targetName} is now automatic`);
    for (const text of warnings) this.warning(text);
    if (fstab.changed) this.next('systemctl daemon-reload');
  }

  /** Splits argv at `--`: what follows is for a helper program, as it is. */
  protected splitArguments(): { own: string[]; extra: string[] } {
    const at = this.argv.indexOf('--');
    return at < 0 ? { own: this.argv, extra: [] } : { own: this.argv.slice(0, at), extra: this.argv.slice(at + 1) };
  }

  /**
   * Runs a prepared job to its end: shows the plan in a dry run; otherwise has the loss confirmed, runs every step and
   * shows what the programs printed. `done` makes the line that tells the success.
   */
  protected async runJob(
    job: DiskJob,
    flags: JobFlags,
    done: (partitions: readonly PartitionPath[]) => string,
  ): Promise<DiskJobJson> {
    try {
      const disk = this.diskJson(job.target);
      const json = { disk, dryRun: flags['dry-run'], plan: job.lines, loss: job.loss?.what ?? null };
      if (job.loss !== null) await this.agreeTo(job.loss, flags);
      if (flags['dry-run']) {
        this.render(job.lines.join('\n'));
        return { ...json, partitions: [] };
      }
      const partitions = await this.#runSteps(job);
      this.render(done(partitions));
      return { ...json, partitions };
    } finally {
      await job.close();
    }
  }

  /** Past a second a terminal shows which program works, and how far it says that it is. */
  async #runSteps(job: DiskJob): Promise<PartitionPath[]> {
    const { name } = job.target;
    const showResult = ({ step, stdout }: StepResult) => {
      // What wipefs and the like say is of no use, and a clearing program's words have been shown as they came.
      if (step.name === 'format') this.render(settled(stdout));
    };
    return this.waiting(`working on ${name}`, () => {
      let pace = new Pace(0);
      return job.run(showResult, (step, printed) => {
        if (printed === null) {
          pace = new Pace(job.sizeBytes);
          this.detail(shellLines([step])[0] ?? '');
          // Where nothing can be redrawn, the beginning of what may take hours is said once; the end is the result.
          const isLong = step.name === 'clear' && process.stderr.isTTY !== true;
          if (isLong) this.note(`${step.tool} on ${name}, ${formatSize(job.sizeBytes)}`);
          this.nowWaitingFor(`${step.tool} on ${name}`, { afresh: true });
          return;
        }
        const bytes = step.name === 'clear' ? clearedBytes(printed) : null;
        if (bytes !== null) this.nowWaitingFor(`${step.tool} on ${name}: ${pace.text(bytes)}`);
      });
    });
  }

  /** What the disk commands print of their disk under --json. */
  protected diskJson({ session, device }: DiskTarget): DiskJobJson['disk'] {
    const { path, nbd, sizeBytes, serial, lun } = device;
    return { targetName: session.targetName, lun, path, nbd, sizeBytes, serial };
  }

  /** A dry run ends as the real one would; only a person who watches is not asked to agree to nothing. */
  protected async agreeTo(loss: Loss, flags: JobFlags) {
    if (!flags['dry-run'] || !this.interactive || flags.confirm !== undefined) {
      await this.confirmByName({ ...loss, given: flags.confirm });
      return;
    }
    for (const line of loss.what.split('\n')) this.note(line);
  }
}
