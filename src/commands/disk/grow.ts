// lunctl disk grow: partition table, partition and file system follow a LUN that has grown.
import { Flags } from '@oclif/core';
import { DiskCommand, devArgument, dryRunFlag, partitionFlag } from '../../cli/disk-command.js';
import { grownText } from '../../cli/render/disk.js';
import { settled } from '../../cli/render/text.js';
import type { diskGrow } from '../../cli/schemas/disk.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class DiskGrow extends DiskCommand {
  static override summary = 'Use the room of a LUN that has grown';
  static override description =
    'Asks the target for the size of now, moves the backup of a GPT to the new end of the disk, makes the partition named, ' +
    'or the last one, reach to the next one or to the last aligned sector, and grows what is in it: xfs and btrfs while ' +
    'they are mounted, ext4 mounted or, after a check, not mounted. Nothing is moved and nothing ever made smaller; what ' +
    'is done already is left as it is, so that a run that was killed is completed by the next one. What cannot grow in ' +
    'place (swap, vfat, LVM, anything unknown) ends with 27, before a change. A device that was attached before the LUN ' +
    'grew, and was not told, ends with 28 and the commands that attach it again.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0',
    '<%= config.bin %> <%= command.id %> nbd0p2 --partition-only --dry-run',
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01/0 --json',
  ];
  static override args = devArgument;
  static override flags = {
    ...partitionFlag,
    'partition-only': Flags.boolean({ summary: 'Leave what is in the partition as it is.', default: false }),
    ...dryRunFlag,
  };

  async run(): Promise<Result<typeof diskGrow>> {
    const { args, flags } = await this.parse(DiskGrow);
    const { growDisk } = await import('../../services/disk/grow.js');
    const { paths, abortSignal: signal } = this;
    const dryRun = flags['dry-run'];
    const { target, lines, partition, fileSystem } = await this.waiting(`growing ${args.dev}`, () =>
      growDisk({
        ...{ dev: args.dev, partition: flags.partition, partitionOnly: flags['partition-only'], dryRun, paths, signal },
        onStep: ({ stdout }) => this.detail(settled(stdout)),
      }),
    );
    const changed = lines.length > 0;
    if (!changed) this.render(`unchanged: ${target.name} has all the room there is`);
    else this.render(dryRun ? lines.join('\n') : grownText(target.name, partition, fileSystem));
    const { session, device, partition: number } = target;
    const { path, nbd, sizeBytes, serial, lun } = device;
    const disk = { targetName: session.targetName, lun, path, nbd, sizeBytes, serial };
    return { disk, number, dryRun, changed, plan: [...lines], partition, fileSystem };
  }
}
