// What every command shares: global flags, paths, output, questions, signals, and how it fails.
import { Command, Errors, type Interfaces } from '@oclif/core';
import { tellOfCleanUp } from '../services/attach/cleaned-up.js';
import type { Paths } from '../services/paths.js';
import { resolvePaths } from '../services/paths.js';
import { AppError } from '../util/errors.js';
import { oneLine } from '../util/printable.js';
import { asksForJson, type ColumnFlags } from './columns.js';
import { exitCodeOf } from './exit-codes.js';
import { globalFlags } from './global-flags.js';
import { asUsageError, refuseUnknownFlags, translateOclifError } from './parse-errors.js';
import { ProgressSign } from './progress.js';
import { type Confirmation, canAsk, confirmByName, type PromptContext } from './prompt.js';
import { causesText, type ErrorJson, errorJson, errorText } from './render/error.js';
import { chosenColumns, columnsText, type Listing, listText } from './render/listing.js';
import type { errorDocument } from './schemas/error.js';
import type { Output } from './schemas/parts.js';
import { SignalWatch } from './signals.js';

/** The values of the flags that every command has, after `parse`. */
export interface Globals {
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly debug: number;
  readonly yes: boolean;
  readonly 'no-input': boolean;
  readonly timeout?: number;
  readonly 'config-dir'?: string;
  readonly 'db-dir'?: string;
  readonly 'run-dir'?: string;
}
const BEFORE_PARSE: Globals = { quiet: false, verbose: false, debug: 0, yes: false, 'no-input': false };

/**
 * A command parses its flags, calls one service, renders, and returns the object that `--json` prints; `schema` is
 * added here. It throws AppError; it never calls process.exit, nor oclif's own `error`, `warn`, `log`.
 */
