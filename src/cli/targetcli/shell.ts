// The target shell: runs one line after the other on a configuration. It knows no terminal: what it says is handed on.

import type { Remark } from '../../saveconfig/check.js';
import { type Edit, RefusedEdit } from '../../saveconfig/edits/edit.js';
import { notHonoured } from '../../saveconfig/honour.js';
import type { SaveConfig } from '../../saveconfig/model.js';
import type { TargetHost } from '../../services/target/host.js';
import type { Preferences } from '../../services/target/preferences.js';
import type { SessionRow, Snapshot, TargetStore } from '../../services/target/store.js';
import { AppError } from '../../util/errors.js';
import { bindParameters, type PathHistory, type ShellContext } from './command.js';
import { type CommandLine, parseCommandLine } from './command-line.js';
import { requireCommand } from './commands/of-node.js';
import { factsOf } from './facts.js';
import { resolvePath } from './path.js';
import { buildTree, type TreeNode } from './tree.js';

/** What the shell stands on. */
export interface ShellOptions {
  readonly store: TargetStore;
  readonly host: TargetHost;
  readonly preferences: Preferences;
  /** Keeps preferences that were changed. */
  readonly keepPreferences: (preferences: Preferences) => Promise<void>;
  /** The configuration in a file; null where there is none. */
  readonly readSaved: (file: string) => Promise<SaveConfig | null>;
  /** Writes the configuration to a file that is not the usual one. */
  readonly writeCopy: (file: string, config: SaveConfig) => Promise<void>;
  readonly version: string;
  /** Columns of the output. */
  readonly width: () => number;
  readonly colour: boolean;
  /** Whether `set` repeats a secret that was typed, as targetcli does. */
  readonly echoSecrets: boolean;
  /** Takes lines for standard output; the last line end is missing. */
  readonly say: (text: string) => void;
  /** Takes what a person should know although it went well. */
  readonly warn: (text: string) => void;
}

const MOST_BACKUPS = 10;
/** rtslib's own folder name, beside the configuration. */
const BACKUPS = 'backup/';
/** How often an edit is made anew because somebody else was quicker. */
const MOST_TRIES = 3;

export class TargetShell {
  #cwd = '/';
  #ended = false;
  #preferences: Preferences;
  readonly #history: PathHistory = { paths: ['/'], at: 0 };

  constructor(private readonly options: ShellOptions) {
    this.#preferences = options.preferences;
  }

  /** `exit` was typed. */
  get ended(): boolean {
    return this.#ended;
  }
  get preferences(): Preferences {
    return this.#preferences;
  }

  /** Says who speaks, once. */
  get banner(): string {
    return `lunctl target shell ${this.options.version}, with the commands of targetcli.\nFor help on commands, type 'help'.\n\n`;
  }
  get versionText(): string {
    return `lunctl version ${this.options.version}`;
  }

  /** `/iscsi/iqn.20...ge1/tpg1/luns> ` */
  get prompt(): string {
    const most = this.#preferences.prompt_length;
    const path = this.#cwd;
    if (most === 0 || path.length <= most) return `${path}> `;
    const half = Math.max(Math.floor((most - 3) / 2), 1);
    return `${path.slice(0, half)}...${path.slice(-half)}> `;
  }

