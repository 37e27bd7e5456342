// `help`: the commands of a node, or what one of them does.
import { absent } from '../../../saveconfig/edits/edit.js';
import { type Call, type Command, define } from '../command.js';

/** `commands`: those that the node has besides. */
export function withHelp(commands: readonly Command[]): readonly Command[] {
  const all: Command[] = [
    ...commands,
    define('help', ['[topic]'], 'Lists the commands of a node, or explains one.', (call) => help(call, all)),
  ];
  return all.sort((a, b) => (a.name < b.name ? -1 : 1));
}

const COLUMNS = 78;
const INTRO = `PATHS
=====
The configuration is a tree; its nodes have commands and settings. A path is
written as in a file system: /iscsi/IQN/tpg1, tpg1/luns, .., @BOOKMARK.

LINES
=====
[PATH] COMMAND [VALUE...] [NAME=VALUE...]
Without PATH the command is one of the current node; PATH alone goes there.
PATH/* runs it on each child. A value with blanks in it is put into quotes.

COMMANDS HERE
=============
`;

function help({ params, shell }: Call, commands: readonly Command[]): undefined {
  const { topic } = params;
  if (topic === undefined) {
    shell.say(`${INTRO}${commands.map((command) => `  - ${syntax(command)}`).join('\n')}`);
    return undefined;
  }
  const command = commands.find(({ name }) => name === topic);
  if (command === undefined) throw absent(`Cannot find help topic ${topic}.`);
  shell.say(`\nSYNTAX\n======\n${syntax(command)}\n\n\nDESCRIPTION\n===========\n\n${wrapped(command.about)}`);
  return undefined;
}

function syntax({ name, required, optional, rest }: Command): string {
  const parts = [name, ...required, ...optional.map((one) => `[${one}]`)];
  if (rest === 'values') parts.push('[NAME...]');
  if (rest === 'pairs') parts.push('[NAME=VALUE...]');
  // As configshell writes it, with the blank.
  return `${parts.join(' ')} `;
}

function wrapped(text: string): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > COLUMNS) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.join('\n');
}
