// Which bytes of a unit are allocated, by GET LBA STATUS (SBC-3 §5.6), and what is meant to be read soon, by PRE-FETCH (§5.8).
import type { ByteRange, Extent } from '../block/block-device.js';
import { CdbFlag, putPreFetch10, putPreFetch16 } from '../scsi/cdb.js';
import { LbaStatus } from '../scsi/lba-status.js';
import { parseSense } from '../scsi/sense.js';
import { classifySense, type SenseKind } from '../scsi/sense-class.js';
import { ScsiStatus } from '../scsi/status.js';
import { AppError, ProtocolError } from '../util/errors.js';
import { readBlockMap } from './block-map.js';
import type { Gate } from './gate.js';
import type { DiskInfo } from './probe.js';
import { Refusal } from './questioner.js';
import type { InitiatorSession } from './session.js';

/** Bytes that one hint covers at most, so that a careless one does not make a target read a whole disk. */
const MOST_PREFETCH = 2 ** 25;

export interface AskedUnit {
  readonly address: Buffer;
  readonly gate: Gate;
}

/** One unit's answers and hints. A command that it does not know is not sent again. */
export class UnitAllocation {
  readonly #session: InitiatorSession;
  readonly #unit: AskedUnit;
  #tells = true;
  #fetches = true;

  constructor(session: InitiatorSession, unit: AskedUnit) {
    this.#session = session;
    this.#unit = unit;
  }

  /** See BlockDevice.allocation. `range` has been checked. */
  async extents(disk: DiskInfo, { offset, length }: ByteRange, most: number): Promise<readonly Extent[]> {
    // A unit with READ CAPACITY(10) only has no 16-byte commands.
    if (!this.#tells || disk.use10) throw new AppError('ERR_NOT_SUPPORTED', 'the unit does not tell what is allocated');
    const { blockSize, thin } = disk;
    const lba = offset / blockSize;
    const question = { lba, end: lba + length / blockSize, most, gate: this.#unit.gate };
    const { commandTimeoutMs } = this.#session.environment.timers;
    try {
      const runs = await readBlockMap(this.#session, this.#unit.address, question, commandTimeoutMs);
      return runs.map(({ blocks, status }) => extentOf(blocks * blockSize, status, thin.readsZeros));
    } catch (error) {
      if (!(error instanceof AppError) || error.code === 'ERR_NOT_CONNECTED') throw error;
      if (isFinal(error)) this.#tells = false;
      throw new AppError('ERR_NOT_SUPPORTED', error.message, { cause: error });
    }
  }

  /** See BlockDevice.prefetch. What fails is forgotten: the range is as readable as before. */
  prefetch(disk: DiskInfo, { offset, length }: ByteRange): void {
    if (!this.#fetches || this.#session.state !== 'LOGGED_IN') return;
    const { address, gate } = this.#unit;
    const cdb = Buffer.alloc(16);
    const lba = offset / disk.blockSize;
    const blocks = Math.min(length, MOST_PREFETCH) / disk.blockSize;
    // Immediate: the answer comes before the blocks have been read.
    if (disk.use10) putPreFetch10(cdb, 0, lba, Math.min(blocks, 0xffff), CdbFlag.Immediate);
    else putPreFetch16(cdb, 0, lba, blocks, CdbFlag.Immediate);
    const { commandTimeoutMs: timeoutMs } = this.#session.environment.timers;
    this.#session.execute({ lun: address, cdb, timeoutMs, gate }).then(
      // GOOD, or CONDITION MET where the cache is large enough.
      ({ status, sense }) => {
        if (status !== ScsiStatus.CheckCondition || sense === null) return;
        if (isUnknown(classifySense(parseSense(sense)).kind)) this.#fetches = false;
      },
      () => {},
    );
  }
}

/** Anchored blocks are not mapped, but their place is reserved (SBC-3 §4.7.3.4): a write cannot fail for want of it. */
function extentOf(length: number, status: number, readsZeros: boolean): Extent {
  const unmapped = status === LbaStatus.Deallocated || status === LbaStatus.Anchored;
  return { length, hole: status === LbaStatus.Deallocated, zero: unmapped && readsZeros };
}

/** Whether asking again would be of no use: the unit does not know the command, does not answer it, or talks nonsense. */
function isFinal(error: AppError): boolean {
  if (error.cause instanceof Refusal) return isUnknown(error.cause.kind);
  return error instanceof ProtocolError || error.code === 'ERR_TIMEOUT' || !error.retriable;
}
function isUnknown(kind: SenseKind | null): boolean {
  return kind === 'unsupported' || kind === 'invalid-field';
}
