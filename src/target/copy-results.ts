// The outcomes of copies that RECEIVE COPY RESULTS can be asked for (SPC-4 §5.17.4): kept for the nexus that ordered them.
import type { CopyOutcome } from '../scsi/extended-copy.js';
import { LIMITS } from './limits.js';
import type { Nexus } from './nexus.js';

const STARTED: CopyOutcome = { state: 'in-progress', segments: 0, bytes: 0, sense: null };

export class CopyResults {
  readonly #byNexus = new Map<Nexus, Map<number, CopyOutcome>>();
  #running = 0;

  get busy(): boolean {
    return this.#running >= LIMITS.copies;
  }
  find(nexus: Nexus, listId: number): CopyOutcome | undefined {
    return this.#byNexus.get(nexus)?.get(listId);
  }

  /** A copy begins. `listId` null: nobody will ask for it. */
  begin(nexus: Nexus, listId: number | null): void {
    this.#running++;
    this.#keep(nexus, listId, STARTED);
  }
  progress(nexus: Nexus, listId: number | null, outcome: CopyOutcome): void {
    this.#keep(nexus, listId, outcome);
  }
  end(nexus: Nexus, listId: number | null, outcome: CopyOutcome): void {
    this.#running--;
    this.#keep(nexus, listId, outcome);
  }

  #keep(nexus: Nexus, listId: number | null, outcome: CopyOutcome): void {
    if (listId === null) return;
    const own = this.#byNexus.get(nexus) ?? new Map<number, CopyOutcome>();
    this.#byNexus.set(nexus, own.set(listId, outcome));
    if (own.size <= LIMITS.copyResults) return;
    for (const [id, { state }] of own) {
      if (state === 'in-progress') continue;
      own.delete(id);
      return;
    }
  }

  forget(nexus: Nexus): void {
    this.#byNexus.delete(nexus);
  }
  clear(): void {
    this.#byNexus.clear();
  }
}
