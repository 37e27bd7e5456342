// What the disk commands print under --json, with --dry-run and without.
import * as v from 'valibot';
import type { PartitionPath } from '../../services/disk/access.js';
import type { FstabResult } from '../../services/disk/fstab.js';
import type { GrownFileSystem } from '../../services/disk/grow-content.js';
import type { GrownPartition } from '../../services/disk/grow-table.js';
import type { ListedDisk, ListedMount, ListedPartition } from '../../services/disk/list.js';
import type { MountedFileSystem } from '../../services/disk/mount.js';
import { PROVISION_STEPS, type ProvisionStep } from '../../services/disk/provision.js';
import {
  attach,
  bytes,
  choice,
  count,
  type Describes,
  devicePath,
  document,
  dryRun,
  flag,
  list,
  lun,
  nbd,
  sid,
  targetName,
  text,
  textOrNull,
} from './parts.js';
import { recoveryWord, sessionState } from './session.js';

const size = bytes('Its size.');
const number = count('Number of the partition.', 1);
const directory = text('Directory on which it is mounted.');

const mount = v.strictObject({
  target: directory,
  usedBytes: v.nullable(bytes('What is used of the file system; null when it does not say.')),
  sizeBytes: v.nullable(bytes('Size of the file system; null when it does not say.')),
}) satisfies Describes<ListedMount>;

/** What is on a disk or partition. */
const content = {
  probed: flag(
    'Its content has been looked at; false while its session recovers, or when its target did not answer in time.',
  ),
  type: textOrNull('File system or other content, as blkid names it; null when nothing is known to be there.'),
  label: textOrNull('Label of the file system.'),
  uuid: textOrNull('UUID of the file system.'),
  mounts: list(mount, 'Where it is mounted.'),
};

const listedPartition = v.strictObject({
  number,
  path: devicePath,
  nbd: v.pipe(v.nullable(v.string()), v.description('URI for NBD clients; null if the session has not read it yet.')),
  startBytes: bytes('Where it starts on the disk.'),
  sizeBytes: size,
  partitionType: textOrNull('GPT: the type GUID; MBR: the type byte; null if the session has not read it yet.'),
  partitionUuid: textOrNull('GPT: its own GUID; MBR: as blkid makes it; null if the session has not read it yet.'),
  partitionName: textOrNull('GPT: its name; null if the session has not read it yet.'),
  ...content,
}) satisfies Describes<ListedPartition>;

const listedDisk = v.strictObject({
  sid,
  state: sessionState,
  recovery: recoveryWord,
  targetName,
  lun,
  path: devicePath,
  attach,
  nbd,
  sizeBytes: size,
  blockSize: bytes('Logical block length.'),
  vendor: text('T10 vendor identification.'),
  product: text('Product identification.'),
  serial: text('Unit serial number, VPD page 80h; empty if it states none.'),
  designator: text('Lasting name from VPD page 83h, as naa.…, eui.… or t10.…; empty if it states none.'),
  readOnly: flag('No writes are allowed.'),
  note: textOrNull('Why it is not attached although that was asked for, or what is wrong with it; otherwise null.'),
  ...content,
  table: textOrNull('Kind of partition table, as blkid names it: gpt, dos; null without one.'),
  partitions: list(listedPartition, 'As the kernel has them, or without a device node the session.'),
}) satisfies Describes<ListedDisk>;

export const diskList = document('disk-list', 'Disks, partitions, file systems and mounts of all sessions.', {
  disks: list(listedDisk, 'One for each LUN.'),
});

const plan = list(v.string(), 'What was done, or in a dry run would be, as lines for a shell.');

const workedOn = v.strictObject({
  targetName,
  lun,
  path: devicePath,
  nbd,
  sizeBytes: size,
  serial: text('Unit serial number, VPD page 80h; empty if it states none.'),
});

const disk = v.pipe(workedOn, v.description('The disk that was worked on.'));

const job = {
  disk,
  dryRun,
  plan,
  loss: textOrNull('What the plan destroys, in lines for a person; null where there is nothing to lose.'),
  partitions: list(
    v.strictObject({ number, path: devicePath, sizeBytes: size }) satisfies Describes<PartitionPath>,
    'All partitions of the disk once the plan has changed its table; otherwise empty.',
  ),
};

