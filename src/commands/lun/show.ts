// lunctl lun show: what a LUN is and can do, from its own answers.
import { Flags } from '@oclif/core';
import { LunCommand, lunArgumentOrAll, sessionFlag } from '../../cli/lun-command.js';
import { lunText } from '../../cli/render/lun.js';
import type { lunShow } from '../../cli/schemas/lun.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { LunDetails } from '../../services/lun/info.js';
import type { LunTarget } from '../../services/lun/name.js';
import { CAN_WORDS, type CanWord, IS_WORDS, type IsWord, lunCan, lunIs } from '../../services/lun/question.js';
import { AppError } from '../../util/errors.js';

/** The exit status that says no, as nbdinfo has it. */
const NO = 2;

interface Question {
  readonly sid?: number | undefined;
  readonly is?: IsWord | undefined;
  readonly can?: CanWord | undefined;
}

type Shown = Result<typeof lunShow>['luns'][number];

export default class LunShow extends LunCommand {
  static override summary = 'Show what a LUN is: identity, size, cache, limits, reservations';
  static override description =
    'Asks the unit itself (INQUIRY, VPD pages B0h, B1h, B2h, PERSISTENT RESERVE IN). With --is or --can it prints nothing: the exit status is 0 for yes and 2 for no, and any other one is an error.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01/0',
    '<%= config.bin %> <%= command.id %> nbd0 --json',
    '<%= config.bin %> <%= command.id %> nbd0 --can trim && fstrim /mnt',
  ];
  static override args = lunArgumentOrAll;
  static override flags = {
    ...sessionFlag,
    is: Flags.option({
      summary: 'Ask one thing: no output, 0 for yes, 2 for no.',
      options: IS_WORDS,
      helpValue: 'WORD',
      exclusive: ['can'],
    })(),
    can: Flags.option({
      summary: 'Ask whether its NBD export can do one thing, or with map whether its unit does: 0 for yes, 2 for no.',
      options: CAN_WORDS,
      helpValue: 'WORD',
    })(),
  };

  async run(): Promise<Result<typeof lunShow>> {
    const { args, flags } = await this.parse(LunShow);
    if (flags.is !== undefined || flags.can !== undefined) return this.#answer(args.lun, flags);
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

  /** The exit status is the answer; --json shows the whole LUN beside it. */
  async #answer(name: string | undefined, { sid, is, can }: Question): Promise<Result<typeof lunShow>> {
    if (name === undefined) throw new AppError('ERR_USAGE', '--is and --can ask about one LUN: name it');
    try {
      const target = await this.lun(name, sid);
      const { targetName, state } = target.session;
      const details = await this.#ask(target);
      const yes = (is !== undefined && lunIs(is, details)) || (can !== undefined && lunCan(can, details));
      if (!yes) process.exitCode = NO;
      return { luns: [{ sid: target.session.sid, targetName, state, ...details }] };
    } catch (error) {
      // Its own code is 2, which says no here.
      if (!(error instanceof AppError) || error.code !== 'ERR_SESSION_NOT_FOUND') throw error;
      throw new AppError('ERR_NOT_FOUND', error.message, { cause: error });
    }
  }

  async #ask({ session, device, fullName }: LunTarget): Promise<LunDetails> {
    const { lunDetails } = await import('../../services/lun/control.js');
    return this.waiting(`asking ${fullName}`, () =>
      lunDetails(this.paths, { sid: session.sid, lun: device.lun }, { signal: this.abortSignal }),
    );
  }

  async #show(target: LunTarget): Promise<Shown> {
    const { session } = target;
    const { sid, targetName, state } = session;
    const details = await this.#ask(target);
    this.render(lunText(session, details));
    return { sid, targetName, state, ...details };
  }
}
