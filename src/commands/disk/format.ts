// lunctl disk format: a file system on a partition or a whole disk.
import { Flags } from '@oclif/core';
import {
  confirmFlag,
  DiskCommand,
  type DiskJobJson,
  devArgument,
  dryRunFlag,
  partitionFlag,
} from '../../cli/disk-command.js';
import { FILE_SYSTEMS } from '../../disk/plan.js';

export default class DiskFormat extends DiskCommand {
  static override summary = 'Make a file system';
  static override description =
    'What follows -- goes to the mkfs program as it is. Refuses what is mounted or held (28) or belongs to no session ' +
    '(7); what holds anything is formatted only once its name has been typed, or given by --confirm (40 otherwise).';
  static override usage = '<%= command.id %> DEV --type xfs|ext4|btrfs|vfat|swap [-- MKFS-ARGS…]';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0p1 --type xfs',
    '<%= config.bin %> <%= command.id %> nbd0p1 --type xfs -- -i size=1024 -s size=4096',
  ];
  static override args = devArgument;
  static override flags = {
    type: Flags.option({ summary: 'The file system.', options: FILE_SYSTEMS, required: true })(),
    label: Flags.string({ summary: 'Name of the new file system.', helpValue: 'NAME' }),
    uuid: Flags.string({
      summary: 'Its UUID; for vfat a volume number as 1A2B-3C4D. Otherwise the program makes one.',
      helpValue: 'UUID',
    }),
    ...partitionFlag,
    ...confirmFlag,
    ...dryRunFlag,
  };

  async run(): Promise<DiskJobJson> {
    const { own, extra } = this.splitArguments();
    const { args, flags } = await this.parse(DiskFormat, own);
    const { prepareFormat } = await import('../../services/disk/prepare.js');
    const { paths, abortSignal: signal } = this;
    const { type, label, uuid, partition } = flags;
    const job = await this.waiting(`looking at ${args.dev}`, () =>
      prepareFormat({ dev: args.dev, partition, type, label, uuid, extra, paths, signal }),
    );
    const what = type === 'swap' ? 'swap space' : `${type} file system`;
    const json = await this.runJob(job, flags, () => `${job.target.name}: new ${what}`);
    const { name, device } = job.target;
    // Without a device there is nothing to mount.
    const canMount = !flags['dry-run'] && device.path !== null;
    if (canMount) this.next(type === 'swap' ? `swapon ${job.path}` : `lunctl disk mount ${name} /mnt`);
    return json;
  }
}
