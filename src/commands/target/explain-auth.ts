// Why an initiator would be refused, or what it would get.
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { explanationText } from '../../cli/render/target.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { targetExplainAuth } from '../../cli/schemas/target.js';
import { controlFlag } from '../../cli/target-command.js';
import { checkIscsiName } from '../../iscsi/names.js';
import { explainAccess } from '../../saveconfig/explain.js';
import { AppError } from '../../util/errors.js';

export default class TargetExplainAuth extends BaseCommand {
  static override summary = 'Say why an initiator would be refused, or what it would get';
  static override description =
    'For each portal group: whether it has an ACL or demo mode lets it in, which proof is asked of it, whether discovery shows it, and the LUNs as it would see them. Nobody logs in for it, and no secret is shown.';
  static override examples = ['<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:node01.initiator01'];
  static override args = {
    initiator: Args.string({ name: 'IQN', required: true, description: 'Name of the initiator.' }),
  };
  static override flags = {
    ...controlFlag,
    target: Flags.string({ char: 'T', summary: 'Only this target.', helpValue: 'IQN' }),
  };

  async run(): Promise<Result<typeof targetExplainAuth>> {
    const { args, flags } = await this.parse(TargetExplainAuth);
    const initiatorName = checkIscsiName(args.initiator);
    const { openTargetStore } = await import('../../services/target/open-store.js');
    const store = await openTargetStore({ ...this.paths, control: flags.control, signal: this.abortSignal });
    const { config } = await store.read();
    const groups = explainAccess(config, initiatorName, flags.target ?? null);
    if (groups.length === 0) {
      const what = flags.target === undefined ? 'there is no iSCSI target' : `there is no target ${flags.target}`;
      throw new AppError('ERR_NOT_FOUND', what);
    }
    this.render(explanationText(initiatorName, groups));
    return { where: store.where, initiatorName, groups };
  }
}
