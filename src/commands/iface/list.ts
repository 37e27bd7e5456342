// The interface records, one line each.
import { BaseCommand } from '../../cli/base-command.js';
import { columnFlags } from '../../cli/columns.js';
import { ifaceLine } from '../../cli/render/iscsiadm.js';
import { defaultColumns, listText } from '../../cli/render/listing.js';
import { IFACES } from '../../cli/render/records.js';
import type { ifaceList } from '../../cli/schemas/iface.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class IfaceList extends BaseCommand {
  static override summary = 'List the interface records';
  static override description =
    'default and iser are built in and have no file; sessions by iser need a kernel, and are not made here.';
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> -n -o NAME'];
  static override flags = columnFlags;

  async run(): Promise<Result<typeof ifaceList>> {
    const { flags } = await this.parse(IfaceList);
    const asked = this.tableAskedFor(IFACES, flags);
    const { listIfaces } = await import('../../services/records/edit-ifaces.js');
    const { items, warnings } = await listIfaces(this.paths);
    for (const text of warnings) this.warning(text);
    if (asked !== null) this.render(asked(items));
    else if (this.toTerminal) this.render(listText(defaultColumns(IFACES), items));
    else this.render(items.map(ifaceLine).join(''));
    return {
      ifaces: items.map(({ name, values }) => {
        const text = (key: string) => values.text(`iface.${key}`) || null;
        return {
          name,
          transport: values.text('iface.transport_name'),
          address: text('ipaddress'),
          netdev: text('net_ifacename'),
          hwaddress: text('hwaddress'),
          initiatorName: text('initiatorname'),
        };
      }),
    };
  }
}
