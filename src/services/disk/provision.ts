// From the name of a LUN to a mounted file system: login, attach, label, partition, format, mount. Each step is looked
// at first and left out when it is so already, so that a run that was killed is taken up where it stopped. The steps
// are those of the single commands.
import { dirname } from 'node:path';
import { planFormat } from '../../disk/plan.js';
import { checkInterrupted, hasTool, missingTool } from '../../disk/run.js';
import { shellLine } from '../../disk/shell.js';
import { mountAt } from '../../disk/sysfs.js';
import { withDatabaseLock } from '../../records/lock.js';
import { AppError } from '../../util/errors.js';
import { formatSize } from '../../util/size.js';
import { type PartitionPath, refuseUsed } from './access.js';
import type { BootMount } from './boot.js';
import { findFstabEntry } from './fstab.js';
import { existingDirectory, type MountedFileSystem, mountDisk, realTarget, requireRoot, usageOf } from './mount.js';
import type { DiskTarget } from './name.js';
import {
  checkMkfsArguments,
  type DiskJob,
  type Loss,
  lossOf,
  prepareFormat,
  prepareLabel,
  preparePartition,
} from './prepare.js';
import { compare, type Found, lookAtDisk, type Verdict, type Wish } from './provision-look.js';
import { attachLine, BEGINNINGS, diskLines, loginLine } from './provision-plan.js';
import { attach, chooseAttach, findReached, logIn, type ReachOptions } from './reach.js';

export const PROVISION_STEPS = ['login', 'attach', 'label', 'partition', 'format', 'mount', 'fstab'] as const;
export type StepName = (typeof PROVISION_STEPS)[number];

export interface ProvisionStep {
  readonly name: StepName;
  /** Done now. Otherwise it was so already, or `leftOut`. */
  readonly done: boolean;
  readonly leftOut: boolean;
  readonly detail: string;
}

export interface ProvisionOptions extends ReachOptions, Wish {
  /** Absolute; null only where there will be no device to mount. */
  readonly directory: string | null;
  readonly mkdir: boolean;
  readonly fstab: boolean;
  /** Arguments for mkfs, as they are. */
  readonly extra: readonly string[];
  readonly dryRun: boolean;
  /** Throws unless a person agrees to what would be lost. */
  agree(loss: Loss): Promise<void>;
  /** A step that may take its time begins. */
  onBegin(name: StepName): void;
  onStep(step: ProvisionStep): void;
}

export interface ProvisionResult {
  /** The disk; null in a dry run that would have to log in first. */
  readonly target: DiskTarget | null;
  /** Its partition; 0 where it is not known. */
  readonly partition: number;
  readonly steps: readonly ProvisionStep[];
  /** What a run does, as command lines. */
  readonly lines: readonly string[];
  /** null where nothing is mounted, and in a dry run. */
  readonly mounted: MountedFileSystem | null;
  readonly boot: BootMount | null;
}

/**
 * Makes it so. Throws ERR_REFUSED for a disk that holds something else, unless that is agreed to, and ERR_BUSY for one
 * that is used otherwise: no block of the disk has been changed then.
 */
export async function provisionDisk(options: ProvisionOptions): Promise<ProvisionResult> {
  checkWish(options);
  return new Provisioning(options).run();
}

/** All that can be known to be wrong before anything is changed. */
function checkWish({ type, label, extra, directory, mkdir, attach: way }: ProvisionOptions): void {
  checkMkfsArguments(extra);
  const disk = { path: '', lock: undefined, overwrite: false, isFile: false, blockSize: 512, isWholeDisk: false };
  const tools = planFormat({ ...disk, type, label, extra }).map(({ tool }) => tool);
  for (const tool of ['sfdisk', 'wipefs', 'blkid', ...tools] as const) if (!hasTool(tool)) throw missingTool(tool);
  if (directory === null && way !== 'none') {
    throw new AppError('ERR_USAGE', 'on which directory?', { hint: 'only --attach none goes without one' });
  }
  if (directory !== null && !mkdir && way !== 'none') existingDirectory(directory);
}

const LOCK_MS = 1000;

class Provisioning {
  readonly #options: ProvisionOptions;
  readonly #context: Pick<ProvisionOptions, 'paths' | 'signal'>;
  readonly #directory: string | null;
  readonly #steps: ProvisionStep[] = [];
  readonly #lines: string[] = [];

  constructor(options: ProvisionOptions) {
    const { paths, signal, directory } = options;
    this.#options = options;
    this.#context = { paths, signal };
    this.#directory = directory === null ? null : realTarget(directory);
  }

