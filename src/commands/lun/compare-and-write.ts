// lunctl lun compare-and-write: blocks change only if they hold what is expected, as one step for every initiator.
import { readFile, stat } from 'node:fs/promises';
import { Flags } from '@oclif/core';
import { LunCommand, lunArgument, sessionFlag } from '../../cli/lun-command.js';
import type { lunCompareAndWrite } from '../../cli/schemas/lun.js';
import type { Result } from '../../cli/schemas/parts.js';
import { AppError, messageOf } from '../../util/errors.js';

export default class LunCompareAndWrite extends LunCommand {
  static override summary = 'Write blocks only if they hold what a file says (COMPARE AND WRITE)';
  static override description =
    'Both files have one length: whole blocks, at most 16 KiB. 42 when the blocks hold something else: the message tells ' +
    'the offset of the first byte that differs, and nothing is written. 28 while the LUN is mounted, held or in use by ' +
    'NBD clients. The command is sent once: 29 when the connection was lost meanwhile and nobody knows whether it was done.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0 --lba 2048 --compare free.bin --write mine.bin',
  ];
  static override args = lunArgument;
  static override flags = {
    ...sessionFlag,
    lba: Flags.integer({ summary: 'The first block.', min: 0, required: true, helpValue: 'N' }),
    compare: Flags.string({ summary: 'File with what the blocks must hold.', required: true, helpValue: 'FILE' }),
    write: Flags.string({ summary: 'File with what they are to hold.', required: true, helpValue: 'FILE' }),
  };

  async run(): Promise<Result<typeof lunCompareAndWrite>> {
    const { args, flags } = await this.parse(LunCompareAndWrite);
    const { compareAndWriteLun, LARGEST_COMPARISON } = await import('../../services/lun/control.js');
    const compare = await readSmall(flags.compare, LARGEST_COMPARISON);
    const write = await readSmall(flags.write, LARGEST_COMPARISON);
    const { session, device, fullName, place } = await this.lun(args.lun, flags.sid);
    if (compare.length !== write.length || compare.length === 0 || compare.length % device.blockSize !== 0) {
      throw new AppError('ERR_USAGE', `both files must be of one length, in whole blocks of ${device.blockSize} bytes`);
    }
    const { lba } = flags;
    const { blocks } = await this.waiting(`asking ${fullName}`, () =>
      compareAndWriteLun(this.paths, place, { lba, compare, write }, { signal: this.abortSignal }),
    );
    this.render(`${fullName}: wrote ${blocks} ${blocks === 1 ? 'block' : 'blocks'} at LBA ${lba}`);
    return { sid: session.sid, targetName: session.targetName, lun: device.lun, lba, blocks };
  }
}

async function readSmall(path: string, largest: number): Promise<Buffer> {
  try {
    const { size } = await stat(path);
    if (size > largest) throw new AppError('ERR_USAGE', `${path} has ${size} bytes; at most ${largest} are taken`);
    return await readFile(path);
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('ERR_USAGE', `cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
}
