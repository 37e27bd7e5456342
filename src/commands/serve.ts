// Shares files, devices or memory as the LUNs of an iSCSI target, in the foreground.
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { hostname, networkInterfaces } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Flags, type Interfaces } from '@oclif/core';
import { BaseCommand } from '../cli/base-command.js';
import { credentialFlags, readCredentials } from '../cli/credentials.js';
import { exitCodeOf } from '../cli/exit-codes.js';
import { eventLine, listeningLines } from '../cli/render/serve.js';
import type { Output } from '../cli/schemas/parts.js';
import type { serve, serveEvent } from '../cli/schemas/serve.js';
import { checkIscsiName } from '../iscsi/names.js';
import { DEFAULT_PORT, formatPortal, type Portal, parsePortal } from '../iscsi/portal.js';
import { EMPTY_CONFIG } from '../saveconfig/defaults.js';
import { groupAttribute } from '../saveconfig/explain.js';
import type { SaveConfig } from '../saveconfig/model.js';
import type { OnEvent } from '../services/serve/connections.js';
import type { ControlledServer } from '../services/serve/controlled.js';
import type { ServeDisk, ServedDisk, Server } from '../services/serve/options.js';
import type { TargetEvent } from '../target/events.js';
import { AppError } from '../util/errors.js';
import { parseSize } from '../util/size.js';

const LOOPBACK = '127.0.0.1';
/** Every address, IPv4 and IPv6. */
const EVERY = '::';

/** What only disks on the command line need. */
const ONE_LINE_FLAGS = [
  ...(['target', 'portal', 'allow', 'chap-user', 'chap-secret-file', 'mutual-user', 'mutual-secret-file'] as const),
  ...(['no-auth', 'read-only'] as const),
] as const;

type ServeFlags = Interfaces.InferredFlags<typeof Serve.flags>;
type StartServer = (onEvent: OnEvent) => Promise<Server>;

export default class Serve extends BaseCommand {
  static override summary = 'Share files, devices or memory as an iSCSI target';
  static override description =
    `Runs in the foreground until Ctrl-C or SIGTERM. Each argument becomes a LUN, the first one LUN 0:

  FILE=SIZE        a file; it is made, sparse and for its owner alone, if it does not exist
  FILE             a file that exists
  DEVICE           a block device
  ramdisk:SIZE     memory (also ramdisk:NAME=SIZE); its content ends with the server

K, M, G, T, P and KiB, MiB … count in 1024, KB, MB … in 1000.

--config FILE serves a whole configuration instead: several targets, portal groups, portals, ACLs, mapped LUNs, as targetcli saves it. It is made as a whole or not at all; what this target does not do is named and kept. Without disks and --config the default configuration is served, if it exists. While it runs, lunctl target changes it without disturbing other sessions.

Without --allow and CHAP only this host's own initiator may log in, and only 127.0.0.1 is listened on. --allow names others; since a name proves nothing, the address stays 127.0.0.1 until --portal names one. With CHAP every address is listened on, and whoever has the secret may log in unless --allow says who.

Persistent reservations that initiators want to outlive a loss of power (APTPL) are kept in the folder pr beside the configuration; those of memory end with it. SANITIZE OVERWRITE writes 64 MiB in a second, so that other disks are served meanwhile.`;
  static override examples = [
    '<%= config.bin %> serve disk01.img=10G',
    '<%= config.bin %> serve --config /etc/target/saveconfig.json',
    '<%= config.bin %> serve disk01.img=10G --target iqn.2022-08.com.test:dlp.target01 --allow iqn.2022-08.com.test:node01.initiator01 --chap-user username --chap-secret-file secret',
  ];
  static override strict = false;
  static override usage = ['serve DISK... [FLAGS]', 'serve [--config FILE] [--keep-going] [--new]'];
  static override flags = {
    target: Flags.string({ char: 'T', summary: 'Name of the target.', helpValue: 'IQN' }),
    portal: Flags.string({
      char: 'p',
      summary: 'Where to listen: HOST, HOST:PORT or [IPV6]:PORT; port 0 takes a free one. May be repeated.',
      helpValue: 'PORTAL',
      multiple: true,
      multipleNonGreedy: true,
    }),
    allow: Flags.string({
      summary: 'An initiator that may log in. May be repeated.',
      helpValue: 'IQN',
      multiple: true,
      multipleNonGreedy: true,
    }),
    ...credentialFlags,
    'no-auth': Flags.boolean({
      summary: 'Let every initiator in without a proof, to read and to write.',
      exclusive: ['allow', 'chap-user'],
    }),
    'read-only': Flags.boolean({ summary: 'Let nobody write.' }),
    config: Flags.string({
      summary: 'Serve what this file describes: a saveconfig.json of lunctl or of targetcli.',
      helpValue: 'FILE',
    }),
    'keep-going': Flags.boolean({
      summary: 'Go on without storage objects of the configuration that cannot be opened; each is named.',
    }),
    new: Flags.boolean({ summary: 'Start with nothing where the configuration does not exist yet.' }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Serve);
    const { startControlled } = await import('../services/serve/controlled.js');
    const ownConfig = this.#configPath(argv.map(String), flags);
    const start =
      ownConfig === null ? await this.#oneLine(argv.map(String), flags) : this.#configured(ownConfig, flags);
    const server = await startControlled(start, {
      runDir: this.paths.runDir,
      ownConfig,
      configPath: ownConfig ?? this.paths.targetConfig,
      onEvent: (event, remote) => this.#event(event, remote),
      onNoControl: (error) => this.warning(`target commands cannot reach this serve: ${error.message}`),
    });
    for (const { path, reason } of server.failed) this.warning(`not served: ${path}: ${reason}`);
    for (const { path, reason } of server.live.remarks()) this.warning(`not honoured: ${path}: ${reason}`);
    if (ownConfig !== null) {
      const { secretWarnings } = await import('../services/serve/secret-warnings.js');
      for (const text of secretWarnings(server.live.config)) this.warning(text);
    }
    this.#started(server, ownConfig);
    await aborted(this.abortSignal);
    await server.close();
    process.exitCode = exitCodeOf(this.abortSignal.reason);
  }

