// The helper programs that lunctl runs, and the Debian package that brings each one.

/** Program name → Debian package. A program that is not in this table is never run. */
export const TOOL_PACKAGES = {
  blkdiscard: 'util-linux',
  blkid: 'util-linux',
  blockdev: 'util-linux',
  btrfs: 'btrfs-progs',
  cat: 'coreutils',
  dd: 'coreutils',
  df: 'coreutils',
  dumpe2fs: 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  fallocate: 'util-linux',
  fdisk: 'fdisk',
  flock: 'util-linux',
  fusermount3: 'fuse3',
  losetup: 'mount',
  mkdir: 'coreutils',
  'mkfs.btrfs': 'btrfs-progs',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.vfat': 'dosfstools',
  'mkfs.xfs': 'xfsprogs',
  mknod: 'coreutils',
  mkswap: 'util-linux',
  modprobe: 'kmod',
  mount: 'mount',
  'nbd-client': 'nbd-client',
  nbdfuse: 'libnbd-bin',
  partx: 'util-linux',
  resize2fs: 'e2fsprogs',
  setpriv: 'util-linux',
  sfdisk: 'fdisk',
  sha256sum: 'coreutils',
  sync: 'coreutils',
  umount: 'mount',
  wipefs: 'util-linux',
  xfs_growfs: 'xfsprogs',
  xfs_info: 'xfsprogs',
} as const;
export type Tool = keyof typeof TOOL_PACKAGES;

/** Where helper programs are looked for: fixed, so that a caller's PATH can neither hide nor replace one. */
export const TOOL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Everything that a helper program sees of our environment: no secret, no locale, no pager. */
export const TOOL_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: TOOL_PATH,
  LC_ALL: 'C',
  HOME: '/',
  // libblkid keeps a cache file of device names, which are reused: it must not answer from there.
  BLKID_FILE: '/dev/null',
};