export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true;
  static override baseFlags = globalFlags;

  #globals: Globals = BEFORE_PARSE;
  #signals: SignalWatch | undefined;
  #firstFailure: unknown;
  readonly #warned = new Set<string>();
  readonly #sign = new ProgressSign();

  /** Aborted by Ctrl-C or SIGTERM, with the AppError to end with as its reason. Pass it to every service. */
  protected get abortSignal(): AbortSignal {
    this.#signals ??= new SignalWatch();
    return this.#signals.signal;
  }
  /** Where files are, from flags, environment and defaults. @throws AppError when a place cannot be used. */
  protected get paths(): Paths {
    return resolvePaths(process.env, {
      configDir: this.#globals['config-dir'],
      dbDir: this.#globals['db-dir'],
      runDir: this.#globals['run-dir'],
    });
  }
  /** The global flags of this call. */
  protected get globals(): Globals {
    return this.#globals;
  }
  /** --timeout in milliseconds, if given. */
  protected get timeoutMs(): number | undefined {
    return this.#globals.timeout === undefined ? undefined : this.#globals.timeout * 1000;
  }
  /** Whether a person can be asked: see `canAsk`. */
  protected get interactive(): boolean {
    return !this.jsonEnabled() && canAsk(this.#globals['no-input']);
  }
  /** The name of this host; where one was made and saved now, standard error says so. */
  protected async initiatorName(): Promise<string> {
    const { readIdentity } = await import('../services/identity.js');
    const { initiatorName, path, created } = await readIdentity(this.paths);
    if (created && path !== null) this.remark(`initiator name ${initiatorName} made and saved in ${path}`);
    if (path === null) this.warning(`initiator name ${initiatorName} could not be saved; the next call makes another`);
    return initiatorName;
  }
  /** Under --json: prints `result` now, for a command that goes on running. */
  protected jsonNow(result: object): void {
    if (this.jsonEnabled()) this.logJson(this.toSuccessJson(result));
  }
  /** After a refused Ctrl-C: the next signal counts as the first one. */
  protected forgetSignal(): void {
    this.#signals?.stop();
    this.#signals = undefined;
  }
  /** For the functions of cli/prompt.ts. */
  protected get prompts(): PromptContext {
    return { interactive: this.interactive, signal: this.abortSignal };
  }
  /** Whether standard output is a terminal: tables there, iscsiadm's lines in a pipe. */
  protected get toTerminal(): boolean {
    return process.stdout.isTTY === true;
  }

  /**
   * How the rows of a listing are to be written; null where the flags say nothing of it, and a pipe may get its own form.
   * To be called before any work: it ends the command for --list-columns. @throws AppError ERR_USAGE for unknown columns
   */
  protected tableAskedFor<Row>(listing: Listing<Row>, flags: ColumnFlags): ((rows: readonly Row[]) => string) | null {
    if (flags['list-columns']) {
      this.render(columnsText(listing));
      this.exit(0);
    }
    const { bytes, noheadings } = flags;
    if (this.jsonEnabled()) return null;
    const columns = chosenColumns(listing, flags);
    const asked = flags.output !== undefined || flags['output-all'] || bytes || noheadings;
    return asked ? (rows) => listText(columns, rows, { bytes, headings: !noheadings }) : null;
  }
  /** Also -o json, where there is an -o. */
  override jsonEnabled(): boolean {
    return super.jsonEnabled() || ('list-columns' in (this.ctor.flags ?? {}) && asksForJson(this.argv));
  }

  /** Data, to standard output as it is; a missing last line feed is added. Nothing under --json. */
  protected render(text: string): void {
    if (this.jsonEnabled() || text === '') return;
    this.#sign.hide();
    process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  }
  /** Talk, to standard error: what a person asked to be told. Nothing under --json or --quiet. */
  protected note(text: string): void {
    if (this.jsonEnabled() || this.#globals.quiet) return;
    this.#sign.hide();
    process.stderr.write(`${oneLine(text)}\n`);
  }
  /** A note beside a success, for people only: wrappers take any text on standard error for a failure. */
  protected remark(text: string): void {
    if (process.stderr.isTTY === true || this.#globals.verbose) this.note(text);
  }
  /** Does `work`; past a second a terminal's standard error says what is waited for. Nothing under --json or --quiet. */
  protected async waiting<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (!this.jsonEnabled() && !this.#globals.quiet) this.#sign.start(what);
    try {
      return await work();
    } finally {
      this.#sign.stop();
    }
  }
  /** What a `waiting` that goes on waits for now; `afresh`: its seconds are counted from now. */
  protected nowWaitingFor(what: string, options?: { afresh: boolean }): void {
    this.#sign.say(what, options);
  }
  /** What is being done, to standard error, with --verbose or --debug 4. */
  protected detail(text: string): void {
    if (this.#globals.verbose || this.#globals.debug >= 4) this.note(text);
  }
  /** The command to try next; for people only, so never in a pipe. */
  protected next(text: string): void {
    if (this.toTerminal && process.stderr.isTTY === true) this.note(`next: ${text}`);
  }
  /** A warning on standard error, once for each text. */
  protected warning(text: string): void {
    if (this.#warned.has(text)) return;
    this.#warned.add(text);
    this.#sign.hide();
    process.stderr.write(`warning: ${oneLine(text)}\n`);
  }
  /** The first time after a start of the machine that a device is attached through FUSE: what that means. */
  protected async warnOfFuse(
    devices: readonly { readonly attach: string; readonly path: string | null }[],
  ): Promise<void> {
    if (!devices.some(({ attach, path }) => attach === 'fuse' && path !== null)) return;
    const { fuseNotice } = await import('../services/attach/fuse-notice.js');
    const notice = fuseNotice(this.paths.runDir);
    if (notice !== null) this.warning(notice);
  }
  /** Asks for the name of what is to be destroyed. @throws AppError ERR_REFUSED (40) naming --confirm. */
  protected async confirmByName(confirmation: Confirmation): Promise<void> {
    await confirmByName(this.prompts, confirmation);
  }
  /**
   * Of several objects one has failed: shown now, the others go on, and the first such error gives the exit code.
   * Returns what belongs into the object's JSON as `error`.
   */
  protected failed(error: unknown): ErrorJson {
    const translated = translateOclifError(error);
    this.#firstFailure ??= translated;
    process.exitCode = exitCodeOf(this.#firstFailure);
    if (!this.jsonEnabled()) this.#report(translated);
    return errorJson(translated);
  }

  protected override async parse<
    F extends Record<string, unknown>,
    B extends Record<string, unknown>,
    A extends Record<string, unknown>,
  >(options?: Interfaces.Input<F, B, A>, argv: string[] = this.argv): Promise<Interfaces.ParserOutput<F, B, A>> {
    refuseUnknownFlags(argv, { ...globalFlags, ...this.ctor.flags, json: { type: 'boolean' } }, this.id ?? '');
    const parsed = await super.parse(options && withoutStdin(options), argv).catch((error: unknown) => {
      throw asUsageError(error, this.id ?? '');
    });
    this.#globals = { ...BEFORE_PARSE, ...(parsed.flags as Partial<Globals>) };
    tellOfCleanUp((line) => this.warning(line));
    return parsed;
  }

  override async catch(error: unknown): Promise<void> {
    if (error instanceof Errors.ExitError) {
      process.exitCode = error.oclif.exit ?? 0;
      return;
    }
    // An abort surfaces as whatever the interrupted call threw; the signal knows which of the two it was.
    const aborted = this.#signals?.signal;
    const isAbort = !(error instanceof AppError) || error.code === 'ERR_INTERRUPTED';
    const cause = aborted?.aborted && isAbort ? aborted.reason : error;
    const translated = translateOclifError(cause);
    process.exitCode = exitCodeOf(translated);
    if (this.jsonEnabled()) this.logJson(this.toErrorJson(translated));
    else this.#report(translated);
  }
  override async finally(_: Error | undefined): Promise<void> {
    this.#signals?.stop();
  }

  protected override toErrorJson(error: unknown): Output<typeof errorDocument> {
    return { schema: 'lunctl.error/1', error: errorJson(error) };
  }
  protected override toSuccessJson(result: unknown): unknown {
    const failure = this.#firstFailure === undefined ? {} : { error: errorJson(this.#firstFailure) };
    return { schema: schemaOf(this.canonicalId), ...(result as object), ...failure };
  }
  override logJson(json: unknown): void {
    process.stdout.write(`${JSON.stringify(json, null, 2)}\n`);
  }
  /** The command's own id, also when it was called by an alias. */
  protected get canonicalId(): string {
    const id = this.id ?? '';
    const owner = this.config.commands.find(
      (command) => command.aliases.includes(id) || command.hiddenAliases.includes(id),
    );
    return owner?.id ?? id;
  }

  #report(error: unknown): void {
    this.#sign.hide();
    process.stderr.write(errorText(error));
    if (this.#globals.verbose || this.#globals.debug >= 2) process.stderr.write(causesText(error));
    // Without a code of its own an error is a bug of ours, and only its stack says where. Asking for it takes long.
    const wanted = this.#globals.debug >= 8 || process.env.LUNCTL_DEBUG === 'stack';
    if (wanted && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  }
}

interface ParserInput {
  readonly args?: object | undefined;
  readonly baseFlags?: object | undefined;
  readonly enableJsonFlag?: boolean | undefined;
}
/** oclif would take piped standard input for an argument that is missing, and a secret that comes that way with it. */
function withoutStdin<T extends ParserInput>(options: T): T {
  const args = Object.entries(options.args ?? {}).map(([name, arg]) => [name, { ...arg, ignoreStdin: true }]);
  // `options` is a command class: the spread copies its own statics, the inherited ones are named.
  const { baseFlags, enableJsonFlag } = options;
  return { ...options, baseFlags, enableJsonFlag, args: Object.fromEntries(args) };
}

/** The name under which a command's JSON is versioned: `session:show` → `lunctl.session-show/1`. */
export function schemaOf(commandId: string): string {
  return `lunctl.${commandId.replaceAll(':', '-')}/1`;
}
