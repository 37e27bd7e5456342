// lunctl lun list: the LUNs of all sessions, a line each.
import { columnFlags } from '../../cli/columns.js';
import { LunCommand, sessionFlag } from '../../cli/lun-command.js';
import { defaultColumns, listText } from '../../cli/render/listing.js';
import { LUNS } from '../../cli/render/lun.js';
import type { lunList } from '../../cli/schemas/lun.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class LunList extends LunCommand {
  static override summary = 'List the LUNs of all sessions';
  static override description = 'As the sessions know them; lunctl lun rescan makes them look again.';
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json'];
  static override flags = { ...sessionFlag, ...columnFlags };

  async run(): Promise<Result<typeof lunList>> {
    const { flags } = await this.parse(LunList);
    const asked = this.tableAskedFor(LUNS, flags);
    const sessions = await this.sessions(flags.sid);
    const luns = sessions.flatMap((session) => session.devices.map((device) => ({ session, device })));
    if (luns.length === 0) this.remark('no LUNs: no session is up, or none has a disk');
    else this.render(asked?.(luns) ?? listText(defaultColumns(LUNS), luns));
    return {
      luns: luns.map(({ session: { sid, targetName, state }, device }) => ({ sid, targetName, state, ...device })),
    };
  }
}
