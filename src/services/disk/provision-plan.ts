// What provisioning would do, as command lines of ours that do the same one by one.
import type { SizeSpec } from '../../disk/layout.js';
import type { FileSystem } from '../../disk/plan.js';
import { shellLine } from '../../disk/shell.js';
import { formatPortal } from '../../iscsi/portal.js';
import type { Beginning, Wish } from './provision-look.js';

/** What can be mounted. */
export const PROVISION_TYPES = ['xfs', 'ext4', 'btrfs', 'vfat'] as const satisfies readonly FileSystem[];

export const BEGINNINGS: readonly Beginning[] = ['label', 'partition', 'format', 'mount'];

export interface PlannedDisk extends Wish {
  /** TARGET/LUN. */
  readonly disk: string;
  /** Number of its partition. */
  readonly partition: number;
  readonly extra: readonly string[];
  /** null where it is mounted already, or nothing is to be mounted. */
  readonly directory: string | null;
  readonly mkdir: boolean;
  readonly fstab: boolean;
}

/** The disk commands from a step on. */
export function diskLines(from: Beginning, planned: PlannedDisk): string[] {
  const { disk, partition, type, label, size, extra, directory, mkdir, fstab } = planned;
  const part = `${disk}p${partition}`;
  const sized = size === undefined ? [] : ['--size', sizeText(size)];
  const named = label === undefined ? [] : ['--label', label];
  const passed = extra.length === 0 ? [] : ['--', ...extra];
  const flags = [...(mkdir ? ['--mkdir'] : []), ...(fstab ? ['--fstab'] : [])];
  const words: Readonly<Record<Beginning, readonly string[] | null>> = {
    label: ['label', disk],
    partition: ['partition', disk, ...sized],
    format: ['format', part, '--type', type, ...named, ...passed],
    mount: directory === null ? null : ['mount', part, directory, ...flags],
  };
  return BEGINNINGS.slice(BEGINNINGS.indexOf(from)).flatMap((step) => {
    const command = words[step];
    return command === null ? [] : [lunctl('disk', ...command)];
  });
}

/** `portal` undefined: a record has it; its port null: the usual one. */
export function loginLine(
  targetName: string,
  portal?: { readonly address: string; readonly port: number | null } | undefined,
): string {
  return lunctl(
    'node',
    'login',
    '-T',
    targetName,
    ...(portal === undefined ? [] : ['-p', portalText(portal)]),
    '--attach',
    'none',
  );
}

/** An IPv6 address alone needs no brackets: `-p` knows it by its second colon. */
function portalText({ address, port }: { readonly address: string; readonly port: number | null }): string {
  return port === null ? address : formatPortal({ address, port });
}

export function attachLine(disk: string, way: string): string {
  return lunctl('lun', 'attach', disk, '--attach', way);
}

function lunctl(...words: string[]): string {
  return shellLine('lunctl', words);
}

function sizeText(size: SizeSpec): string {
  if (size.kind === 'max') return 'max';
  return size.kind === 'bytes' ? String(size.bytes) : `${size.part * 100}%`;
}
