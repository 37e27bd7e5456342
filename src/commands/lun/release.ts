// lunctl lun release: the end of this session's reservation. SPC-4 §5.13.11.2.
import {
  LunCommand,
  lunArgument,
  ownKeyFlag,
  type ReservationChangeJson,
  sessionFlag,
  typeFlag,
} from '../../cli/lun-command.js';
import { AppError } from '../../util/errors.js';

export default class LunRelease extends LunCommand {
  static override summary = "End this session's reservation; it stays registered";
  static override examples = ['<%= config.bin %> <%= command.id %> nbd0 --key 0x1'];
  static override args = lunArgument;
  static override flags = {
    ...sessionFlag,
    key: ownKeyFlag,
    type: typeFlag({ summary: 'Type of the reservation; without it that of the one that is held.' }),
  };

  async run(): Promise<ReservationChangeJson> {
    const { args, flags } = await this.parse(LunRelease);
    const target = await this.lun(args.lun, flags.sid);
    const type = flags.type ?? (await this.heldType(target.place));
    if (type === undefined) throw new AppError('ERR_NOT_FOUND', `${target.fullName}: no reservation is held`);
    return this.reserveOut(target, { action: 'release', key: flags.key, type }, `released, ${type}`);
  }
}
