// What `startServe` takes and gives back.
import type { Remark } from '../../saveconfig/check.js';
import type { StorageObject } from '../../saveconfig/model.js';
import type { TargetEvent } from '../../target/events.js';
import type { LiveTarget } from './live-target.js';

/** A disk to be offered. LUNs are numbered in the order given. */
export type ServeDisk =
  /** A file, made sparse with mode 0600 if it does not exist; `sizeBytes` null takes an existing one as it is. */
  | { readonly kind: 'fileio'; readonly path: string; readonly sizeBytes: number | null }
  | { readonly kind: 'block'; readonly path: string }
  /** Memory: its content ends with the server. */
  | { readonly kind: 'ramdisk'; readonly name: string; readonly sizeBytes: number };

export interface ServeAccount {
  readonly user: string;
  readonly secret: string;
}

export interface ServeOptions {
  readonly disks: readonly ServeDisk[];
  readonly targetName: string;
  /** Where to listen; port 0 takes a free one. */
  readonly portals: readonly { readonly address: string; readonly port: number }[];
  /** Initiators that may log in. */
  readonly allow: readonly string[];
  /** Lets every initiator in, with read and write. */
  readonly open: boolean;
  readonly account: ServeAccount | null;
  readonly mutual: ServeAccount | null;
  readonly readOnly: boolean;
  /** Where reservations are kept that outlive a loss of power (APTPL). Default: nowhere, and none do. */
  readonly reservations?: string;
  /** Told of each login, refusal and end. */
  onEvent?(event: TargetEvent, remote: { readonly address: string; readonly port: number }): void;
  /** Ends a start that is under way: files made by it are removed. */
  readonly signal?: AbortSignal;
}

export interface ConfigServeOptions extends Pick<ServeOptions, 'onEvent' | 'signal' | 'reservations'> {
  /** Goes on without the storage objects that cannot be opened. */
  readonly lenient: boolean;
}

/** One LUN of one portal group. */
export interface ServedDisk {
  readonly targetName: string;
  /** Of the portal group. */
  readonly tag: number;
  readonly lun: number;
  readonly kind: StorageObject['plugin'];
  readonly name: string;
  readonly path: string | null;
  readonly sizeBytes: number;
  readonly created: boolean;
}

export interface Server {
  /** Where it listens, with the port that was chosen. */
  readonly portals: readonly { readonly address: string; readonly port: number }[];
  /** Of the first target; null where the configuration has none. */
  readonly targetName: string | null;
  readonly disks: readonly ServedDisk[];
  /** Storage objects that could not be opened, where that was allowed. */
  readonly failed: readonly Remark[];
  /** The target as it can be looked at and changed while it runs. */
  readonly live: LiveTarget;
  /** Asks initiators to log out, ends every session, flushes, releases the files. At most 15 s. Idempotent. */
  close(): Promise<void>;
}
