// The whole path on one machine: a target on the loopback, found, logged in to, labelled, partitioned, formatted,
// mounted, written, read back after a remount, and taken down again. Every step is a command line of ours.
import { existsSync } from 'node:fs';
import type { FileSystem } from '../../disk/plan.js';
import { hasTool, runTool } from '../../disk/run.js';
import { mounts } from '../../disk/sysfs.js';
import { TOOL_PACKAGES, type Tool } from '../../disk/tools.js';
import { delay } from '../../transport/timers.js';
import { AppError, messageOf } from '../../util/errors.js';
import { planAttach } from '../attach/attach.js';
import { requireFuseFile } from '../attach/fuse.js';
import type { DeviceInfo, SessionInfo } from '../session/info.js';
import { listSessions } from '../session/registry.js';
import { type DemoReporter, DemoShell, type DemoStep, type ServedTarget } from './shell.js';

export interface DemoOptions {
  readonly reporter: DemoReporter;
  readonly signal: AbortSignal;
}

export interface DemoResult {
  readonly attach: DeviceInfo['attach'];
  readonly fileSystem: FileSystem | null;
  /** Whether a file system was mounted for real. */
  readonly mounted: boolean;
  readonly steps: readonly DemoStep[];
  /** What was left out, and what it would take. */
  readonly leftOut: readonly string[];
}

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const DISK_SIZE = '10G';
/** The demo's own and only here: it protects a sparse file that is gone in a minute. */
const USER = 'username';
const SECRET = 'a-demo-secret-16';
const UNMOUNT_MS = 3000;
const LOGOUT_MS = 3000;
const LOOK_MS = 50;

/** Runs it all. Whatever happens, nothing is left behind: no process, mount, device or file. */
export async function runDemo({ reporter, signal }: DemoOptions): Promise<DemoResult> {
  const shell = new DemoShell(reporter, signal);
  const demo = new Demo(shell, reporter);
  try {
    return await demo.run();
  } finally {
    await demo.cleanUp();
  }
}

class Demo {
  readonly #shell: DemoShell;
  readonly #reporter: DemoReporter;
  readonly #leftOut: string[] = [];
  #server: ServedTarget | undefined;

  constructor(shell: DemoShell, reporter: DemoReporter) {
    this.#shell = shell;
    this.#reporter = reporter;
  }

  async run(): Promise<DemoResult> {
    const attach = await this.#chooseAttach();
    await this.#findTarget(this.#configure());
    const disk = await this.#logIn(attach);
    const fileSystem = await this.#makeFileSystem(disk);
    const mounted = fileSystem !== null && disk.path !== null;
    if (mounted) await this.#useFileSystem(`${disk.name}p1`);
    await this.#takeDown();
    return { attach, fileSystem, mounted, steps: this.#shell.steps, leftOut: this.#leftOut };
  }

  /** nbd, then fuse, then none: what is missing is told, and what would bring it. */
  async #chooseAttach(): Promise<DeviceInfo['attach']> {
    const reasons: string[] = [];
    for (const choice of ['nbd', 'fuse'] as const) {
      try {
        const { mode } = await planAttach(choice);
        if (choice === 'fuse') this.#reporter.note(`${reasons[0]}: this demo uses FUSE and a loop device instead`);
        return mode;
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        // What the second one lacks is what would help.
        const withHint = choice === 'fuse' && error.code === 'ERR_DRIVER_MISSING' && error.hint !== undefined;
        reasons.push(withHint ? `${error.message} (${error.hint})` : error.message);
      }
    }
    this.#leaveOut(`no block device and no mount: ${reasons.join('; ')}`);
    return 'none';
  }

  /** The files that a person would edit: initiator name, and CHAP in iscsid.conf. Returns the secret file for serve. */
  #configure(): string {
    this.#shell.writePrivate('etc/initiatorname.iscsi', `InitiatorName=${INITIATOR}\n`);
    const auth = `node.session.auth.authmethod = CHAP
node.session.auth.username = ${USER}
node.session.auth.password = ${SECRET}
`;
    this.#shell.writePrivate('etc/iscsid.conf', auth);
    const variables = Object.entries(this.#shell.variables).map(([name, value]) => `${name}=${value}`);
    this.#reporter.note(`everything below lives in ${this.#shell.folder}: export ${variables.join(' ')}`);
    this.#reporter.note('etc/initiatorname.iscsi names this initiator, etc/iscsid.conf has its CHAP user and secret');
    return this.#shell.writePrivate('secret', `${SECRET}\n`);
  }

