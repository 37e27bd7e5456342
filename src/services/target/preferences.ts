// The global preferences of the target shell, its bookmarks and its history, kept in the state folder for its owner alone.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, writeTextFile } from '../../records/files.js';

export interface Preferences {
  readonly auto_add_default_portal: boolean;
  readonly auto_add_mapped_luns: boolean;
  readonly auto_cd_after_create: boolean;
  readonly auto_enable_tpgt: boolean;
  readonly auto_save_on_exit: boolean;
  readonly color_mode: boolean;
  readonly export_backstore_name_as_model: boolean;
  readonly prompt_length: number;
  readonly tree_max_depth: number;
  readonly tree_round_nodes: boolean;
  readonly tree_show_root: boolean;
  readonly tree_status_mode: boolean;
  readonly bookmarks: Readonly<Record<string, string>>;
}

export const DEFAULT_PREFERENCES: Preferences = {
  auto_add_default_portal: true,
  auto_add_mapped_luns: true,
  auto_cd_after_create: false,
  auto_enable_tpgt: true,
  auto_save_on_exit: true,
  color_mode: true,
  export_backstore_name_as_model: true,
  prompt_length: 30,
  tree_max_depth: 0,
  tree_round_nodes: true,
  tree_show_root: true,
  tree_status_mode: true,
  bookmarks: {},
};

const FOLDER = 'target-shell';
const MOST_LINES = 1000;

/** What was kept; the default for what is missing or of another type. A damaged file counts as none. */
export async function readPreferences(stateDir: string): Promise<Preferences> {
  const kept = parsed(await textOf(join(stateDir, FOLDER, 'preferences.json')));
  const merged: Record<string, unknown> = { ...DEFAULT_PREFERENCES };
  for (const [name, standard] of Object.entries(DEFAULT_PREFERENCES)) {
    if (name !== 'bookmarks' && typeof kept[name] === typeof standard) merged[name] = kept[name];
  }
  merged.bookmarks = textsOf(kept.bookmarks);
  return merged as unknown as Preferences;
}

export async function writePreferences(stateDir: string, preferences: Preferences): Promise<void> {
  const folder = await shellFolder(stateDir);
  await writeTextFile(folder, join(folder, 'preferences.json'), `${JSON.stringify(preferences, null, 2)}\n`);
}

/** The lines that were typed, the newest last. */
export async function readHistory(stateDir: string): Promise<string[]> {
  const text = await textOf(join(stateDir, FOLDER, 'history'));
  return text.split('\n').filter((line) => line !== '');
}

export async function writeHistory(stateDir: string, lines: readonly string[]): Promise<void> {
  const folder = await shellFolder(stateDir);
  await writeTextFile(
    folder,
    join(folder, 'history'),
    lines
      .slice(-MOST_LINES)
      .map((line) => `${line}\n`)
      .join(''),
  );
}

async function shellFolder(stateDir: string): Promise<string> {
  const folder = join(stateDir, FOLDER);
  await makeFolder(folder);
  return folder;
}

async function textOf(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch(() => '');
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function textsOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
