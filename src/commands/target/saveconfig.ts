// Saves the configuration.
import { resolve } from 'node:path';
import { Args } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { targetSaveconfig } from '../../cli/schemas/target.js';
import { controlFlag } from '../../cli/target-command.js';
import type { Snapshot } from '../../services/target/store.js';

export default class TargetSaveconfig extends BaseCommand {
  static override summary = 'Save the configuration: in its file with a backup of the one before, or in another file';
  static override description =
    'The last 10 that differ are kept in backup/ beside the file, compressed. The file has secrets in it: its mode is 0600.';
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> copy.json'];
  static override args = { file: Args.string({ name: 'FILE', description: 'Another file; it gets no backups.' }) };
  static override flags = controlFlag;

  async run(): Promise<Result<typeof targetSaveconfig>> {
    const { args, flags } = await this.parse(TargetSaveconfig);
    const { openTargetStore } = await import('../../services/target/open-store.js');
    const store = await openTargetStore({ ...this.paths, control: flags.control, signal: this.abortSignal });
    const { path, backedUp } =
      args.file === undefined ? await store.save() : await this.#copy(resolve(args.file), await store.read());
    if (backedUp) this.note('the last 10 configurations are kept in backup/ beside it');
    this.render(`Configuration saved to ${path}`);
    return { where: store.where, path, backedUp };
  }

  async #copy(path: string, { config }: Snapshot): Promise<{ path: string; backedUp: boolean }> {
    const { withConfigLock, writeConfigText } = await import('../../services/target/config-file.js');
    const { printSaveConfig } = await import('../../saveconfig/print.js');
    await withConfigLock(path, this.abortSignal, () => writeConfigText(path, printSaveConfig(config)));
    return { path, backedUp: false };
  }
}
