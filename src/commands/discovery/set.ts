// Changes settings in the record of a portal.
import { BaseCommand } from '../../cli/base-command.js';
import { parsePortalValue, portalFlag, requirePortal } from '../../cli/flags.js';
import { didText, valueJson, valueLines } from '../../cli/render/edits.js';
import type { discoverySet } from '../../cli/schemas/discovery.js';
import type { Result } from '../../cli/schemas/parts.js';
import { dryRunFlag, requireSettings } from '../../cli/settings.js';
import { formatPortal } from '../../iscsi/portal.js';

export default class DiscoverySet extends BaseCommand {
  static override summary = 'Change how a portal is asked';
  static override description = 'Keys are those that discovery show prints. Secrets are set by chap setup.';
  static override usage = '<%= command.id %> PORTAL KEY=VALUE...';
  static override examples = [
    '<%= config.bin %> <%= command.id %> 192.168.219.101 discovery.sendtargets.timeo.login_timeout=5',
  ];
  static override strict = false;
  static override flags = { portal: portalFlag(), ...dryRunFlag };

  async run(): Promise<Result<typeof discoverySet>> {
    const { argv, flags } = await this.parse(DiscoverySet);
    const { name, changes } = requireSettings(argv, 'discovery.sendtargets.timeo.login_timeout=5');
    const wanted = requirePortal(name === undefined ? undefined : parsePortalValue(name), flags.portal);
    const dryRun = flags['dry-run'];
    const { updateDiscovery } = await import('../../services/records/edit-discoveries.js');
    const options = { strict: true, dryRun };
    const { record, changed } = await updateDiscovery(this.paths, wanted, changes, this.abortSignal, options);
    const { portal } = record;
    const did = changed.length === 0 ? 'unchanged' : didText('changed', dryRun);
    this.render(`${did}: ${formatPortal(portal)}\n${valueLines(changed)}`);
    return { dryRun, portal, changed: valueJson(changed) };
  }
}
