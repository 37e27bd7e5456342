// Forgets stored CHAP credentials.
import { ChapCommand, discoveryFlag } from '../../cli/chap-command.js';
import { nodeArgs, nodeFlags } from '../../cli/node-command.js';
import { holderJson } from '../../cli/render/chap.js';
import type { chapClear } from '../../cli/schemas/chap.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class ChapClear extends ChapCommand {
  static override summary = 'Forget the CHAP credentials of a target';
  static override description =
    'Removes user names and secrets from every record of the target, or with --discovery from those of discovery. Sessions that are up go on.';
  static override examples = [
    '<%= config.bin %> chap clear iqn.2022-08.com.test:dlp.target01',
    '<%= config.bin %> chap clear --discovery -p 192.168.219.101',
  ];
  static override args = nodeArgs;
  static override flags = { ...nodeFlags, ...discoveryFlag };

  async run(): Promise<Result<typeof chapClear>> {
    const { args, flags } = await this.parse(ChapClear);
    const { holders } = await this.holders({ args, flags });
    const { holderPath, saveCredentials, storedCredentials } = await import('../../services/records/credentials.js');
    await saveCredentials(this.paths, holders, null, this.abortSignal);
    const paths = holders.map((holder) => ({ ...holderJson(holder), path: holderPath(this.paths, holder) }));
    for (const { path } of paths) this.render(`No credentials any more in ${path}`);
    const after = await this.holders({ args, flags });
    if (after.holders.some((holder) => storedCredentials(holder, after.config).from !== null)) {
      this.warning(`from now on logins use the credentials of iscsid.conf in ${this.paths.configDir}`);
    }
    return { records: paths };
  }
}
