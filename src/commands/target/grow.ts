// A storage object that is, or becomes, larger: initiators are told.
import { Args } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { formatSize } from '../../cli/render/text.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { targetGrow } from '../../cli/schemas/target.js';
import { controlFlag } from '../../cli/target-command.js';
import { AppError } from '../../util/errors.js';
import { parseSize } from '../../util/size.js';

export default class TargetGrow extends BaseCommand {
  static override summary = 'Make a storage object larger while it is used, or take the size that its device has now';
  static override description =
    'A file or a ramdisk becomes SIZE. Without a size the file or device is looked at again: it may have grown, as a logical volume does by lvextend. Every initiator learns of it by a unit attention (capacity data has changed). Nothing ever shrinks.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> /backstores/fileio/disk01 20G',
    '<%= config.bin %> <%= command.id %> /backstores/block/lv01',
  ];
  static override args = {
    path: Args.string({ name: 'PATH', required: true, description: 'Storage object: /backstores/fileio/disk01.' }),
    size: Args.string({ name: 'SIZE', description: 'What it is to be.' }),
  };
  static override flags = controlFlag;

  async run(): Promise<Result<typeof targetGrow>> {
    const { args, flags } = await this.parse(TargetGrow);
    const wanted = args.size === undefined ? null : parseSize(args.size);
    const { runningStore } = await import('../../services/target/open-store.js');
    const store = await runningStore({ ...this.paths, control: flags.control, signal: this.abortSignal });
    if (store === null)
      throw new AppError('ERR_NOT_CONNECTED', 'no target is served', { hint: 'lunctl serve starts one' });
    const { sizeBytes } = await store.grow(args.path, wanted);
    this.render(`${args.path} has ${sizeBytes} bytes (${formatSize(sizeBytes)})`);
    return { path: args.path, sizeBytes };
  }
}
