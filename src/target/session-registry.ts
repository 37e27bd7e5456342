// The sessions of a target node: TSIH numbers, reinstatement, and how many one initiator may hold (RFC 7143 §4.4.3.1, §6.3.5).
import type { EndCause } from './events.js';
import { LIMITS } from './limits.js';
import type { MappedLun } from './target-node.js';

/** What the registry needs to know of a session. */
export interface RegisteredSession {
  readonly tsih: number;
  readonly initiatorName: string;
  /** The name of its initiator port (§4.4.3). */
  readonly initiatorPort: string;
  /** Null for a discovery session. */
  readonly targetName: string | null;
  /** Initiator port, target name and portal group tag: who comes again with it takes the session's place. */
  readonly nexusKey: string;
  /** TargetPortalGroupTag; 0 for a discovery session. */
  readonly tag: number;
  /** Other logical units from now on. */
  regrant(luns: ReadonlyMap<number, MappedLun>): void;
  /** Asks the initiator to log out; one that does not in time is dropped. */
  requestLogout(reason: string): void;
  /** Ends the session. `ended` is called once its tasks have stopped and the writes they had started have returned. */
  terminate(reason: string, cause: EndCause, ended: () => void): void;
}

export class SessionRegistry {
  readonly #byTsih = new Map<number, RegisteredSession>();
  readonly #byNexus = new Map<string, RegisteredSession>();
  #last = 0;

  get size(): number {
    return this.#byTsih.size;
  }
  sessions(): RegisteredSession[] {
    return [...this.#byTsih.values()];
  }
  find(tsih: number): RegisteredSession | undefined {
    return this.#byTsih.get(tsih);
  }
  findNexus(nexusKey: string): RegisteredSession | undefined {
    return this.#byNexus.get(nexusKey);
  }
  /** Whether `initiatorName` may have one more normal session; one that it replaces does not count. */
  hasRoom(initiatorName: string, replacing: RegisteredSession | undefined): boolean {
    let [own, all] = [0, 0];
    for (const session of this.#byTsih.values()) {
      if (session.targetName === null || session === replacing) continue;
      all++;
      if (session.initiatorName === initiatorName) own++;
    }
    return own < LIMITS.sessionsPerInitiator && all < LIMITS.sessions;
  }
  /** The discovery session that must go before there can be another one, if any. */
  surplusDiscovery(): RegisteredSession | undefined {
    const discoveries = [...this.#byTsih.values()].filter(({ targetName }) => targetName === null);
    return discoveries.length < LIMITS.discoverySessions ? undefined : discoveries[0];
  }
  /** A TSIH that no session has, never 0 (RFC 7143 §11.12.6), and as long unused as can be. */
  allocateTsih(): number {
    do this.#last = (this.#last % 0xffff) + 1;
    while (this.#byTsih.has(this.#last));
    return this.#last;
  }
  add(session: RegisteredSession): void {
    this.#byTsih.set(session.tsih, session);
    this.#byNexus.set(session.nexusKey, session);
  }
  remove(session: RegisteredSession): void {
    this.#byTsih.delete(session.tsih);
    if (this.#byNexus.get(session.nexusKey) === session) this.#byNexus.delete(session.nexusKey);
  }
}
