// What shells complete, told once for all of them: words, flags, what may stand behind a flag or as an argument.
import type { Command } from '@oclif/core';
import type { LiveKind } from '../complete.js';
import { LONG, MODES, takesValue } from '../iscsiadm/options.js';

/** What may stand somewhere: words that are known now, `lunctl __complete KIND`, a path, or nothing that is known. */
export type Kind = { readonly words: readonly string[] } | { readonly live: LiveKind } | 'file' | 'dir' | 'nothing';

/** A command, or what several commands begin with. Its path is '' for lunctl itself, else `session`, `session show`. */
export interface Place {
  readonly path: string;
  /** Words that go on from here. */
  readonly next: readonly string[];
  readonly flags: readonly CompletedFlag[];
  /** By position; what is beyond them is `rest`. */
  readonly args: readonly Kind[];
  readonly rest: Kind;
}

export interface CompletedFlag {
  /** `--portal`, `-p`. */
  readonly names: readonly string[];
  /** null: it takes no value. */
  readonly value: Kind | null;
}

type Manifested = Pick<Command.Loadable, 'id' | 'aliases' | 'args' | 'flags' | 'hidden' | 'strict'>;

/** Every place, the top first. `columns`: the names that -o knows, by the id of the command. */
export function completionTable(
  commands: readonly Manifested[],
  columns: Readonly<Record<string, readonly string[]>>,
): Place[] {
  const shown = commands.filter(({ hidden }) => hidden !== true);
  // oclif lists a command once more under each of its aliases.
  const named = new Map(
    shown.flatMap((command) =>
      [command.id, ...command.aliases].map((id) => [id.replaceAll(':', ' '), command] as const),
    ),
  );
  const paths = [...named.keys()];
  const places = [...named].flatMap(([path, command]) => {
    const place = commandPlace(path, command, nextWords(path, paths), columns);
    return path === 'schema' ? schemaPlaces(place, paths) : [place];
  });
  const groups = new Set(paths.filter((path) => path.includes(' ')).map((path) => path.split(' ')[0] ?? ''));
  for (const path of groups) if (!paths.includes(path)) places.push(group(path, nextWords(path, paths)));
  const top = group('', [...new Set([...paths.map((path) => path.split(' ')[0] ?? ''), 'iscsiadm', 'help'])].sort());
  return [top, ...places.sort((a, b) => (a.path < b.path ? -1 : 1)), ...iscsiadmPlaces()];
}

function nextWords(path: string, paths: readonly string[]): string[] {
  return paths.filter((other) => other.startsWith(`${path} `)).map((other) => other.slice(path.length + 1));
}

function group(path: string, next: readonly string[]): Place {
  const flags = [{ names: ['--help'], value: null }, ...(path === '' ? [{ names: ['--version'], value: null }] : [])];
  return { path, next, flags, args: [], rest: 'nothing' };
}

/** `schema` is followed by the words of a command. */
function schemaPlaces(schema: Place, paths: readonly string[]): Place[] {
  const first = [...new Set(paths.map((path) => path.split(' ')[0] ?? ''))].sort();
  const below = first.map((word) => ({ ...schema, path: `${schema.path} ${word}`, next: nextWords(word, paths) }));
  return [{ ...schema, next: first }, ...below];
}

function commandPlace(
  path: string,
  { id, flags, args, strict }: Manifested,
  next: readonly string[],
  columns: Readonly<Record<string, readonly string[]>>,
): Place {
  const completed = Object.entries(flags)
    .filter(([, { hidden }]) => hidden !== true)
    .map(([name, flag]) => ({
      names: [`--${name}`, ...(flag.char === undefined ? [] : [`-${flag.char}`])],
      value: flag.type === 'option' ? flagKind(name, flag, columns[id] ?? []) : null,
    }));
  const kinds = Object.entries(args).map(([name, arg]) => argKind(id, name, arg.options ?? []));
  const open = strict === false ? openArguments(id) : { args: [], rest: 'nothing' as const };
  const help = { names: ['--help'], value: null };
  return { path, next, flags: [...completed, help], args: kinds.length > 0 ? kinds : open.args, rest: open.rest };
}

type ManifestedFlag = Manifested['flags'][string];

