// Reservations of a unit: RESERVE(6) (SPC-2 §5.5.1) and persistent ones (SPC-4 §5.12), kept in memory.
import { CheckCondition, invalidFieldInParameterList, Senses } from '../scsi/check-condition.js';
import { ScsiOp } from '../scsi/opcodes.js';
import { type Registration, ReservationType as Type } from '../scsi/persistent-reserve.js';
import type { Nexus } from './nexus.js';

/** What a command does, as far as reservations ask. */
export type Access = 'free' | 'harmless' | 'read' | 'write';

/** What is reserved, and who is to hear of it. */
interface ReservedUnit {
  readonly nexuses: ReadonlySet<Nexus>;
}

/** Registrations of one unit. */
const MOST_REGISTRATIONS = 256;

/**
 * The class of a command (SPC-4 table 66, SBC-3 table 13). 'free' passes any reservation and is checked by itself;
 * 'harmless' passes persistent ones but not RESERVE(6).
 */
export function accessOf(cdb: Buffer): Access {
  const opcode = cdb[0] ?? 0;
  switch (opcode) {
    case ScsiOp.Release6:
    case ScsiOp.Release10:
      return 'free';
    case ScsiOp.PreventAllowMediumRemoval:
      return (cdb[4] ?? 0) === 0 ? 'free' : 'write';
    case ScsiOp.StartStopUnit:
      return ((cdb[4] ?? 0) & 0xf1) === 1 ? 'harmless' : 'write';
    case ScsiOp.TestUnitReady:
    case ScsiOp.ReadCapacity10:
    case ScsiOp.PersistentReserveIn:
    case ScsiOp.PersistentReserveOut:
    case ScsiOp.Reserve6:
    case ScsiOp.Reserve10:
    case ScsiOp.MaintenanceIn:
      return 'harmless';
    case ScsiOp.ServiceActionIn16:
      return ((cdb[1] ?? 0) & 0x1f) === 0x10 ? 'harmless' : 'read';
    case ScsiOp.Read6:
    case ScsiOp.Read10:
    case ScsiOp.Read12:
    case ScsiOp.Read16:
    case ScsiOp.Verify10:
    case ScsiOp.Verify12:
    case ScsiOp.Verify16:
    case ScsiOp.PreFetch10:
    case ScsiOp.PreFetch16:
    case ScsiOp.ReadDefectData10:
    case ScsiOp.ReadDefectData12:
      return 'read';
    default:
      return 'write';
  }
}

/** Persistent reservations as they outlive a loss of power (SPC-4 §5.12.5): plain data. */
export interface KeptReservations {
  readonly registrations: readonly {
    /** Nexus.key. */
    readonly nexus: string;
    readonly key: bigint;
    readonly name: string;
    readonly isid: string;
    readonly port: number;
  }[];
  /** `holder` is the nexus of one of them, or null where all of them hold it. */
  readonly held: { readonly type: number; readonly holder: string | null } | null;
}

/** Where they are kept. */
export interface ReservationKeeper {
  /** What was kept last; null for nothing. */
  readonly kept: KeptReservations | null;
  /** Resolves once `state` is on stable storage. */
  keep(state: KeptReservations | null): Promise<void>;
}

interface Registered {
  key: bigint;
  readonly name: string;
  readonly isid: string;
  readonly port: number;
}

const NAMES: ReadonlySet<number> = new Set(Object.values(Type));

function isAllRegistrants(type: number): boolean {
  return type === Type.WriteExclusiveAllRegistrants || type === Type.ExclusiveAccessAllRegistrants;
}
function isForRegistrants(type: number): boolean {
  return (
    isAllRegistrants(type) ||
    type === Type.WriteExclusiveRegistrantsOnly ||
    type === Type.ExclusiveAccessRegistrantsOnly
  );
}
function isWriteExclusive(type: number): boolean {
  return (
    type === Type.WriteExclusive ||
    type === Type.WriteExclusiveRegistrantsOnly ||
    type === Type.WriteExclusiveAllRegistrants
  );
}
/** Whether `type` is one of the six of table 64. */
export function isReservationType(type: number): boolean {
  return NAMES.has(type);
}

