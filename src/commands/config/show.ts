// What is in force on this machine.
import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { originText, settingLine } from '../../cli/render/config.js';
import { shownValue } from '../../cli/render/iscsiadm.js';
import type { configShow } from '../../cli/schemas/config.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class ConfigShow extends BaseCommand {
  static override summary = 'Show what is in force: folders, initiator name, and what new records are made with';
  static override description =
    'A record that is there already has values of its own: see node show. Secrets are ******** unless -S is given.';
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --origin'];
  static override flags = {
    origin: Flags.boolean({
      summary: 'Put before each line where it comes from: file:PATH:LINE, a flag, or default.',
      default: false,
    }),
    show: Flags.boolean({ char: 'S', summary: 'Show secrets as they are.', default: false }),
  };

  async run(): Promise<Result<typeof configShow>> {
    const { flags } = await this.parse(ConfigShow);
    const { showConfig } = await import('../../services/config-show.js');
    const { settings, warnings } = await showConfig(this.paths, this.globals);
    for (const text of warnings) this.warning(text);
    this.render(
      settings
        .map((setting) => (flags.origin ? `${originText(setting.origin)}\t` : '') + settingLine(setting, flags.show))
        .join(''),
    );
    return {
      settings: settings.map(({ key, value, origin }) => ({
        key,
        value: value === '' ? null : shownValue(key, value, flags.show),
        origin,
      })),
    };
  }
}
