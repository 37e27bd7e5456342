// The CHAP credentials that are stored.
import { Flags } from '@oclif/core';
import { ChapCommand, discoveryFlag } from '../../cli/chap-command.js';
import { columnFlags } from '../../cli/columns.js';
import { nodeArgs, nodeFlags } from '../../cli/node-command.js';
import { CHAP, chapRow } from '../../cli/render/chap.js';
import { defaultColumns, listText } from '../../cli/render/listing.js';
import type { chapShow } from '../../cli/schemas/chap.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { Holders } from '../../services/records/credentials.js';
import { AppError } from '../../util/errors.js';

export default class ChapShow extends ChapCommand {
  static override summary = 'Show which CHAP credentials are stored, without the secrets';
  static override description =
    'One line for each record of the target, or without a target for every record, those of discovery too. It says what a login would use: where a record holds none, those of iscsid.conf.';
  static override examples = [
    '<%= config.bin %> chap show',
    '<%= config.bin %> chap show iqn.2022-08.com.test:dlp.target01',
    '<%= config.bin %> chap show --discovery -p 192.168.219.101',
  ];
  static override args = nodeArgs;
  static override flags = {
    ...nodeFlags,
    ...discoveryFlag,
    show: Flags.boolean({ char: 'S', summary: 'Show secrets as they are.' }),
    ...columnFlags,
  };

  async run(): Promise<Result<typeof chapShow>> {
    const { args, flags } = await this.parse(ChapShow);
    const asked = this.tableAskedFor(CHAP, flags);
    const { storedCredentials } = await import('../../services/records/credentials.js');
    const everything = args.target === undefined && flags.targetname === undefined && flags.portal === undefined;
    const found = everything ? await this.#all({ args, flags }) : [await this.holders({ args, flags }, { all: true })];
    const rows = found.flatMap(({ holders, config }) =>
      holders.map((holder) => chapRow(holder, storedCredentials(holder, config), { showSecrets: flags.show })),
    );
    this.render(asked === null ? listText(defaultColumns(CHAP), rows) : asked(rows));
    return { records: rows };
  }

  /** Records of nodes, then those of discovery; that one of the two kinds is missing is no failure. */
  async #all(input: Parameters<ChapCommand['holders']>[0]): Promise<Holders[]> {
    const kinds = input.flags.discovery ? [true] : [false, true];
    const found: Holders[] = [];
    let missing: unknown;
    for (const discovery of kinds) {
      try {
        found.push(await this.holders({ ...input, flags: { ...input.flags, discovery } }, { all: true }));
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'ERR_NOT_FOUND') throw error;
        missing ??= error;
      }
    }
    if (found.length === 0) throw missing;
    return found;
  }
}
