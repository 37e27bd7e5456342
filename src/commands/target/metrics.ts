// What the running target has counted, for Prometheus.
import { BaseCommand } from '../../cli/base-command.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { targetMetrics } from '../../cli/schemas/target.js';
import { controlFlag } from '../../cli/target-command.js';
import { AppError } from '../../util/errors.js';

export default class TargetMetrics extends BaseCommand {
  static override summary = 'Print what the running target counts, as Prometheus text';
  static override description =
    'Sessions of each target, logins, refusals by their status, ends by their cause, connections that have not logged in, memory for write data, sizes. The textfile collector of the node exporter takes the output as it is.';
  static override examples = ['<%= config.bin %> <%= command.id %> > /var/lib/prometheus/node-exporter/lunctl.prom'];
  static override flags = controlFlag;

  async run(): Promise<Result<typeof targetMetrics>> {
    const { flags } = await this.parse(TargetMetrics);
    const { runningStore } = await import('../../services/target/open-store.js');
    const store = await runningStore({ ...this.paths, control: flags.control, signal: this.abortSignal });
    if (store === null)
      throw new AppError('ERR_NOT_CONNECTED', 'no target is served', { hint: 'lunctl serve starts one' });
    const text = await store.metrics();
    this.render(text);
    return { text };
  }
}