export class Reservations {
  readonly #unit: ReservedUnit;
  #reserved: Nexus | null = null;
  /** By Nexus.key: a registration outlives its session. */
  readonly #registered = new Map<string, Registered>();
  /** `holder` is a key of #registered; with the all-registrants types it is null and all of them hold it. */
  #held: { readonly type: number; readonly holder: string | null } | null = null;
  #generation = 0;
  readonly #keeper: ReservationKeeper | null;
  /** APTPL of the last REGISTER: everything is kept. */
  #persistent = false;
  /** Changes are made and kept one after another. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(unit: ReservedUnit, keeper: ReservationKeeper | null = null) {
    this.#unit = unit;
    this.#keeper = keeper;
    const kept = keeper?.kept ?? null;
    if (kept === null) return;
    this.#persistent = true;
    this.#put(kept);
  }

  /** Whether registrations can outlive a loss of power (PTPL_C), and whether they do now (PTPL_A). */
  get canPersist(): boolean {
    return this.#keeper !== null;
  }
  get persistent(): boolean {
    return this.#persistent;
  }

  /**
   * Makes one change of persistent reservations. What has to outlive a loss of power is on stable storage when it settles; if it
   * cannot be stored, nothing has changed. `persist`: APTPL of a REGISTER, null for other changes.
   * @throws CheckCondition as `change` does, or where the state cannot be kept
   */
  change<T>(persist: boolean | null, change: () => T): Promise<T> {
    const turn = this.#turn.then(() => this.#changeNow(persist, change));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
  async #changeNow<T>(persist: boolean | null, change: () => T): Promise<T> {
    const [before, wasPersistent] = [this.#state(), this.#persistent];
    const result = change();
    // A conflict has changed nothing, and a REGISTER that was refused has not said anything either.
    if (persist !== null && result !== false) this.#persistent = persist;
    if (this.#keeper === null || !(this.#persistent || wasPersistent)) return result;
    try {
      await this.#keeper.keep(this.#persistent ? this.#state() : null);
      return result;
    } catch {
      this.#put(before);
      this.#persistent = wasPersistent;
      throw new CheckCondition('SPC-4 §5.12.5', Senses.InternalTargetFailure);
    }
  }

  #state(): KeptReservations {
    const registrations = [...this.#registered].map(([nexus, entry]) => ({ nexus, ...entry }));
    return { registrations, held: this.#held };
  }
  #put({ registrations, held }: KeptReservations): void {
    this.#registered.clear();
    for (const { nexus, ...entry } of registrations) this.#registered.set(nexus, entry);
    this.#held = held;
  }

  /** Whether there is nothing that any command could conflict with. */
  get none(): boolean {
    return this.#reserved === null && this.#held === null;
  }
  get generation(): number {
    return this.#generation;
  }
  get held(): { readonly type: number; readonly key: bigint } | null {
    if (this.#held === null) return null;
    const { type, holder } = this.#held;
    return { type, key: holder === null ? 0n : (this.#registered.get(holder)?.key ?? 0n) };
  }
  get keys(): bigint[] {
    return [...this.#registered.values()].map((entry) => entry.key);
  }
  registrations(): Registration[] {
    return [...this.#registered].map(([id, { key, name, isid, port }]) => ({
      key,
      allTargetPorts: false,
      holds: this.#holds(id) ? (this.#held?.type ?? null) : null,
      relativePort: port,
      transportId: { name, isid },
    }));
  }

  #holds(id: string): boolean {
    return this.#held !== null && this.#registered.has(id) && (this.#held.holder === null || this.#held.holder === id);
  }

  conflicts(nexus: Nexus, access: Access): boolean {
    if (access === 'free') return false;
    if (this.#reserved !== null && this.#reserved !== nexus) return true;
    const held = this.#held;
    if (held === null || access === 'harmless' || this.#holds(nexus.key)) return false;
    if (isForRegistrants(held.type) && this.#registered.has(nexus.key)) return false;
    return !(access === 'read' && isWriteExclusive(held.type));
  }

  // ---- RESERVE(6) and RELEASE(6) ------------------------------------------------------------------------------------

  /** False: RESERVATION CONFLICT. */
  reserve(nexus: Nexus): boolean {
    if (this.#registered.size > 0 || (this.#reserved !== null && this.#reserved !== nexus)) return false;
    this.#reserved = nexus;
    return true;
  }
  /** A release by another nexus is no error and changes nothing. */
  release(nexus: Nexus): boolean {
    if (this.#registered.size > 0) return false;
    if (this.#reserved === nexus) this.#reserved = null;
    return true;
  }
  nexusLost(nexus: Nexus): void {
    if (this.#reserved === nexus) this.#reserved = null;
  }
  /** A reset ends RESERVE(6); persistent reservations are named for outliving it. */
  reset(): void {
    this.#reserved = null;
  }

  // ---- PERSISTENT RESERVE OUT ---------------------------------------------------------------------------------------

  /** Whether `nexus` is registered with `key`, as all service actions but the two registering ones demand. */
  isRegistered(nexus: Nexus, key: bigint): boolean {
    return this.#registered.get(nexus.key)?.key === key;
  }

  /** REGISTER; null as `key` is REGISTER AND IGNORE EXISTING KEY. False: conflict. */
  register(nexus: Nexus, key: bigint | null, newKey: bigint): boolean {
    const id = nexus.key;
    const entry = this.#registered.get(id);
    if (key !== null && key !== (entry?.key ?? 0n)) return false;
    if (entry === undefined) {
      if (newKey === 0n) return true;
      if (this.#registered.size >= MOST_REGISTRATIONS) {
        throw new CheckCondition('SPC-4 §5.12.7', Senses.InsufficientRegistrationResources);
      }
      const { initiatorName: name, tag: port } = nexus;
      this.#registered.set(id, { key: newKey, name, isid: nexus.isid.toString('hex'), port });
    } else if (newKey === 0n) this.#unregister(id, nexus);
    else entry.key = newKey;
    this.#generation = (this.#generation + 1) >>> 0;
    return true;
  }

  #unregister(id: string, nexus: Nexus | null): void {
    const held = this.#held;
    this.#registered.delete(id);
    if (held === null) return;
    const ends = held.holder === null ? this.#registered.size === 0 : held.holder === id;
    if (!ends) return;
    this.#held = null;
    if (isForRegistrants(held.type)) this.#tellRegistered(Senses.ReservationsReleased, nexus);
  }

  /** RESERVE. False: conflict. */
  hold(nexus: Nexus, type: number): boolean {
    if (this.#held !== null) return this.#holds(nexus.key) && this.#held.type === type;
    this.#held = { type, holder: isAllRegistrants(type) ? null : nexus.key };
    return true;
  }

  /** RELEASE: of nothing, or of another's, it is no error (SPC-4 §5.12.11.2). */
  letGo(nexus: Nexus, type: number): void {
    const held = this.#held;
    if (held === null || !this.#holds(nexus.key)) return;
    if (held.type !== type) throw new CheckCondition('SPC-4 §5.12.11.2', Senses.InvalidReleaseOfReservation);
    this.#held = null;
    if (isForRegistrants(type)) this.#tellRegistered(Senses.ReservationsReleased, nexus);
  }

  /** CLEAR. */
  clear(nexus: Nexus): void {
    this.#tellRegistered(Senses.ReservationsPreempted, nexus);
    this.#registered.clear();
    this.#held = null;
    this.#generation = (this.#generation + 1) >>> 0;
  }

  /**
   * PREEMPT (SPC-4 §5.12.11.4). Null: conflict, else the keys of the nexuses whose registrations went, for PREEMPT AND ABORT.
   */
  preempt(nexus: Nexus, victim: bigint, type: number): ReadonlySet<string> | null {
    const held = this.#held;
    const all = held !== null && held.holder === null;
    const holder = held?.holder ?? null;
    const preemptsHolder = all ? victim === 0n : holder !== null && this.#registered.get(holder)?.key === victim;
    if (victim === 0n && !preemptsHolder) throw invalidFieldInParameterList('SPC-4 §5.12.11.4', 8);
    const removed = new Set<string>();
    for (const [id, entry] of this.#registered) {
      if (id !== nexus.key && (entry.key === victim || (all && victim === 0n))) removed.add(id);
    }
    if (!preemptsHolder && removed.size === 0) return null;
    this.#tell(removed, Senses.RegistrationsPreempted);
    for (const id of removed) this.#registered.delete(id);
    if (preemptsHolder) {
      if (held !== null && held.type !== type) this.#tellRegistered(Senses.ReservationsReleased, nexus);
      this.#held = { type, holder: isAllRegistrants(type) ? null : nexus.key };
    }
    this.#generation = (this.#generation + 1) >>> 0;
    return removed;
  }

  #tellRegistered(sense: (typeof Senses)[keyof typeof Senses], except: Nexus | null): void {
    const others = new Set(this.#registered.keys());
    if (except !== null) others.delete(except.key);
    this.#tell(others, sense);
  }
  #tell(ids: ReadonlySet<string>, sense: (typeof Senses)[keyof typeof Senses]): void {
    for (const nexus of this.#unit.nexuses) if (ids.has(nexus.key)) nexus.attention(this.#unit, sense);
  }
}
