// lunctl demo: the whole path on this machine, each step with its command line and what came back.
import { BaseCommand } from '../cli/base-command.js';
import type { DemoResult } from '../services/demo.js';

export default class Demo extends BaseCommand {
  static override summary = 'Go the whole way on this machine: target, login, label, format, mount, and back';
  static override description =
    'Starts a target on the loopback with a sparse file and CHAP, then runs every step from discovery to a mounted ' +
    'file system as a command of its own, and cleans everything up. As root it mounts for real; without, it goes as ' +
    'far as the kernel allows and says what needs root.';
  static override examples = ['<%= config.bin %> <%= command.id %>'];

  async run(): Promise<DemoResult> {
    await this.parse(Demo);
    const { runDemo } = await import('../services/demo.js');
    const started = performance.now();
    let number = 0;
    const result = await runDemo({
      signal: this.abortSignal,
      reporter: {
        step: (title, command) => {
          number++;
          this.render(`\n[${number}] ${title}\n  $ ${command}`);
        },
        output: (text) => this.render(text.replace(/^(?=.)/gm, '  ')),
        note: (text) => this.render(`note: ${text}`),
      },
    });
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const what = result.mounted
      ? `an ${result.fileSystem} file system on an iSCSI disk was mounted, written and read back`
      : 'as far as it goes here; what was left out is noted above';
    this.render(`\ndone in ${seconds} s: ${what}; nothing is left behind`);
    return result;
  }
}