  async run(): Promise<ProvisionResult> {
    const target = await this.#reach();
    if (target === null) return this.#result(null, 0);
    if (this.#options.dryRun) return this.#result(target, await this.#makeFileSystem(target));
    return this.#exclusively(target, async () => {
      const partition = await this.#makeFileSystem(target);
      return this.#mount(target, partition);
    });
  }

  /** Login and attach; null in a dry run that finds no session. */
  async #reach(): Promise<DiskTarget | null> {
    const options = this.#options;
    const found = await findReached(options);
    const isAttached = 'target' in found && found.target.device.path !== null;
    const way = isAttached ? 'none' : await chooseAttach(options.attach);
    if (isAttached || way !== 'none') requireRoot('mounting');
    if ('target' in found) {
      this.#unchanged('login', `session ${found.target.session.sid}`);
      return this.#attach(found.target, way);
    }
    const { portal, dryRun, dev } = options;
    this.#lines.push(loginLine(found.targetName, portal));
    if (dryRun) {
      if (way !== 'none') this.#lines.push(attachLine(dev, way));
      this.#lines.push('# the rest depends on what the disk holds');
      return null;
    }
    options.onBegin('login');
    const { sid, portal: at } = await logIn(found.targetName, options);
    this.#done('login', `session ${sid}, ${at}`);
    const reached = await findReached(options);
    if (!('target' in reached)) throw new AppError('ERR_NOT_CONNECTED', `session ${sid} has ended`);
    return this.#attach(reached.target, way);
  }

  async #attach(target: DiskTarget, way: 'nbd' | 'fuse' | 'none'): Promise<DiskTarget> {
    const { path, nbd } = target.device;
    if (path !== null || way === 'none') {
      if (path === null) this.#leftOut('attach', `left out: ${nbd}`);
      else this.#unchanged('attach', path);
      return target;
    }
    this.#lines.push(attachLine(target.fullName, way));
    if (this.#options.dryRun) return target;
    this.#options.onBegin('attach');
    const after = await attach(target, way, this.#options);
    this.#done('attach', after.device.path ?? '');
    return after;
  }

  /** Label, partition and format. Resolves with the number of the partition. */
  async #makeFileSystem(target: DiskTarget): Promise<number> {
    const { type, label, size, extra, dryRun, mkdir, fstab } = this.#options;
    const found = await lookAtDisk(target, this.#context);
    const verdict = compare(found, this.#options);
    const { from } = verdict;
    const isNew = from === 'label' || from === 'partition';
    const partition = isNew ? 1 : (found.partition?.number ?? 1);
    const isMounted = await this.#refuseMounts(target, found, verdict);
    const disk = target.fullName;
    const job = { ...this.#context, dev: disk };
    const format = { ...job, partition, type, label, extra };
    const agreed = await this.#agree(target, found, verdict, format);
    const directory = isMounted || (target.device.path === null && !dryRun) ? null : this.#directory;
    this.#lines.push(...diskLines(from, { disk, partition, type, label, size, extra, directory, mkdir, fstab }));
    if (dryRun) return partition;
    const due = (step: typeof from) => BEGINNINGS.indexOf(step) >= BEGINNINGS.indexOf(from);
    if (due('label')) await this.#job('label', prepareLabel({ ...job, type: 'gpt' }), agreed, () => 'gpt');
    else this.#unchanged('label', 'gpt');
    const sizes = [size ?? ({ kind: 'part', part: 1 } as const)];
    if (due('partition')) await this.#job('partition', preparePartition({ ...job, sizes }), agreed, partitionDetail);
    else this.#unchanged('partition', partitionName(target, partition));
    // Of a file system whose mkfs was killed there is nothing to lose.
    const isFree = agreed || found.partition?.unfinished === true;
    if (due('format')) await this.#job('format', prepareFormat(format), isFree, formatDetail(type));
    else this.#unchanged('format', type);
    return partition;
  }

  /** Whether it is mounted as it should be. What else is mounted, here or there, is refused before anything is changed. */
  async #refuseMounts(target: DiskTarget, { partition }: Found, { from }: Verdict): Promise<boolean> {
    const directory = this.#directory;
    if (directory === null || (target.device.path === null && this.#options.attach === 'none')) return false;
    const there = mountAt(directory);
    const isOurs = there !== undefined && there.source === partition?.path;
    if (there !== undefined && !isOurs) {
      throw new AppError('ERR_BUSY', `${there.source} is mounted on ${directory}; nothing was changed`);
    }
    const [elsewhere] = partition?.mounts ?? [];
    if (from === 'mount' && !isOurs && elsewhere !== undefined) {
      refuseUsed(target, `${partition?.path} is mounted on ${elsewhere}, not on ${directory}`);
    }
    if (this.#options.fstab)
      await findFstabEntry(directory, from === 'mount' ? (partition?.content.uuid ?? null) : null);
    return isOurs;
  }

  /** Resolves with whether there was something to agree to. */
  async #agree(
    target: DiskTarget,
    { signatures, beneath }: Found,
    { from, against }: Verdict,
    format: Parameters<typeof prepareFormat>[0],
  ): Promise<boolean> {
    if (against === null) return false;
    const label = () => prepareLabel({ ...this.#context, dev: target.fullName, type: 'gpt' });
    const job = from === 'format' ? await prepareFormat(format) : await label();
    await job.close();
    const loss = job.loss ?? lossOf(target, beneath === null ? signatures : [beneath], []);
    const { name, fullName } = target;
    const who = name === fullName ? name : `${name} (${fullName})`;
    const [, ...details] = loss.what.split('\n');
    await this.#options.agree({ ...loss, what: [`${who} ${against}`, ...details].join('\n') });
    return true;
  }

  async #job(
    name: 'label' | 'partition' | 'format',
    prepared: Promise<DiskJob>,
    agreed: boolean,
    detail: (job: DiskJob, partitions: readonly PartitionPath[], seconds: string) => string,
  ): Promise<void> {
    const job = await prepared;
    try {
      checkInterrupted(this.#options.signal);
      if (job.loss !== null && !agreed) await this.#options.agree(job.loss);
      this.#options.onBegin(name);
      const began = performance.now();
      const partitions = await job.run(() => {});
      this.#done(name, detail(job, partitions, ((performance.now() - began) / 1000).toFixed(1)));
    } finally {
      await job.close();
    }
  }

  async #mount(target: DiskTarget, partition: number): Promise<ProvisionResult> {
    const { mkdir, fstab } = this.#options;
    const directory = this.#directory;
    const path = target.device.path;
    if (path === null || directory === null) {
      this.#leftOut('mount', path === null ? 'left out: there is no device' : 'left out: no directory was named');
      return this.#result(target, partition);
    }
    const source = `${path}p${partition}`;
    const options = {
      ...{ ...this.#context, dev: target.fullName, partition, directory, mkdir },
      ...{ readOnly: false, extra: [], dryRun: false },
    };
    if (mountAt(directory)?.source === source) {
      this.#unchanged('mount', `mounted on ${directory}`);
    } else {
      this.#options.onBegin('mount');
      await mountDisk(options);
      this.#done('mount', `${source} on ${directory}`);
    }
    if (!fstab) return this.#result(target, partition, await usageOf(directory));
    const { mounted, boot } = await mountDisk({ ...options, fstab });
    if (boot?.fstab.changed === true || boot?.startup?.changed === true) this.#done('fstab', boot.fstab.line);
    else this.#unchanged('fstab', `in ${boot?.fstab.path}`);
    return this.#result(target, partition, mounted, boot);
  }

  /** Two runs on one disk would each find it blank. Of the lock nothing is left when its process is killed. */
  async #exclusively<T>({ session, device, fullName }: DiskTarget, work: () => Promise<T>): Promise<T> {
    const folder = `${dirname(session.socket)}/provision-${device.exportName}`;
    let began = false;
    const options = { linkDir: null, signal: this.#options.signal, waitMs: LOCK_MS };
    return withDatabaseLock(folder, options, () => {
      began = true;
      return work();
    }).catch((cause: unknown) => {
      if (began || !(cause instanceof AppError) || cause.code !== 'ERR_DATABASE') throw cause;
      throw new AppError('ERR_BUSY', `${fullName} is being provisioned by another lunctl`, { cause });
    });
  }

  #done(name: StepName, detail: string): void {
    this.#add({ name, done: true, leftOut: false, detail });
  }

  #unchanged(name: StepName, detail: string): void {
    this.#add({ name, done: false, leftOut: false, detail });
  }

  #leftOut(name: StepName, detail: string): void {
    this.#add({ name, done: false, leftOut: true, detail });
  }

  #add(step: ProvisionStep): void {
    this.#steps.push(step);
    this.#options.onStep(step);
  }

  #result(
    target: DiskTarget | null,
    partition: number,
    mounted: MountedFileSystem | null = null,
    boot: BootMount | null = null,
  ): ProvisionResult {
    return { target, partition, steps: this.#steps, lines: this.#lines, mounted, boot };
  }
}

function partitionName({ name }: DiskTarget, partition: number): string {
  return `${name}p${partition}`;
}

function partitionDetail({ target }: DiskJob, partitions: readonly PartitionPath[]): string {
  return partitions
    .map(({ number, sizeBytes }) => `${partitionName(target, number)}, ${formatSize(sizeBytes)}`)
    .join('; ');
}

/** The lock in front of mkfs is no news. */
function formatDetail(type: string) {
  return ({ steps }: DiskJob, _: readonly PartitionPath[], seconds: string) => {
    const { tool = '', args = [] } = steps.find(({ name }) => name === 'format') ?? {};
    const words = [tool, ...args];
    const [program = '', ...rest] = words.slice(words.indexOf(`mkfs.${type}`));
    return `${type}  (${shellLine(program, rest)})  ${seconds} s`;
  };
}
