// Restores a saved configuration, as a whole or not at all.
import { resolve } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { targetRestoreconfig } from '../../cli/schemas/target.js';
import { controlFlag } from '../../cli/target-command.js';
import { restoreInto } from '../../saveconfig/edits/restore.js';
import { notHonoured } from '../../saveconfig/honour.js';
import { backstorePath, targetPath } from '../../saveconfig/paths.js';

export default class TargetRestoreconfig extends BaseCommand {
  static override summary = 'Restore a saved configuration, of lunctl or of targetcli: all of it, or nothing';
  static override description =
    'What is there already is not restored over: --clear-existing puts the saved configuration in its place, and sessions that it does not concern go on. An object that cannot be had is named, and nothing has changed then. What this target does not do is named and kept.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> saveconfig.json',
    '<%= config.bin %> <%= command.id %> saveconfig.json --clear-existing',
  ];
  static override args = { file: Args.string({ name: 'FILE', required: true, description: 'A saveconfig.json.' }) };
  static override flags = {
    ...controlFlag,
    'clear-existing': Flags.boolean({ summary: 'Put it in the place of what is there.' }),
  };

  async run(): Promise<Result<typeof targetRestoreconfig>> {
    const { args, flags } = await this.parse(TargetRestoreconfig);
    const path = resolve(args.file);
    const { readConfig } = await import('../../services/target/config-file.js');
    const { openTargetStore } = await import('../../services/target/open-store.js');
    const saved = await readConfig(path);
    const store = await openTargetStore({ ...this.paths, control: flags.control, signal: this.abortSignal });
    const { config: current, revision } = await store.read();
    const { config } = restoreInto(current, saved, { clearExisting: flags['clear-existing'] });
    await this.waiting('restoring the configuration', () => store.apply(config, revision));
    const restored = [...saved.storage_objects.map(backstorePath), ...saved.targets.map(targetPath)];
    const remarks = notHonoured(saved);
    for (const { path: object, reason } of remarks) this.warning(`not honoured: ${object}: ${reason}`);
    this.render([...restored.map((object) => `restored ${object}`), `Configuration restored from ${path}`].join('\n'));
    return { where: store.where, path, restored, notHonoured: remarks };
  }
}
