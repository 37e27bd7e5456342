// lunctl lun clear: ends the reservation and every registration. SPC-4 §5.13.11.6. No data is touched.
import { LunCommand, lunArgument, ownKeyFlag, type ReservationChangeJson, sessionFlag } from '../../cli/lun-command.js';

export default class LunClear extends LunCommand {
  static override summary = "End a LUN's reservation and all registrations, everybody's; no data is touched";
  static override examples = ['<%= config.bin %> <%= command.id %> nbd0 --key 0x1'];
  static override args = lunArgument;
  static override flags = {
    ...sessionFlag,
    key: ownKeyFlag,
  };

  async run(): Promise<ReservationChangeJson> {
    const { args, flags } = await this.parse(LunClear);
    const target = await this.lun(args.lun, flags.sid);
    return this.reserveOut(target, { action: 'clear', key: flags.key }, 'no registrations and no reservation any more');
  }
}
