// A disk as SCSI sees it (SAM-5 §4.6, SBC-3): task set, UNIT ATTENTION, reservations, and which command does what.
import { isDeepStrictEqual } from 'node:util';
import { allocationOf } from '../block/allocation.js';
import { type BlockDevice, BlockOp, BlockStatus, type Extent } from '../block/block-device.js';
import { BlockError, perform } from '../block/promise.js';
import { cdbBlocks, cdbFua, cdbLba, cdbProtect, isRead, isWrite } from '../scsi/cdb-fields.js';
import { parseCdb } from '../scsi/cdb-parse.js';
import { CheckCondition, invalidFieldInCdb, Senses } from '../scsi/check-condition.js';
import type { Designator } from '../scsi/designator.js';
import type { CopyTarget } from '../scsi/extended-copy.js';
import { ScsiOp } from '../scsi/opcodes.js';
import { buildDescriptorSense, buildFixedSense, type Sense } from '../scsi/sense.js';
import { ScsiStatus } from '../scsi/status.js';
import { BufferPool } from '../util/ref-buffer.js';
import { runCommand } from './commands.js';
import { CopyResults } from './copy-results.js';
import type { CopyUnit } from './copy-unit.js';
import { unitDesignators } from './designators.js';
import { deviceSense } from './device-status.js';
import { TaskAborted } from './gather.js';
import { LIMITS } from './limits.js';
import { ModeState } from './mode-state.js';
import type { Nexus } from './nexus.js';
import { type PassThrough, passOn } from './pass-through.js';
import { readBlocks } from './read-transfer.js';
import { accessOf, type ReservationKeeper, Reservations } from './reservations.js';
import { SanitizeState } from './sanitize-state.js';
import type { ScsiTask } from './scsi-task.js';
import { abortAll, TaskSet } from './task-set.js';
import type { LongWork, Unit } from './unit.js';
import { type ResolvedFeatures, resolveFeatures, type UnitFeatures } from './unit-features.js';
import { WriteGate } from './write-gate.js';
import { writeBlocks } from './write-transfer.js';

export interface LogicalUnitOptions {
  /** PRODUCT IDENTIFICATION: the backstore's name; the first 16 bytes are shown. */
  readonly name: string;
  /** UNIT SERIAL NUMBER, printable ASCII. The NAA identifier is made of its hex digits: it must stay what it is. */
  readonly serial: string;
  readonly device: BlockDevice;
  /** Who carries out the commands instead of this unit; `device` is only asked for its size and flushed then. */
  readonly passThrough?: PassThrough | null;
  readonly pool?: BufferPool;
  /** What is offered of it, and as what; by default all that the device can do. */
  readonly features?: UnitFeatures;
  /** Keeps persistent reservations over a loss of power; null or nothing where they end with the process. */
  readonly keeper?: ReservationKeeper | null;
  /**
   * Between the pieces of SANITIZE and EXTENDED COPY, after each `bytes`: settles when the next may begin, so that other units get
   * their turn. Default: at once.
   */
  readonly pause?: (work: LongWork, bytes: number) => Promise<void>;
}

export class LogicalUnit implements Unit, CopyUnit {
  readonly name: string;
  readonly serial: string;
  readonly device: BlockDevice;
  readonly pool: BufferPool;
  readonly gate = new WriteGate();
  readonly mode: ModeState;
  readonly reservations: Reservations;
  readonly sanitize = new SanitizeState();
  readonly copies = new CopyResults();
  readonly pause: (work: LongWork, bytes: number) => Promise<void>;
  readonly #tasks = new TaskSet((task) => this.#start(task));
  readonly #nexuses = new Set<Nexus>();
  readonly #passThrough: PassThrough | null;
  #features: ResolvedFeatures;
  #names: readonly Designator[];
  #sizeBytes: number;
  /** A flush has failed: which writes were lost nobody knows, so no later flush may claim success. */
  #flushFailed: BlockStatus = BlockStatus.Ok;

