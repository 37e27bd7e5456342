// A discovery session: log in without a target name, ask SendTargets=All, log out (RFC 7143 §4.3, Appendix C).
import { isIscsiName } from '../iscsi/names.js';
import type { NegotiationWishes } from '../iscsi/negotiation.js';
import { readPortal } from '../iscsi/portal.js';
import type { TextPair } from '../iscsi/wire/text.js';
import { AppError } from '../util/errors.js';
import { printable } from '../util/printable.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import type { StreamConsumer, Timed, TransmitSink } from '../util/stream.js';
import { InitiatorConnection } from './connection.js';
import type { ConnectionOutput, Credentials, InitiatorEnvironment, Redirect } from './options.js';

/** One path to one target. `tpgt` is −1 where the portal stated none. */
export interface TargetPortal {
  readonly targetName: string;
  readonly address: string;
  readonly port: number;
  readonly tpgt: number;
}

export type DiscoveryOutput =
  | { readonly kind: 'found'; readonly targets: readonly TargetPortal[] }
  | { readonly kind: 'failed'; readonly error: AppError; readonly retryWithMd5: boolean }
  | { readonly kind: 'redirect'; readonly to: Redirect }
  /** After `found`: the logout is done, the socket can go. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'log'; readonly level: 'info' | 'warn'; readonly message: string };

export interface DiscoveryOptions {
  readonly initiatorName: string;
  readonly initiatorAlias?: string;
  readonly isid: Buffer;
  readonly credentials: Credentials | null;
  /** Differences from what we offer by ourselves. */
  readonly negotiate?: NegotiationWishes;
  /** The portal that was connected to: it stands in where a target states no address of its own. */
  readonly portal: { readonly address: string; readonly port: number };
}

/** Distinct targets of one answer. */
export const MOST_TARGETS = 4096;
/** Paths of one answer, over all its targets. */
const MOST_PATHS = 65_536;

export class DiscoverySession implements StreamConsumer, Timed {
  readonly #options: DiscoveryOptions;
  readonly #environment: InitiatorEnvironment;
  readonly #connection: InitiatorConnection;
  readonly #outputs: DiscoveryOutput[] = [];
  #tpgt = -1;
  #due: number;
  #found = false;
  #over = false;

