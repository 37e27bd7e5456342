// lunctl disk mount: mounts a file system of ours and shows it as df would.
import { resolve } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { DiskCommand, devArgument, dryRunFlag, partitionFlag } from '../../cli/disk-command.js';
import { bootJson, mountedText } from '../../cli/render/disk.js';
import type { diskMount } from '../../cli/schemas/disk.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class DiskMount extends DiskCommand {
  static override summary = 'Mount a file system';
  static override description =
    "What follows -- goes to mount as it is, for example -o noexec,nosuid. --fstab makes the mount come back at boot: it adds a line to fstab, by UUID and with the same options, unless one is there, and sets node.startup of the session's record to automatic, by which lunctl-login.service logs in. A line that mounts something else on DIR is refused (40).";
  static override usage = '<%= command.id %> DEV DIR [--mkdir] [--read-only] [--fstab] [-- MOUNT-ARGS…]';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0p1 /mnt',
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01/0p1 /srv/data --mkdir -- -o noexec',
    '<%= config.bin %> <%= command.id %> nbd0p1 /mnt --fstab',
  ];
  static override args = {
    ...devArgument,
    dir: Args.string({ name: 'DIR', required: true, description: 'The directory to mount it on.' }),
  };
  static override flags = {
    ...partitionFlag,
    mkdir: Flags.boolean({ summary: 'Make the directory if it is not there.', default: false }),
    'read-only': Flags.boolean({ summary: 'Mount it so that nothing can be written.', default: false }),
    fstab: Flags.boolean({ summary: 'Mount it at boot too.', default: false }),
    ...dryRunFlag,
  };

  async run(): Promise<Result<typeof diskMount>> {
    const { own, extra } = this.splitArguments();
    const { args, flags } = await this.parse(DiskMount, own);
    const { mountDisk } = await import('../../services/disk/mount.js');
    const dryRun = flags['dry-run'];
    const { lines, mounted, boot } = await this.waiting(`mounting ${args.dev}`, () =>
      mountDisk({
        dev: args.dev,
        partition: flags.partition,
        directory: resolve(args.dir),
        mkdir: flags.mkdir,
        readOnly: flags['read-only'],
        fstab: flags.fstab,
        extra,
        dryRun,
        paths: this.paths,
        signal: this.abortSignal,
      }),
    );
    this.render(mounted === null ? lines.join('\n') : mountedText(mounted));
    if (boot !== null) this.showBoot(boot);
    return { dryRun, plan: lines, mounted, ...bootJson(boot) };
  }
}
