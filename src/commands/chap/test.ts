// Whether targets accept the CHAP credentials that are stored.
import { ChapCommand, discoveryFlag } from '../../cli/chap-command.js';
import { nodeArgs, nodeFlags } from '../../cli/node-command.js';
import type { chapTest } from '../../cli/schemas/chap.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class ChapTest extends ChapCommand {
  static override summary = 'Try the CHAP credentials that are stored';
  static override description =
    'Logs in to each portal of the target and out again at once: no LUN is looked at, and sessions that are up are not disturbed. Says which algorithm the target chose and whether it proved itself, or why it refused.';
  static override examples = [
    '<%= config.bin %> chap test iqn.2022-08.com.test:dlp.target01',
    '<%= config.bin %> chap test --discovery -p 192.168.219.101 --json',
  ];
  static override args = nodeArgs;
  static override flags = { ...nodeFlags, ...discoveryFlag };

  async run(): Promise<Result<typeof chapTest>> {
    const { args, flags } = await this.parse(ChapTest);
    const { holders, config } = await this.holders({ args, flags });
    const { tryHolders } = await import('../../services/records/try-credentials.js');
    const wishes = {
      initiatorName: await this.initiatorName(),
      ...{ pair: null, config, timeoutMs: this.timeoutMs, signal: this.abortSignal },
    };
    const tried = await this.waiting('logging in', () => tryHolders(holders, wishes));
    return { trials: this.showTrials(tried) };
  }
}
