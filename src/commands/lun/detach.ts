// lunctl lun detach: the end of a LUN's device node; the session goes on.
import { LunCommand, lunArgument, sessionFlag } from '../../cli/lun-command.js';
import type { lunDetach } from '../../cli/schemas/lun.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class LunDetach extends LunCommand {
  static override summary = "Take a LUN's device away";
  static override description =
    'The session goes on, and the LUN stays an NBD export. Refused with 28 while the device or a partition is mounted or held: there is no override. A LUN without a device is left as it is.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0',
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01/0 --json',
  ];
  static override args = lunArgument;
  static override flags = { ...sessionFlag };

  async run(): Promise<Result<typeof lunDetach>> {
    const { args, flags } = await this.parse(LunDetach);
    const { detachLun } = await import('../../services/session/control.js');
    const { session, device: before, place, fullName } = await this.lun(args.lun, flags.sid);
    const { device, changed } = await this.waiting(`detaching ${fullName}`, () =>
      detachLun(this.paths, place.sid, place.lun, { signal: this.abortSignal }),
    );
    const was = before.path === null ? '' : ` from ${before.path}`;
    this.render(changed ? `${fullName}: detached${was}` : `unchanged: ${fullName} has no device`);
    return { sid: session.sid, targetName: session.targetName, changed, device };
  }
}
