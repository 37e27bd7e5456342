// lunctl lun show: what a LUN is and can do, from its own answers.
import { LunCommand, lunArgumentOrAll, sessionFlag } from '../../cli/lun-command.js';
import { lunText } from '../../cli/render/lun.js';
import type { lunShow } from '../../cli/schemas/lun.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { LunTarget } from '../../services/lun/name.js';

type Shown = Result<typeof lunShow>['luns'][number];

export default class LunShow extends LunCommand {
  static override summary = 'Show what a LUN is: identity, size, cache, limits, reservations';
  static override description = 'Asks the unit itself (INQUIRY, VPD pages B0h, B1h, B2h, PERSISTENT RESERVE IN).';
  static override examples = [
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01/0',
    '<%= config.bin %> <%= command.id %> nbd0 --json',
  ];
  static override args = lunArgumentOrAll;
  static override flags = { ...sessionFlag };

  async run(): Promise<Result<typeof lunShow>> {
    const { args, flags } = await this.parse(LunShow);
    const luns: Shown[] = [];
    if (args.lun !== undefined) return { luns: [await this.#show(await this.lun(args.lun, flags.sid))] };
    for (const session of await this.sessions(flags.sid)) {
      for (const device of session.devices) {
        const fullName = `${session.targetName}/${device.lun}`;
        const shown = await this.#show({ session, device, fullName }).catch(
          (error: unknown) => void this.failed(error),
        );
        if (shown) luns.push(shown);
      }
    }
    if (luns.length === 0) this.remark('no LUNs: no session is up, or none has a disk');
    return { luns };
  }

  async #show({ session, device, fullName }: LunTarget): Promise<Shown> {
    const { lunDetails } = await import('../../services/lun/control.js');
    const { sid, targetName, state } = session;
    const details = await this.waiting(`asking ${fullName}`, () =>
      lunDetails(this.paths, { sid, lun: device.lun }, { signal: this.abortSignal }),
    );
    this.render(lunText(session, details));
    return { sid, targetName, state, ...details };
  }
}
