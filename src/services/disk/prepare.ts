// The destructive disk commands: label, partition, format. Each is prepared first (looked at, planned, refused), then
// run. Between the two the caller shows what would be lost and has it confirmed.
import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type LabelType, placePartitions, type Range, type SizeSpec } from '../../disk/layout.js';
import {
  type FileSystem,
  type PlanDisk,
  planFormat,
  planLabel,
  planPartition,
  type Step,
  shellLines,
} from '../../disk/plan.js';
import { placeSpans, type Span } from '../../disk/positions.js';
import { contentOf, describeSignature, isTable, type Signature } from '../../disk/probe.js';
import { hasTool, missingTool } from '../../disk/run.js';
import { planEraseHeaders } from '../../disk/wipe.js';
import { AppError } from '../../util/errors.js';
import { listSessions } from '../session/registry.js';
import {
  type DiskAccess,
  type DiskContext,
  openDisk,
  type PartitionPath,
  refuseUsed,
  type TableChange,
} from './access.js';
import { type Findings, look, requireTable, verifyTable } from './look.js';
import { type DiskTarget, findListed } from './name.js';
import { type OnProgress, runSteps, type StepResult } from './run-steps.js';

/** What a job would destroy, in words, and how a person agrees to it. */
export interface Loss {
  /** First line: one sentence that names disk and content; then details. */
  readonly what: string;
  /** To be typed on a terminal. */
  readonly name: string;
  /** Values of --confirm. */
  readonly accepted: readonly string[];
}

export interface DiskJob {
  readonly target: DiskTarget;
  /** Where the programs of the plan work: a device node or a temporary file. */
  readonly path: string;
  /** Of what is worked on, bytes. */
  readonly sizeBytes: number;
  readonly steps: readonly Step[];
  /** The plan as shell lines. */
  readonly lines: readonly string[];
  /** null: there is nothing to lose. */
  readonly loss: Loss | null;
  /**
   * Runs the plan; before each step it is looked at once more whether the device is ours and free. Resolves with the
   * partitions as they are then. Throws ERR_BUSY, ERR_USAGE, ERR_HELPER, ERR_INTERRUPTED.
   */
  run(onStep: (result: StepResult) => void, onProgress?: OnProgress): Promise<PartitionPath[]>;
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
  return findListed(dev, await listSessions(paths, { signal }), partition);
}

/** A new, empty partition table on a whole disk. */
export function prepareLabel(options: DiskOptions & { readonly type: LabelType }): Promise<DiskJob> {
  return prepare(options, async ({ target, access, findings }) => {
    checkWholeDisk(target);
    const { type } = options;
    if (type === 'dos' && target.device.sizeBytes > 2 ** 32 * target.device.blockSize) {
      throw new AppError('ERR_USAGE', `${target.name} is too large for a dos label`, { hint: 'use --type gpt' });
    }
    const disk = planDisk(target, access);
    const uuid = type === 'gpt' ? randomUUID() : randomUUID().slice(0, 8);
    const steps = [
      ...planEraseHeaders(disk, findings.hiddenHeaders),
      ...planLabel(disk, type, { wipe: findings.signatures.length > 0, uuid }),
    ];
    return { steps, lost: findings.signatures, table: 'empty', verify: verifyTable(target, access, type, []) };
  });
}

/** Where new partitions shall go: behind those that are there, or between a start and an end. */
export type PartitionWish = { readonly sizes: readonly SizeSpec[] } | { readonly spans: readonly Span[] };

/** Partitions beside those that are there; nothing that exists is changed, so nothing has to be confirmed. */
export function preparePartition(options: DiskOptions & PartitionWish): Promise<DiskJob> {
  return prepare(options, async ({ target, access, findings }) => {
    checkWholeDisk(target);
    const { label, existing } = await requireTable(target, access, findings, options);
    const { geometry } = access;
    const ranges =
      'spans' in options
        ? placeSpans(geometry, label, existing, options.spans)
        : placePartitions(geometry, label, existing, options.sizes);
    const steps = planPartition(planDisk(target, access), label, numbered(ranges, findings), existing.length);
    return { steps, lost: [], table: 'partitions', verify: verifyTable(target, access, label, ranges) };
  });
}