  #portal = '';
  async #findTarget(secretFile: string): Promise<void> {
    const file = `${this.#shell.folder}/disk01.img=${DISK_SIZE}`;
    const chap = ['--chap-user', USER, '--chap-secret-file', secretFile];
    const serve = [file, '--target', TARGET, '--allow', INITIATOR, '--portal', '127.0.0.1:0', ...chap];
    this.#server = await this.#shell.serve('Share a sparse file as an iSCSI target, with CHAP', serve);
    this.#portal = `127.0.0.1:${this.#server.port}`;
    const discover = ['discovery', 'sendtargets', '-p', this.#portal];
    await this.#shell.lunctl('Discover the targets of that portal', discover);
    await this.#shell.lunctl('Look at the record that this has made', ['node', 'show', '-T', TARGET], excerpt);
  }

  async #logIn(attach: DeviceInfo['attach']): Promise<{ name: string; path: string | null }> {
    const login = ['node', 'login', '-T', TARGET, '-p', this.#portal, '--attach', attach];
    await this.#shell.lunctl('Log in; it returns when the disk can be used', login);
    await this.#shell.lunctl('List the sessions', ['session', 'show']);
    const listing: unknown = JSON.parse(await this.#shell.quiet(['session', 'show', '--json']));
    const device = (listing as { sessions: SessionInfo[] }).sessions[0]?.devices[0];
    if (device === undefined) throw new AppError('ERR_INTERNAL', 'the session has no disk');
    if (device.path === null) return { name: `${TARGET}/${device.lun}`, path: null };
    await this.#shell.tool('The kernel has a new disk', 'cat', ['/proc/partitions']);
    return { name: device.path.replace('/dev/', ''), path: device.path };
  }

  /** Label, partition and format; null where the tools for it are missing. */
  async #makeFileSystem(disk: { name: string; path: string | null }): Promise<FileSystem | null> {
    if (disk.path === null && !this.#canUseFiles()) return null;
    const missing = (['sfdisk', 'wipefs', 'blkid'] as const).find((tool) => !hasTool(tool));
    if (missing !== undefined) {
      this.#leaveOut(`no partition table and no file system: ${installHint(missing)}`);
      return null;
    }
    await this.#shell.lunctl('Write a GPT label', ['disk', 'label', disk.name]);
    await this.#shell.lunctl('One partition over the whole disk', ['disk', 'partition', disk.name]);
    const fileSystem = this.#chooseFileSystem();
    if (fileSystem === null) return null;
    const options = fileSystem === 'xfs' ? ['--', '-i', 'size=1024', '-s', 'size=4096'] : [];
    const format = ['disk', 'format', `${disk.name}p1`, '--type', fileSystem, ...options];
    await this.#shell.lunctl(`Make an ${fileSystem} file system on it`, format);
    await this.#shell.lunctl('The disk as it is now', ['disk', 'list']);
    return fileSystem;
  }

  #canUseFiles(): boolean {
    try {
      requireFuseFile();
      this.#reporter.note('without a device, label and format work on the NBD export, which nbdfuse shows as a file');
      return true;
    } catch (error) {
      const hint = error instanceof AppError && error.hint !== undefined ? ` (${error.hint})` : '';
      this.#leaveOut(`no partition table and no file system: ${messageOf(error)}${hint}`);
      return false;
    }
  }