  /** The configuration that is to be served, or null for disks on the command line. */
  #configPath(argv: readonly string[], flags: ServeFlags): string | null {
    if (argv.length > 0) {
      if (flags.config === undefined) return null;
      throw new AppError('ERR_USAGE', 'disks on the command line and --config are two ways to say what is served');
    }
    const given = ONE_LINE_FLAGS.filter((name) => flags[name] !== undefined && flags[name] !== false);
    if (flags.config === undefined && (given.length > 0 || !existsSync(this.paths.targetConfig))) return null;
    if (given.length > 0) {
      throw new AppError('ERR_USAGE', `--${given[0]} is for disks on the command line: a configuration says it itself`);
    }
    return resolve(flags.config ?? this.paths.targetConfig);
  }

  #configured(path: string, flags: ServeFlags): StartServer {
    return async (onEvent) => {
      const { readConfig } = await import('../services/target/config-file.js');
      const { startConfigured } = await import('../services/serve/serve.js');
      const config = flags.new && !existsSync(path) ? EMPTY_CONFIG : await readConfig(path);
      return await startConfigured(config, {
        lenient: flags['keep-going'],
        reservations: reservationFolder(path),
        signal: this.abortSignal,
        onEvent,
      });
    };
  }

  async #oneLine(argv: readonly string[], flags: ServeFlags): Promise<StartServer> {
    const disks = await readDisks(argv);
    const credentials = await readCredentials(flags, { prompts: this.prompts, warn: (text) => this.warning(text) });
    const open = flags['no-auth'] || (credentials !== null && flags.allow === undefined);
    const allow = (flags.allow ?? []).map(checkIscsiName);
    if (!open && allow.length === 0) allow.push(await this.#ownName());
    const portals = (flags.portal ?? []).map(readListenPortal);
    if (portals.length === 0) {
      portals.push({ address: credentials === null ? LOOPBACK : EVERY, port: DEFAULT_PORT });
    }
    if (flags['no-auth']) this.warning('every initiator that reaches this target may read and write its disks');
    return async (onEvent) => {
      const { startServe } = await import('../services/serve/serve.js');
      return await startServe({
        disks,
        targetName: checkIscsiName(flags.target ?? defaultTarget()),
        portals,
        allow,
        open,
        account: credentials === null ? null : { user: credentials.user, secret: credentials.secret },
        mutual: credentials?.mutual ?? null,
        readOnly: flags['read-only'],
        reservations: reservationFolder(this.paths.targetConfig),
        signal: this.abortSignal,
        onEvent,
      });
    };
  }

  #event(event: TargetEvent, remote: Portal): void {
    const at = new Date();
    const json: Output<typeof serveEvent> = { schema: 'lunctl.serve-event/1', at: at.toISOString(), remote, event };
    this.#print(eventLine(event, remote, at), json);
  }

  async #ownName(): Promise<string> {
    const { readIdentity } = await import('../services/identity.js');
    return (await readIdentity(this.paths)).initiatorName;
  }

  #started(server: ControlledServer, ownConfig: string | null): void {
    const { portals, targetName, disks, live, control } = server;
    const text = listeningLines(server, {
      of: (disk) => accessTo(live.config, disk),
      reachableAt: reachableAddress(portals),
      served: ownConfig === null || control === null ? null : { configuration: ownConfig, control },
    });
    const configuration = ownConfig;
    const json: Output<typeof serve> = { schema: 'lunctl.serve/1', portals, targetName, disks, configuration, control };
    this.#print(text, json);
  }

  /** Lines for people, or one JSON object a line: the command has no end at which to print a result. */
  #print(text: string, object: object): void {
    if (this.jsonEnabled()) process.stdout.write(`${JSON.stringify(object)}\n`);
    else this.render(text);
  }
}