function flagKind(name: string, flag: ManifestedFlag, columns: readonly string[]): Kind {
  if (flag.type !== 'option') return 'nothing';
  if (name === 'output') return { words: ['json', ...columns] };
  if (flag.options !== undefined && flag.options.length > 0) return { words: [...flag.options] };
  const live = LIVE_FLAGS[name];
  if (live !== undefined) return { live };
  const value = `${flag.helpValue ?? ''}`;
  const [, from, to] = /^(\d)\.\.(\d)$/.exec(value) ?? [];
  if (from !== undefined) return { words: digits(Number(from), Number(to)) };
  if (value === 'FILE' || value === 'PATH') return 'file';
  return value === 'DIR' ? 'dir' : 'nothing';
}

const LIVE_FLAGS: Readonly<Record<string, LiveKind>> = {
  targetname: 'targets',
  portal: 'portals',
  sid: 'sids',
  iface: 'ifaces',
};

function digits(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
}

const LIVE_ARGS: Readonly<Record<string, LiveKind>> = {
  target: 'targets',
  portal: 'portals',
  sid: 'sids',
  lun: 'devices',
  dev: 'devices',
  disk: 'devices',
  where: 'devices',
};

function argKind(id: string, name: string, options: readonly string[]): Kind {
  if (options.length > 0) return { words: options };
  if (name === 'dir') return 'dir';
  if (name === 'name' && id.startsWith('iface:')) return { live: 'ifaces' };
  if (name === 'path' && id.startsWith('target:')) return { live: 'tree' };
  const live = LIVE_ARGS[name];
  return live === undefined ? 'nothing' : { live };
}

/** Commands that take any number of words say of which kind only in their usage. */
function openArguments(id: string): { readonly args: readonly Kind[]; readonly rest: Kind } {
  const [topic = '', verb] = id.split(':');
  if (topic === 'target') return { args: verb === 'shell' ? [{ live: 'tree' }] : [], rest: 'nothing' };
  if (verb === 'set' || verb === 'new') {
    const first = ({ node: 'targets', iface: 'ifaces', discovery: 'portals' } as const)[topic];
    return {
      args: first === undefined ? [] : [{ live: first }],
      rest: { live: topic === 'iface' ? 'iface-keys' : 'keys' },
    };
  }
  if (id === 'disk:partition') return { args: [{ live: 'devices' }], rest: 'nothing' };
  return { args: [], rest: id === 'serve' ? 'file' : 'nothing' };
}

/** iscsiadm's own command line: `iscsiadm` before its mode is known, `iscsiadm node` and so on behind -m. */
function iscsiadmPlaces(): Place[] {
  const place = (path: string, letters: string): Place => ({
    ...{ path, next: [], args: [], rest: 'nothing' },
    flags: LONG.filter(([, letter]) => letters.includes(letter)).map(([name, letter]) => ({
      names: [`--${name}`, `-${letter}`],
      value: takesValue(letter) ? iscsiadmValue(letter) : null,
    })),
  });
  const modes = Object.entries(MODES).map(([mode, { letters }]) => place(`iscsiadm ${mode}`, `${letters}mh`));
  return [place('iscsiadm', 'mhVkd'), ...modes];
}

function iscsiadmValue(letter: string): Kind {
  return ISCSIADM_VALUES[letter] ?? 'nothing';
}

const STARTUPS = { words: ['all', 'manual', 'automatic', 'onboot'] };
const ISCSIADM_VALUES: Readonly<Record<string, Kind>> = {
  m: { words: Object.keys(MODES) },
  t: { words: ['sendtargets', 'isns', 'fw'] },
  o: { words: ['new', 'delete', 'update', 'show', 'nonpersistent'] },
  P: { words: digits(0, 3) },
  d: { words: digits(0, 8) },
  L: STARTUPS,
  U: STARTUPS,
  T: { live: 'targets' },
  p: { live: 'portals' },
  r: { live: 'sids' },
  I: { live: 'ifaces' },
  n: { live: 'names' },
};

/** As the scripts carry it: `=a b`, `@targets`, `file`, `dir`, or nothing. @throws for a word that a shell would not leave alone */
export function kindText(kind: Kind): string {
  if (kind === 'nothing') return '';
  if (typeof kind === 'string') return kind;
  if ('live' in kind) return `@${kind.live}`;
  for (const word of kind.words) if (!/^[\w.+:-]+$/.test(word)) throw new Error(`no word for a shell: ${word}`);
  return `=${kind.words.join(' ')}`;
}
