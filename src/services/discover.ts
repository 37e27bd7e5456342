// SendTargets discovery: asks one portal for the targets behind it (RFC 7143 §4.3, Appendix C).
import { LoginFailed } from '../initiator/login-refusal.js';
import { DEFAULT_TIMERS } from '../initiator/options.js';
import { DiscoverySession, type TargetPortal } from '../initiator/sendtargets.js';
import { makeIsid, randomIsidPart } from '../iscsi/isid.js';
import type { NegotiationWishes } from '../iscsi/negotiation.js';
import { formatAddress, lacksZone } from '../iscsi/portal.js';
import { now } from '../transport/clock.js';
import { connectTcp } from '../transport/connect.js';
import type { Source } from '../transport/source.js';
import { bounded } from '../transport/timers.js';
import type { Wire } from '../transport/wire.js';
import { AppError } from '../util/errors.js';
import { BufferPool } from '../util/ref-buffer.js';
import { loginHint } from './login-hints.js';
import { type Attempt, attemptLogin, type Endpoint } from './session/attempts.js';
import type { Credentials } from './session/info.js';
import { whyClosed } from './try-login.js';

/** The targets are known by then: nobody should wait long for a portal's goodbye. */
const LOGOUT_MS = 2000;

export interface DiscoverRequest {
  /** `address` may be a name. */
  readonly portal: Endpoint;
  /** Where the connection comes from; undefined leaves it to the kernel's routes. */
  readonly source?: Source | undefined;
  readonly initiatorName: string;
  readonly credentials?: Credentials | null;
  /** What to offer instead of the initiator's own wishes. */
  readonly negotiate?: NegotiationWishes;
  /** Bound of the whole discovery, milliseconds. Default 15 s. */
  readonly timeoutMs?: number;
  /** Bound of the connect alone, milliseconds. */
  readonly connectMs?: number;
  /** How long the portal may take over each answer, milliseconds. Default 15 s. */
  readonly answerMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** One path to one target; `tpgt` is −1 where the portal stated none. */
export interface DiscoveredTarget {
  address: string;
  port: number;
  tpgt: number;
  targetName: string;
}

/**
 * The targets behind a portal, in the order received. Throws ERR_TRANSPORT for a name that does not resolve, ERR_TIMEOUT
 * when the portal refuses, has no route or stays silent, ERR_LOGIN_AUTH for credentials that it refuses, ERR_INTERRUPTED;
 * each names the portal. The connection is closed in every case.
 */
export async function discoverSendTargets(request: DiscoverRequest): Promise<DiscoveredTarget[]> {
  const { portal, timeoutMs = DEFAULT_TIMERS.loginTimeoutMs } = request;
  const end = now() + timeoutMs;
  try {
    const found = await attemptLogin(portal, request.credentials ?? null, (at, credentials) =>
      attempt(request, at, credentials, end - now()),
    );
    return found.map(({ address, port, tpgt, targetName }) => ({
      ...{ address: withZone(address, portal.address), port, tpgt, targetName },
    }));
  } catch (error) {
    throw discoveryError(request, error);
  }
}

/** A link-local address means nothing without its zone, which a target cannot know: it is that of the portal asked. */
function withZone(address: string, portal: string): string {
  const zone = /%.+$/.exec(portal)?.[0];
  return zone !== undefined && lacksZone(address) ? `${address}${zone}` : address;
}

async function attempt(
  request: DiscoverRequest,
  portal: Endpoint,
  credentials: Credentials | null,
  timeoutMs: number,
): Promise<Attempt<readonly TargetPortal[]>> {
  const end = now() + timeoutMs;
  const { signal, source, connectMs = timeoutMs } = request;
  const to = { host: portal.address, port: portal.port };
  const wire = await connectTcp(to, { timeoutMs: Math.min(timeoutMs, connectMs), signal, source });
  try {
    const outcome = await bounded(exchange(request, wire, credentials), {
      timeoutMs: end - now(),
      signal,
      onTimeout: () => new LoginFailed('silent', 'ERR_TIMEOUT', `no answer within ${Math.round(timeoutMs / 1000)} s`),
    });
    if (outcome.kind !== 'failed' || credentials !== null) return outcome;
    const login = { ...request, targetName: null, portal, timeoutMs: Math.max(1, end - now()) };
    return { ...outcome, error: await whyClosed(outcome.error, login) };
  } finally {
    wire.destroy();
  }
}

/** The dialogue over one connection. Settles after the logout, so that nothing is cut off. */
function exchange(
  request: DiscoverRequest,
  wire: Wire,
  credentials: Credentials | null,
): Promise<Attempt<readonly TargetPortal[]>> {
  return new Promise((resolve, reject) => {
    let outcome: Attempt<readonly TargetPortal[]> | null = null;
    const core = new DiscoverySession(
      {
        initiatorName: request.initiatorName,
        // A new one each time: two discoveries at once must not reinstate each other.
        isid: makeIsid(randomIsidPart(), 0),
        credentials,
        ...(request.negotiate === undefined ? {} : { negotiate: request.negotiate }),
        portal: { address: wire.remoteAddress, port: wire.remotePort },
      },
      {
        pool: new BufferPool(),
        now,
        timers: {
          ...DEFAULT_TIMERS,
          loginTimeoutMs: request.answerMs ?? DEFAULT_TIMERS.loginTimeoutMs,
          logoutTimeoutMs: LOGOUT_MS,
        },
        onOutput: () => wire.wake(),
      },
      wire.sink,
    );
    const drain = (): void => {
      for (let output = core.poll(); output !== undefined; output = core.poll()) {
        if (output.kind === 'found') outcome = { kind: 'done', value: output.targets };
        else if (output.kind === 'closed') settle();
        else if (output.kind !== 'log') outcome = output;
        if (outcome !== null && outcome.kind !== 'done') settle();
      }
    };
    const settle = (): void => {
      if (outcome !== null) resolve(outcome);
      else reject(new LoginFailed('closed', 'ERR_TIMEOUT', 'the connection was closed before the answer'));
    };
    wire.attach(core, {
      timed: [core],
      afterCall: drain,
      onClose: (error) => {
        core.handleClosed(error);
        drain();
        settle();
      },
    });
  });
}

/** Exit codes of a discovery differ from those of a login: what never got an answer is 11. */
function discoveryError({ portal, initiatorName }: DiscoverRequest, error: unknown): unknown {
  if (!(error instanceof AppError) || error.code === 'ERR_INTERRUPTED') return error;
  const hint = loginHint(error, { targetName: null, portal, initiatorName });
  const { retriable, fault } = error;
  const options = { cause: error, retriable, fault, ...(hint === undefined ? {} : { hint }) };
  const code = error.code === 'ERR_CONNECT' ? 'ERR_TIMEOUT' : error.code;
  const reason = error.message.replace(/^discovery (failed: )?/, '');
  return new AppError(code, `discovery at ${formatAddress(portal)} failed: ${reason}`, options);
}
