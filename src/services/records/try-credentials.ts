// Tries CHAP credentials by the records that hold them, or will.
import { formatAddress } from '../../iscsi/portal.js';
import { AppError } from '../../util/errors.js';
import { sideBySide } from '../../util/side-by-side.js';
import type { CredentialPair } from '../secret-rules.js';
import { type Accepted, tryLogin } from '../try-login.js';
import { credentialsOf, type Holder, isNode, nameOf } from './credentials.js';
import { sourceOf } from './iface.js';
import { discoverySettings, negotiateFrom, timersFrom } from './login.js';
import type { ConfigFile } from './records.js';

export interface TrialWishes {
  readonly initiatorName: string;
  /** To try in place of what is stored. */
  readonly pair: CredentialPair | null;
  readonly config: ConfigFile;
  /** Bound of each trial; default 15 s. Milliseconds. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal;
}

export interface TriedHolder {
  readonly holder: Holder;
  /** Or why the login was not accepted. */
  readonly outcome: Accepted | AppError;
}

const MOST_AT_ONCE = 16;
const TRIAL_MS = 15_000;

/** Logs in by each record and out again. @throws AppError ERR_INTERRUPTED alone */
export async function tryHolders(holders: readonly Holder[], wishes: TrialWishes): Promise<TriedHolder[]> {
  const tries = sideBySide(holders, MOST_AT_ONCE, async (holder) => ({
    holder,
    outcome: await tryHolder(holder, wishes).catch(asOutcome),
  }));
  return await Promise.all(tries);
}

function asOutcome(error: unknown): AppError {
  if (error instanceof AppError && error.code !== 'ERR_INTERRUPTED') return error;
  throw error;
}

async function tryHolder(holder: Holder, { initiatorName, pair, config, timeoutMs, signal }: TrialWishes) {
  const credentials = credentialsOf(holder, pair, config);
  if (credentials === null) {
    const whose = isNode(holder) ? holder.ref.targetName : `--discovery -p ${formatAddress(holder.portal)}`;
    throw new AppError('ERR_NOT_FOUND', `no CHAP credentials are stored for ${nameOf(holder)}`, {
      hint: `lunctl chap setup ${whose}`,
    });
  }
  if (isNode(holder)) {
    const { targetName, address, port } = holder.ref;
    return await tryLogin({
      ...{ targetName, portal: { address, port }, source: sourceOf(holder), credentials, signal },
      initiatorName: holder.values.text('iface.initiatorname') || initiatorName,
      negotiate: negotiateFrom(holder),
      timeoutMs: timeoutMs ?? Math.min(timersFrom(holder).loginTimeoutMs, TRIAL_MS),
    });
  }
  const settings = discoverySettings(holder.values, config.values);
  return await tryLogin({
    ...{ targetName: null, portal: holder.portal, initiatorName, credentials, signal },
    negotiate: settings.negotiate,
    timeoutMs: timeoutMs ?? settings.timeoutMs ?? TRIAL_MS,
  });
}
