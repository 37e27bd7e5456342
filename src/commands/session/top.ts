// lunctl session top: the sessions on a terminal, drawn anew each second.
import { BaseCommand } from '../../cli/base-command.js';
import { FullScreen } from '../../cli/full-screen.js';
import { TopScreen } from '../../cli/top-screen.js';
import { AppError, messageOf } from '../../util/errors.js';

const EVERY_MS = 1000;

export default class SessionTop extends BaseCommand {
  static override enableJsonFlag = false;
  static override summary = 'Watch the sessions: commands, bytes, latencies and queues, each second';
  static override description =
    'Needs a terminal; for programs there is session stats --watch 1 --json. q ends it, s sorts by something else. P50 and P99 are the times that half and 99 of 100 commands of the last second did not exceed; QUEUE is what is in flight, how many may be, and with + what waits.';
  static override examples = ['<%= config.bin %> session top'];

  async run(): Promise<void> {
    if (this.argv.includes('--json') || !FullScreen.possible) {
      throw new AppError('ERR_USAGE', 'session top needs a terminal', {
        hint: 'lunctl session stats --watch 1, with --json for programs',
      });
    }
    await this.parse(SessionTop);
    const { LoadWatch, sampleSessions } = await import('../../services/session/load.js');
    const { delay } = await import('../../transport/timers.js');
    const watch = new LoadWatch();
    const top = new TopScreen();
    const screen = new FullScreen((size) => top.lines(size));
    const quit = new AbortController();
    const signal = AbortSignal.any([this.abortSignal, quit.signal]);
    screen.open((key) => {
      if (key === 'q') quit.abort();
      else if (key === '\u0003') process.kill(process.pid, 'SIGINT');
      else if (key === 's') top.nextOrder();
      screen.draw();
    });
    try {
      while (!signal.aborted) {
        try {
          const { samples, warnings } = await sampleSessions(this.paths, undefined, { signal });
          top.update(samples, watch.rates(samples));
          if (warnings[0] !== undefined) top.failed(warnings[0]);
        } catch (error) {
          if (!signal.aborted) top.failed(messageOf(error));
        }
        screen.draw();
        await delay(EVERY_MS, signal);
      }
      this.abortSignal.throwIfAborted();
    } catch (error) {
      if (!quit.signal.aborted) throw error;
    } finally {
      screen.close();
    }
  }
}
