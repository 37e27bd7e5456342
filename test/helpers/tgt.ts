// A tgtd of a test's own: on a free port, with its own management channel, serving files of a temporary folder.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const TGT_TARGET = 'iqn.2022-08.com.test:tgt01';

/** Why tests against tgt cannot run here, or false. */
export function tgtMissing(): string | false {
  if (!existsSync('/usr/sbin/tgtd')) return 'tgtd is not installed: apt-get install tgt';
  return process.getuid?.() === 0 ? false : 'tgtd needs root for its management socket';
}

export interface Tgt {
  readonly port: number;
  /** The file behind LUN 1. */
  readonly image: string;
  readonly folder: string;
  /** Runs tgtadm against this tgtd. */
  adm(...args: string[]): string;
  /** Adds CHAP: from now on a login needs these. */
  requireChap(user: string, secret: string): void;
  /** What this tgtd answers to an initiator that asks for its proof (mutual CHAP). */
  proveAs(user: string, secret: string): void;
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** After `kill`: starts tgtd again on the same port and files; settles when it is configured as it was. CHAP is not kept. */
  restart(): Promise<void>;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface TgtOptions {
  /** More of tgtd's --iscsi, as in `nop_interval=1,nop_count=3`. */
  readonly iscsi?: string;
  /** The address to listen on. */
  readonly host?: string;
  /** Parameters of the target, as in { HeaderDigest: 'CRC32C,None' }. */
  readonly params?: Readonly<Record<string, string>>;
  /** Runs tgtd and tgtadm in this network namespace. */
  readonly netns?: string;
}

/** Starts tgtd with one target that has a disk of `sizeBytes` as LUN 1 (LUN 0 is tgt's own controller). */
export async function startTgt(sizeBytes = 64 * 2 ** 20, options: TgtOptions = {}): Promise<Tgt> {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-tgt-'));
  const image = join(folder, 'disk.img');
  writeFileSync(image, '');
  truncateSync(image, sizeBytes);
  const port = await freePort();
  // tgtd takes numbers up to 32767 here; of ports in use at the same time no two share the rest.
  const control = String(port % 32_749);
  const { host = '127.0.0.1', netns } = options;
  const iscsi = [`portal=${host}:${port}`, ...(options.iscsi === undefined ? [] : [options.iscsi])].join();
  const run = netns === undefined ? [] : ['ip', 'netns', 'exec', netns];
  const start = async () => {
    const [program = '', ...args] = [...run, '/usr/sbin/tgtd', '-f', '-C', control, '--iscsi', iscsi];
    child = spawn(program, args, { stdio: 'ignore' });
    await accepts(port, child, host);
    adm('--op', 'new', '--mode', 'target', '--tid', '1', '-T', TGT_TARGET);
    adm('--op', 'new', '--mode', 'logicalunit', '--tid', '1', '--lun', '1', '-b', image);
    for (const [name, value] of Object.entries(options.params ?? {})) {
      adm('--op', 'update', '--mode', 'target', '--tid', '1', '-n', name, '-v', value);
    }
    adm('--op', 'bind', '--mode', 'target', '--tid', '1', '-I', 'ALL');
  };
  const adm = (...args: string[]) =>
    execFileSync('/usr/sbin/tgtadm', ['-C', control, '--lld', 'iscsi', ...args], { encoding: 'utf8' });
  let child: ChildProcess;
  await start();
  const kill = (signal: NodeJS.Signals = 'SIGKILL') => ended(child, signal);
  return {
    port,
    image,
    folder,
    adm,
    requireChap(user, secret) {
      adm('--op', 'new', '--mode', 'account', '--user', user, '--password', secret);
      adm('--op', 'bind', '--mode', 'account', '--tid', '1', '--user', user);
    },
    proveAs(user, secret) {
      adm('--op', 'new', '--mode', 'account', '--user', user, '--password', secret);
      adm('--op', 'bind', '--mode', 'account', '--tid', '1', '--user', user, '--outgoing');
    },
    kill,
    restart: start,
    get pid() {
      return child.pid ?? 0;
    },
    async stop() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
      rmSync(`/var/run/tgtd/socket.${control}`, { force: true });
      rmSync(`/var/run/tgtd/socket.${control}.lock`, { force: true });
    },
  };
}

/** A port that nobody listens on now, above 20000. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** Waits until `port` takes connections; throws when `child` ends or ten seconds pass. */
export async function accepts(port: number, child: ChildProcess, host = '127.0.0.1'): Promise<void> {
  const end = Date.now() + 10_000;
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, host);
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (open) return;
    if (child.exitCode !== null || Date.now() > end) throw new Error(`nothing listens on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Signals a child that a test started and waits for its end. */
export async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await exit;
}
