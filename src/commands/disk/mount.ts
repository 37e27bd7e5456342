// lunctl disk mount: mounts a file system of ours and shows it as df would.
import { resolve } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { DiskCommand, devArgument, dryRunFlag, partitionFlag } from '../../cli/disk-command.js';
import { mountedText } from '../../cli/render/disk.js';
import type { diskMount } from '../../cli/schemas/disk.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class DiskMount extends DiskCommand {
  static override summary = 'Mount a file system';
  static override description = 'What follows -- goes to mount as it is, for example -o noexec,nosuid.';
  static override usage = '<%= command.id %> DEV DIR [--mkdir] [--read-only] [-- MOUNT-ARGS…]';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0p1 /mnt',
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01/0p1 /srv/data --mkdir -- -o noexec',
  ];
  static override args = {
    ...devArgument,
    dir: Args.string({ name: 'DIR', required: true, description: 'The directory to mount it on.' }),
  };
  static override flags = {
    ...partitionFlag,
    mkdir: Flags.boolean({ summary: 'Make the directory if it is not there.', default: false }),
    'read-only': Flags.boolean({ summary: 'Mount it so that nothing can be written.', default: false }),
    ...dryRunFlag,
  };

  async run(): Promise<Result<typeof diskMount>> {
    const { own, extra } = this.splitArguments();
    const { args, flags } = await this.parse(DiskMount, own);
    const { mountDisk } = await import('../../services/disk/mount.js');
    const dryRun = flags['dry-run'];
    const { lines, mounted } = await this.waiting(`mounting ${args.dev}`, () =>
      mountDisk({
        dev: args.dev,
        partition: flags.partition,
        directory: resolve(args.dir),
        mkdir: flags.mkdir,
        readOnly: flags['read-only'],
        extra,
        dryRun,
        paths: this.paths,
        signal: this.abortSignal,
      }),
    );
    this.render(mounted === null ? lines.join('\n') : mountedText(mounted));
    return { dryRun, plan: lines, mounted };
  }
}
