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
  static override examples = ['<%= config.bin %> discovery list', '<%= config.bin %> discovery list -P 1'];
  static override flags = { print: printLevelFlag(1), ...columnFlags };

  async run(): Promise<Result<typeof discoveryList>> {
    const { flags } = await this.parse(DiscoveryList);
    const asked = this.tableAskedFor(DISCOVERIES, flags);
    const { listDiscoveries } = await import('../../services/records/records.js');
    const { items, warnings } = await listDiscoveries(this.paths);
    for (const text of warnings) this.warning(text);
    if (items.length === 0) {
      throw new AppError('ERR_NOT_FOUND', 'No discovery records found', {
        hint: 'lunctl discovery sendtargets -p HOST makes one',
      });
    }
    if (asked !== null) this.render(asked(items));
    else if (flags.print === 1) this.render(discoveryTree(items));
    else this.render(items.map(({ portal }) => discoveryLine(portal)).join(''));
    return {
      discoveries: items.map(({ portal: { address, port }, nodes }) => ({
        type: 'sendtargets',
        portal: { address, port },
        nodes: nodes.map(nodeJson),
      })),
    };
  }
}
