// lunctl disk list: sessions, their disks, partitions, file systems and mounts, as a tree.
import { Args } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { columnFlags } from '../../cli/columns.js';
import { DISKS, diskRows } from '../../cli/render/disk.js';
import { defaultColumns, listText } from '../../cli/render/listing.js';
import type { diskList } from '../../cli/schemas/disk.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class DiskList extends BaseCommand {
  static override summary = 'List the disks of all sessions, with partitions, file systems and mounts';
  static override description =
    'What a disk holds is read by its session: no device and no root are needed for it. A question mark stands for what could not be read, as while a session reopens. Default columns may change: scripts use --json.';
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> nbd0 --json'];
  static override args = {
    dev: Args.string({ name: 'DEV', description: 'Only this disk: /dev/nbd0, nbd0 or TARGET/LUN.' }),
  };

  static override flags = columnFlags;

  async run(): Promise<Result<typeof diskList>> {
    const { args, flags } = await this.parse(DiskList);
    const asked = this.tableAskedFor(DISKS, flags);
    const { listDisks } = await import('../../services/disk/list.js');
    const { disks, silent } = await this.waiting('looking at the disks', () =>
      listDisks({ paths: this.paths, signal: this.abortSignal }, args.dev),
    );
    for (const { sid, reason } of silent) this.warning(`session ${sid} does not answer: ${reason}`);
    if (disks.length === 0) this.remark('no disks: no session is up');
    else this.render(asked?.(diskRows(disks)) ?? listText(defaultColumns(DISKS), diskRows(disks)));
    return { disks };
  }
}
