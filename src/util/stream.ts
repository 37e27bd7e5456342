// The border between a protocol core and a byte stream: what a core reads from and writes to, without a socket.
// Both interfaces stand here because iscsi/, nbd/ and transport/ share them and may not import each other.
import type { RefBuffer } from './ref-buffer.js';

/** Where a core puts the bytes it sends. Nothing leaves before the driver flushes, once per turn. */
export interface TransmitSink {
  /** The memory that `reserve` points into. It may be another buffer after each `reserve`. */
  readonly slab: Buffer;
  /** Claims `length` (≤ SLAB_LARGEST) contiguous bytes of the slab; returns their offset. The caller fills every byte at once. */
  reserve(length: number): number;
  /** Queues `piece` without a copy. `owner` is retained until the bytes have left; without one the memory must never change. */
  append(piece: Buffer, owner: RefBuffer | null): void;
  /** Bytes accepted here that the kernel has not taken yet. Producers of bulk data stop above HIGH_WATER. */
  readonly backlog: number;
  /** Asks for `onDrain` also if the backlog has not been above HIGH_WATER: after the next bytes have left. */
  wantDrain?(): void;
  /**
   * Bytes that the kernel has taken after its buffer had been full: this grows only while the peer takes data. Absent
   * where nobody can tell.
   */
  readonly taken?: number;
}
/** Largest piece that `reserve` gives out, in bytes: a header and a small payload. */
export const SLAB_LARGEST = 16_384;
/** A payload up to this size is copied behind its header, in one contiguous write; a larger one goes by reference. */
export const COPY_LARGEST = 8192;
/** Above this backlog a producer waits for the consumer's `onDrain`. Bytes. */
export const HIGH_WATER = 2 ** 21;

/** A core that reads a byte stream. Throwing a ProtocolError from any method ends the connection and nothing else. */
export interface StreamConsumer {
  /** New bytes. `chunk` is a view of `owner.buffer`, valid until the call returns unless the owner is retained. */
  onBytes(chunk: Buffer, owner: RefBuffer): void;
  /** Where the next bytes should land (the missing rest of a large payload), or null for a shared receive buffer. */
  readTarget(): Buffer | null;
  /** The first `length` bytes of the buffer that the last `readTarget()` returned have been filled. */
  onTargetFilled(length: number): void;
  /** Whether the driver should stop reading for now (too much in flight). Read after every call into the core. */
  readonly paused: boolean;
  /** The backlog of the sink fell below half of HIGH_WATER. */
  onDrain(): void;
}

/** A core with a notion of time. `now` is milliseconds on a monotonic clock. */
export interface Timed {
  /** When `handleTimeout` wants to be called, or undefined for never. */
  readonly deadline: number | undefined;
  /** Early, late and repeated calls are harmless. */
  handleTimeout(now: number): void;
  /** Whether the deadline holds also while the core does not want its socket to be read. Otherwise it waits until it does. */
  readonly holdsWhilePaused?: boolean;
}
