// lunctl demo: the whole path on this machine, each step with its command line and what came back.
import { BaseCommand } from '../cli/base-command.js';
import type { demo } from '../cli/schemas/demo.js';
import type { Result } from '../cli/schemas/parts.js';
import type { DemoResult } from '../services/demo/demo.js';
import type { DemoReporter } from '../services/demo/shell.js';
import { AppError } from '../util/errors.js';

export default class Demo extends BaseCommand {
  static override summary = 'Go the whole way on this machine: target, login, label, format, mount, and back';
  static override description =
    'Starts a target on the loopback with a sparse file and CHAP, then runs every step from discovery to a mounted ' +
    'file system as a command of its own, and cleans everything up. As root it mounts for real; without, it goes as ' +
    'far as the kernel allows and says what needs root.';
  static override examples = ['<%= config.bin %> <%= command.id %>'];

  async run(): Promise<Result<typeof demo>> {
    await this.parse(Demo);
    const { runDemo } = await import('../services/demo/demo.js');
    const started = performance.now();
    let number = 0;
    // A terminal that is closed must not leave a target and a disk behind; nothing can be written to it any more.
    const hangUp = new AbortController();
    const onHangUp = () => hangUp.abort(new AppError('ERR_TERMINATED', 'the terminal was closed'));
    const show = (text: string) => {
      if (!hangUp.signal.aborted) this.render(text);
    };
    process.once('SIGHUP', onHangUp);
    const reporter: DemoReporter = {
      step: (title, command) => {
        number++;
        show(`\n[${number}] ${title}\n  $ ${command}`);
        this.nowWaitingFor(title, { afresh: true });
      },
      output: (text) => show(text.replace(/^(?=.)/gm, '  ')),
      note: (text) => show(`note: ${text}`),
    };
    const signal = AbortSignal.any([this.abortSignal, hangUp.signal]);
    const result = await this.waiting('starting', () => runDemo({ signal, reporter })).finally(() =>
      process.off('SIGHUP', onHangUp),
    );
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    this.render(`\ndone in ${seconds} s: ${reached(result)}; nothing is left behind`);
    for (const what of result.leftOut) this.render(`left out: ${what}`);
    return result;
  }
}

/** How far it went, in words. */
function reached({ mounted, fileSystem }: DemoResult): string {
  if (mounted) return `an ${fileSystem} file system on an iSCSI disk was mounted, written and read back`;
  if (fileSystem !== null) return `an ${fileSystem} file system was made on an iSCSI disk, over NBD`;
  return 'an iSCSI disk was found and logged in to';
}
