// How soon a lost session tries to log in again. A target that comes back is to be used within a second; one that does not
// must not be hammered. Pure: times are given, in milliseconds.
import { RefusedLogin } from '../../initiator/login-refusal.js';
import { UnprovenTarget } from '../../iscsi/chap.js';
import { LoginStatus, LoginStatusClass } from '../../iscsi/login-status.js';
import { AppError } from '../../util/errors.js';

/** Between the starts of two tries, after the first, which is made at once. */
const STEPS = [50, 100, 200, 400, 500];
/** The last step where the target has been away for long. */
const LONG_GAP = 2000;
const LONG_MS = 600_000;
/** A target that is still being set up after a restart (tgt, LIO) refuses logins that it takes a moment later. */
const REFUSED_GAP = 250;
const REFUSED_FIRST = 20;
const REFUSED_LATER = 1000;
/** Once no command waits any more. */
const REFUSED_EXPIRED = 5000;
/** A target that could not prove who it is will hardly learn it. */
const UNPROVEN_GAP = 5000;
/** A session that was up for less than this had not really come back. */
const SETTLED_MS = 1000;
/** Between the losses that a try follows at once: a target that accepts and drops logins in a loop gets no more of them. */
const AT_ONCE_GAP = 100;

export class RecoveryPace {
  #lostAt = 0;
  #upSince = Number.NEGATIVE_INFINITY;
  #tries = 0;
  #refusals = 0;
  #triedAt = 0;
  #gap = 0;
  /** The last loss that was followed by a try at once. */
  #atOnceFor = Number.NEGATIVE_INFINITY;
  /** The target's own wish. */
  #notBefore = 0;

  /**
   * The connection is gone; the target wants no login for `waitMs` (Time2Wait). The first try comes at once even for a session
   * that had hardly come back: that the address refuses it is often the only sign of a target that restarts quickly.
   */
  lost(now: number, waitMs: number): void {
    if (now - this.#upSince >= SETTLED_MS) {
      this.#tries = 0;
      this.#refusals = 0;
      this.#lostAt = now;
    }
    const isAtOnce = now - this.#atOnceFor >= AT_ONCE_GAP;
    if (isAtOnce) this.#atOnceFor = now;
    this.#gap = isAtOnce ? 0 : this.#step(now);
    this.#notBefore = now + waitMs;
  }
  loggedIn(now: number): void {
    this.#upSince = now;
  }
  /** How long to wait before the next try. */
  delay(now: number): number {
    return Math.max(0, this.#notBefore - now, this.#triedAt + this.#gap - now);
  }
  /** A try begins. */
  begin(now: number): void {
    this.#triedAt = now;
    this.#tries++;
  }
  /** The try has failed. `expired`: no command waits for the session any more. */
  failed(error: unknown, now: number, expired: boolean): void {
    switch (kindOf(error)) {
      case 'unproven':
        this.#gap = UNPROVEN_GAP;
        break;
      case 'refused':
        if (expired) this.#gap = REFUSED_EXPIRED;
        else this.#gap = ++this.#refusals <= REFUSED_FIRST ? REFUSED_GAP : REFUSED_LATER;
        break;
      default:
        this.#gap = this.#step(now);
    }
  }
  #step(now: number): number {
    if (now - this.#lostAt >= LONG_MS) return LONG_GAP;
    return STEPS[Math.min(this.#tries - 1, STEPS.length - 1)] ?? 0;
  }
}

/**
 * Class 2 says that a login should not be tried again; while recovering it is tried, slowly, because I/O waits for it.
 * "No such session" cannot be about ours, which asks for a new one: it is the target's trouble, as class 3 is.
 */
function kindOf(error: unknown): 'unreachable' | 'refused' | 'unproven' {
  if (error instanceof RefusedLogin) {
    const ours = error.status >>> 8 === LoginStatusClass.InitiatorError;
    return ours && error.status !== LoginStatus.SessionDoesNotExist ? 'refused' : 'unreachable';
  }
  if (!(error instanceof AppError)) return 'unreachable';
  if (error.cause instanceof UnprovenTarget) return 'unproven';
  return error.code === 'ERR_LOGIN_AUTH' ? 'refused' : 'unreachable';
}
