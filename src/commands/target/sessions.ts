// Who is logged in to the target that is served.
import { Args } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { columnFlags } from '../../cli/columns.js';
import { defaultColumns, listText } from '../../cli/render/listing.js';
import { sessionDetail, TARGET_SESSIONS } from '../../cli/render/target.js';
import type { Result } from '../../cli/schemas/parts.js';
import type { targetSessions } from '../../cli/schemas/target.js';
import { controlFlag } from '../../cli/target-command.js';
import { AppError } from '../../util/errors.js';

export default class TargetSessions extends BaseCommand {
  static override summary = 'List who is logged in to the target, initiators without an ACL of their own too';
  static override description =
    'detail adds the LUNs as each of them sees them and the connections. A serve must run; where there are several, --control says which.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> detail 1',
    '<%= config.bin %> <%= command.id %> --json',
  ];
  static override args = {
    action: Args.string({
      name: 'ACTION',
      options: ['list', 'detail'],
      description: 'How much to show.',
      default: 'list',
    }),
    sid: Args.integer({ name: 'SID', min: 1, description: 'Only this session.' }),
  };
  static override flags = {
    ...controlFlag,
    ...columnFlags,
  };

  async run(): Promise<Result<typeof targetSessions>> {
    const { args, flags } = await this.parse(TargetSessions);
    const asked = this.tableAskedFor(TARGET_SESSIONS, flags);
    const { runningStore } = await import('../../services/target/open-store.js');
    const store = await runningStore({ ...this.paths, control: flags.control, signal: this.abortSignal });
    if (store === null)
      throw new AppError('ERR_NOT_CONNECTED', 'no target is served', { hint: 'lunctl serve starts one' });
    const all = await store.sessions();
    const sessions = args.sid === undefined ? all : all.filter(({ sid }) => sid === args.sid);
    if (args.sid !== undefined && sessions.length === 0) {
      throw new AppError('ERR_SESSION_NOT_FOUND', `there is no session ${args.sid}`);
    }
    if (args.action === 'detail') this.render(sessions.map(sessionDetail).join('\n'));
    else if (asked !== null) this.render(asked(sessions));
    else if (sessions.length > 0)
      this.render(listText(defaultColumns(TARGET_SESSIONS), sessions, { bytes: false, headings: true }));
    if (sessions.length === 0) this.note('nobody is logged in');
    return { sessions };
  }
}
