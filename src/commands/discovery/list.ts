// The portals that have been asked before.
import { BaseCommand } from '../../cli/base-command.js';
import { columnFlags } from '../../cli/columns.js';
import { printLevelFlag } from '../../cli/flags.js';
import { discoveryTree } from '../../cli/render/discovery-tree.js';
import { discoveryLine } from '../../cli/render/iscsiadm.js';
import { nodeJson } from '../../cli/render/json.js';
import { DISCOVERIES } from '../../cli/render/records.js';
import type { discoveryList } from '../../cli/schemas/discovery.js';
import type { Result } from '../../cli/schemas/parts.js';
import { AppError } from '../../util/errors.js';

export default class DiscoveryList extends BaseCommand {
  static override summary = 'List the portals that have been asked for targets';
  static override description =
    'iSNS servers that open-iscsi has asked are listed too; -P 1 adds what was made by hand and what comes from firmware.';
  static override examples = ['<%= config.bin %> discovery list', '<%= config.bin %> discovery list -P 1'];
  static override flags = { print: printLevelFlag(1), ...columnFlags };

  async run(): Promise<Result<typeof discoveryList>> {
    const { flags } = await this.parse(DiscoveryList);
    const asked = this.tableAskedFor(DISCOVERIES, flags);
    const { listAllDiscoveries } = await import('../../services/records/edit-discoveries.js');
    const all = await listAllDiscoveries(this.paths);
    for (const text of all.warnings) this.warning(text);
    const items = [
      ...all.sendTargets.map(({ portal, nodes }) => ({ type: 'sendtargets' as const, portal, nodes })),
      ...all.isns.map(({ server, nodes }) => ({ type: 'isns' as const, portal: server, nodes })),
    ];
    const byHand = flags.print === 1 ? [...all.static, ...all.firmware] : [];
    if (items.length + byHand.length === 0) {
      throw new AppError('ERR_NOT_FOUND', 'No discovery records found', {
        hint: 'lunctl discovery sendtargets -p HOST makes one',
      });
    }
    if (asked !== null) this.render(asked(items));
    else if (flags.print === 1) this.render(discoveryTree(all));
    else this.render(items.map(({ portal, type }) => discoveryLine(portal, type)).join(''));
    return {
      discoveries: items.map(({ type, portal: { address, port }, nodes }) => ({
        type,
        portal: { address, port },
        nodes: nodes.map(nodeJson),
      })),
    };
  }
}
