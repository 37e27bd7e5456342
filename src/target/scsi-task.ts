// A SCSI command on its way through a logical unit, and the transport services it offers there (SAM-5 §5.4).
// The logical unit sees this interface only: how data and status travel is the business of the connection.
import type { RefBuffer } from '../util/ref-buffer.js';
import type { MappedUnit } from './copy-unit.js';
import type { Nexus } from './nexus.js';

/** SAM-5 §8.6: how a command may be ordered against the others of its task set. */
export const TaskAttribute = { Untagged: 0, Simple: 1, Ordered: 2, HeadOfQueue: 3, Aca: 4 } as const;

/** Takes the write data of a command, in ascending order and without a gap. */
export interface DataOutReceiver {
  /** `piece` is valid until the call returns, unless `owner` is retained; without an owner it must be copied. */
  onDataOut(piece: Buffer, at: number, owner: RefBuffer | null): void;
  /** Every byte asked for has been delivered. */
  onDataOutEnd(): void;
  /** The command was aborted: no more bytes will come. The receiver finishes its task once nothing of it is in flight. */
  onAbort(): void;
}

/** Waits until the network can take more data. */
export interface Resumable {
  resume(): void;
}

export interface ScsiTask {
  /** 16 bytes, valid for the life of the task. */
  readonly cdb: Buffer;
  readonly nexus: Nexus;
  /** How the initiator sees the unit. */
  readonly mapped: { readonly readOnly: boolean };
  /** Every LUN of the initiator by its number, for REPORT LUNS and EXTENDED COPY. */
  readonly luns: ReadonlyMap<number, MappedUnit>;
  readonly attribute: number;
  /** The tags of the target's portal groups through which the unit can be reached, ascending; that of the nexus is one. */
  portalGroupTags(): readonly number[];
  /** Bytes that the initiator offers (W bit) and expects (R bit): its Expected Data Transfer Length, or 0. */
  readonly dataOutLength: number;
  readonly dataInLength: number;
  /** Once true, nothing more should be started for the task; `finish` must be called all the same. */
  readonly aborted: boolean;
  /** Stops the task without an answer. `ended` is called after `finish`, so when nothing of it is in flight any more. */
  abort(ended: () => void): void;

  /** Asks for the first `length` bytes of write data, at least 1; fewer come if the initiator has fewer. Returns how many. */
  receive(length: number, receiver: DataOutReceiver): number;
  /** Says that `length` bytes taken from `onDataOut` are no longer held. */
  release(length: number): void;
  /** Announces how many bytes the command moves, in either direction, which sets the residual count. Before any of them. */
  expectData(total: number): void;
  /**
   * How much of `bytes` of read data may be fetched now: all, a part that is a multiple of every block size, or 0; then
   * `waiter.resume` is called once some may, or on abort.
   */
  mayFetch(bytes: number, waiter: Resumable): number;
  /** Read data in ascending order. `owner` is retained while the bytes wait; without one they are copied. */
  sendData(piece: Buffer, owner: RefBuffer | null): void;
  /**
   * The command is over: exactly once, also for an aborted one. Nothing of it may be in flight any more.
   * `sense` is whole sense data, with CHECK CONDITION only. Called by the logical unit's `end`, by nobody else.
   */
  finish(status: number, sense: Buffer | null): void;
}
