// What is behind a LUN while it is served, whatever kind it is of.
import type { BlockDevice } from '../../../block/block-device.js';
import type { StorageObject } from '../../../saveconfig/model.js';
import type { PassThrough } from '../../../target/pass-through.js';
import type { BufferPool } from '../../../util/ref-buffer.js';

/** An open storage object. `device` says its size and whether it can be written. */
export interface Backstore {
  readonly object: StorageObject;
  /** PRODUCT IDENTIFICATION. */
  readonly name: string;
  /** The file or device, absolute, without symbolic links; null where there is none. */
  readonly path: string | null;
  /** UNIT SERIAL NUMBER: the object's `wwn`, else one that stays as long as the content does. */
  readonly serial: string;
  readonly device: BlockDevice;
  /** Who carries out the commands where that is not us; `device` can only be flushed then. */
  readonly passThrough?: PassThrough;
  /** Opening it has made the file, or memory that is empty. */
  readonly created: boolean;
  /**
   * Looks whether what is behind it has grown, and takes the new size; `device.sizeBytes` says it from then on. Returns that
   * size in bytes. A disk never shrinks. Rejects with AppError, and nothing has changed then.
   */
  refreshSize(): Promise<number>;
  /**
   * Makes it larger: a file by truncate(2), memory by itself; a device of others must have been made larger before. Returns
   * the size now in force. Rejects with AppError ERR_USAGE for a smaller size, ERR_NOT_SUPPORTED where it is not ours to do.
   */
  grow(sizeBytes: number): Promise<number>;
  /** Closes the device after its requests in flight, with no flush; `undo` also removes a file that opening it has made. */
  close(undo: boolean): Promise<void>;
}

export interface OpenOptions {
  /** Nobody may write, whatever the object says. Default false. */
  readonly readOnly?: boolean;
  /** A missing file is made, sparse and for its owner alone. Default false: it may be on a disk that is not mounted yet. */
  readonly create?: boolean;
  readonly pool?: BufferPool;
  /** The root of the kernel target's configfs, for tests. */
  readonly kernelTarget?: string;
}
