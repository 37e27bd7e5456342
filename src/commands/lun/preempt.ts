// lunctl lun preempt: takes registration and reservation from another initiator. SPC-4 §5.13.11.4.
import { Flags } from '@oclif/core';
import {
  keyFlag,
  LunCommand,
  lunArgument,
  ownKeyFlag,
  type ReservationChangeJson,
  sessionFlag,
  typeFlag,
} from '../../cli/lun-command.js';

export default class LunPreempt extends LunCommand {
  static override summary = 'Remove the registrations of another key, and take over its reservation';
  static override description =
    'Whoever is registered with --victim-key loses its registration; if it holds the reservation, this session holds it ' +
    'from then on. With --abort its commands are aborted too, so that none of its writes comes later: what fencing needs.';
  static override examples = ['<%= config.bin %> <%= command.id %> nbd0 --key 0x1 --victim-key 0x2 --abort'];
  static override args = lunArgument;
  static override flags = {
    ...sessionFlag,
    key: ownKeyFlag,
    'victim-key': keyFlag({ summary: 'The key whose registrations go.', required: true }),
    type: typeFlag({ summary: 'Type of the reservation to take over; without it as it is held now.' }),
    abort: Flags.boolean({ summary: 'Abort the commands of those sessions too.', default: false }),
  };

  async run(): Promise<ReservationChangeJson> {
    const { args, flags } = await this.parse(LunPreempt);
    const { key, 'victim-key': victim, abort } = flags;
    const target = await this.lun(args.lun, flags.sid);
    // Without a reservation the unit ignores the type.
    const type = flags.type ?? (await this.heldType(target.place)) ?? 'write-exclusive';
    const action = abort ? 'preempt-and-abort' : 'preempt';
    const aborted = abort ? ', its commands are aborted' : '';
    return this.reserveOut(target, { action, key, victim, type }, `key ${victim} is preempted${aborted}`);
  }
}
