// Makes an interface record.
import { BaseCommand } from '../../cli/base-command.js';
import { ifaceArgs } from '../../cli/flags.js';
import { didText } from '../../cli/render/edits.js';
import type { ifaceNew } from '../../cli/schemas/iface.js';
import type { Result } from '../../cli/schemas/parts.js';
import { dryRunFlag, splitSettings } from '../../cli/settings.js';

export default class IfaceNew extends BaseCommand {
  static override summary = 'Make an interface record: where sessions come from, and under which name';
  static override description =
    'Set iface.ipaddress, iface.net_ifacename or iface.hwaddress for the origin of connections, and iface.initiatorname for another initiator name. Then discover with -I, or make node records with it.';
  static override usage = '<%= command.id %> NAME [KEY=VALUE...]';
  static override examples = [
    '<%= config.bin %> <%= command.id %> storage0 iface.net_ifacename=eth1',
    '<%= config.bin %> <%= command.id %> guest iface.initiatorname=iqn.2022-08.com.test:guest',
  ];
  static override strict = false;
  static override args = ifaceArgs;
  static override flags = dryRunFlag;

  async run(): Promise<Result<typeof ifaceNew>> {
    const { argv, flags } = await this.parse(IfaceNew);
    const { name = '', changes } = splitSettings(argv);
    const dryRun = flags['dry-run'];
    const { addIface } = await import('../../services/records/edit-ifaces.js');
    await addIface(this.paths, name, this.abortSignal, { replace: false, changes, dryRun });
    this.render(`${didText('added', dryRun)}: interface ${name}`);
    this.next(`lunctl discovery sendtargets -p HOST -I ${name}`);
    return { dryRun, name };
  }
}
