// An initiator session joined to the scripted FakeTarget: every byte moves within `pump`, nothing is asynchronous.
import type { BlockDevice, BlockOp, BlockRequest, BlockStatus } from '../../src/block/block-device.js';
import { Lun } from '../../src/initiator/lun.js';
import { DEFAULT_WISHES } from '../../src/initiator/options.js';
import type { DiskInfo, LunInfo } from '../../src/initiator/probe.js';
import { designatorToText, naaDesignator, naaFromSerial } from '../../src/scsi/designator.js';
import type { RefBuffer } from '../../src/util/ref-buffer.js';
import { FakeDisk } from '../faults/fake-disk.js';
import { BLOCK, FakeTarget, type FakeTargetOptions } from './fake-target.js';
import { MemorySink } from './memory-link.js';
import { InitiatorRig, type PairOptions } from './pair.js';

/** No pings. */
export const QUIET = { timers: { noopIntervalMs: 0 } };

export interface FakePair {
  readonly rig: InitiatorRig;
  readonly target: FakeTarget;
}

/** Both ends, with the login carried as far as it goes. */
export function fakePair(target: FakeTargetOptions = {}, options: PairOptions = {}): FakePair {
  const rig = new InitiatorRig(options);
  return { rig, target: reopen(rig, target, options) };
}

/** The serial number of the unit behind every pair, unless the test names another unit. */
export const SERIAL = 'fa1e0001';

/** A new connection of the rig's session to a new fake target, whose unit is the same as before unless told otherwise. */
export function reopen(rig: InitiatorRig, options: FakeTargetOptions, faults: PairOptions = {}): FakeTarget {
  const unit = new FakeDisk({ serial: SERIAL, sizeBytes: 0 });
  const target = new FakeTarget({ unit, ...options, wishes: { ...DEFAULT_WISHES, ...options.wishes } });
  unit.bytes = target.disk;
  rig.open({ consumer: target, sink: target.sink }, new MemorySink(), faults);
  rig.pump();
  return target;
}

/** A LUN 0 of the fake target's disk. */
export function fakeLun({ rig, target }: FakePair, disk: Partial<DiskInfo> = {}): Lun {
  return new Lun(rig.session, lunInfo({ blocks: target.disk.length / BLOCK, ...disk }));
}

export function lunInfo(disk: Partial<DiskInfo> = {}): LunInfo {
  return {
    lun: 0,
    address: Buffer.alloc(8),
    deviceType: 0,
    vendor: 'TEST',
    product: 'FAKE DISK',
    revision: '1',
    serial: SERIAL,
    designator: designatorToText(naaDesignator(naaFromSerial(SERIAL))),
    worldwide: false,
    problem: null,
    disk: {
      blocks: 2 ** 15,
      blockSize: BLOCK,
      physicalBlockSize: BLOCK,
      optimalIoSize: 0,
      maxTransfer: 0,
      readOnly: false,
      writeCache: true,
      dpofua: true,
      use10: false,
      thin: { unmap: false, writeSameUnmap: false, readsZeros: false, maxUnmapBlocks: 0, maxWriteSameBlocks: 0 },
      nonVolatileCache: false,
      ...disk,
    },
  };
}

/** One request and what has become of it. Checks the rules of BlockRequest as it goes. */
export class Probe implements BlockRequest {
  flags = 0;
  payload: Buffer | null = null;
  payloadOwner: RefBuffer | null = null;
  status: BlockStatus | null = null;
  received = 0;
  /** Whether it forgets what it is told to; one that has passed its data on cannot. */
  forgets = false;
  readonly bytes: Buffer;

  constructor(
    readonly op: BlockOp,
    readonly offset: number,
    readonly length: number,
  ) {
    this.bytes = Buffer.alloc(length);
  }
  onData(piece: Buffer, at: number): void {
    if (this.status !== null) throw new Error('data after the end of a request');
    if (at !== this.received) throw new Error(`data at ${at}, ${this.received} bytes have come`);
    if (at + piece.length > this.length) throw new Error('more data than was asked for');
    piece.copy(this.bytes, at);
    this.received += piece.length;
  }
  onRewind(at: number): boolean {
    if (this.forgets) this.received = at;
    return this.forgets;
  }
  onDone(status: BlockStatus): void {
    if (this.status !== null) throw new Error('a request ended twice');
    this.status = status;
  }
}

/** Submits one operation; the caller pumps and looks. */
export function start(
  device: BlockDevice,
  op: BlockOp,
  offset: number,
  length: number,
  more: {
    readonly payload?: Buffer;
    readonly flags?: number;
    readonly owner?: RefBuffer;
    readonly forgets?: boolean;
  } = {},
): Probe {
  const probe = new Probe(op, offset, length);
  probe.flags = more.flags ?? 0;
  probe.forgets = more.forgets ?? false;
  probe.payload = more.payload ?? null;
  probe.payloadOwner = more.owner ?? null;
  device.submit(probe);
  return probe;
}
