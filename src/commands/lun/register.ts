// lunctl lun register: this session's key at a LUN. PERSISTENT RESERVE OUT, SPC-4 §5.13.7.
import { Flags } from '@oclif/core';
import { keyFlag, LunCommand, lunArgument, type ReservationChangeJson, sessionFlag } from '../../cli/lun-command.js';
import { AppError } from '../../util/errors.js';

export default class LunRegister extends LunCommand {
  static override summary = 'Register a reservation key for this session, change it, or unregister';
  static override description =
    'With --key alone the session, not registered yet, registers that key. With --new-key it changes from --key to that; ' +
    '--new-key 0 unregisters, which also ends the reservation that the session holds. 43 on RESERVATION CONFLICT, 29 ' +
    'when the connection was lost meanwhile and nobody knows whether it was done.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0 --key 0x1',
    '<%= config.bin %> <%= command.id %> nbd0 --key 0x1 --new-key 0',
  ];
  static override args = lunArgument;
  static override flags = {
    ...sessionFlag,
    key: keyFlag({ summary: 'The key to register; with --new-key the one registered now.', required: true }),
    'new-key': keyFlag({ summary: 'The key to have from now on; 0 unregisters.' }),
    'ignore-existing': Flags.boolean({ summary: 'Register --key whatever key is registered now.', default: false }),
    persist: Flags.boolean({ summary: 'Registrations shall outlive a loss of power (APTPL).', default: false }),
  };

  async run(): Promise<ReservationChangeJson> {
    const { args, flags } = await this.parse(LunRegister);
    const { key, 'new-key': given, 'ignore-existing': ignoreExisting, persist } = flags;
    if (given !== undefined && ignoreExisting) {
      throw new AppError('ERR_USAGE', '--new-key cannot also be given with --ignore-existing');
    }
    const target = await this.lun(args.lun, flags.sid);
    const [old, newKey] = given === undefined ? ['0x0', key] : [key, given];
    const done = newKey === '0x0' ? 'unregistered' : `registered with key ${newKey}`;
    return this.reserveOut(target, { action: 'register', key: old, newKey, ignoreExisting, persist }, done);
  }
}
