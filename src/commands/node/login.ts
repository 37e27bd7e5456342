// `node login`: a session to each chosen target, and its LUNs as devices.
import { Flags } from '@oclif/core';
import { credentialFlags, readCredentials } from '../../cli/credentials.js';
import { refuseAllOf } from '../../cli/flags.js';
import { NodeCommand, nodeArgs, nodeFlags } from '../../cli/node-command.js';
import { deviceTable } from '../../cli/render/devices.js';
import { alreadyPresent, loginDoneLine, loginStartLine, pathName } from '../../cli/render/iscsiadm.js';
import { wayJson } from '../../cli/render/json.js';
import type { nodeLogin } from '../../cli/schemas/node.js';
import type { Result } from '../../cli/schemas/parts.js';
import { formatAddress } from '../../iscsi/portal.js';
import type { ForegroundSession } from '../../services/login.js';
import type { LoginPlan, PlannedLogin } from '../../services/records/plan.js';
import type { NodeRecord } from '../../services/records/records.js';
import { ATTACH_MODES, type LoginRequest, type SessionInfo } from '../../services/session/info.js';
import { AppError, messageOf } from '../../util/errors.js';

type LoginJson = Result<typeof nodeLogin>;
type LoginFlags = { readonly wait: number; readonly 'ignore-existing': boolean };

/** Each has a process of its own. */
const MOST_AT_ONCE = 16;
/** Bound of keeping the credentials, which a late signal does not cut short. */
const SAVE_MS = 5000;

export default class NodeLogin extends NodeCommand {
  static override summary = 'Log in to a target and get its disks';
  static override description =
    'Returns when the session is up, every LUN has been found and its device can be used. Without a name the only known target is meant. The session goes on in the background until it is logged out.';
  static override usage = '<%= command.id %> [TARGET] [FLAGS]';
  static override aliases = ['login'];
  static override examples = [
    '<%= config.bin %> login iqn.2022-08.com.test:dlp.target01',
    '<%= config.bin %> node login -T iqn.2022-08.com.test:dlp.target01 -p 192.168.219.101 --attach none --json',
    '<%= config.bin %> login iqn.2022-08.com.test:dlp.target01 --chap-user username --chap-secret-file secret --save',
  ];
  static override args = nodeArgs;
  static override flags = {
    ...nodeFlags,
    all: Flags.boolean({ summary: 'Log in with every record.', exclusive: ['targetname', 'foreground'] }),
    automatic: Flags.boolean({
      summary: 'Log in with every record whose node.startup is automatic.',
      exclusive: ['all', 'targetname', 'foreground'],
    }),
    attach: Flags.option({
      summary: 'How a LUN becomes a device: auto is nbd where the kernel has it, else none.',
      options: ATTACH_MODES,
      default: 'auto',
      helpValue: 'WAY',
    })(),
    ...credentialFlags,
    save: Flags.boolean({ summary: 'Keep the CHAP credentials in the record.', dependsOn: ['chap-user'] }),
    'read-only': Flags.boolean({ summary: 'Allow no writes to the LUNs.' }),
    foreground: Flags.boolean({ summary: 'Stay, and log out on Ctrl-C or SIGTERM.' }),
    wait: Flags.integer({
      summary: 'Try again for so long while the target cannot be reached.',
      helpValue: 'SEC',
      min: 0,
      max: 86_400,
      default: 0,
    }),
    'ignore-existing': Flags.boolean({ summary: 'Take a session that exists already for a success.' }),
    also: Flags.boolean({ summary: "Log in although the kernel's own initiator is logged in to the same target." }),
    shared: Flags.boolean({ summary: 'Let other NBD clients write while a LUN is attached.' }),
    connections: Flags.integer({
      summary: 'NBD connections of an attached kernel device.',
      helpValue: '1..4',
      min: 1,
      max: 4,
      default: 1,
    }),
  };

  readonly #sessions: SessionInfo[] = [];
  readonly #failures: LoginJson['failed'][number][] = [];
  /** How many logins are under way or to come: with one alone its steps are shown. */
  #pending = 1;
  /** A login was given up because of a signal. */
  #interrupted = false;

