// What the data of a command needs of its session: see TargetSession.
import type { OperationalParams } from '../iscsi/negotiation.js';
import type { ReceiveWindow, StatusSequence } from '../iscsi/windows.js';
import type { PduWriter } from '../iscsi/wire/pdu-writer.js';
import type { BufferPool } from '../util/ref-buffer.js';
import type { Resumable } from './scsi-task.js';
import type { WriteMemory } from './write-memory.js';

/** Waits until an R2T may go out. */
export interface Solicitor {
  solicit(): void;
}

export interface TransferSession {
  readonly context: { readonly memory: WriteMemory; readonly pool: BufferPool };
  readonly params: OperationalParams;
  readonly writer: PduWriter;
  readonly window: ReceiveWindow;
  readonly statSn: StatusSequence;
  /** Whether the session is over, so that nothing is sent for it any more. */
  readonly over: boolean;
  /** Bytes that R2Ts under way have asked for. */
  solicited: number;
  maxCmdSn(): number;
  nextTtt(): number;
  /** Whether an R2T for `bytes` may go out now; if not, `waiter.solicit` is called again when there may be room. */
  maySolicit(bytes: number, waiter: Solicitor): boolean;
  /** See ScsiTask.mayFetch. */
  mayFetch(bytes: number, waiter: Resumable): number;
  fetched(bytes: number): void;
  /** Takes a waiting read out, to be resumed by its abort. */
  dropFetcher(waiter: Resumable): boolean;
}
