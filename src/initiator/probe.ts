// What is behind a target: its LUNs, their identity, size, cache and write protection (SPC-5, SBC-4).
import type { InitiatorSession } from './session.js';

/** A logical unit as its own answers describe it. */
export interface LunInfo {
  /** SAM LUN as a number, and the eight bytes that address it. */
  readonly lun: number;
  readonly address: Buffer;
  /** Only 00h (direct access) is exported. */
  readonly deviceType: number;
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
  readonly serial: string;
  /** `naa.…`, `eui.…`, `t10.…` or empty. */
  readonly designator: string;
  /** Null where the unit is no disk, or could not be asked: `problem` says why. */
  readonly disk: DiskInfo | null;
  readonly problem: string | null;
}

export interface DiskInfo {
  readonly blocks: number;
  readonly blockSize: number;
  readonly physicalBlockSize: number;
  /** Bytes, 0 where none is stated. */
  readonly optimalIoSize: number;
  /** Bytes of one command. */
  readonly maxTransfer: number;
  readonly readOnly: boolean;
  readonly writeCache: boolean;
  readonly dpofua: boolean;
  /** 10-byte commands only. */
  readonly use10: boolean;
  readonly thin: {
    readonly unmap: boolean;
    readonly writeSameUnmap: boolean;
    readonly readsZeros: boolean;
    /** Blocks of one UNMAP. */
    readonly maxUnmapBlocks: number;
    /** Blocks of one WRITE SAME, 0 for not supported. */
    readonly maxWriteSameBlocks: number;
  };
  /** VPD 86h NV_SUP: the write cache keeps its contents without power. */
  readonly nonVolatileCache: boolean;
}

/** Finds and questions every LUN. Each command is bounded by `timeoutMs`. Rejects with AppError if LUN discovery itself fails. */
export declare function probeLuns(session: InitiatorSession, timeoutMs: number): Promise<LunInfo[]>;