  async run(): Promise<LoginJson | undefined> {
    const { args, flags } = await this.parse(NodeLogin);
    refuseAllOf(flags.all || flags.automatic, args.target);
    const prompts = { prompts: this.prompts, warn: (text: string) => this.warning(text) };
    const credentials = await readCredentials(flags, prompts);
    const { credentialWarnings, requireStrongSecrets, planLogin, loginRequest, planSessions } = await import(
      '../../services/records/plan.js'
    );
    const plan = await planLogin(this.paths, {
      ...this.choice({ args, flags }),
      all: flags.all || flags.automatic,
      startup: flags.automatic ? 'automatic' : undefined,
    });
    if (flags['require-strong-secret']) requireStrongSecrets(plan, credentials);
    for (const text of [...plan.warnings, ...credentialWarnings(plan, credentials)]) this.warning(text);
    const wishes = {
      initiatorName: await this.initiatorName(),
      credentials,
      attach: flags.attach,
      // A flag that is not given is undefined, whatever its type says.
      readOnly: flags['read-only'] === true,
      foreground: flags.foreground,
      also: flags.also,
      shared: flags.shared,
      connections: flags.connections,
      timeoutMs: this.timeoutMs,
    };
    if (flags.foreground) {
      await this.#stay(plan, (record) => loginRequest(record, plan.config, wishes), flags.wait);
      return undefined;
    }
    const logins = await planSessions(this.paths, plan, wishes, this.abortSignal);
    for (const login of logins) this.render(loginStartLine(login.record.ref, { multiple: login.sessions > 1 }));
    const done = await this.#all(logins, flags);
    // A signal that finds every session there has come too late.
    if (this.#interrupted) throw this.abortSignal.reason;
    for (const record of flags.save ? done : []) if (credentials !== null) await this.#save(record, credentials);
    await this.warnOfFuse(this.#sessions.flatMap(({ devices }) => devices));
    this.#suggest();
    return { sessions: this.#sessions, failed: this.#failures };
  }

  /** Logs in side by side, reports in the order of the records, and returns those of them that are logged in. */
  async #all(logins: readonly PlannedLogin[], flags: LoginFlags): Promise<Set<NodeRecord>> {
    const { sideBySide } = await import('../../util/side-by-side.js');
    const done = new Set<NodeRecord>();
    this.#pending = logins.length;
    const results = sideBySide(logins, MOST_AT_ONCE, (login) => this.#one(login, flags.wait));
    for (const [i, planned] of logins.entries()) {
      const { targetName } = planned.record.ref;
      const more = logins.length === 1 ? '' : ` (${i + 1} of ${logins.length})`;
      try {
        const session = await this.waiting(`logging in to ${targetName}${more}`, async () => await results[i]);
        if (session !== undefined) this.#show(planned.record, session);
      } catch (error) {
        if (!this.#tolerated(planned, error, flags)) continue;
      }
      done.add(planned.record);
    }
    return done;
  }

  async #one({ record, request }: PlannedLogin, wait: number): Promise<SessionInfo> {
    if (this.abortSignal.aborted) throw this.abortSignal.reason;
    const { login } = await import('../../services/login.js');
    const options = this.#loginOptions(record);
    return this.#retry(wait, () => login(request, options)).finally(() => this.#pending--);
  }

  /** Reports what went wrong; the others go on. True for a session that is there already, where that is no failure. */
  #tolerated({ record, sessions }: PlannedLogin, error: unknown, flags: LoginFlags): boolean {
    if (this.abortSignal.aborted) {
      this.#interrupted = true;
      return false;
    }
    if (isExisting(error) && flags['ignore-existing']) {
      this.note(messageOf(error));
      return true;
    }
    this.#failures.push({ ...wayJson(record.ref), error: this.failed(loginError(record, sessions, error)) });
    return false;
  }

  #loginOptions({ ref }: NodeRecord) {
    const alone = this.#pending === 1;
    const onProgress = (line: string) => {
      this.detail(alone ? line : `${ref.targetName}: ${line}`);
      if (alone) this.nowWaitingFor(`${line} (${ref.targetName})`);
    };
    return { paths: this.paths, signal: this.abortSignal, onProgress };
  }

  /** Repeats what may succeed later, until `seconds` are over. */
  async #retry<T>(seconds: number, attempt: () => Promise<T>): Promise<T> {
    const { retrying } = await import('../../services/login-retry.js');
    const onFailure = ({ message }: AppError) => {
      this.detail(`${message}; trying again`);
      if (this.#pending === 1) this.nowWaitingFor(`${message}; trying again`);
    };
    return retrying(seconds, attempt, { signal: this.abortSignal, onFailure });
  }

  #show(record: NodeRecord, session: SessionInfo): void {
    this.#sessions.push(session);
    this.render(loginDoneLine(record.ref));
    this.render(deviceTable(session.devices));
    for (const { lun, note } of session.devices) if (note !== null) this.remark(`LUN ${lun}: ${note}`);
  }

