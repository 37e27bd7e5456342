// A logical unit as the commands see it that it carries out: see LogicalUnit, which is the one implementation.
import type { BlockDevice, BlockOp, BlockStatus, Extent } from '../block/block-device.js';
import type { Sense } from '../scsi/sense.js';
import type { BufferPool } from '../util/ref-buffer.js';
import type { CopyResults } from './copy-results.js';
import type { ModeState } from './mode-state.js';
import type { Nexus } from './nexus.js';
import type { Reservations } from './reservations.js';
import type { SanitizeState } from './sanitize-state.js';
import type { ScsiTask } from './scsi-task.js';
import type { ResolvedFeatures } from './unit-features.js';
import type { WriteGate } from './write-gate.js';

/** Work that takes long, so that others have to get their turn. */
export type LongWork = 'sanitize' | 'copy';

export interface Unit {
  readonly name: string;
  readonly serial: string;
  readonly device: BlockDevice;
  readonly pool: BufferPool;
  readonly features: ResolvedFeatures;
  readonly gate: WriteGate;
  readonly mode: ModeState;
  readonly reservations: Reservations;
  readonly sanitize: SanitizeState;
  readonly copies: CopyResults;
  /** Size in logical blocks. */
  readonly blocks: number;
  /** Establishes a UNIT ATTENTION for every nexus but `except`. */
  attention(sense: Sense, except?: Nexus | null): void;
  abortTasksOf(nexusKeys: ReadonlySet<string>, except: ScsiTask): Promise<void>;
  /** Ends a command of this unit. */
  end(task: ScsiTask, status: number, sense: Sense | null): void;
  /** Ends a command by what its implementation has thrown. */
  failWith(task: ScsiTask, error: unknown): void;
  mustFlush(fua: boolean): boolean;
  /** @throws CheckCondition on a write-protected unit */
  checkWritable(task: ScsiTask): void;
  /** The byte offset of a range that a command transfers. @throws CheckCondition */
  checkRange(cdb: Buffer, lba: number, blocks: number, largest?: number): number;
  flush(done: (status: BlockStatus) => void): void;
  flushNow(): Promise<void>;
  run(
    op: typeof BlockOp.Write | typeof BlockOp.WriteZeroes,
    offset: number,
    length: number,
    payload?: Buffer,
    flags?: number,
  ): Promise<void>;
  read(offset: number, length: number): Promise<Buffer>;
  /** At most `most` extents of bytes that the disk has. @throws CheckCondition where the device fails */
  allocation(offset: number, length: number, most: number): Promise<readonly Extent[]>;
  /** Between the pieces of long work: settles when the next one may begin. */
  pause(work: LongWork, bytes: number): Promise<void>;
}
