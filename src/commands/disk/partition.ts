// lunctl disk partition: new partitions behind those that are there.
import { Flags } from '@oclif/core';
import { DiskCommand, type DiskJobJson, devArgument, dryRunFlag } from '../../cli/disk-command.js';
import { formatSize } from '../../cli/render/text.js';

export default class DiskPartition extends DiskCommand {
  static override summary = 'Add partitions to a labelled disk';
  static override description =
    'Partitions start at 1 MiB, or at the alignment that the disk asks for, and are laid one behind the other, behind ' +
    'those that exist; no existing one is changed. Without --size one partition takes the whole disk.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0',
    '<%= config.bin %> <%= command.id %> nbd0 --size 10G --size 50% --size max',
  ];
  static override args = devArgument;
  static override flags = {
    size: Flags.string({
      summary: 'Size of one partition: 10G, 500GB, 50%, or max for what is left. May be repeated.',
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'SIZE',
    }),
    ...dryRunFlag,
  };

  async run(): Promise<DiskJobJson> {
    const { args, flags } = await this.parse(DiskPartition);
    const { parseSizeSpec } = await import('../../disk/layout.js');
    const { preparePartition } = await import('../../services/disk/prepare.js');
    const sizes = (flags.size ?? ['100%']).map(parseSizeSpec);
    const { paths, abortSignal: signal } = this;
    const job = await this.waiting(`looking at ${args.dev}`, () =>
      preparePartition({ dev: args.dev, sizes, paths, signal }),
    );
    const { name } = job.target;
    const json = await this.runJob(job, flags, (partitions) =>
      partitions.map((p) => `${p.path ?? `${name}p${p.number}`}  ${formatSize(p.sizeBytes)}`).join('\n'),
    );
    const last = json.partitions.at(-1);
    if (last !== undefined) this.next(`lunctl disk format ${name}p${last.number} --type xfs`);
    return json;
  }
}