/** Settles when `signal` aborts. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

async function readDisks(args: readonly string[]): Promise<ServeDisk[]> {
  if (args.length === 0) {
    throw new AppError('ERR_USAGE', 'nothing to share', { hint: 'lunctl serve disk01.img=10G' });
  }
  const disks: ServeDisk[] = [];
  for (const arg of args) disks.push(await readDisk(arg, disks.length));
  return disks;
}

async function readDisk(arg: string, index: number): Promise<ServeDisk> {
  if (arg.startsWith('ramdisk:')) {
    const rest = arg.slice('ramdisk:'.length);
    const at = rest.lastIndexOf('=');
    const name = at < 0 ? `ramdisk${index}` : rest.slice(0, at);
    return { kind: 'ramdisk', name, sizeBytes: parseSize(rest.slice(at + 1)) };
  }
  const present = await stat(arg).catch(() => null);
  if (present?.isBlockDevice()) return { kind: 'block', path: arg };
  const at = arg.lastIndexOf('=');
  if (present !== null || at < 0) return { kind: 'fileio', path: arg, sizeBytes: null };
  const path = arg.slice(0, at);
  if (path === '') throw new AppError('ERR_USAGE', `${arg} names no file`, { hint: 'write FILE=SIZE' });
  return { kind: 'fileio', path, sizeBytes: parseSize(arg.slice(at + 1)) };
}

/** As any portal, but port 0 is allowed: the system chooses then. */
function readListenPortal(text: string): Portal {
  const anyPort = /^(\[[^\]]*\]|[^:]+):0$/.exec(text)?.[1];
  const { address, port } = parsePortal(anyPort ?? text);
  return { address, port: anyPort === undefined ? port : 0 };
}

function defaultTarget(): string {
  const host = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return `iqn.2026-11.io.lunctl:${host || 'host'}`;
}

/** An address to show to people on other hosts, or null where there is none. */
function reachableAddress(portals: readonly Portal[]): string | null {
  const [first] = portals;
  if (first === undefined || first.address === LOOPBACK || first.address === '::1') return null;
  if (first.address !== EVERY && first.address !== '0.0.0.0') return formatPortal(first);
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const address = own.find((info) => !info.internal && info.family === 'IPv4')?.address;
  return address === undefined ? null : formatPortal({ address, port: first.port });
}

/** Who may log in to the portal group of a LUN, in words. */
function accessTo(config: SaveConfig, { targetName, tag }: ServedDisk): { acl: string; chap: boolean } {
  const tpg = config.targets.find(({ wwn }) => wwn === targetName)?.tpgs.find((group) => group.tag === tag);
  if (tpg === undefined) return { acl: 'nobody', chap: false };
  const acl = groupAttribute(tpg, 'generate_node_acls') ? 'any initiator' : `ACL ${tpg.node_acls.length}`;
  return { acl, chap: groupAttribute(tpg, 'authentication') };
}

/** Where reservations are kept that outlive a restart: beside the configuration, as its backups are. */
function reservationFolder(configPath: string): string {
  return join(dirname(configPath), 'pr');
}
