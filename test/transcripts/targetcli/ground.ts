// What the recorded commands ran on, in memory: a store, a host with the devices of the recording, and files.

import { runLines, runOneCommand, type ShellOutput } from '../../../src/cli/targetcli/drive.js';
import { TargetShell } from '../../../src/cli/targetcli/shell.js';
import type { PathFacts } from '../../../src/saveconfig/edits/backstores.js';
import type { SaveConfig } from '../../../src/saveconfig/model.js';
import { backstorePath } from '../../../src/saveconfig/paths.js';
import { printSaveConfig } from '../../../src/saveconfig/print.js';
import type { TargetHost } from '../../../src/services/target/host.js';
import { DEFAULT_PREFERENCES, type Preferences } from '../../../src/services/target/preferences.js';
import type { SessionRow, Snapshot, TargetStore } from '../../../src/services/target/store.js';
import { AppError } from '../../../src/util/errors.js';
import type { Answer } from '../recording.js';

export const SAVE_PATH = '/etc/rtslib-fb-target/saveconfig.json';
const EMPTY: SaveConfig = { fabric_modules: [], storage_objects: [], targets: [] };

type Device = Omit<PathFacts, 'usedBy' | 'path'>;
const ABSENT: Device = { kind: 'absent', sizeBytes: 0, readOnly: false, isDisk: false, isScsi: false };
const block = (sizeBytes: number, isScsi = false): Device => ({
  ...ABSENT,
  kind: 'block',
  sizeBytes,
  isDisk: true,
  isScsi,
});
const MIB = 1_048_576;

export class Ground implements TargetStore {
  readonly where = 'saved';
  readonly path = SAVE_PATH;
  /** Set by a test that is somebody else, and quicker. */
  revision = 1;
  config: SaveConfig = EMPTY;
  rows: readonly SessionRow[] = [];
  preferences: Preferences = DEFAULT_PREFERENCES;
  applied = 0;
  readonly files = new Map<string, string>();
  readonly folders = ['/var/lib/iscsi_disks', '/tmp'];
  readonly #backups: string[] = [];
  readonly #devices = new Map<string, Device>([
    ['/dev/VgISCSI/LvISCSI', block(465 * 1024 * MIB)],
    ['/dev/ram0', block(64 * MIB)],
    ['/dev/sda', block(8 * MIB, true)],
  ]);
  #uuids = 0;

  get host(): TargetHost {
    return {
      hostname: 'kernel-lab',
      machine: 'x86_64',
      uuid: () => `00000000-0000-4000-8000-${String(++this.#uuids).padStart(12, '0')}`,
      look: (path, config) => ({
        path,
        ...(this.#devices.get(path) ?? ABSENT),
        usedBy: config.storage_objects.filter((object) => 'dev' in object && object.dev === path),
      }),
      makeFile: async ({ path, sizeBytes }) => {
        if (!this.folders.includes(path.slice(0, path.lastIndexOf('/'))))
          throw new AppError('ERR_NOT_FOUND', `Could not open ${path}`);
        this.#devices.set(path, { ...ABSENT, kind: 'file', sizeBytes });
      },
      dropFile: async (path) => void this.#devices.delete(path),
    };
  }
  has(path: string): boolean {
    return this.#devices.has(path);
  }

  async read(): Promise<Snapshot> {
    const backstores = this.config.storage_objects.map((object) => {
      const size = 'size' in object ? Number(object.size) : (this.#devices.get(String(object.dev))?.sizeBytes ?? null);
      return [backstorePath(object), { sizeBytes: size }] as const;
    });
    const status = { portals: {}, backstores: Object.fromEntries(backstores) };
    return { config: this.config, revision: this.revision, status };
  }
  async apply(config: SaveConfig, revision: number): Promise<{ revision: number }> {
    if (revision !== this.revision) throw new AppError('ERR_BUSY', 'changed meanwhile', { retriable: true });
    this.config = config;
    this.applied++;
    return { revision: ++this.revision };
  }
  async save(): Promise<{ path: string; backedUp: boolean }> {
    const old = this.files.get(SAVE_PATH);
    const backedUp = old !== undefined && old !== this.#backups.at(-1);
    if (backedUp) this.#backups.push(old);
    this.files.set(SAVE_PATH, printSaveConfig(this.config));
    return { path: SAVE_PATH, backedUp };
  }
  async sessions(): Promise<readonly SessionRow[]> {
    return this.rows;
  }
  async close(): Promise<void> {}

  /** A shell on this ground; what it says goes to `say`. */
  shell(say: (text: string) => void, warn: (text: string) => void = () => undefined): TargetShell {
    return new TargetShell({
      store: this,
      host: this.host,
      preferences: this.preferences,
      keepPreferences: async (preferences) => {
        this.preferences = preferences;
      },
      readSaved: async (file) => {
        const text = this.files.get(file);
        return text === undefined ? null : (JSON.parse(text) as SaveConfig);
      },
      writeCopy: async (file, config) => void this.files.set(file, printSaveConfig(config)),
      version: '0.0.0',
      width: () => 132,
      colour: false,
      echoSecrets: true,
      say,
      warn,
    });
  }

  /** One call with these words. */
  async call(words: readonly string[]): Promise<Answer> {
    return await this.#answer(async (shell, output) => await runOneCommand(shell, words, output));
  }
  /** One call with these lines on standard input. */
  async pipe(lines: readonly string[]): Promise<Answer> {
    async function* each(): AsyncGenerator<string> {
      yield* lines;
    }
    return await this.#answer(async (shell, output) => await runLines(shell, each(), output));
  }
  async #answer(run: (shell: TargetShell, output: ShellOutput) => Promise<number>): Promise<Answer> {
    const [stdout, stderr]: [string[], string[]] = [[], []];
    const shell = this.shell(
      (text) => void stdout.push(`${text}\n`),
      (text) => void stderr.push(`warning: ${text}\n`),
    );
    const exit = await run(shell, {
      write: (text) => void stdout.push(text),
      complain: (text) => void stderr.push(text),
      people: false,
    });
    return { stdout: stdout.join(''), stderr: stderr.join(''), exit };
  }
}
