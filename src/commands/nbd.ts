// One LUN as an NBD export, in the foreground: no record, no session to log out of.
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../cli/base-command.js';
import { credentialFlags, readCredentials } from '../cli/credentials.js';
import { exitCodeOf } from '../cli/exit-codes.js';
import type { nbd } from '../cli/schemas/nbd.js';
import type { Result } from '../cli/schemas/parts.js';
import type { OneShot } from '../services/one-shot/one-shot.js';
import type { Place } from '../services/one-shot/place.js';
import type { IscsiUri } from '../services/one-shot/uri.js';
import type { LoginRequest } from '../services/session/info.js';
import type { SessionLog } from '../services/session/log.js';
import { AppError } from '../util/errors.js';
import { LineLimit } from '../util/line-limit.js';
import { oneLine } from '../util/printable.js';

const TLS = 'TCP AND TLS';
/** The user may stand in the address, so the flags of secrets go without --chap-user too. */
const secretFile = { ...credentialFlags['chap-secret-file'], dependsOn: [] };
const secretFd = { ...credentialFlags['chap-secret-fd'], dependsOn: [] };
const mutualUser = { ...credentialFlags['mutual-user'], dependsOn: [] };

export default class Nbd extends BaseCommand {
  static override summary = 'Serve one LUN as an NBD export, in the foreground';
  static override description =
    `Logs in to the target, prints the NBD URI of the LUN once clients can connect, and serves it and its partitions (lunNpM) until the last client has gone, or until Ctrl-C or SIGTERM. Then the target's cache is flushed and the session logged out. No record is read or written, and session show does not list it.

The address is iscsi://[USER@]HOST[:PORT]/IQN/LUN, with an IPv6 host in brackets and other characters percent-encoded. A secret never stands in it: --chap-secret-file gives it, or it is asked for.

The export is on a unix socket unless --listen names an address. By TCP clients must use TLS, with certificates or with a pre-shared key; plain TCP is possible on loopback addresses.`;
  static override usage = 'nbd iscsi://HOST[:PORT]/IQN/LUN [FLAGS]';
  static override examples = [
    '<%= config.bin %> nbd iscsi://192.168.219.101/iqn.2022-08.com.test:dlp.target01/0',
    '<%= config.bin %> nbd iscsi://username@192.168.219.101/iqn.2022-08.com.test:dlp.target01/0 --chap-secret-file secret --socket /run/user/1000/disk.sock --persistent',
    '<%= config.bin %> nbd iscsi://192.168.219.101/iqn.2022-08.com.test:dlp.target01/0 --listen 192.168.219.50 --tls-certificates /etc/pki/nbd --read-only',
  ];
  static override args = {
    uri: Args.string({ required: true, description: 'Address of the LUN: iscsi://[USER@]HOST[:PORT]/IQN/LUN.' }),
  };
  static override flags = {
    socket: Flags.string({
      summary: 'Unix socket to serve on. Default: one in the run folder.',
      helpValue: 'PATH',
      exclusive: ['listen'],
    }),
    export: Flags.string({
      summary: 'Name of the export instead of lunN. The empty name always means the LUN too.',
      helpValue: 'NAME',
    }),
    'read-only': Flags.boolean({ summary: 'Allow no writes.' }),
    persistent: Flags.boolean({ summary: 'Go on when the last client has gone.' }),
    also: Flags.boolean({ summary: "Log in although the kernel's own initiator is logged in to the same target." }),
    shared: Flags.boolean({ summary: 'Allow writes although a session of this host writes to the disk too.' }),
    ...credentialFlags,
    'chap-secret-file': secretFile,
    'chap-secret-fd': secretFd,
    'mutual-user': mutualUser,
    listen: Flags.string({
      summary: 'Serve by TCP: ADDRESS, ADDRESS:PORT or [IPV6]:PORT. Default port 10809; 0 takes a free one.',
      helpValue: 'ADDRESS',
      helpGroup: TLS,
    }),
    'tls-certificates': Flags.string({
      summary: 'Folder with server-cert.pem and server-key.pem, and ca-cert.pem and ca-crl.pem for those of clients.',
      helpValue: 'DIR',
      helpGroup: TLS,
      dependsOn: ['listen'],
      exclusive: ['tls-psk', 'tls'],
    }),
    'tls-verify-peer': Flags.boolean({
      summary: 'Whether clients need a certificate that ca-cert.pem has signed. Default: if there is that file.',
      helpGroup: TLS,
      allowNo: true,
      dependsOn: ['tls-certificates'],
    }),
    'tls-psk': Flags.string({
      summary: "File of pre-shared keys as GnuTLS's psktool writes it. Refused when others may read it.",
      helpValue: 'FILE',
      helpGroup: TLS,
      dependsOn: ['listen'],
      exclusive: ['tls'],
    }),
    tls: Flags.option({
      summary: 'Plain TCP, on a loopback address only.',
      options: ['off'] as const,
      helpValue: 'off',
      helpGroup: TLS,
      dependsOn: ['listen'],
    })(),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Nbd);
    const { parseIscsiUri } = await import('../services/one-shot/uri.js');
    const uri = parseIscsiUri(args.uri);
    const place = await this.#place(flags);
    await this.#warnIfOpen(place, flags['read-only'] ? 'read' : 'read and write');
    const login = await this.#login(uri, flags);
    const { startOneShot } = await import('../services/one-shot/one-shot.js');
    const request = { login, lun: uri.lun, exportName: flags.export ?? null, place, persistent: flags.persistent };
    const options = { paths: this.paths, log: this.#log(), signal: this.abortSignal };
    const served = await this.waiting(`logging in to ${uri.targetName}`, () => startOneShot(request, options));
    this.#started(served, uri);
    await this.#untilEnd(served);
  }

