// lunctl disk partition: new partitions behind those that are there.
import { Flags } from '@oclif/core';
import { DiskCommand, type DiskJobJson, devArgument, dryRunFlag } from '../../cli/disk-command.js';
import { formatSize } from '../../cli/render/text.js';
import type { PartitionWish } from '../../services/disk/prepare.js';
import { AppError } from '../../util/errors.js';

export default class DiskPartition extends DiskCommand {
  static override summary = 'Add partitions to a labelled disk';
  static override description =
    'Partitions start and end at multiples of 1 MiB, or of the alignment that the disk asks for. With --size they are laid ' +
    'one behind the other, behind those that exist; START and END, in pairs, place each one in any free room, as parted ' +
    'does: 0%, 1MiB, 10GB, 2048s, or with a minus (after --) from the end of the disk. No existing partition is ' +
    'changed. Without either one partition takes the whole disk.';
  static override usage = '<%= command.id %> DEV [START END]… [--size SIZE]…';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0',
    '<%= config.bin %> <%= command.id %> nbd0 0% 100%',
    '<%= config.bin %> <%= command.id %> nbd0 1MiB 50% 50% 100%',
    '<%= config.bin %> <%= command.id %> nbd0 --size 10G --size 50% --size max',
  ];
  // START and END may be many.
  static override strict = false;
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
    const { args, flags, argv } = await this.parse(DiskPartition);
    const { parseSizeSpec } = await import('../../disk/layout.js');
    const { parseSpans } = await import('../../disk/positions.js');
    const { preparePartition } = await import('../../services/disk/prepare.js');
    const places = argv.slice(1).map(String);
    if (places.length > 0 && flags.size !== undefined) {
      throw new AppError('ERR_USAGE', '--size cannot also be given with START and END');
    }
    const wish: PartitionWish =
      places.length > 0
        ? { spans: parseSpans(places) }
        : { sizes: (flags.size ?? ['100%']).map((size) => parseSizeSpec(size)) };
    const { paths, abortSignal: signal } = this;
    const job = await this.waiting(`looking at ${args.dev}`, () =>
      preparePartition({ dev: args.dev, ...wish, paths, signal }),
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
