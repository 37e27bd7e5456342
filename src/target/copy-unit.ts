// A logical unit as a copy sees it that reads from it or writes to it on behalf of a nexus (SPC-4 §5.17).
import type { CopyTarget } from '../scsi/extended-copy.js';
import type { Sense } from '../scsi/sense.js';
import type { Nexus } from './nexus.js';

export interface CopyUnit {
  /** Size in logical blocks. */
  readonly blocks: number;
  /** Of a logical block, in bytes. */
  readonly blockSize: number;
  /** Whether page 83h names the unit like this. */
  isNamed(target: CopyTarget): boolean;
  /** Why commands of `nexus` that read, or write, would be refused now: the sense of that; null if they would not. */
  refuses(nexus: Nexus, access: 'read' | 'write', readOnly: boolean): Sense | null;
  /** @throws CheckCondition where the device fails */
  read(offset: number, length: number): Promise<Buffer>;
  /** Writes while no other command changes the disk. @throws CheckCondition where the device fails */
  writeAlone(offset: number, bytes: Buffer): Promise<void>;
  /** Makes what was written as stable as a write's status promises. @throws CheckCondition where the device fails */
  settle(): Promise<void>;
}

/** A unit as one initiator sees it. */
export interface MappedUnit {
  readonly readOnly: boolean;
  readonly unit: CopyUnit;
}
