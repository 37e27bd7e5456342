// Removes everything from the configuration; files and disks stay as they are.
import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { askYesNo } from '../../cli/prompt.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { targetClearconfig } from '../../cli/schemas/target.js';
import { controlFlag } from '../../cli/target-command.js';
import { clearAll } from '../../saveconfig/edits/restore.js';
import { backstorePath, targetPath } from '../../saveconfig/paths.js';
import { AppError } from '../../util/errors.js';

export default class TargetClearconfig extends BaseCommand {
  static override summary = 'Remove all targets and storage objects from the configuration; no data is touched';
  static override description =
    'Initiators are asked to log out. Files and disks stay as they are; the content of ramdisks is gone. The saved file of a running serve is as before until saveconfig.';
  static override examples = ['<%= config.bin %> <%= command.id %> --confirm'];
  static override flags = {
    ...controlFlag,
    confirm: Flags.boolean({ summary: 'Do not ask.' }),
  };

  async run(): Promise<Result<typeof targetClearconfig>> {
    const { flags } = await this.parse(TargetClearconfig);
    const { openTargetStore } = await import('../../services/target/open-store.js');
    const store = await openTargetStore({ ...this.paths, control: flags.control, signal: this.abortSignal });
    const { config, revision } = await store.read();
    const removed = [...config.targets.map(targetPath), ...config.storage_objects.map(backstorePath)];
    if (
      !flags.confirm &&
      !(await askYesNo(this.prompts, `Remove ${removed.length} objects from the configuration?`, false))
    ) {
      throw new AppError('ERR_REFUSED', 'nothing was removed', { hint: 'give --confirm' });
    }
    await this.waiting('initiators are asked to log out', () => store.apply(clearAll(config), revision));
    this.render('All configuration cleared');
    return { where: store.where, removed };
  }
}
