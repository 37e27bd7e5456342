// lunctl doctor: looks at everything that a session, a device and a disk need, and says what to do about what is missing.
import { BaseCommand } from '../cli/base-command.js';
import { portalArg } from '../cli/flags.js';
import { findingLine, findingsSummary } from '../cli/render/doctor.js';
import type { doctor } from '../cli/schemas/doctor.js';
import type { Result } from '../cli/schemas/parts.js';
import type { Finding } from '../services/doctor/finding.js';

export default class Doctor extends BaseCommand {
  static override summary = 'Look at what could be wrong here, and with a portal';
  static override description =
    'A line for each thing: ok, warn or FAIL, with what to do about it. Nothing is changed: no module is loaded, no name or record is made, nothing is cleaned up. With PORTAL it is connected to and asked for its targets. The exit status is 1 where a line says FAIL.';
  static override examples = ['<%= config.bin %> doctor', '<%= config.bin %> doctor 192.168.219.101'];
  static override args = { portal: portalArg() };

  async run(): Promise<Result<typeof doctor>> {
    const { args } = await this.parse(Doctor);
    const { paths } = this;
    const { examine } = await import('../services/doctor/finding.js');
    const { MACHINE_CHECKS } = await import('../services/doctor/machine.js');
    const { setupChecks } = await import('../services/doctor/setup.js');
    const portal = args.portal === undefined ? [] : await this.#portal(args.portal);
    const findings: Finding[] = [];
    for await (const finding of examine([...MACHINE_CHECKS, ...setupChecks(paths), ...portal], this.abortSignal)) {
      findings.push(finding);
      this.render(findingLine(finding));
    }
    const count = (level: Finding['level']) => findings.filter((finding) => finding.level === level).length;
    const [problems, warnings] = [count('fail'), count('warn')];
    this.render(findingsSummary(problems, warnings));
    if (problems > 0) process.exitCode = 1;
    return { findings, problems, warnings };
  }

  async #portal({ address, port }: { readonly address: string; readonly port: number }) {
    const { portalChecks } = await import('../services/doctor/portal.js');
    return portalChecks(this.paths, { address, port });
  }
}
