// Why a SendTargets discovery has failed, told from what `discoverSendTargets` throws.
import { RefusedLogin } from '../initiator/login-refusal.js';
import { SilentHost } from '../transport/connect.js';
import { AppError, messageOf } from '../util/errors.js';

export type DiscoveryFailure =
  /** The name leads to no address. `code` is getaddrinfo's. */
  | { readonly kind: 'unresolved'; readonly code: string }
  /** The operating system says why there is no connection: `code` as ECONNREFUSED. */
  | { readonly kind: 'unreachable'; readonly code: string }
  /** Nobody has said anything to the connect. */
  | { readonly kind: 'silent-host' }
  /** A Login Response of class 2 or 3; `status` as in LoginStatus. */
  | { readonly kind: 'refused'; readonly status: number }
  /** The connection was closed, or answered nothing in time, before the login was over. */
  | { readonly kind: 'closed' | 'silent' }
  /** What listens there is no target, or one that breaks the protocol or does not prove itself. */
  | { readonly kind: 'not-iscsi' | 'unproven' | 'other'; readonly message: string };

export function discoveryFailure(error: unknown): DiscoveryFailure {
  const causes = causesOf(error);
  if (causes.some((cause) => cause instanceof SilentHost)) return { kind: 'silent-host' };
  const refusal = causes.find((cause) => cause instanceof RefusedLogin);
  if (refusal !== undefined) return { kind: 'refused', status: refusal.status };
  for (const cause of causes) {
    const system = systemError(cause);
    if (system?.call === 'getaddrinfo') return { kind: 'unresolved', code: system.code };
    if (system?.call === 'connect') return { kind: 'unreachable', code: system.code };
  }
  return inLogin(error);
}

function inLogin(error: unknown): DiscoveryFailure {
  const message = messageOf(error);
  const fault = error instanceof AppError ? error.fault : null;
  if (fault === 'closed' || fault === 'silent') return { kind: fault };
  if (fault === 'not-iscsi' || fault === 'unproven') return { kind: fault, message };
  return { kind: 'other', message };
}

/** The error and what is behind it, outermost first. */
function causesOf(error: unknown): unknown[] {
  const causes: unknown[] = [];
  for (let cause = error; cause instanceof Error && causes.length < 10; cause = cause.cause) causes.push(cause);
  return causes;
}

function systemError(cause: unknown): { readonly call: string; readonly code: string } | undefined {
  const { syscall, code } = cause as { syscall?: unknown; code?: unknown };
  return typeof syscall === 'string' && typeof code === 'string' ? { call: syscall, code } : undefined;
}
