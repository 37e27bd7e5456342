// Removes the record of a portal with what it has found.
import { BaseCommand } from '../../cli/base-command.js';
import { portalArg, portalFlag, requirePortal } from '../../cli/flags.js';
import { didText, nodeDone } from '../../cli/render/edits.js';
import { nodeJson } from '../../cli/render/json.js';
import type { discoveryDelete } from '../../cli/schemas/discovery.js';
import type { Result } from '../../cli/schemas/parts.js';
import { dryRunFlag } from '../../cli/settings.js';
import { formatPortal } from '../../iscsi/portal.js';

export default class DiscoveryDelete extends BaseCommand {
  static override summary = 'Forget a portal, and the records of the targets that it has named';
  static override description = 'Node records that a session uses stay.';
  static override examples = ['<%= config.bin %> <%= command.id %> 192.168.219.101 --dry-run'];
  static override args = { portal: portalArg() };
  static override flags = { portal: portalFlag(), ...dryRunFlag };

  async run(): Promise<Result<typeof discoveryDelete>> {
    const { args, flags } = await this.parse(DiscoveryDelete);
    const dryRun = flags['dry-run'];
    const { address, port } = requirePortal(args.portal, flags.portal);
    const portal = { address, port };
    const { deleteDiscovery } = await import('../../services/records/edit-discoveries.js');
    const { recordsInUse } = await import('../../services/records/in-use.js');
    const inUse = await recordsInUse(this.paths);
    const { deleted, kept } = await deleteDiscovery(this.paths, portal, { inUse, dryRun }, this.abortSignal);
    const did = didText('removed', dryRun);
    this.render(`${did}: ${formatPortal(portal)}\n${deleted.map((node) => nodeDone(did, node)).join('')}`);
    this.render(kept.map((node) => nodeDone('kept, a session uses it', node)).join(''));
    return { dryRun, portal, deleted: deleted.map(nodeJson), kept: kept.map(nodeJson) };
  }
}
