// targetcli's shell: on a terminal, from a pipe, or for one command.
import { BaseCommand } from '../../cli/base-command.js';
import { controlFlag } from '../../cli/target-command.js';
import { oneLine } from '../../util/printable.js';

export default class TargetShellCommand extends BaseCommand {
  static override enableJsonFlag = false;
  static override summary = 'Configure the target as with targetcli: ls, cd, create, set';
  static override description =
    `On a terminal: a shell with completion and history, in which the commands of targetcli are typed. With lines on standard input: runs one after the other. With words behind it: runs them as one command, and ends with 0 or 1, as targetcli does; alias targetcli='lunctl target shell' is enough for scripts that call it.

exit saves the configuration. A running serve has each change at once. Lines with a password in them do not go into the history. For programs there are lunctl target ls, get and info with --json.`;
  static override usage = '<%= command.id %> [PATH] [COMMAND [VALUE | NAME=VALUE]...]';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> /backstores/fileio create disk01 /var/lib/iscsi_disks/disk01.img 10G',
    '<%= config.bin %> <%= command.id %> <lines',
  ];
  static override strict = false;
  static override flags = controlFlag;

  async run(): Promise<void> {
    // A password may be among the words, as targetcli takes it: it is gone from the list of processes at once.
    if (this.argv.some((word) => /password/i.test(word))) process.title = 'lunctl target shell';
    const words = this.argv.length === 1 && /^(?:-v|--version)$/.test(this.argv[0] ?? '') ? ['version'] : null;
    const { argv, flags } = await this.parse(TargetShellCommand, words ?? this.argv);
    const { openShell } = await import('../../cli/targetcli/open.js');
    const { runLines, runOneCommand } = await import('../../cli/targetcli/drive.js');
    const { paths, abortSignal } = this;
    const { shell, store } = await openShell({
      paths,
      control: flags.control,
      version: this.config.version,
      signal: abortSignal,
      colour: this.toTerminal && process.env.NO_COLOR === undefined,
      echoSecrets: true,
      say: (text) => void process.stdout.write(`${text}\n`),
      warn: (text) => void process.stderr.write(`warning: ${oneLine(text)}\n`),
    });
    const output = {
      write: (text: string) => void process.stdout.write(text),
      complain: (text: string) => void process.stderr.write(text),
      people: process.stderr.isTTY === true,
    };
    try {
      if (argv.length > 0) process.exitCode = await runOneCommand(shell, argv.map(String), output);
      else if (process.stdin.isTTY && process.stdout.isTTY) {
        const { runInteractive } = await import('../../cli/targetcli/interactive.js');
        const { readHistory, writeHistory } = await import('../../services/target/preferences.js');
        const terminal = {
          input: process.stdin,
          output: process.stdout,
          history: await readHistory(paths.stateDir),
          signal: abortSignal,
          keepHistory: async (lines: readonly string[]) => await writeHistory(paths.stateDir, lines),
        };
        process.exitCode = await runInteractive(shell, terminal, output);
      } else {
        const { createInterface } = await import('node:readline');
        process.exitCode = await runLines(
          shell,
          createInterface({ input: process.stdin, signal: abortSignal }),
          output,
          abortSignal,
        );
      }
    } finally {
      await store.close();
    }
  }
}
