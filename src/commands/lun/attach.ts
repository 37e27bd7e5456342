// lunctl lun attach: a device node for a LUN of a session that is up.
import { Flags } from '@oclif/core';
import { LunCommand, lunArgument, sessionFlag } from '../../cli/lun-command.js';
import { deviceText } from '../../cli/render/lun.js';
import type { lunAttach } from '../../cli/schemas/lun.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class LunAttach extends LunCommand {
  static override summary = 'Make a device of a LUN';
  static override description =
    'Returns once the device can be used and its partitions are there. A LUN that has such a device already is left as it is. Refused with 28 are one that is attached another way, a second path to a disk that is in use, and one that NBD clients write to; without the kernel module, or FUSE, it ends with 12. Ctrl-C undoes it.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01/0',
    '<%= config.bin %> <%= command.id %> lun1 --attach fuse --read-only --json',
  ];
  static override args = lunArgument;
  static override flags = {
    ...sessionFlag,
    attach: Flags.option({
      summary: 'How: nbd by the kernel, fuse by nbdfuse and a loop device; auto: nbd, or what is there already.',
      options: ['auto', 'nbd', 'fuse'] as const,
      default: 'auto',
      helpValue: 'WAY',
    })(),
    'read-only': Flags.boolean({ summary: 'Allow no writes to the device.' }),
    connections: Flags.integer({
      summary: 'NBD connections of a kernel device; as the login said if left out.',
      helpValue: '1..4',
      min: 1,
      max: 4,
    }),
  };

  async run(): Promise<Result<typeof lunAttach>> {
    const { args, flags } = await this.parse(LunAttach);
    const { attachLun } = await import('../../services/session/control.js');
    const { session, place, fullName } = await this.lun(args.lun, flags.sid);
    const { connections } = flags;
    const wishes = {
      ...{ lun: place.lun, mode: flags.attach, readOnly: flags['read-only'] === true },
      ...(connections === undefined ? {} : { connections }),
    };
    const { device, changed } = await this.waiting(`attaching ${fullName}`, () =>
      attachLun(this.paths, place.sid, wishes, { signal: this.abortSignal }),
    );
    const done = `attached as ${deviceText(device)}`;
    this.render(changed ? `${fullName}: ${done}` : `unchanged: ${fullName}, ${done}`);
    await this.warnOfFuse([device]);
    if (changed && device.path !== null) this.next('lunctl disk list');
    return { sid: session.sid, targetName: session.targetName, changed, device };
  }
}
