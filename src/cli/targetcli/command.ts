// What a command of the target shell is: its parameters, as configshell checks them, and what it may use.
import { type Edit, invalid, RefusedEdit } from '../../saveconfig/edits/edit.js';
import type { SaveConfig } from '../../saveconfig/model.js';
import type { TargetHost } from '../../services/target/host.js';
import type { Preferences } from '../../services/target/preferences.js';
import type { SessionRow } from '../../services/target/store.js';
import type { CommandLine } from './command-line.js';
import type { TreeNode } from './tree.js';

/** What a command is called with. */
export interface Call {
  readonly node: TreeNode;
  readonly params: Readonly<Record<string, string | undefined>>;
  /** `get GROUP a b`: what is left of the values. */
  readonly values: readonly string[];
  /** `set GROUP a=1 b=2`: what is no parameter of the command. */
  readonly pairs: ReadonlyMap<string, string>;
  readonly shell: ShellContext;
}

/** The shell, as commands see it. */
export interface ShellContext {
  readonly config: SaveConfig;
  readonly root: TreeNode;
  readonly host: TargetHost;
  readonly preferences: Preferences;
  /** The path where an interactive user is. */
  readonly cwd: string;
  readonly history: PathHistory;
  /** Columns of the output. */
  readonly width: number;
  readonly colour: boolean;
  /** The file of the configuration. */
  readonly savePath: string;
  /** Of this program. */
  readonly version: string;
  readonly echoSecrets: boolean;
  /** One or more lines, to standard output. */
  say(text: string): void;
  /** Makes an edit so, then says its lines. `onHost`: what has to be made on the host first, and how it is taken back. */
  change(edit: Edit, onHost?: { make: () => Promise<void>; undo: () => Promise<void> }): Promise<void>;
  setPreferences(preferences: Preferences): Promise<void>;
  sessions(): Promise<readonly SessionRow[]>;
  save(file: string | undefined): Promise<void>;
  /** Null where there is no such file. */
  readSaved(file: string): Promise<SaveConfig | null>;
}

/** Where `cd` has been. */
export interface PathHistory {
  paths: string[];
  at: number;
}

/** What follows a command: nothing, another current node, the end. */
export type Outcome = { readonly cd: string } | 'exit' | undefined;

export interface Command {
  readonly name: string;
  readonly required: readonly string[];
  readonly optional: readonly string[];
  /** `values`: any number of values more; `pairs`: any number of NAME=VALUE. */
  readonly rest?: 'values' | 'pairs';
  readonly about: string;
  run(call: Call): Promise<Outcome> | Outcome;
}

/** A command without parameters beyond those named: `define('create', ['name', '[size]'], …)`. */
export function define(
  name: string,
  parameters: readonly string[],
  about: string,
  run: Command['run'],
  rest?: Command['rest'],
): Command {
  const optional = parameters.filter((one) => one.startsWith('[')).map((one) => one.slice(1, -1));
  const required = parameters.filter((one) => !one.startsWith('['));
  return { name, required, optional, about, run, ...(rest === undefined ? {} : { rest }) };
}

/** Puts what was typed to the parameters of the command. @throws RefusedEdit with configshell's text */
export function bindParameters(
  command: Command,
  { positional, keywords }: CommandLine,
): Pick<Call, 'params' | 'values' | 'pairs'> {
  const names = [...command.required, ...command.optional];
  checkParameters(command, names, positional, keywords);
  const params: Record<string, string | undefined> = {};
  for (const [at, name] of names.entries()) params[name] = positional[at] ?? keywords.get(name);
  const pairs = new Map([...keywords].filter(([name]) => !names.includes(name)));
  return { params, values: positional.slice(names.length), pairs };
}

function checkParameters(
  command: Command,
  names: readonly string[],
  positional: readonly string[],
  keywords: ReadonlyMap<string, string>,
): void {
  const missing = command.required.filter((name, at) => at >= positional.length && !keywords.has(name)).sort();
  if (missing.length === 1) throw invalid(`Missing required parameter ${missing[0]}`);
  if (missing.length > 1) throw invalid(`Missing required parameters ${quoted(missing)}`);
  const unexpected = [...keywords.keys()].filter((name) => !names.includes(name)).sort();
  if (command.rest !== 'pairs' && unexpected.length > 0) {
    throw invalid(`Unexpected keyword parameter${unexpected.length === 1 ? '' : 's'} ${quoted(unexpected)}.`);
  }
  for (const name of names.slice(0, positional.length)) {
    if (keywords.has(name)) throw invalid(`Duplicate parameter ${name}.`);
  }
  const given = positional.length + [...keywords.keys()].filter((name) => names.includes(name)).length;
  if (given <= names.length || command.rest === 'values') return;
  const bound = command.optional.length === 0 ? `exactly ${names.length}` : `at most ${names.length}`;
  throw invalid(`Got ${given} positionnal parameters, expected ${bound}.`);
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(', ');
}

/** A parameter that `bindParameters` has seen to. */
export function need(call: Call, name: string): string {
  const value = call.params[name];
  if (value === undefined) throw new RefusedEdit('ERR_USAGE', `Missing required parameter ${name}`);
  return value;
}
