// A logical unit as a BlockDevice: reads, writes and the rest become SCSI commands of a session (SBC-4).
import type { BlockDevice, BlockRequest } from '../block/block-device.js';
import type { LunInfo } from './probe.js';
import type { InitiatorSession } from './session.js';

export declare class Lun implements BlockDevice {
  /** `info.disk` must not be null. */
  constructor(session: InitiatorSession, info: LunInfo, options?: { readonly readOnly?: boolean });
  readonly info: LunInfo;
  readonly sizeBytes: number;
  readonly blockSize: number;
  readonly physicalBlockSize: number;
  readonly optimalIoSize: number;
  readonly maxTransfer: number;
  readonly readOnly: boolean;
  readonly writeCache: boolean;
  readonly canTrim: boolean;
  readonly canWriteZeroes: boolean;
  /** Bytes read and written since the LUN was opened. */
  readonly readBytes: number;
  readonly writtenBytes: number;
  submit(request: BlockRequest): void;
  close(): Promise<void>;
}