  /** The tree as it is now, and where in it the shell is. */
  async look(): Promise<{ readonly root: TreeNode; readonly here: TreeNode; readonly config: SaveConfig }> {
    const snapshot = await this.options.store.read();
    const root = buildTree(snapshot.config, factsOf(snapshot.status));
    return { root, here: this.#here(root), config: snapshot.config };
  }

  /** @throws AppError, RefusedEdit: with targetcli's text; what had been said before it was said */
  async runLine(line: string): Promise<void> {
    const trimmed = line.trim();
    if (trimmed !== '') await this.run(parseCommandLine(trimmed));
  }

  /** @throws as `runLine` */
  async run(line: CommandLine): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#runOnce(line);
        return;
      } catch (error) {
        if (error instanceof RefusedEdit) for (const text of error.lines) this.options.say(text);
        const again = error instanceof AppError && error.code === 'ERR_BUSY' && error.retriable && tries < MOST_TRIES;
        if (!again) throw error;
      }
    }
  }

  async #runOnce(line: CommandLine): Promise<void> {
    const snapshot = await this.options.store.read();
    const root = buildTree(snapshot.config, factsOf(snapshot.status));
    const here = this.#here(root);
    const each = line.path.endsWith('*');
    const path = each ? line.path.slice(0, -1) : line.path;
    const node = resolvePath(here, path === '' ? '.' : path, this.#preferences.bookmarks);
    const called = line.command === '' ? { ...line, command: each ? 'ls' : 'cd', positional: each ? [] : ['.'] } : line;
    if (!each) return await this.#call(node, called, snapshot, root);
    for (const { path: child } of node.children) {
      this.options.say(`[${child}]`);
      // The one before may have changed what is there.
      const now = await this.options.store.read();
      const tree = buildTree(now.config, factsOf(now.status));
      await this.#call(resolvePath(tree, child), called, now, tree);
    }
  }

  async #call(node: TreeNode, line: CommandLine, snapshot: Snapshot, root: TreeNode): Promise<void> {
    const command = requireCommand(node, line.command);
    const bound = bindParameters(command, line);
    const outcome = await command.run({ node, ...bound, shell: this.#context(snapshot, root) });
    if (outcome === 'exit') this.#ended = true;
    else if (outcome !== undefined) this.#cwd = outcome.cd;
  }

  /** The current node, or the nearest one above it that is still there. */
  #here(root: TreeNode): TreeNode {
    let node = root;
    for (const step of this.#cwd.split('/')) {
      const child = step === '' ? node : node.children.find(({ name }) => name === step);
      if (child === undefined) break;
      node = child;
    }
    this.#cwd = node.path;
    return node;
  }

  #context(snapshot: Snapshot, root: TreeNode): ShellContext {
    const { store, host, version, width, colour, echoSecrets, say } = this.options;
    return {
      config: snapshot.config,
      root,
      host,
      preferences: this.#preferences,
      cwd: this.#cwd,
      history: this.#history,
      width: width(),
      colour: colour && this.#preferences.color_mode,
      savePath: store.path,
      version,
      echoSecrets,
      say,
      change: async (edit, onHost) => await this.#change(edit, snapshot, onHost),
      setPreferences: async (preferences) => {
        await this.options.keepPreferences(preferences);
        this.#preferences = preferences;
      },
      sessions: async (): Promise<readonly SessionRow[]> => await store.sessions(),
      save: async (file) => await this.#save(file, snapshot.config),
      readSaved: this.options.readSaved,
    };
  }

  async #change(
    edit: Edit,
    snapshot: Snapshot,
    onHost?: { make: () => Promise<void>; undo: () => Promise<void> },
  ): Promise<void> {
    if (edit.config !== snapshot.config) {
      await onHost?.make();
      try {
        await this.options.store.apply(edit.config, snapshot.revision);
      } catch (error) {
        await onHost?.undo();
        throw error;
      }
    }
    for (const line of edit.lines) this.options.say(line);
    this.#warnOf(snapshot.config, edit.config);
    await this.#enter(edit.created);
  }

  /** What the edit has set and this target does not do: nothing is taken without a word. */
  #warnOf(before: SaveConfig, after: SaveConfig): void {
    if (before === after) return;
    const text = ({ path, reason }: Remark): string => `${path}: ${reason}`;
    const known = new Set(notHonoured(before).map(text));
    for (const remark of notHonoured(after).map(text)) if (!known.has(remark)) this.options.warn(remark);
  }

  /** The preference auto_cd_after_create, and the bookmark @last. */
  async #enter(created: string | undefined): Promise<void> {
    if (created === undefined || !this.#preferences.auto_cd_after_create) return;
    this.options.say(`Entering new node ${created}`);
    this.#cwd = created;
    this.#history.paths = [...this.#history.paths.slice(0, this.#history.at + 1), created];
    this.#history.at = this.#history.paths.length - 1;
  }

  async #save(file: string | undefined, config: SaveConfig): Promise<void> {
    const { store, say, writeCopy } = this.options;
    if (file !== undefined && file !== store.path) {
      await writeCopy(file, config);
      say(`Configuration saved to ${file}`);
      return;
    }
    const { path, backedUp } = await store.save();
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    if (backedUp) say(`Last ${MOST_BACKUPS} configs saved in ${folder}${BACKUPS}.`);
    say(`Configuration saved to ${path}`);
  }

  /** What a shell does when it ends: the preference auto_save_on_exit. */
  async saveOnExit(): Promise<void> {
    if (!this.#preferences.auto_save_on_exit) return;
    this.options.say('Global pref auto_save_on_exit=true');
    await this.#save(undefined, (await this.options.store.read()).config);
  }
}
