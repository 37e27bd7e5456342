// Starts oclif, with what it lacks: our first screen, -h, "did you mean", and one way of reporting what it throws itself.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Config, Errors, Help, type Interfaces, Plugin, run } from '@oclif/core';
import { AppError } from '../util/errors.js';
import { oneLine } from '../util/printable.js';
import { exitCodeOf } from './exit-codes.js';
import { translateOclifError } from './parse-errors.js';
import { errorJson, errorText } from './render/error.js';
import { closest } from './suggest.js';
import { TOPICS, welcomeText } from './topics.js';

/**
 * Runs one command line to its end; the exit code is left in `process.exitCode`.
 * @param argv the words after `lunctl`
 * @param root the package folder, with package.json and dist/
 * @param commands what loads the class of each command, by its id; without it oclif looks in dist/commands
 */
export async function main(argv: readonly string[], root: string, commands?: CommandLoaders): Promise<void> {
  quietPipes();
  const words = shortHelp(argv);
  applyColorChoice(words);
  await dispatch(words, root, commands);
  // What could not be written shows only now, in the stream's own time.
  await new Promise<void>((done) => process.stdout.write('', () => setImmediate(done)));
}

type CommandLoaders = Readonly<Record<string, () => Promise<Command.Class>>>;

async function dispatch(words: readonly string[], root: string, commands?: CommandLoaders): Promise<void> {
  try {
    const pjson = readPackage(root);
    const asked = words[0];
    if (asked === undefined || (words.length === 1 && (asked === '--help' || asked === 'help'))) {
      process.stdout.write(welcomeText(pjson.version));
      return;
    }
    const config = await loadConfig(root, pjson, commands);
    if (asked === 'help') {
      await new Help(config, pjson.oclif.helpOptions ?? {}).showHelp([...words.slice(1), '--help']);
      return;
    }
    refuseUnknownCommand(words, config);
    await run([...words], config);
  } catch (error) {
    report(error, words);
  }
}

function readPackage(root: string): Interfaces.PJSON {
  const pjson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Interfaces.PJSON;
  const topics = Object.fromEntries(Object.entries(TOPICS).map(([name, description]) => [name, { description }]));
  return { ...pjson, oclif: { ...pjson.oclif, topics } };
}

/** Nothing of a user's own is ever loaded as a plugin. */
async function loadConfig(root: string, pjson: Interfaces.PJSON, commands?: CommandLoaders): Promise<Config> {
  if (commands === undefined) return Config.load({ root, pjson, userPlugins: false, devPlugins: false });
  const plugin = new OwnCommands({ root, pjson, isRoot: true }, commands);
  await plugin.load();
  return Config.load({ root, pjson, plugins: new Map([[plugin.name, plugin]]) });
}

/** The commands of the bundle that this is a part of, where oclif would read and import a file for each. */
class OwnCommands extends Plugin {
  constructor(
    options: ConstructorParameters<typeof Plugin>[0],
    private readonly loaders: CommandLoaders,
  ) {
    super(options);
  }
  override async findCommand(id: string): Promise<Command.Class> {
    const command = await this.loaders[id]?.();
    if (command === undefined) throw new Error(`no command ${id}`);
    command.id = id;
    command.plugin = this;
    return command;
  }
}

/** `-h` is `--help` everywhere before `--`. */
function shortHelp(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--');
  return argv.map((word, i) => (word === '-h' && (end === -1 || i < end) ? '--help' : word));
}

/** oclif's help reads only the environment: say there what the flags say, before anything is coloured. */
function applyColorChoice(words: readonly string[]): void {
  const end = words.indexOf('--');
  const options = end === -1 ? words : words.slice(0, end);
  const choice = options.includes('--no-color')
    ? 'never'
    : (options.find((word) => word.startsWith('--color='))?.slice(8) ?? options[options.indexOf('--color') + 1]);
  if (choice === 'never') process.env.NO_COLOR = '1';
  else if (choice === 'always' && process.env.NO_COLOR === undefined) process.env.FORCE_COLOR = '1';
}

/** Names the nearest command and ends with 7; nothing is run that was not asked for. */
function refuseUnknownCommand(words: readonly string[], config: Config): void {
  const first = words[0] ?? '';
  if (first.startsWith('-')) {
    if (first === '--version') return;
    throw new AppError('ERR_USAGE', `unknown option ${oneLine(first.split('=', 1)[0] ?? first)}`, {
      hint: 'lunctl --help lists the commands',
    });
  }
  const typed = words.slice(0, 2).filter((word) => !word.startsWith('-'));
  const whole = config.findCommand(typed.join(':'));
  const command = whole ?? config.findCommand(first);
  if (command !== undefined) {
    refuseSurplus(words[whole === undefined ? 1 : typed.length], command);
    return;
  }
  const topic = config.findTopic(first);
  if (topic !== undefined && typed.length === 1) {
    const option = words.slice(1).find((word) => !/^--(help|json|(no-)?color(=.*)?)$/.test(word));
    if (option === undefined || option === '--' || !option.startsWith('-')) return;
    throw new AppError('ERR_USAGE', `unknown option ${oneLine(option.split('=', 1)[0] ?? option)}`, {
      hint: `lunctl ${first} --help lists the commands`,
    });
  }
  const commands = config.commands.filter((command) => !command.hidden);
  const ids = new Set(commands.flatMap((command) => [command.id, ...command.aliases]));
  const names = [...ids].map((id) => id.replaceAll(':', ' '));
  const near = closest(typed.join(' '), names) ?? closest(first, [...names, ...Object.keys(TOPICS)]);
  throw new AppError('ERR_USAGE', `unknown command "${oneLine(topic === undefined ? first : typed.join(' '))}"`, {
    hint: near === undefined ? 'lunctl --help lists the commands' : `did you mean "lunctl ${near}"?`,
  });
}

/** A word behind a command that takes none: oclif would look for a command of that name. */
function refuseSurplus(word: string | undefined, command: Command.Loadable): void {
  if (word === undefined || word.startsWith('-')) return;
  if (command.strict === false || Object.keys(command.args).length > 0) return;
  throw new AppError('ERR_USAGE', `Unexpected argument: ${oneLine(word)}`, {
    hint: `lunctl ${command.id.replaceAll(':', ' ')} --help lists the options`,
  });
}

/** What oclif throws outside of a command, and what a command class throws while it is loaded. */
function report(error: unknown, words: readonly string[]): void {
  if (error instanceof Errors.ExitError) {
    process.exitCode = error.oclif.exit ?? 0;
    return;
  }
  const translated = translateOclifError(error);
  process.exitCode = exitCodeOf(translated);
  if (words.includes('--json')) {
    process.stdout.write(`${JSON.stringify({ schema: 'lunctl.error/1', error: errorJson(translated) }, null, 2)}\n`);
    return;
  }
  process.stderr.write(errorText(translated));
  if (process.env.LUNCTL_DEBUG === 'stack' && error instanceof Error) process.stderr.write(`${error.stack}\n`);
}

/** A reader that went away (`| head`) is no failure; a full disk below standard output is one. */
function quietPipes(): void {
  process.stdout.removeAllListeners('error');
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return;
    process.stderr.write(errorText(new AppError('ERR_UNKNOWN', `standard output: ${error.message}`)));
    process.exit(exitCodeOf(error));
  });
  process.stderr.on('error', () => undefined);
}
