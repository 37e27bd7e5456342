// lunctl lun reservations: who is registered at a LUN, and what is held.
import { LunCommand, lunArgument, sessionFlag } from '../../cli/lun-command.js';
import { reservationsText } from '../../cli/render/lun.js';
import type { lunReservations } from '../../cli/schemas/lun.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class LunReservations extends LunCommand {
  static override summary = 'Show persistent reservations: registered keys, and who holds what';
  static override examples = ['<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01/0'];
  static override args = lunArgument;
  static override flags = { ...sessionFlag };

  async run(): Promise<Result<typeof lunReservations>> {
    const { args, flags } = await this.parse(LunReservations);
    const { session, device, fullName, place } = await this.lun(args.lun, flags.sid);
    const { lunReservations: read } = await import('../../services/lun/control.js');
    const info = await this.waiting(`asking ${fullName}`, () => read(this.paths, place, { signal: this.abortSignal }));
    this.render(reservationsText(fullName, info));
    return { sid: session.sid, targetName: session.targetName, lun: device.lun, ...info };
  }
}
