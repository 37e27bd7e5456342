// Manual pages in mdoc(7): options, arguments and examples from the manifest, the rest from hand-written sections.
import type { Command } from '@oclif/core';
import { EXIT_TEXT } from './exit-codes.js';
import { globalFlags } from './global-flags.js';
import { TOPICS } from './topics.js';

type ManifestCommand = Pick<
  Command.Cached,
  'id' | 'aliases' | 'args' | 'flags' | 'summary' | 'description' | 'examples' | 'hidden' | 'usage' | 'strict'
>;
type Flag = Command.Flag.Cached;

/** One page: which commands it holds, and its line in whatis(1). */
export interface PageSpec {
  /** Without section: `lunctl-node`. */
  readonly name: string;
  readonly about: string;
  /** The topic or single command whose commands it holds; null for lunctl(8) itself, and where `byHand`. */
  readonly scope: string | null;
  /** A program that is no oclif command: its page says everything in its prose. */
  readonly byHand?: true;
}

/** The date in every page: that of the last change to what they say by hand. */
const DATE = 'November 21, 2026';
const SECTION = 8;

export const PAGES: readonly PageSpec[] = [
  { name: 'lunctl', about: 'turn an iSCSI LUN into a mounted disk, and files into iSCSI LUNs', scope: null },
  { name: 'lunctl-discovery', about: 'find iSCSI targets on the network', scope: 'discovery' },
  { name: 'lunctl-node', about: 'records of iSCSI targets; log in and out', scope: 'node' },
  { name: 'lunctl-iface', about: 'where iSCSI sessions come from, and under which name', scope: 'iface' },
  { name: 'lunctl-session', about: 'iSCSI sessions that are up, and their devices', scope: 'session' },
  { name: 'lunctl-chap', about: 'CHAP credentials of iSCSI targets', scope: 'chap' },
  { name: 'lunctl-lun', about: 'logical units of iSCSI sessions: limits, reservations, changes', scope: 'lun' },
  { name: 'lunctl-disk', about: 'label, partition, format and mount an attached LUN', scope: 'disk' },
  { name: 'lunctl-nbd', about: 'serve one iSCSI LUN as an NBD export, in the foreground', scope: 'nbd' },
  { name: 'lunctl-serve', about: 'offer files as an iSCSI target', scope: 'serve' },
  { name: 'lunctl-target', about: 'what lunctl-serve offers, with the commands of targetcli', scope: 'target' },
  { name: 'lunctl-config', about: 'how a machine uses lunctl', scope: 'config' },
  { name: 'lunctl-schema', about: 'JSON Schema of what lunctl prints under --json', scope: 'schema' },
  {
    name: 'lunctl-iscsiadm',
    about: "iscsiadm's command line, on the sessions and records of lunctl",
    ...{ scope: null, byHand: true },
  },
  { name: 'lunctl-doctor', about: 'look at what could be wrong here, and with a portal', scope: 'doctor' },
  { name: 'lunctl-completion', about: 'what bash, zsh or fish need to complete commands', scope: 'completion' },
  { name: 'lunctl-demo', about: 'the whole way from a target to a mounted disk, on this machine', scope: 'demo' },
];

/** Hand-written sections by their heading, in mdoc. */
export type Prose = ReadonlyMap<string, string>;

/** Reads `.Sh HEADING` sections. @throws when text stands before the first one */
export function parseProse(text: string): Prose {
  const sections = new Map<string, string>();
  let heading: string | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith('.Sh ')) {
      heading = line.slice(4);
      sections.set(heading, '');
    } else if (heading !== undefined) sections.set(heading, `${sections.get(heading)}${line}\n`);
    else if (line.trim() !== '' && !line.startsWith('.\\"')) throw new Error(`text before the first section: ${line}`);
  }
  return new Map([...sections].map(([name, body]) => [name, body.replace(/\n+$/, '\n')]));
}

/** The whole page. `commands` are all that the manifest has. */
export function manPage(page: PageSpec, commands: readonly ManifestCommand[], prose: Prose): string {
  const head = `.\\" Made from the program's own options and man/prose/${page.name}.mdoc: change those.\n`;
  const title = `.Dd ${DATE}\n.Dt ${page.name.toUpperCase()} ${SECTION}\n.Os\n`;
  return head + title + sectionsInOrder(page.byHand ? frame(page) : generatedSections(page, commands), prose);
}

/** What every page has. */
function frame(page: PageSpec): Map<string, string> {
  return new Map([
    ['NAME', `.Nm ${page.name}\n.Nd ${page.about}\n`],
    ['SEE ALSO', seeAlso(page)],
  ]);
}

