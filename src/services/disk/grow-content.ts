// The file system's share of `disk grow`: what it is, whether it can take more, and the program that makes it so.
import { type GrowableFileSystem, growableOn, sizeOf, sizeWithin } from '../../disk/file-system-size.js';
import { canGrow, needsMount, planGrowFileSystem } from '../../disk/grow.js';
import { type Step, shellLines } from '../../disk/plan.js';
import { contentOf } from '../../disk/probe.js';
import { kernelName, kernelPartitions, type MountEntry, mounts, sysAttribute } from '../../disk/sysfs.js';
import { AppError } from '../../util/errors.js';
import { CAP_SYS_RESOURCE, hasCapability } from '../../util/user.js';
import type { DiskAccess } from './access.js';
import { type GrowContext, opened, runGrowSteps } from './grow-steps.js';
import type { DiskTarget } from './name.js';

export interface GrownFileSystem {
  /** As blkid names it. */
  readonly type: string;
  /** null: it is not mounted. */
  readonly mountPoint: string | null;
  /** Bytes, as in what follows. */
  readonly beforeBytes: number;
  readonly sizeBytes: number;
}

export interface ContentWork {
  readonly steps: readonly Step[];
  readonly lines: readonly string[];
  /** null: it takes all it can already. */
  readonly fileSystem: GrownFileSystem | null;
}

interface Content {
  /** As blkid names it; null: nothing known. */
  readonly type: string | null;
  /** null: it is none that grows in place. */
  readonly fs: GrowableFileSystem | null;
  readonly mount: MountEntry | null;
}

/**
 * What is to be done to what DEV holds once it has `room` bytes. `gains`: there will be more room than there is, so
 * something that cannot use it is an error.
 * @throws AppError ERR_NOT_SUPPORTED naming why it cannot grow, ERR_BUSY where it is mounted read-only
 */
export function lookAtContent(
  target: DiskTarget,
  { room, gains }: { readonly room: number; readonly gains: boolean },
  context: GrowContext,
): Promise<ContentWork> {
  return opened(target, context, async (access) => {
    const content = await read(target, access, context);
    const { type, fs, mount } = content;
    if (fs === null || type === null) {
      if (gains) throw notGrowable(target, type);
      return NOTHING;
    }
    if (!canGrow(fs, room)) return NOTHING;
    checkMount(target, content);
    const mountPoint = mount?.target ?? null;
    const steps = planGrowFileSystem(fs, access, mountPoint);
    return {
      steps,
      lines: access.byHand(shellLines(steps), 'none'),
      fileSystem: { type, mountPoint, beforeBytes: sizeOf(fs), sizeBytes: sizeWithin(fs, room) },
    };
  });
}

const NOTHING: ContentWork = { steps: [], lines: [], fileSystem: null };

/** Grows it into the room that it has now. Resolves with its sizes before and after. */
export function growContent(target: DiskTarget, room: number, context: GrowContext): Promise<GrownFileSystem | null> {
  return opened(target, context, async (access) => {
    const content = await read(target, access, context);
    const { type, fs, mount } = content;
    if (fs === null || type === null || !canGrow(fs, room)) return null;
    checkMount(target, content);
    const mountPoint = mount?.target ?? null;
    const steps = planGrowFileSystem(fs, access, mountPoint);
    await runGrowSteps(target, access, { steps, partition: target.partition }, context);
    const after = await growableOn(access.path, type, { mountPoint, signal: context.signal });
    return { type, mountPoint, beforeBytes: sizeOf(fs), sizeBytes: sizeOf(after ?? fs) };
  });
}

async function read(target: DiskTarget, access: DiskAccess, context: GrowContext): Promise<Content> {
  const { type } = await contentOf(access.path, context);
  const mount = mountOf(target, access);
  const mountPoint = mount?.target ?? null;
  return { type, mount, fs: await growableOn(access.path, type, { mountPoint, signal: context.signal }) };
}

/** Of several mounts one that can be written to. */
function mountOf({ device, partition }: DiskTarget, { path }: DiskAccess): MountEntry | null {
  if (device.path === null) return null;
  const name = kernelName(device.path);
  const dev =
    partition === null
      ? sysAttribute(name, 'dev')
      : kernelPartitions(name).find(({ number }) => number === partition)?.dev;
  const all = mounts().filter((mount) => mount.source === path || mount.dev === dev);
  return all.find((mount) => !isReadOnly(mount)) ?? all[0] ?? null;
}

function isReadOnly({ options }: MountEntry): boolean {
  return options.split(',').includes('ro');
}

function checkMount({ name, device }: DiskTarget, { type, fs, mount }: Content): void {
  if (mount !== null && isReadOnly(mount)) {
    throw new AppError('ERR_BUSY', `${name} is mounted read-only on ${mount.target}; nothing was changed`, {
      hint: `mount -o remount,rw ${mount.target}`,
    });
  }
  if (mount !== null && fs?.type === 'ext' && !hasCapability(CAP_SYS_RESOURCE)) {
    throw new AppError(
      'ERR_ACCESS',
      `growing ${type} while it is mounted needs CAP_SYS_RESOURCE; nothing was changed`,
      {
        hint: `lunctl disk unmount ${name}, then again: unmounted it grows without`,
      },
    );
  }
  if (mount !== null || fs === null || !needsMount(fs)) return;
  const message = `${name} holds ${type}, which grows only while it is mounted; nothing was changed`;
  const hint = `lunctl disk mount ${name} DIR, then again`;
  throw new AppError('ERR_NOT_SUPPORTED', message, {
    hint: device.path === null ? 'mounting needs a device: lunctl lun attach' : hint,
  });
}

function notGrowable({ name, partition }: DiskTarget, type: string | null): AppError {
  const what = type === null ? 'nothing that is known' : type;
  const hint =
    partition === null ? {} : { hint: '--partition-only grows the partition and leaves what is in it as it is' };
  return new AppError(
    'ERR_NOT_SUPPORTED',
    `${name} holds ${what}, which does not grow in place; nothing was changed`,
    hint,
  );
}
