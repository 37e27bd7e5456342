// lunctl lun map: which blocks of a thin LUN have storage behind them. GET LBA STATUS, SBC-3 §5.6.
import { Flags } from '@oclif/core';
import { columnFlags } from '../../cli/columns.js';
import { LunCommand, lunArgument, sessionFlag } from '../../cli/lun-command.js';
import { defaultColumns, listText } from '../../cli/render/listing.js';
import { blockRuns } from '../../cli/render/lun.js';
import type { lunMap } from '../../cli/schemas/lun.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class LunMap extends LunCommand {
  static override summary = 'Show which blocks of a LUN have storage behind them (GET LBA STATUS)';
  static override description = '27 where the unit does not tell.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0',
    '<%= config.bin %> <%= command.id %> nbd0 --json',
  ];
  static override args = lunArgument;
  static override flags = {
    ...sessionFlag,
    lba: Flags.integer({ summary: 'The first block to ask about.', min: 0, default: 0, helpValue: 'N' }),
    blocks: Flags.integer({ summary: 'How many; without it to the end.', min: 1, helpValue: 'N' }),
    ...columnFlags,
  };

  async run(): Promise<Result<typeof lunMap>> {
    const { args, flags } = await this.parse(LunMap);
    this.tableAskedFor(blockRuns(1), flags);
    const { session, device, fullName, place } = await this.lun(args.lun, flags.sid);
    const { blockSize, lun } = device;
    const { lunBlockMap } = await import('../../services/lun/control.js');
    const end = flags.blocks === undefined ? Number.POSITIVE_INFINITY : flags.lba + flags.blocks;
    const runs = await this.waiting(`asking ${fullName}`, () =>
      lunBlockMap(this.paths, place, { lba: flags.lba, end }, { signal: this.abortSignal }),
    );
    const listing = blockRuns(blockSize);
    this.render(this.tableAskedFor(listing, flags)?.(runs) ?? listText(defaultColumns(listing), runs));
    const mapped = runs.filter(({ state }) => state !== 'deallocated');
    const mappedBytes = mapped.reduce((sum, { blocks }) => sum + blocks * blockSize, 0);
    return { sid: session.sid, targetName: session.targetName, lun, blockSize, mappedBytes, runs };
  }
}