  #chooseFileSystem(): FileSystem | null {
    for (const type of ['xfs', 'ext4'] as const) {
      if (hasTool(`mkfs.${type}`)) return type;
      this.#leaveOut(`no ${type}: ${installHint(`mkfs.${type}`)}`);
    }
    return null;
  }

  async #useFileSystem(partition: string): Promise<void> {
    const directory = `${this.#shell.folder}/mnt`;
    const file = `${directory}/data`;
    await this.#shell.lunctl('Mount it', ['disk', 'mount', partition, directory]);
    await this.#shell.tool('It is a file system like any other', 'df', ['-hT', directory]);
    const write = ['if=/dev/urandom', `of=${file}`, 'bs=1M', 'count=8', 'conv=fsync', 'status=none'];
    await this.#shell.tool('Write a file of 8 MiB', 'dd', write);
    const before = await this.#shell.tool('Its checksum', 'sha256sum', [file]);
    await this.#shell.lunctl('Unmount', ['disk', 'unmount', directory]);
    if (existsSync(file)) throw new AppError('ERR_INTERNAL', `${file} is there although its disk is unmounted`);
    await this.#shell.lunctl('Mount again', ['disk', 'mount', partition, directory]);
    const after = await this.#shell.tool('The file is still there, and the same', 'sha256sum', [file]);
    if (after !== before) throw new AppError('ERR_INTERNAL', `${file} changed: ${before.trim()}, then ${after.trim()}`);
    await this.#shell.lunctl('Unmount', ['disk', 'unmount', directory]);
  }

  async #takeDown(): Promise<void> {
    await this.#shell.lunctl('Log out', ['node', 'logout', '-T', TARGET]);
    const server = this.#server;
    await this.#shell.custom('Stop the target', 'fg   # then Ctrl-C', async () => (await server?.stop()) ?? '');
  }

  #leaveOut(what: string): void {
    this.#leftOut.push(what);
    this.#reporter.note(what);
  }

  /**
   * In every ending, within 12 s even if the target hangs: what does not end when asked is ended by force. What is gone
   * already is no failure; what stays is told.
   */
  async cleanUp(): Promise<void> {
    const { runDir } = this.#shell;
    const tasks: (() => Promise<unknown>)[] = [
      () => this.#unmount(),
      async () => {
        const { sessions, silent } = await listSessions({ runDir });
        if (sessions.length + silent.length === 0) return;
        await this.#shell.quiet(['node', 'logout', '--all'], undefined, LOGOUT_MS).catch(() => undefined);
        await endWorkers(runDir);
      },
      async () => this.#server?.stop(),
      async () => this.#shell.remove(),
    ];
    for (const task of tasks) {
      await task().catch((error: unknown) => this.#reporter.note(`clean-up: ${messageOf(error)}`));
    }
  }

  /** A file system whose disk does not answer is left to the end of its worker, which makes every request fail. */
  async #unmount(): Promise<void> {
    const target = `${this.#shell.folder}/mnt`;
    if (!mounts().some((mount) => mount.target === target)) return;
    await runTool('umount', ['--', target], { timeoutMs: UNMOUNT_MS }).catch((error: unknown) => {
      this.#reporter.note(`clean-up: ${messageOf(error)}`);
      return endWorkers(this.#shell.runDir);
    });
  }
}

/** A worker that did not log out, because it had not finished its start or its target is gone, is ended by force. */
async function endWorkers(runDir: string): Promise<void> {
  const { sessions, silent } = await listSessions({ runDir });
  for (const pid of [...sessions.map((session) => session.pid), ...silent.map(({ state }) => state.pid)]) {
    process.kill(pid, 'SIGKILL');
  }
  const deadline = performance.now() + UNMOUNT_MS;
  for (let left = sessions.length + silent.length; left > 0 && performance.now() < deadline; ) {
    await delay(LOOK_MS);
    // The listing removes what a dead worker leaves.
    const again = await listSessions({ runDir });
    left = again.sessions.length + again.silent.length;
  }
}

function installHint(tool: Tool): string {
  return `${tool} is missing, apt-get install ${TOOL_PACKAGES[tool]} brings it`;
}

/** The first and last lines of a record, and those that this demo is about. */
function excerpt(text: string): string {
  const lines = text.trimEnd().split('\n');
  if (lines.length <= 16) return text;
  const middle = lines.slice(6, -4).filter((line) => /auth\.(authmethod|username|password) /.test(line));
  return [...lines.slice(0, 6), '.....', ...middle, '.....', ...lines.slice(-4)].join('\n');
}
