// The plain values of one node.
import type { Result } from '../../cli/schemas/parts.js';
import type { targetInfo } from '../../cli/schemas/target-tree.js';
import { controlFlag, pathArgument, TargetCommand } from '../../cli/target-command.js';

export default class TargetInfo extends TargetCommand {
  static override summary = 'Show what a storage object, a target, a LUN, an ACL or a portal is made of';
  static override description = 'Secrets are shown as ********.';
  static override examples = ['<%= config.bin %> <%= command.id %> /backstores/fileio/disk01'];
  static override args = pathArgument;
  static override flags = controlFlag;

  async run(): Promise<Result<typeof targetInfo>> {
    const { args, flags } = await this.parse(TargetInfo);
    return await this.runOn('info', [args.path], flags.control);
  }
}