  async #place(flags: PlaceFlags): Promise<Place> {
    if (flags.listen === undefined) return { kind: 'unix', path: flags.socket ?? null };
    const { parseListenAddress } = await import('../services/one-shot/place.js');
    const at = { kind: 'tcp', ...parseListenAddress(flags.listen) } as const;
    if (flags.tls === 'off') return { ...at, tls: null };
    const { certificateAcceptor, pskAcceptor } = await import('../services/tls-files.js');
    const { 'tls-certificates': certificates, 'tls-psk': psk, 'tls-verify-peer': verifyPeer } = flags;
    if (certificates !== undefined) return { ...at, tls: await certificateAcceptor(certificates, verifyPeer) };
    if (psk !== undefined) return { ...at, tls: await pskAcceptor(psk) };
    throw new AppError('ERR_USAGE', 'by TCP clients are taken over TLS only, and there is nothing to prove it with', {
      hint: 'add --tls-certificates DIR or --tls-psk FILE; or --tls off on a loopback address',
    });
  }

  async #warnIfOpen(place: Place, access: string): Promise<void> {
    const { openTo } = await import('../services/one-shot/place.js');
    const everybody = openTo(place);
    if (everybody !== null) this.warning(`${everybody} may ${access} this disk: clients prove nothing`);
  }

  async #login({ user, portal, targetName }: IscsiUri, flags: LoginFlags): Promise<LoginRequest> {
    const named = flags['chap-user'];
    if (user !== null && named !== undefined && user !== named) {
      throw new AppError('ERR_USAGE', 'the address and --chap-user name different users');
    }
    const given = { ...flags, 'chap-user': named ?? user ?? undefined };
    if (
      given['chap-user'] === undefined &&
      (flags['chap-secret-file'] ?? flags['chap-secret-fd'] ?? flags['mutual-user']) !== undefined
    ) {
      throw new AppError('ERR_USAGE', 'a CHAP secret without a user', {
        hint: 'name it in the address, iscsi://USER@HOST/…, or with --chap-user',
      });
    }
    const prompts = { prompts: this.prompts, warn: (text: string) => this.warning(text) };
    const credentials = await readCredentials(given, prompts);
    const { credentialWarnings, loginRequest, planWithoutRecord, requireStrongSecrets } = await import(
      '../services/records/plan.js'
    );
    const plan = await planWithoutRecord(this.paths, { targetName, portal });
    if (flags['require-strong-secret']) requireStrongSecrets(plan, credentials);
    for (const text of [...plan.warnings, ...credentialWarnings(plan, credentials)]) this.warning(text);
    const [record] = plan.records;
    if (record === undefined) throw new Error('a plan has a record');
    return loginRequest(record, plan.config, {
      initiatorName: await this.initiatorName(),
      credentials,
      attach: 'none',
      // A flag that is not given is undefined, whatever its type says.
      readOnly: flags['read-only'] === true,
      foreground: true,
      also: flags.also,
      shared: flags.shared,
      connections: 1,
      timeoutMs: this.timeoutMs,
    });
  }

  #started(served: OneShot, { targetName, lun }: IscsiUri): void {
    const [first] = served.exports;
    if (first === undefined) throw new Error('nothing is served');
    this.render(first.uri);
    const json: Result<typeof nbd> = { uri: first.uri, targetName, lun, exports: [...served.exports] };
    this.jsonNow(json);
  }

  /** The last client's end is a success; a signal ends with its own code, once everything is in order. */
  async #untilEnd(served: OneShot): Promise<void> {
    const signal = this.abortSignal;
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([aborted, served.unused]);
    await this.waiting('logging out', () => served.close());
    if (signal.aborted) process.exitCode = exitCodeOf(signal.reason);
  }

  /** What goes wrong while it runs, each line with its time. */
  #log(): SessionLog {
    const quiet = (message: string) => this.detail(message);
    const limit = new LineLimit({ lines: 20, periodMs: 10_000 });
    const loud = (message: string) => {
      const at = new Date().toTimeString().slice(0, 8);
      for (const line of limit.pass(oneLine(message), performance.now())) process.stderr.write(`${at}  ${line}\n`);
    };
    return { debug: quiet, info: quiet, warn: loud, error: loud };
  }
}

interface PlaceFlags {
  readonly socket: string | undefined;
  readonly listen: string | undefined;
  readonly tls: 'off' | undefined;
  readonly 'tls-certificates': string | undefined;
  readonly 'tls-psk': string | undefined;
  readonly 'tls-verify-peer': boolean | undefined;
}

interface LoginFlags {
  readonly 'chap-user': string | undefined;
  readonly 'chap-secret-file': string | undefined;
  readonly 'chap-secret-fd': number | undefined;
  readonly 'mutual-user': string | undefined;
  readonly 'mutual-secret-file': string | undefined;
  readonly 'mutual-secret-fd': number | undefined;
  readonly 'require-strong-secret': boolean;
  readonly 'read-only': boolean;
  readonly also: boolean;
  readonly shared: boolean;
}
