// One interface record in full, as iscsiadm shows it.
import { BaseCommand } from '../../cli/base-command.js';
import { ifaceArgs } from '../../cli/flags.js';
import { recordText } from '../../cli/render/iscsiadm.js';
import { valuesJson } from '../../cli/render/json.js';
import type { ifaceShow } from '../../cli/schemas/iface.js';
import type { Result } from '../../cli/schemas/parts.js';
import { IFACE_KEYS } from '../../records/keys.js';

export default class IfaceShow extends BaseCommand {
  static override summary = 'Show an interface record in full';
  static override examples = ['<%= config.bin %> <%= command.id %> default'];
  static override args = ifaceArgs;

  async run(): Promise<Result<typeof ifaceShow>> {
    const { args } = await this.parse(IfaceShow);
    const { selectIface } = await import('../../services/records/records.js');
    const { name, values } = await selectIface(this.paths, args.name);
    this.render(recordText(values, IFACE_KEYS, { showSecrets: false }));
    return { name, values: valuesJson(values, IFACE_KEYS, false) };
  }
}
