// Who may take up a connection before having logged in: limits that strangers cannot turn against honest initiators.
import { LIMITS } from '../../target/limits.js';

/** A connection on its way to a session. */
export interface Pending {
  readonly address: string;
  /** A Login PDU of it has come. */
  readonly begun: boolean;
  drop(reason: string): void;
}

/** Failed logins of one address in a minute before the next answers are slowed down, and by how much, in milliseconds. */
const FAILURES = 10;
const MINUTE = 60_000;
const SLOW_MS = 1000;
const MOST_ADDRESSES = 1024;

export class Admission {
  /** In the order of their arrival. */
  readonly #pending = new Set<Pending>();
  readonly #failures = new Map<string, { since: number; count: number }>();

  get pending(): number {
    return this.#pending.size;
  }

  /**
   * Takes a new connection in. Above a limit the oldest one that has not sent a Login PDU goes: whoever means it sends
   * one at once. Where all have, the oldest of them goes: an honest login is over in a moment, so what is old has
   * stopped half way, and must not keep newcomers out.
   */
  admit(connection: Pending): void {
    const same = [...this.#pending].filter((other) => other.address === connection.address);
    if (same.length >= LIMITS.pendingPerAddress) this.#dropOne(same);
    if (this.#pending.size >= LIMITS.pendingConnections) this.#dropOne([...this.#pending]);
    this.#pending.add(connection);
  }
  /** It has logged in, or is gone. */
  leave(connection: Pending): void {
    this.#pending.delete(connection);
  }

  #dropOne(candidates: readonly Pending[]): void {
    const victim = candidates.find((connection) => !connection.begun) ?? candidates[0];
    if (victim === undefined) return;
    this.#pending.delete(victim);
    victim.drop('made room for newer connections');
  }

  /** A login of this address was refused. */
  failed(address: string, now: number): void {
    const entry = this.#failures.get(address);
    if (entry !== undefined && now - entry.since < MINUTE) {
      entry.count++;
      return;
    }
    this.#failures.delete(address);
    if (this.#failures.size >= MOST_ADDRESSES) {
      const oldest = this.#failures.keys().next().value;
      if (oldest !== undefined) this.#failures.delete(oldest);
    }
    this.#failures.set(address, { since: now, count: 1 });
  }
  /**
   * How long a refused login of this address waits for its answer, in milliseconds. It counts as pending meanwhile, so
   * one address gets few guesses a second, and a login that is right is not slowed down by the wrong ones beside it.
   */
  delayFor(address: string, now: number): number {
    const entry = this.#failures.get(address);
    return entry !== undefined && now - entry.since < MINUTE && entry.count >= FAILURES ? SLOW_MS : 0;
  }
}
