// Whether configuration and records are in order.
import { BaseCommand } from '../../cli/base-command.js';
import { findingText } from '../../cli/render/config.js';
import type { configCheck } from '../../cli/schemas/config.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class ConfigCheck extends BaseCommand {
  static override summary = 'Check iscsid.conf, the initiator name and every record';
  static override description =
    'Finds keys that are not known, values out of their range, secrets that others may read or that are too short, and records that cannot be read. Nothing is changed, and no portal is asked. Ends with 1 if there is an error, with 0 if there are warnings only.';
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json'];

  async run(): Promise<Result<typeof configCheck>> {
    await this.parse(ConfigCheck);
    const { checkConfig } = await import('../../services/config-check.js');
    const findings = await checkConfig(this.paths);
    this.render(findings.map(findingText).join(''));
    if (findings.length === 0) this.remark('everything is in order');
    const ok = findings.every(({ level }) => level === 'warning');
    if (!ok) process.exitCode = 1;
    return { ok, findings };
  }
}
