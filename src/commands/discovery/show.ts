// The record of one portal in full, as iscsiadm shows it.
import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { portalArg, portalFlag, requirePortal } from '../../cli/flags.js';
import { recordText } from '../../cli/render/iscsiadm.js';
import { valuesJson } from '../../cli/render/json.js';
import type { discoveryShow } from '../../cli/schemas/discovery.js';
import type { Result } from '../../cli/schemas/parts.js';
import { SENDTARGETS_KEYS } from '../../records/keys.js';

export default class DiscoveryShow extends BaseCommand {
  static override summary = 'Show the record of a portal in full';
  static override examples = ['<%= config.bin %> <%= command.id %> 192.168.219.101'];
  static override args = { portal: portalArg() };
  static override flags = {
    portal: portalFlag(),
    show: Flags.boolean({ char: 'S', summary: 'Show secrets as they are.', default: false }),
  };

  async run(): Promise<Result<typeof discoveryShow>> {
    const { args, flags } = await this.parse(DiscoveryShow);
    const { requireDiscovery } = await import('../../services/records/edit-discoveries.js');
    const { portal, values } = await requireDiscovery(this.paths, requirePortal(args.portal, flags.portal));
    this.render(recordText(values, SENDTARGETS_KEYS, { showSecrets: flags.show }));
    return { portal, values: valuesJson(values, SENDTARGETS_KEYS, flags.show) };
  }
}