function numbered(ranges: readonly Range[], { own }: Findings) {
  const last = own.table.partitions.reduce((most, { number }) => Math.max(most, number), 0);
  return ranges.map((range, i) => ({ ...range, number: last + 1 + i, uuid: randomUUID() }));
}

export interface FormatOptions extends DiskOptions {
  readonly type: FileSystem;
  readonly label?: string | undefined;
  /** Of the new file system; see `checkUuid`. */
  readonly uuid?: string | undefined;
  /** Arguments for mkfs, as they are. */
  readonly extra: readonly string[];
}

/** A file system on a partition or a whole disk. */
export async function prepareFormat(options: FormatOptions): Promise<DiskJob> {
  checkMkfsArguments(options.extra);
  return prepare(options, async ({ target, access, findings }) => {
    const isWholeDisk = target.partition === null;
    const { type, label, uuid, extra } = options;
    const { blockSize } = target.device;
    const { path, isFile, lock } = access;
    const overwrite = findings.signatures.length > 0;
    const plan = { path, lock, type, label, uuid, overwrite, isFile, blockSize, isWholeDisk, extra };
    // Headers that wipefs would not find go first: afterwards their place belongs to the file system.
    const steps = [...planEraseHeaders({ path, lock }, findings.hiddenHeaders), ...planFormat(plan)];
    return { steps, lost: findings.signatures, table: isWholeDisk ? 'empty' : 'none' };
  });
}

export interface Plan {
  readonly steps: readonly Step[];
  readonly lost: readonly Signature[];
  /** What becomes of the partition table. */
  readonly table: TableChange;
  /** Looks at the end whether the plan has come true. */
  readonly verify?: () => Promise<void>;
}

/** Looks at the disk, refuses it or makes a plan for it. */
export async function prepare(
  options: DiskOptions,
  plan: (at: { target: DiskTarget; access: DiskAccess; findings: Findings }) => Promise<Plan>,
): Promise<DiskJob> {
  const target = await resolveTarget(options);
  if (target.device.readOnly) throw new AppError('ERR_ACCESS', `${target.name} is read-only`);
  const access = await openDisk(target, options);
  try {
    refuseUsed(target, await access.users());
    const findings = await look(target, access, options);
    const { steps, lost, table, verify } = await plan({ target, access, findings });
    for (const { tool } of steps) if (!hasTool(tool)) throw missingTool(tool);
    return {
      target,
      path: access.path,
      sizeBytes: access.sizeBytes,
      steps,
      lines: steps.length === 0 ? [] : access.byHand(shellLines(steps), table),
      loss: lost.length === 0 ? null : lossOf(target, lost, await contentsInside(access, options)),
      async run(onStep, onProgress) {
        const { signal } = options;
        await runSteps(steps, target, access, {
          users: () => access.users(),
          diesWithUs: true,
          onStep,
          onProgress,
          signal,
        });
        await verify?.();
        return table === 'none' || steps.length === 0 ? [] : access.settle();
      },
      close: () => access.close(),
    };
  } catch (error) {
    await access.close();
    throw error;
  }
}

/** What a table is to be written on. */
function planDisk({ device }: DiskTarget, { path, lock, isFile }: DiskAccess): PlanDisk {
  return { path, lock, sectorSize: isFile && device.blockSize !== 512 ? device.blockSize : undefined };
}

/** What the partitions of a whole disk hold: that goes too, although the disk itself shows only a partition table. */
function contentsInside({ inside }: DiskAccess, options: DiskOptions): Promise<string[]> {
  return Promise.all(
    inside.map(async ({ number, ...place }) => {
      const { type, label } = await contentOf(place, options);
      return `partition ${number}, ${type ?? 'nothing known'}${label === null ? '' : ` "${label}"`}`;
    }),
  );
}

/** In words: the disk, and what is on it. */
export function lossOf(target: DiskTarget, found: readonly Signature[], inside: readonly string[]): Loss {
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
