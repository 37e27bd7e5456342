// The one interface between NBD exports, iSCSI LUNs, files and memory. Completion-based: see BlockRequest.
import type { RefBuffer } from '../util/ref-buffer.js';

export const BlockOp = { Read: 0, Write: 1, Flush: 2, Trim: 3, WriteZeroes: 4 } as const;
export type BlockOp = (typeof BlockOp)[keyof typeof BlockOp];

/** Request flags, a bit mask. */
export const BlockFlag = {
  /** The data must be on stable storage before `onDone`. WRITE, WRITE_ZEROES and TRIM. */
  Fua: 1,
  /** WRITE_ZEROES must leave the range allocated. */
  NoHole: 2,
  /** WRITE_ZEROES must fail with ENOTSUP unless it is faster than writing. */
  FastZero: 4,
} as const;

/** How a request ended: 0 or one of Linux's errno values, which are also NBD's. */
export const BlockStatus = {
  Ok: 0,
  Eperm: 1,
  Eio: 5,
  Enomem: 12,
  Einval: 22,
  Enospc: 28,
  Eoverflow: 75,
  Enotsup: 95,
  Eshutdown: 108,
} as const;
export type BlockStatus = (typeof BlockStatus)[keyof typeof BlockStatus];

/**
 * One operation. The caller fills it from a pool of its own, submits it, and must leave it alone until `onDone`.
 * `offset` and `length` are bytes and multiples of the device's `blockSize`.
 */
export interface BlockRequest {
  op: BlockOp;
  offset: number;
  length: number;
  flags: number;
  /** WRITE: exactly `length` bytes that stay as they are until `onDone`. Otherwise null. */
  payload: Buffer | null;
  /** The reference-counted memory behind `payload`; a device that keeps the bytes past `onDone` retains it. */
  payloadOwner: RefBuffer | null;
  /**
   * READ: a part of the data, `at` bytes after `offset`. Parts come in ascending order without a gap or an overlap.
   * `piece` is valid until the call returns unless `owner` is retained; with no owner it must be copied.
   */
  onData(piece: Buffer, at: number, owner: RefBuffer | null): void;
  /**
   * READ: what has been delivered from `at` on may be wrong and would come again: real targets send bytes that mean nothing
   * with a command that they then do not execute. True: it has been forgotten, and the next piece may begin at `at`. False,
   * or no such method: it has been passed on already.
   */
  onRewind?(at: number): boolean;
  /** Exactly once, maybe within `submit`. With Ok, a READ has delivered `length` bytes. An error may come after data. */
  onDone(status: BlockStatus): void;
}

/** Bytes of a disk. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** What is behind some bytes that follow those of the extent before. */
export interface Extent {
  /** Bytes, at least 1. */
  readonly length: number;
  /** Nothing is allocated: a write there may end with Enospc. */
  readonly hole: boolean;
  /** It reads as zeros. False where that is not known. */
  readonly zero: boolean;
}

/** A disk of fixed block size. Calls from one thread; requests may complete in any order. */
export interface BlockDevice {
  /** Size in bytes, a multiple of `blockSize`. May grow; a logical unit may shrink too: what it had before ends with Eio. */
  readonly sizeBytes: number;
  /** Logical block size in bytes: 512 or 4096. */
  readonly blockSize: number;
  /** Physical block size in bytes, ≥ blockSize. */
  readonly physicalBlockSize: number;
  /** Preferred transfer size in bytes, or 0 if the device states none. */
  readonly optimalIoSize: number;
  /** Largest READ or WRITE in bytes. TRIM and WRITE_ZEROES carry no data and may span the whole device. */
  readonly maxTransfer: number;
  readonly readOnly: boolean;
  /** A volatile write cache: acknowledged writes are stable only after FLUSH. */
  readonly writeCache: boolean;
  /**
   * How often acknowledged writes have been found lost or may be: the unit restarted with writes in its cache, an error came
   * after the acknowledgement, a cache could not be emptied. It only grows. A user of its own memory of writes (an NBD
   * client) must hear of a growth with its next FLUSH, once.
   */
  readonly writeLosses: number;
  readonly canTrim: boolean;
  readonly canWriteZeroes: boolean;
  /**
   * Starts the request. Never throws for what the request asks: a bad range is `onDone(Einval)`.
   * May be called from within `onData` or `onDone` of another request.
   */
  submit(request: BlockRequest): void;
  /**
   * Which parts of `range`, whole blocks inside the disk, are allocated: extents in order from its start, at least one and at
   * most `most`, none beyond its end. They may end before it does. A device without this method tells nothing: all is data.
   * Rejects with AppError: ERR_NOT_SUPPORTED if it cannot tell, others as a READ would fail. Use allocationOf.
   */
  allocation?(range: ByteRange, most: number): Promise<readonly Extent[]>;
  /** A hint: `range`, whole blocks inside the disk, will be read soon. Returns at once, and nobody hears what became of it. */
  prefetch?(range: ByteRange): void;
  /**
   * Where the first block that cannot be read is in a range whose READ has failed with Eio, in bytes; the start of the range
   * where that cannot be said. A device without this method does not know, or would make its asker wait.
   */
  firstBadBlock?(range: ByteRange): Promise<number>;
  /** Ends the device after its requests in flight. Idempotent. */
  close(): Promise<void>;
}
