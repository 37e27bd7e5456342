// Makes an object of the target's configuration.
import type { Result } from '../../cli/schemas/parts.js';
import type { targetCreate } from '../../cli/schemas/target-tree.js';
import { controlFlag, pathArgument, TargetCommand } from '../../cli/target-command.js';

export default class TargetCreate extends TargetCommand {
  static override summary = 'Make a storage object, a target, a LUN, an ACL, a portal';
  static override description =
    'PATH names the node that gets it, and what follows are the values that its create takes in targetcli; lunctl target shell PATH help create lists them. A running serve has it at once.';
  static override usage = '<%= command.id %> PATH [VALUE | NAME=VALUE]...';
  static override examples = [
    '<%= config.bin %> <%= command.id %> /backstores/fileio disk01 /var/lib/iscsi_disks/disk01.img 10G',
    '<%= config.bin %> <%= command.id %> /iscsi iqn.2022-08.com.test:dlp.target01',
    '<%= config.bin %> <%= command.id %> /iscsi/iqn.2022-08.com.test:dlp.target01/tpg1/luns /backstores/fileio/disk01',
  ];
  static override strict = false;
  static override args = pathArgument;
  static override flags = controlFlag;

  async run(): Promise<Result<typeof targetCreate>> {
    const { argv, flags } = await this.parse(TargetCreate);
    return await this.runOn('create', argv, flags.control);
  }
}
