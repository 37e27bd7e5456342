// An I_T nexus (RFC 7143 §4.4.3, SAM-5 §4.8): one initiator port with one target port, and the conditions that wait for it.
import type { Sense } from '../scsi/sense.js';

/** Conditions kept for one logical unit; the oldest are dropped beyond it. A peer that never asks must not cost memory. */
const MOST_CONDITIONS = 8;

export class Nexus {
  /** RFC 7143 §4.4.3: the initiator's iSCSI name, ",i,0x" and its ISID in hex. */
  readonly initiatorPort: string;
  /** The target's iSCSI name, ",t,0x" and the portal group tag in hex. */
  readonly targetPort: string;
  readonly initiatorName: string;
  readonly targetName: string;
  /** The portal group tag, which is also the relative identifier of the target port. */
  readonly tag: number;
  /** The 6 bytes of the ISID. */
  readonly isid: Buffer;
  /** By logical unit, which is only told apart from others here. */
  readonly #conditions = new Map<object, Sense[]>();

  constructor(initiatorName: string, isid: Buffer, targetName: string, tag: number) {
    this.initiatorName = initiatorName;
    this.targetName = targetName;
    this.tag = tag;
    this.isid = Buffer.from(isid);
    this.initiatorPort = initiatorPortName(initiatorName, isid);
    this.targetPort = `${targetName},t,0x${tag.toString(16).padStart(4, '0')}`;
  }

  /** Identity across sessions: persistent reservations outlive the nexus object (SPC-4 §5.12.3). */
  get key(): string {
    return `${this.initiatorPort} ${this.targetPort}`;
  }

  /** Establishes a UNIT ATTENTION condition. The same condition twice is one. */
  attention(unit: object, sense: Sense): void {
    const waiting = this.#conditions.get(unit);
    if (!waiting) {
      this.#conditions.set(unit, [sense]);
      return;
    }
    if (waiting.some((s) => s.asc === sense.asc && s.ascq === sense.ascq)) return;
    if (waiting.length === MOST_CONDITIONS) waiting.shift();
    waiting.push(sense);
  }

  /** The oldest condition of `unit`, which is cleared by being reported; null if there is none. */
  takeAttention(unit: object): Sense | null {
    return this.#conditions.get(unit)?.shift() ?? null;
  }

  hasAttention(unit: object): boolean {
    const waiting = this.#conditions.get(unit);
    return waiting !== undefined && waiting.length > 0;
  }

  forget(): void {
    this.#conditions.clear();
  }
}

/** RFC 7143 §4.4.3: the name of an initiator port. */
export function initiatorPortName(initiatorName: string, isid: Buffer): string {
  return `${initiatorName},i,0x${isid.toString('hex')}`;
}
