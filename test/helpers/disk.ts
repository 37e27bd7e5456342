// Whether this machine can make loop disks for the disk tests, and if not, what would change that.
import { accessSync, constants, existsSync } from 'node:fs';
import { hasTool } from '../../src/disk/run.js';
import { TOOL_PACKAGES, type Tool } from '../../src/disk/tools.js';

const NEEDED: readonly Tool[] = [
  ...(['nbdfuse', 'fusermount3', 'losetup', 'partx', 'sfdisk', 'wipefs'] as const),
  ...(['mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs', 'mkfs.vfat'] as const),
];

/** The reason to skip, or null when everything is there. `peers`: programs of packages of the same name. */
export function whyNoLoopDisks(peers: readonly string[] = []): string | null {
  if (process.getuid?.() !== 0) return 'loop devices need root';
  if (!existsSync('/dev/loop-control')) return 'this kernel has no loop devices';
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch {
    return 'no access to /dev/fuse';
  }
  const missing = NEEDED.find((tool) => !hasTool(tool));
  if (missing !== undefined) return `${missing} is missing: apt-get install ${TOOL_PACKAGES[missing]}`;
  const peer = peers.find((name) => !['/usr/bin', '/usr/sbin'].some((folder) => existsSync(`${folder}/${name}`)));
  return peer === undefined ? null : `${peer} is missing: apt-get install ${peer}`;
}
