// The destructive disk commands: label, partition, format. Each is prepared first (looked at, planned, refused), then
// run. Between the two the caller shows what would be lost and has it confirmed.
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type LabelType, placePartitions, type SizeSpec } from '../../disk/layout.js';
import { type FileSystem, planFormat, planLabel, planPartition, type Step, shellLines } from '../../disk/plan.js';
import {
  contentOf,
  describeSignature,
  isTable,
  partitionTableOf,
  type Signature,
  signaturesOn,
} from '../../disk/probe.js';
import { checkInterrupted, hasTool, missingTool, runTool } from '../../disk/run.js';
import { AppError } from '../../util/errors.js';
import { listSessions } from '../session/registry.js';
import { type DiskAccess, type DiskContext, openDisk, type PartitionPath, refuseUsed } from './access.js';
import { type DiskTarget, findDisk } from './name.js';

/** What a job would destroy, in words, and how a person agrees to it. */
export interface Loss {
  /** First line: one sentence that names disk and content; then details. */
  readonly what: string;
  /** To be typed on a terminal. */
  readonly name: string;
  /** Values of --confirm. */
  readonly accepted: readonly string[];
}

export interface StepResult {
  readonly step: Step;
  readonly stdout: string;
}

export interface DiskJob {
  readonly target: DiskTarget;
  /** Where the programs of the plan work: a device node or a temporary file. */
  readonly path: string;
  readonly steps: readonly Step[];
  /** The plan as shell lines. */
  readonly lines: readonly string[];
  /** null: there is nothing to lose. */
  readonly loss: Loss | null;
  /**
   * Runs the plan; before each step it is looked at once more whether the device is ours and free. Resolves with the
   * partitions as they are then. Throws ERR_BUSY, ERR_USAGE, ERR_HELPER, ERR_INTERRUPTED.
   */
  run(onStep: (result: StepResult) => void): Promise<PartitionPath[]>;
  /** To be called in every ending. */
  close(): Promise<void>;
}

export interface DiskOptions extends DiskContext {
  /** DEV as typed. */
  readonly dev: string;
  readonly partition?: number | undefined;
}

/** @throws AppError: see `findDisk`. */
export async function resolveTarget({ dev, partition, paths, signal }: DiskOptions): Promise<DiskTarget> {
  const { sessions } = await listSessions(paths, { signal });
  return findDisk(dev, sessions, partition);
}

/** A new, empty partition table on a whole disk. */
export function prepareLabel(options: DiskOptions & { readonly type: LabelType }): Promise<DiskJob> {
  return prepare(options, async ({ target, access }) => {
    checkWholeDisk(target);
    checkTableSectors(target, access);
    if (options.type === 'dos' && target.device.sizeBytes > 2 ** 32 * target.device.blockSize) {
      throw new AppError('ERR_USAGE', `${target.name} is too large for a dos label`, { hint: 'use --type gpt' });
    }
    const found = await signaturesOn(access.path, options);
    return { steps: planLabel(access.path, options.type, found.length > 0), lost: found, settle: true };
  });
}

/** Partitions behind those that are there; nothing that exists is changed, so nothing has to be confirmed. */
export function preparePartition(options: DiskOptions & { readonly sizes: readonly SizeSpec[] }): Promise<DiskJob> {
  return prepare(options, async ({ target, access }) => {
    checkWholeDisk(target);
    checkTableSectors(target, access);
    const found = await signaturesOn(access.path, options);
    const table = await partitionTableOf(access.path, options);
    const other = found.find((signature) => !isTable(signature));
    if (other !== undefined) {
      throw new AppError('ERR_REFUSED', `${target.name} holds ${describeSignature(other)}; nothing was changed`, {
        hint: `lunctl disk label ${target.name} makes a new partition table, and destroys that`,
      });
    }
    if (table === null || (table.label !== 'gpt' && table.label !== 'dos')) {
      throw new AppError('ERR_USAGE', `${target.name} has no ${table === null ? '' : 'gpt or dos '}partition table`, {
        hint: `lunctl disk label ${target.name}`,
      });
    }
    const ranges = placePartitions(access.geometry, table.label, table.ranges, options.sizes);
    return { steps: planPartition(access.path, table.label, ranges), lost: [], settle: true };
  });
}

export interface FormatOptions extends DiskOptions {
  readonly type: FileSystem;
  readonly label?: string | undefined;
  /** Arguments for mkfs, as they are. */
  readonly extra: readonly string[];
}

/** A file system on a partition or a whole disk. */
export async function prepareFormat(options: FormatOptions): Promise<DiskJob> {
  checkMkfsArguments(options.extra);
  return prepare(options, async ({ target, access }) => {
    const found = await signaturesOn(access.path, options);
    const isWholeDisk = target.partition === null;
    const { type, label, extra } = options;
    const { blockSize } = target.device;
    const { path, isFile } = access;
    const steps = planFormat({ path, type, label, overwrite: found.length > 0, isFile, blockSize, isWholeDisk, extra });
    return { steps, lost: found, settle: isWholeDisk };
  });
}

