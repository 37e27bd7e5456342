// lunctl lun reserve: a persistent reservation. SPC-4 §5.13.9.
import {
  LunCommand,
  lunArgument,
  ownKeyFlag,
  type ReservationChangeJson,
  sessionFlag,
  typeFlag,
} from '../../cli/lun-command.js';

export default class LunReserve extends LunCommand {
  static override summary = 'Reserve a LUN for this session, or for all that are registered';
  static override description =
    'The session must be registered with the key: lunctl lun register. 43 when somebody else holds a reservation.';
  static override examples = ['<%= config.bin %> <%= command.id %> nbd0 --key 0x1 --type write-exclusive'];
  static override args = lunArgument;
  static override flags = {
    ...sessionFlag,
    key: ownKeyFlag,
    type: typeFlag({ required: true }),
  };

  async run(): Promise<ReservationChangeJson> {
    const { args, flags } = await this.parse(LunReserve);
    const { key, type } = flags;
    const target = await this.lun(args.lun, flags.sid);
    return this.reserveOut(target, { action: 'reserve', key, type }, `reserved, ${type}`);
  }
}