function generatedSections(page: PageSpec, commands: readonly ManifestCommand[]): Map<string, string> {
  const own = commandsOf(page, commands);
  const generated = new Map<string, string>([
    ...frame(page),
    ['SYNOPSIS', page.scope === null ? '.Nm lunctl\n.Ar command\n.Op Ar options\n' : own.map(synopsis).join('')],
    [
      page.scope === null ? 'GLOBAL OPTIONS' : 'COMMANDS',
      page.scope === null ? globalOptions() : own.map(section).join(''),
    ],
    ['EXIT STATUS', page.scope === null ? exitStatus() : 'See\n.Xr lunctl 8 .\n'],
    ['EXAMPLES', own.map(examples).join('')],
  ]);
  if (page.scope === null) generated.set('COMMANDS', commandList(commands));
  return generated;
}

/** mdoc's order of sections; what is in neither list comes before ENVIRONMENT. */
const FIRST = ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'COMMANDS', 'GLOBAL OPTIONS'];
const LAST = ['ENVIRONMENT', 'FILES', 'EXIT STATUS', 'EXAMPLES', 'DIAGNOSTICS', 'SEE ALSO', 'STANDARDS', 'CAVEATS'];

function sectionsInOrder(generated: Prose, prose: Prose): string {
  const names = new Set([...generated.keys(), ...prose.keys()]);
  const middle = [...names].filter((name) => !FIRST.includes(name) && !LAST.includes(name));
  let text = '';
  for (const name of [...FIRST, ...middle, ...LAST]) {
    const body = (prose.get(name) ?? '') + (generated.get(name) ?? '');
    if (body !== '') text += `.Sh ${name}\n${body}`;
  }
  return text;
}