  /** Writes the first Login Request into `sink` at once. The login and the answer are each bounded by loginTimeoutMs. */
  constructor(options: DiscoveryOptions, environment: InitiatorEnvironment, sink: TransmitSink) {
    this.#options = options;
    this.#environment = environment;
    this.#due = Number.POSITIVE_INFINITY;
    const { initiatorName, initiatorAlias, isid, credentials, negotiate = {} } = options;
    const login = { initiatorName, isid, credentials, negotiate, targetName: null };
    this.#connection = new InitiatorConnection(
      initiatorAlias === undefined ? login : { ...login, initiatorAlias },
      { ...environment, onOutput: () => this.#drain() },
      sink,
    );
  }
  onBytes(chunk: Buffer, owner: RefBuffer): void {
    this.#connection.onBytes(chunk, owner);
  }
  readTarget(): Buffer | null {
    return this.#connection.readTarget();
  }
  onTargetFilled(length: number): void {
    this.#connection.onTargetFilled(length);
  }
  get paused(): boolean {
    return this.#connection.paused;
  }
  onDrain(): void {
    this.#connection.onDrain();
  }
  handleClosed(error: unknown): void {
    this.#connection.handleClosed(error);
  }
  get deadline(): number | undefined {
    const first = Math.min(this.#connection.deadline ?? Number.POSITIVE_INFINITY, this.#due);
    return first === Number.POSITIVE_INFINITY ? undefined : first;
  }
  handleTimeout(now: number): void {
    this.#connection.handleTimeout(now);
    if (now < this.#due) return;
    const seconds = this.#environment.timers.loginTimeoutMs / 1000;
    this.#connection.drop(
      new AppError('ERR_TIMEOUT', `discovery failed: no answer to SendTargets within ${seconds} s`),
    );
  }
  /** `found` (or `failed`, `redirect`) comes once; `closed` follows `found`. */
  poll(): DiscoveryOutput | undefined {
    return this.#outputs.shift();
  }

  #drain(): void {
    for (let output = this.#connection.poll(); output !== undefined; output = this.#connection.poll()) {
      this.#digest(output);
    }
  }
  #digest(output: ConnectionOutput): void {
    switch (output.kind) {
      case 'log':
      case 'redirect':
        this.#report(output);
        break;
      case 'logged-in':
        this.#tpgt = output.tpgt ?? -1;
        this.#due = this.#environment.now() + this.#environment.timers.loginTimeoutMs;
        this.#connection.text([['SendTargets', 'All']]);
        break;
      case 'text':
        this.#answered(output.pairs);
        break;
      case 'login-failed':
        this.#report({ kind: 'failed', error: output.error, retryWithMd5: output.retryWithMd5 });
        break;
      default:
        this.#ended(
          output.kind === 'lost' ? output.error : new AppError('ERR_TRANSPORT', 'the target ended discovery'),
        );
    }
  }
  #answered(pairs: readonly TextPair[]): void {
    this.#due = Number.POSITIVE_INFINITY;
    try {
      const targets = readTargets(pairs, { ...this.#options.portal, tpgt: this.#tpgt }, (message) =>
        this.#report({ kind: 'log', level: 'warn', message }),
      );
      this.#found = true;
      this.#report({ kind: 'found', targets });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.#report({ kind: 'failed', error, retryWithMd5: false });
      this.#over = true;
    }
    this.#connection.logout();
  }
  #ended(error: AppError): void {
    this.#due = Number.POSITIVE_INFINITY;
    if (this.#over) return;
    this.#over = true;
    // Once the targets are known, how the connection ends does not matter.
    this.#report(this.#found ? { kind: 'closed' } : { kind: 'failed', error, retryWithMd5: false });
  }
  #report(output: DiscoveryOutput): void {
    this.#outputs.push(output);
    this.#environment.onOutput?.();
  }
}

/**
 * The paths of an answer: each TargetName is followed by its TargetAddresses; without any the target is behind the portal
 * that was asked. Names and addresses that are none are left out and told to `skipped`. Duplicates are dropped.
 * @throws AppError above MOST_TARGETS
 */
export function readTargets(
  pairs: readonly TextPair[],
  portal: { readonly address: string; readonly port: number; readonly tpgt: number },
  skipped: (message: string) => void,
): TargetPortal[] {
  const paths = new Map<string, TargetPortal>();
  const withAddress = new Set<string>();
  const names = new Set<string>();
  let name: string | null = null;
  for (const [key, value] of pairs) {
    if (key === 'TargetName') {
      name = isIscsiName(value) ? value : null;
      if (name === null) skipped(`left out a target with an unusable name: ${printable(value, 80)}`);
      else names.add(name);
      if (names.size > MOST_TARGETS)
        throw new AppError('ERR_PROTOCOL', `the portal names more than ${MOST_TARGETS} targets`);
    } else if (key === 'TargetAddress' && name !== null) {
      const address = readPortal(value);
      if (address === null) skipped(`left out an unusable address of ${name}: ${printable(value, 80)}`);
      else add(paths, { targetName: name, ...address, tpgt: address.tpgt ?? -1 });
      withAddress.add(name);
    }
    if (paths.size > MOST_PATHS) throw new AppError('ERR_PROTOCOL', `the portal names more than ${MOST_PATHS} paths`);
  }
  for (const targetName of names) {
    if (!withAddress.has(targetName)) add(paths, { targetName, ...portal });
  }
  return [...paths.values()];
}

function add(paths: Map<string, TargetPortal>, path: TargetPortal): void {
  const key = JSON.stringify([path.targetName, path.address, path.port, path.tpgt]);
  if (!paths.has(key)) paths.set(key, path);
}
