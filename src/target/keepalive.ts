// When a quiet initiator is pinged, and when it is given up (RFC 7143 §11.19: NOP-In with a Target Transfer Tag).

/** Times are milliseconds on the caller's monotonic clock. Any PDU of the peer shows that it lives. */
export class Keepalive {
  readonly #pingAfterMs: number;
  readonly #timeoutMs: number;
  #heardAt: number;
  #pingedAt: number | null = null;

  constructor(pingAfterMs: number, timeoutMs: number, now: number) {
    this.#pingAfterMs = pingAfterMs;
    this.#timeoutMs = timeoutMs;
    this.#heardAt = now;
  }
  heard(now: number): void {
    this.#heardAt = now;
    this.#pingedAt = null;
  }
  get deadline(): number {
    return this.#pingedAt === null ? this.#heardAt + this.#pingAfterMs : this.#pingedAt + this.#timeoutMs;
  }
  /** What is due now. 'ping' is said once for each silence. */
  check(now: number): 'nothing' | 'ping' | 'lost' {
    if (now < this.deadline) return 'nothing';
    if (this.#pingedAt !== null) return 'lost';
    this.#pingedAt = now;
    return 'ping';
  }
}