interface Plan {
  readonly steps: readonly Step[];
  readonly lost: readonly Signature[];
  /** The partition table changes. */
  readonly settle: boolean;
}

async function prepare(
  options: DiskOptions,
  plan: (at: { target: DiskTarget; access: DiskAccess }) => Promise<Plan>,
): Promise<DiskJob> {
  const target = await resolveTarget(options);
  if (target.device.readOnly) throw new AppError('ERR_ACCESS', `${target.name} is read-only`);
  const access = await openDisk(target, options);
  try {
    refuseUsed(target, await access.users());
    const { steps, lost, settle } = await plan({ target, access });
    for (const { tool } of steps) if (!hasTool(tool)) throw missingTool(tool);
    return {
      target,
      path: access.path,
      steps,
      lines: [...access.before, ...shellLines(steps), ...(settle || access.isFile ? access.after : [])],
      loss: lost.length === 0 ? null : lossOf(target, lost, await contentsInside(access, options)),
      run: (onStep) => run(target, access, steps, settle, onStep, options.signal),
      close: () => access.close(),
    };
  } catch (error) {
    await access.close();
    throw error;
  }
}

async function run(
  target: DiskTarget,
  access: DiskAccess,
  steps: readonly Step[],
  settle: boolean,
  onStep: (result: StepResult) => void,
  signal: AbortSignal | undefined,
): Promise<PartitionPath[]> {
  for (const step of steps) {
    checkInterrupted(signal);
    const hold = await access.hold();
    try {
      refuseUsed(target, await access.users());
      const { tool, args, input, timeoutMs } = step;
      const { stdout } = await runTool(tool, args, { timeoutMs, signal, ...(input === undefined ? {} : { input }) });
      onStep({ step, stdout });
    } finally {
      await hold.release();
    }
  }
  return settle ? access.settle() : [];
}

/** What the partitions of a whole disk hold: that goes too, although the disk itself shows only a partition table. */
function contentsInside({ inside }: DiskAccess, options: DiskOptions): Promise<string[]> {
  return Promise.all(
    inside.map(async ({ number, path }) => {
      const { type, label } = await contentOf(path, options);
      return `partition ${number}, ${type ?? 'nothing known'}${label === null ? '' : ` "${label}"`}`;
    }),
  );
}

function lossOf(target: DiskTarget, found: readonly Signature[], inside: readonly string[]): Loss {
  const { name, fullName, device, session, partition } = target;
  const details = [
    [
      'device',
      `${device.path ?? device.nbd}${partition === null ? '' : `, partition ${partition}`}, ${device.sizeBytes} bytes`,
    ],
    ['disk', `${session.targetName} LUN ${device.lun}, serial ${device.serial || '-'}`],
    ...found.map((signature) => ['found', describeSignature(signature)]),
    ...inside.map((content) => ['found', content]),
  ];
  const [first] = found.filter((signature) => !isTable(signature));
  const content = (first ?? found[0]) as Signature;
  return {
    what: [
      `${device.path === null ? name : `${name} (${fullName})`} is not empty: it holds ${[describeSignature(content), ...inside].join('; ')}`,
      ...details.map(([head = '', text = '']) => `  ${head.padEnd(7)} ${text}`),
      'This destroys it.',
    ].join('\n'),
    name,
    accepted: device.serial === '' ? [fullName] : [fullName, device.serial],
  };
}

function checkWholeDisk({ partition, name }: DiskTarget): void {
  if (partition === null) return;
  throw new AppError('ERR_USAGE', `${name} is a partition: a partition table belongs to a whole disk`);
}

/** sfdisk cannot be told a file's sector size, and a table of the wrong sectors is found by nobody. */
function checkTableSectors({ device, name }: DiskTarget, access: DiskAccess): void {
  if (!access.isFile || device.blockSize === 512) return;
  throw new AppError('ERR_NOT_SUPPORTED', `${name} has blocks of ${device.blockSize} bytes: its table needs a device`, {
    hint: 'log in with --attach nbd or --attach fuse, as root',
  });
}

/** No argument may bring in another disk (a log device, a second device for btrfs, a device under another name). */
export function checkMkfsArguments(extra: readonly string[]): void {
  for (const argument of extra) {
    for (const piece of argument.split(/[=,]/)) {
      // As mkfs would open it: helper programs run in the root folder.
      if (piece === '' || !isBlockDevice(resolve('/', piece))) continue;
      throw new AppError('ERR_USAGE', `mkfs argument ${argument} names another device; nothing was changed`);
    }
  }
}

function isBlockDevice(path: string): boolean {
  try {
    return statSync(path).isBlockDevice();
  } catch {
    return false;
  }
}