  constructor(options: LogicalUnitOptions) {
    this.name = options.name;
    this.serial = options.serial;
    this.device = options.device;
    this.#passThrough = options.passThrough ?? null;
    this.pool = options.pool ?? new BufferPool();
    this.#features = resolveFeatures(options.features ?? {}, options.device, options.name);
    this.mode = new ModeState(this.#features.writeCache);
    this.reservations = new Reservations(this, options.keeper);
    this.pause = options.pause ?? (() => Promise.resolve());
    this.#names = unitDesignators(this.#features.vendor, this.name, this.serial);
    this.#sizeBytes = options.device.sizeBytes;
  }

  /** Size in logical blocks. */
  get blocks(): number {
    return Math.floor(this.device.sizeBytes / this.device.blockSize);
  }
  get features(): ResolvedFeatures {
    return this.#features;
  }
  /** Other features from now on: initiators learn by UNIT ATTENTION that they have to look again. */
  setFeatures(wanted: UnitFeatures): void {
    const features = resolveFeatures(wanted, this.device, this.name);
    if (isDeepStrictEqual(features, this.#features)) return;
    if (features.writeCache !== this.#features.writeCache) this.mode.setWriteCache(features.writeCache);
    this.#features = features;
    this.#names = unitDesignators(features.vendor, this.name, this.serial);
    this.attention(Senses.InquiryDataChanged);
  }
  get nexuses(): ReadonlySet<Nexus> {
    return this.#nexuses;
  }

  // ---- Nexuses ----------------------------------------------------------------------------------------------------

  /** A new nexus finds the unit as after a power on (SAM-5 §5.14: 29h/00h). */
  join(nexus: Nexus): void {
    this.#nexuses.add(nexus);
    nexus.attention(this, Senses.PowerOnOrReset);
  }
  /** I_T nexus loss (SAM-5 §6.3.4): its RESERVE ends; what it registered stays. */
  leave(nexus: Nexus): void {
    this.#nexuses.delete(nexus);
    this.reservations.nexusLost(nexus);
    this.copies.forget(nexus);
  }
  /** Establishes a UNIT ATTENTION for every nexus but `except`. */
  attention(sense: Sense, except: Nexus | null = null): void {
    for (const nexus of this.#nexuses) if (nexus !== except) nexus.attention(this, sense);
  }

  // ---- Tasks ------------------------------------------------------------------------------------------------------

  /** Takes a command. It ends by `task.finish`, maybe before this returns. */
  execute(task: ScsiTask): void {
    if (this.#tasks.full) {
      task.finish(ScsiStatus.TaskSetFull, null);
      return;
    }
    this.#tasks.enter(task);
  }

  /** Ends a command of this unit. */
  end(task: ScsiTask, status: number, sense: Sense | null): void {
    const data = sense === null ? null : this.buildSense(sense);
    task.finish(status, data);
    this.#tasks.leave(task);
  }
  fail(task: ScsiTask, sense: Sense): void {
    this.end(task, ScsiStatus.CheckCondition, sense);
  }
  /** Sense data in the format that the control mode page asks for. */
  buildSense(sense: Sense): Buffer {
    return this.mode.descriptorSense ? buildDescriptorSense(sense) : buildFixedSense(sense);
  }

  /** Takes away an aborted command that has not been started; false if it has. */
  cancelDormant(task: ScsiTask): boolean {
    if (!this.#tasks.isDormant(task)) return false;
    this.end(task, ScsiStatus.TaskAborted, null);
    return true;
  }

  abortTaskSet(nexus: Nexus, done: () => void): void {
    abortAll(
      this.#tasks.tasks().filter((task) => task.nexus === nexus),
      done,
    );
  }
  /** CLEAR TASK SET (SAM-5 §7.5): the initiators whose commands went are told by UNIT ATTENTION 2Fh/00h. */
  clearTaskSet(nexus: Nexus, done: () => void): void {
    const tasks = this.#tasks.tasks();
    for (const task of tasks) if (task.nexus !== nexus) task.nexus.attention(this, Senses.CommandsCleared);
    abortAll(tasks, done);
  }
  /** PREEMPT AND ABORT: stops the commands of these nexuses, but not `except`. */
  abortTasksOf(nexusKeys: ReadonlySet<string>, except: ScsiTask): Promise<void> {
    const tasks = this.#tasks.tasks().filter((task) => task !== except && nexusKeys.has(task.nexus.key));
    return new Promise((resolve) => abortAll(tasks, resolve));
  }
  /** LOGICAL UNIT RESET (SAM-5 §6.3.3). */
  reset(done: () => void): void {
    abortAll(this.#tasks.tasks(), () => {
      this.reservations.reset();
      this.copies.clear();
      this.mode.reset();
      this.attention(Senses.TargetReset);
      done();
    });
  }

  // ---- Commands ---------------------------------------------------------------------------------------------------

  #start(task: ScsiTask): void {
    const opcode = task.cdb[0] ?? 0;
    try {
      if (!this.#admit(task, opcode)) return;
      if (this.#passThrough !== null && opcode !== ScsiOp.ReportLuns) this.#passOn(task, this.#passThrough);
      else if (isRead(opcode)) this.#read(task);
      else if (isWrite(opcode)) this.#write(task);
      else runCommand(this, task, parseCdb(task.cdb));
    } catch (error) {
      this.failWith(task, error);
    }
  }

  /** The device's own sense data goes out as it came. */
  #passOn(task: ScsiTask, to: PassThrough): void {
    passOn(to, task, () => this.checkWritable(task)).then(
      ({ status, sense }) => {
        task.finish(task.aborted ? ScsiStatus.TaskAborted : status, task.aborted ? null : sense);
        this.#tasks.leave(task);
      },
      (error: unknown) => this.failWith(task, error),
    );
  }

  /** Ends a command by what its implementation has thrown. */
  failWith(task: ScsiTask, error: unknown): void {
    if (error instanceof TaskAborted) {
      this.end(task, ScsiStatus.TaskAborted, null);
      return;
    }
    if (error instanceof CheckCondition) {
      this.fail(task, error.sense);
      return;
    }
    this.fail(task, Senses.InternalTargetFailure);
  }

  /** What stands before every command (SAM-5 §5.14, SPC-4 §5.12): UNIT ATTENTION, then reservations. */
  #admit(task: ScsiTask, opcode: number): boolean {
    this.#noticeSize();
    const exempt = opcode === ScsiOp.Inquiry || opcode === ScsiOp.ReportLuns || opcode === ScsiOp.RequestSense;
    if (exempt) return true;
    const attention = task.nexus.takeAttention(this);
    if (attention !== null) {
      this.fail(task, attention);
      return false;
    }
    // NACA would need auto contingent allegiance, which INQUIRY denies (SAM-5 §5.2).
    if ((task.cdb[controlByte(opcode)] ?? 0) & 0x04) throw invalidFieldInCdb('SAM-5 §5.2', controlByte(opcode), 2);
    const sanitizing = this.sanitize.refuses(opcode, (task.cdb[1] ?? 0) & 0x1f);
    if (sanitizing !== null) {
      this.fail(task, sanitizing);
      return false;
    }
    if (this.reservations.none || !this.reservations.conflicts(task.nexus, accessOf(task.cdb))) return true;
    this.end(task, ScsiStatus.ReservationConflict, null);
    return false;
  }

  /** A device that has grown: every initiator is told once (2Ah/09h). */
  #noticeSize(): void {
    if (this.device.sizeBytes === this.#sizeBytes) return;
    this.#sizeBytes = this.device.sizeBytes;
    this.attention(Senses.CapacityChanged);
  }

  #read(task: ScsiTask): void {
    const { cdb } = task;
    const blocks = cdbBlocks(cdb, 0);
    const offset = this.checkRange(cdb, cdbLba(cdb, 0), blocks);
    const total = blocks * this.device.blockSize;
    task.expectData(total);
    // What the initiator has no room for need not be fetched; the residual count tells it.
    const useful = Math.min(total, this.#wholeBlocksUp(task.dataInLength));
    if (cdbFua(cdb, 0)) this.#flushThenRead(task, offset, useful);
    else readBlocks(this, task, offset, useful);
  }

  /** FUA on a read: what a cache holds for these blocks must be on the medium first (SBC-3 §4.20). */
  #flushThenRead(task: ScsiTask, offset: number, length: number): void {
    this.flush((status) => {
      if (status === BlockStatus.Ok) readBlocks(this, task, offset, length);
      else this.fail(task, deviceSense(status, true, offset / this.device.blockSize));
    });
  }

  #write(task: ScsiTask): void {
    const { cdb } = task;
    const blocks = cdbBlocks(cdb, 0);
    const offset = this.checkRange(cdb, cdbLba(cdb, 0), blocks);
    this.checkWritable(task);
    this.writeData(task, offset, blocks, cdbFua(cdb, 0));
  }

  /** Takes `blocks` blocks of the task's Data-Out to `offset` and ends the task; a short Data-Out writes what it has. */
  writeData(task: ScsiTask, offset: number, blocks: number, fua: boolean): void {
    const { blockSize } = this.device;
    const total = blocks * blockSize;
    task.expectData(total);
    const useful = Math.min(total, task.dataOutLength - (task.dataOutLength % blockSize));
    if (useful === 0) {
      this.end(task, ScsiStatus.Good, null);
      return;
    }
    writeBlocks(this, task, offset, useful, this.mustFlush(fua));
  }

  #wholeBlocksUp(bytes: number): number {
    const { blockSize } = this.device;
    return Math.ceil(bytes / blockSize) * blockSize;
  }

  /** Whether a write is only complete once flushed: FUA, or a write cache that MODE SELECT has switched off. */
  mustFlush(fua: boolean): boolean {
    return this.device.writeCache && (fua || !this.mode.writeCache);
  }

  checkWritable(task: ScsiTask): void {
    if (this.#isWriteProtected(task.mapped.readOnly)) throw new CheckCondition('SBC-3 §4.14', Senses.WriteProtected);
  }
  #isWriteProtected(mappedReadOnly: boolean): boolean {
    return mappedReadOnly || this.features.readOnly || this.mode.writeProtected;
  }

  /**
   * The byte offset of a range that a command transfers.
   * @throws CheckCondition for protection information, a range outside the medium, or one larger than a transfer may be
   */
  checkRange(cdb: Buffer, lba: number, blocks: number, largest = LIMITS.transfer / this.device.blockSize): number {
    // RDPROTECT and its sisters: PROTECT is 0 in INQUIRY, so any other value is wrong (SBC-3 §4.22.2).
    if (cdbProtect(cdb, 0) !== 0) throw invalidFieldInCdb('SBC-3 §4.22', 1, 7);
    if (lba + blocks > this.blocks) throw new CheckCondition('SBC-3 §4.5', Senses.LbaOutOfRange);
    if (blocks > largest) throw invalidFieldInCdb('SBC-3 §6.6.4', (cdb[0] ?? 0) >> 5 === 4 ? 10 : 7);
    return lba * this.device.blockSize;
  }

  // ---- The device, for commands that are not hot --------------------------------------------------------------------

  /**
   * Everything acknowledged before is on stable storage when `done(Ok)` is called. A device without a write cache is asked as
   * well: it may have failed to be one.
   */
  flush(done: (status: BlockStatus) => void): void {
    if (this.#flushFailed !== BlockStatus.Ok) {
      done(this.#flushFailed);
      return;
    }
    this.device.submit({
      op: BlockOp.Flush,
      offset: 0,
      length: 0,
      flags: 0,
      payload: null,
      payloadOwner: null,
      onData: () => {},
      onDone: (status) => {
        if (status !== BlockStatus.Ok) this.#flushFailed = status;
        done(status);
      },
    });
  }
  /** @throws CheckCondition where the device fails */
  async flushNow(): Promise<void> {
    const status = await new Promise<BlockStatus>((resolve) => this.flush(resolve));
    if (status !== BlockStatus.Ok) throw new CheckCondition('SBC-3 §5.22', deviceSense(status, true, 0));
  }
  /** @throws CheckCondition where the device fails */
  async run(
    op: typeof BlockOp.Write | typeof BlockOp.WriteZeroes,
    offset: number,
    length: number,
    payload?: Buffer,
    flags = 0,
  ): Promise<void> {
    await this.#attempt(offset, true, perform(this.device, { op, offset, length, flags, ...(payload && { payload }) }));
  }
  /** @throws CheckCondition where the device fails */
  async read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    const reading = perform(this.device, { op: BlockOp.Read, offset, length }, (piece, at) => piece.copy(bytes, at));
    await this.#attempt(offset, false, reading);
    return bytes;
  }
  /** @throws CheckCondition where the device fails */
  async allocation(offset: number, length: number, most: number): Promise<readonly Extent[]> {
    try {
      return await allocationOf(this.device, { offset, length }, most);
    } catch {
      throw new CheckCondition('SBC-3 §5.6', { ...Senses.ReadError, information: offset / this.device.blockSize });
    }
  }

  // ---- Copies on behalf of a nexus, see CopyUnit --------------------------------------------------------------------

  get blockSize(): number {
    return this.device.blockSize;
  }
  isNamed({ codeSet, association, designatorType, designator }: CopyTarget): boolean {
    return this.#names.some(
      (name) =>
        name.codeSet === codeSet &&
        name.association === association &&
        name.type === designatorType &&
        name.value.equals(designator),
    );
  }
  refuses(nexus: Nexus, access: 'read' | 'write', readOnly: boolean): Sense | null {
    const sanitizing = this.sanitize.refuses(access === 'read' ? ScsiOp.Read16 : ScsiOp.Write16, 0);
    if (sanitizing !== null) return sanitizing;
    if (this.reservations.conflicts(nexus, access)) return Senses.ThirdPartyDeviceFailure;
    return access === 'write' && this.#isWriteProtected(readOnly) ? Senses.WriteProtected : null;
  }
  async writeAlone(offset: number, bytes: Buffer): Promise<void> {
    await this.gate.acquireExclusive();
    try {
      await this.run(BlockOp.Write, offset, bytes.length, bytes);
    } finally {
      this.gate.releaseExclusive();
    }
  }
  async settle(): Promise<void> {
    if (this.mustFlush(false)) await this.flushNow();
  }

  async #attempt(offset: number, write: boolean, operation: Promise<void>): Promise<void> {
    try {
      await operation;
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      throw new CheckCondition('SPC-4 §4.5', deviceSense(error.status, write, offset / this.device.blockSize));
    }
  }
}

/** Where the CONTROL byte of a CDB is. */
function controlByte(opcode: number): number {
  switch (opcode >> 5) {
    case 0:
      return 5;
    case 1:
    case 2:
      return 9;
    case 5:
      return 11;
    default:
      return 15;
  }
}