  /** The session lives in this process: it ends with a signal, or by itself. */
  async #stay(plan: LoginPlan, request: (record: NodeRecord) => LoginRequest, wait: number) {
    const [record, ...more] = plan.records;
    if (record === undefined || more.length > 0) {
      throw new AppError('ERR_USAGE', '--foreground holds one session, and several records fit', {
        hint: 'add -p PORTAL',
      });
    }
    const { loginForeground } = await import('../../services/login.js');
    const { prepareForMemoryPressure } = await import('../../services/session/memory-pressure.js');
    for (const line of await prepareForMemoryPressure()) this.detail(line);
    this.render(loginStartLine(record.ref));
    const options = this.#loginOptions(record);
    const attempt = () => this.#retry(wait, () => loginForeground(request(record), options));
    const session = await this.waiting(`logging in to ${record.ref.targetName}`, attempt).catch((error: unknown) => {
      throw loginError(record, 1, error);
    });
    this.#show(record, session.info);
    await this.warnOfFuse(session.info.devices);
    const json: LoginJson = { sessions: this.#sessions, failed: [] };
    this.jsonNow(json);
    await this.#untilEnd(session);
  }

  /** @throws the reason of the signal that ended it; an end of the session itself is an error too */
  async #untilEnd(session: ForegroundSession): Promise<void> {
    for (;;) {
      const signal = this.abortSignal;
      const aborted = new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }));
      const ended = session.ended.then(() => true);
      if (await Promise.race([ended, aborted.then(() => false)])) return;
      const asked = signal.reason as AppError;
      try {
        await this.waiting('logging out', async () => {
          await session.logout({ force: asked.code === 'ERR_TERMINATED' });
          await session.ended;
        });
        throw asked;
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'ERR_BUSY') throw error;
        this.warning(`${error.message}; still logged in`);
        this.forgetSignal();
      }
    }
  }

  async #save(record: NodeRecord, credentials: { user: string; secret: string }): Promise<void> {
    const { saveCredentials } = await import('../../services/records/credentials.js');
    await saveCredentials(this.paths, [record], credentials, AbortSignal.timeout(SAVE_MS));
    this.remark(`CHAP credentials kept in the record of ${record.ref.targetName}`);
  }

  #suggest(): void {
    const path = this.#sessions.flatMap(({ devices }) => devices).find((device) => device.path !== null)?.path;
    if (path) this.next(`lunctl disk label ${path.replace('/dev/', '')}`);
  }
}

function isExisting(error: unknown): boolean {
  return error instanceof AppError && error.code === 'ERR_SESSION_EXISTS';
}

/** The same failure, with iscsiadm's words for what could not be done. */
function loginError(record: NodeRecord, sessions: number, error: unknown): unknown {
  if (!(error instanceof AppError) || error.code === 'ERR_INTERRUPTED' || error.code === 'ERR_TERMINATED') return error;
  // The service names target and portal too: once is enough.
  const { targetName } = record.ref;
  const reason = error.message
    .replace(`cannot log in to ${targetName} at ${formatAddress(record.ref)}: `, '')
    .replace(`login to ${targetName} `, '')
    .replace(/^failed: /, '');
  const message = isExisting(error)
    ? `${alreadyPresent(record.ref, sessions, sessions)}: ${reason}`
    : `Could not login to ${pathName(record.ref)}: ${reason}`;
  const hint = error.hint === undefined ? {} : { hint: error.hint };
  return new AppError(error.code, message, { cause: error, retriable: error.retriable, ...hint });
}
