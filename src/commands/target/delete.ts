// Deletes an object of the target's configuration.
import type { Result } from '../../cli/schemas/parts.js';
import type { targetDelete } from '../../cli/schemas/target-tree.js';
import { controlFlag, pathArgument, TargetCommand } from '../../cli/target-command.js';

export default class TargetDelete extends TargetCommand {
  static override summary = 'Delete a storage object, a target, a LUN, an ACL, a portal';
  static override description =
    'PATH names the node that it is in, and what follows names it. Sessions that need it end; files and devices stay as they are.';
  static override usage = '<%= command.id %> PATH [VALUE | NAME=VALUE]...';
  static override examples = [
    '<%= config.bin %> <%= command.id %> /iscsi/iqn.2022-08.com.test:dlp.target01/tpg1/portals 0.0.0.0 3260',
    '<%= config.bin %> <%= command.id %> /backstores/fileio disk01',
  ];
  static override strict = false;
  static override args = pathArgument;
  static override flags = controlFlag;

  async run(): Promise<Result<typeof targetDelete>> {
    const { argv, flags } = await this.parse(TargetDelete);
    return await this.runOn('delete', argv, flags.control);
  }
}