function commandsOf(page: PageSpec, commands: readonly ManifestCommand[]): ManifestCommand[] {
  const { scope } = page;
  return commands
    .filter(({ id, hidden }) => hidden !== true && scope !== null && (id === scope || id.startsWith(`${scope}:`)))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

function synopsis(command: ManifestCommand): string {
  const flags = ownFlags(command).map(([name, flag]) => {
    const option = flag.char === undefined ? `Fl Fl ${name}` : `Fl ${flag.char}`;
    const value = flag.type === 'option' ? ` Ar ${macroWord(valueName(name, flag))}` : '';
    return flag.required === true ? `.${option}${value}\n` : `.Op ${option}${value}\n`;
  });
  const args = Object.entries(command.args ?? {}).map(([name, arg]) =>
    arg.required === true ? `.Ar ${macroWord(name)}\n` : `.Op Ar ${macroWord(name)}\n`,
  );
  return `.Nm lunctl Cm ${words(command.id)}\n${flags.join('')}${args.join('')}${openArguments(command)}`;
}

/** A command that takes any number of arguments names them only in its usage: `serve DISK... [FLAGS]`, `[WORD...]`. */
function openArguments({ strict, usage }: ManifestCommand): string {
  if (strict !== false) return '';
  const [, open, name] = /\s(\[?)([A-Z=]+)\.\.\./.exec(`${usage ?? ''}`) ?? [];
  return name === undefined ? '' : `.${open === '' ? '' : 'Op '}Ar ${macroWord(name.toLowerCase())} ...\n`;
}

function section(command: ManifestCommand): string {
  const aliases = command.aliases.map((alias) => `.Nm lunctl Cm ${words(alias)}\n`).join('.Pp\n');
  const also = aliases === '' ? '' : `.Pp\nAlso called as\n${aliases}`;
  const about = [command.summary, command.description].filter((text) => text !== undefined && text !== '');
  const args = Object.entries(command.args ?? {}).map(
    ([name, arg]) => `.It Ar ${macroWord(name)}\n${prose(arg.description ?? '')}`,
  );
  const items = [...args, ...ownFlags(command).map(([name, flag]) => option(name, flag))];
  const list = items.length === 0 ? '' : `.Bl -tag -width Ds\n${items.join('')}.El\n`;
  return `.Ss ${words(command.id)}\n${about.map((text) => paragraphs(`${text}`)).join('.Pp\n')}${also}${list}`;
}

function option(name: string, flag: Flag): string {
  const short = flag.char === undefined ? '' : `Fl ${flag.char} , `;
  const value = flag.type === 'option' ? ` Ar ${macroWord(valueName(name, flag))}` : '';
  const text = prose(flag.summary ?? flag.description ?? '');
  const choices =
    flag.type === 'option' && flag.options !== undefined && flag.options.length > 0
      ? `One of\n${flag.options.map((choice, i, all) => `.Cm ${choice}${i === all.length - 1 ? ' .' : ' ,'}\n`).join('')}`
      : '';
  const standard =
    flag.type === 'option' && flag.default !== undefined && flag.default !== '' && typeof flag.default !== 'object'
      ? `The default is\n.Cm ${macroWord(String(flag.default))} .\n`
      : '';
  return `.It ${short}Fl Fl ${name}${value}\n${text}${choices}${standard}`;
}

/** Everything but the global ones, sorted by name. */
function ownFlags(command: ManifestCommand): [string, Flag][] {
  return Object.entries(command.flags)
    .filter(([name, flag]) => !(name in globalFlags) && name !== 'json' && flag.hidden !== true)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function globalOptions(): string {
  const json = '.It Fl Fl json\nWrite one JSON object to standard output instead of text; errors too.\n';
  const flags = Object.entries(globalFlags) as unknown as [string, Flag][];
  return `Every command takes these.\n.Bl -tag -width Ds\n${json}${flags.map(([name, flag]) => option(name, flag)).join('')}.El\n`;
}

function commandList(commands: readonly ManifestCommand[]): string {
  const shown = commands.filter(({ hidden }) => hidden !== true).sort((a, b) => (a.id < b.id ? -1 : 1));
  const items = shown.map(({ id, summary }) => `.It Cm ${words(id)}\n${prose(`${summary ?? ''}`)}`);
  return `.Bl -tag -width "discovery sendtargets"\n${items.join('')}.El\n`;
}

function exitStatus(): string {
  const rows = Object.entries(EXIT_TEXT).map(([code, text]) => `.It ${code}\n${prose(text)}`);
  return `Numbers below 40 are those of\n.Xr iscsiadm 8 .\nOf several objects all are tried, and the first error counts.\n.Bl -tag -width 111 -compact\n${rows.join('')}.El\n`;
}

function examples(command: ManifestCommand): string {
  const lines = (command.examples ?? []).flatMap((example) => {
    const text = typeof example === 'string' ? example : example.command;
    return text
      .replaceAll('<%= config.bin %>', 'lunctl')
      .replaceAll('<%= command.id %>', words(command.id))
      .split('\n');
  });
  if (lines.length === 0) return '';
  return `.Bd -literal -offset indent\n${lines.map((line) => `${literal(`# ${line}`)}\n`).join('')}.Ed\n`;
}

function seeAlso(page: PageSpec): string {
  const topics = new Set([...Object.keys(TOPICS), 'serve', 'schema', 'demo', 'doctor', 'completion']);
  const own = PAGES.filter(({ name, scope }) => name !== page.name && (scope === null || topics.has(scope)));
  const others = [...own.map(({ name }) => `${name} 8`), 'iscsiadm 8'].sort();
  return others.map((other, i) => `.Xr ${other}${i === others.length - 1 ? '' : ' ,'}\n`).join('');
}

function words(id: string): string {
  return id.replaceAll(':', ' ');
}

function valueName(name: string, flag: Flag): string {
  const value = flag.type === 'option' ? flag.helpValue : undefined;
  return ((Array.isArray(value) ? value[0] : value) ?? name).toLowerCase().replaceAll(/[<>]/g, '');
}

/** A word behind a macro: short ones could be macros themselves (`No`, `In`). */
function macroWord(word: string): string {
  const safe = literal(word);
  return /^[A-Z][a-z]$/.test(safe) ? `\\&${safe}` : safe;
}

/** Text in paragraphs; indented lines stay as they are. */
function paragraphs(text: string): string {
  const parts = text.split(/\n{2,}/).map((part) => {
    if (!/^ /m.test(part)) return prose(part);
    const lines = part.split('\n').map((line) => literal(line.replace(/^ {2}/, '')));
    return `.Bd -literal -offset indent\n${lines.join('\n')}\n.Ed\n`;
  });
  return parts.reduce((all, part) => (part.startsWith('.Bd') ? `${all}${part}` : `${all}.Pp\n${part}`));
}

/** Running text: one sentence a line, which mdoc wants, and nothing that roff takes for a request. */
function prose(text: string): string {
  const sentences = text
    .replaceAll(/\s+/g, ' ')
    .trim()
    .split(/(?<=[.!?]) (?=[A-Z`"])/);
  return sentences
    .filter((sentence) => sentence !== '')
    .map((sentence) => `${literal(sentence)}${/[.!?:;]$/.test(sentence) ? '' : '.'}\n`)
    .join('');
}

/** Text as it stands: backslashes, leading dots and hyphens that must stay hyphens. */
function literal(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll(/(?<!\w)-/g, '\\-')
    .replace(/^([.'])/, '\\&$1');
}