export const diskLabel = document('disk-label', 'A new partition table.', job);
export const diskPartition = document('disk-partition', 'New partitions.', job);
export const diskFormat = document('disk-format', 'A new file system.', job);
export const diskWipe = document('disk-wipe', 'The end of what was on a disk.', {
  ...job,
  unchanged: flag('There was no signature, and nothing else was asked for.'),
  backup: v.pipe(
    v.nullable(
      v.strictObject({
        folder: text('Folder with a file for each signature; in a dry run it has not been made.'),
        restore: text('Line for a shell that puts them back.'),
      }),
    ),
    v.description('What is kept of the signatures; null if there was none.'),
  ),
});

const beforeBytes = bytes('Its size before.');

const grownPartition = v.strictObject({
  number,
  path: devicePath,
  beforeBytes,
  sizeBytes: size,
}) satisfies Describes<GrownPartition>;

const grownFileSystem = v.strictObject({
  type: text('File system, as blkid names it.'),
  mountPoint: textOrNull('Where it is mounted; null when it is not.'),
  beforeBytes,
  sizeBytes: size,
}) satisfies Describes<GrownFileSystem>;

export const diskGrow = document('disk-grow', 'Partition and file system of a LUN that has grown.', {
  disk,
  number: v.pipe(v.nullable(number), v.description('The partition that is meant; null for a disk without one.')),
  dryRun,
  changed: flag('There was something to grow; false when it has all the room there is.'),
  plan,
  partition: v.pipe(
    v.nullable(grownPartition),
    v.description('The partition that has grown, or in a dry run would; null when none has.'),
  ),
  fileSystem: v.pipe(
    v.nullable(grownFileSystem),
    v.description('The file system that has grown, or in a dry run would; null when none has.'),
  ),
});

const mounted = v.strictObject({
  source: text('Device node.'),
  type: text('File system.'),
  target: directory,
  sizeBytes: size,
  usedBytes: bytes('What is used of it.'),
  availableBytes: bytes('What users other than root may still use.'),
}) satisfies Describes<MountedFileSystem>;

const fstabLine = v.strictObject({
  path: text('The fstab.'),
  line: text('The line, without its line feed.'),
  changed: flag('It was added or removed now.'),
}) satisfies Describes<FstabResult>;

const boot = {
  fstab: v.pipe(
    v.nullable(fstabLine),
    v.description('The line that mounts it at boot; null without --fstab and in a dry run.'),
  ),
  startupChanged: flag('node.startup of the record of the session has been set to automatic.'),
};

export const diskMount = document('disk-mount', 'A mount.', {
  dryRun,
  plan,
  mounted: v.pipe(v.nullable(mounted), v.description('null in a dry run.')),
  ...boot,
});

export const diskUnmount = document('disk-unmount', 'The end of mounts.', {
  dryRun,
  plan,
  unmounted: list(v.string(), 'The directories; empty in a dry run.'),
  fstab: list(fstabLine, 'The lines removed; empty without --fstab and in a dry run.'),
});

const provisionStep = v.strictObject({
  name: choice(PROVISION_STEPS, 'The step.'),
  done: flag('It was done now; otherwise it was so already, or has been left out.'),
  leftOut: flag('It is not so, and was not done: there is no device, or no directory was named.'),
  detail: text('What it has come to, for a person.'),
}) satisfies Describes<ProvisionStep>;

export const diskProvision = document('disk-provision', 'All steps from a login to a mount.', {
  disk: v.pipe(v.nullable(workedOn), v.description('null in a dry run that would have to log in first.')),
  dryRun,
  plan: list(v.string(), 'What was done, or in a dry run would be, as command lines; empty when all was so already.'),
  changed: flag('A step was done now.'),
  steps: list(provisionStep, 'In their order; in a dry run only those that are so already.'),
  mounted: v.pipe(v.nullable(mounted), v.description('null in a dry run, and where nothing is mounted.')),
  ...boot,
});
