// Where a target's configuration lives: in the `serve` that runs, or in the saved file while none does.
import type { SaveConfig } from '../../saveconfig/model.js';

export interface LiveStatus {
  /** By `ADDRESS:PORT` as the configuration writes it: whether something listens there. */
  readonly portals: Readonly<Record<string, { readonly listening: boolean }>>;
  /** By path, `/backstores/fileio/disk01`. Sizes in bytes; null where only opening it would tell. */
  readonly backstores: Readonly<Record<string, { readonly sizeBytes: number | null }>>;
}

export interface SessionRow {
  /** The TSIH. */
  readonly sid: number;
  readonly type: 'Normal' | 'Discovery';
  /** RFC 7143 §8.1: LOGGED_IN and so on. */
  readonly state: string;
  readonly initiatorName: string;
  /** InitiatorAlias, empty where it has none. */
  readonly alias: string;
  /** Null for a discovery session. */
  readonly targetName: string | null;
  readonly tag: number;
  /** Whether it has proven who it is, by CHAP. */
  readonly authenticated: boolean;
  /** Whether it is in without an ACL of its own (demo mode). */
  readonly dynamic: boolean;
  readonly luns: readonly SessionLun[];
  readonly connections: readonly SessionConnection[];
}
export interface SessionLun {
  /** As the initiator counts. */
  readonly lun: number;
  /** `/backstores/fileio/disk01` */
  readonly backstore: string;
  readonly readOnly: boolean;
}
export interface SessionConnection {
  readonly cid: number;
  readonly address: string;
  readonly port: number;
  readonly transport: 'TCP';
  readonly state: string;
}

export interface Snapshot {
  readonly config: SaveConfig;
  /** Of this content: `apply` takes it back. */
  readonly revision: number;
  readonly status: LiveStatus;
}

export interface TargetStore {
  readonly where: 'running' | 'saved';
  /** The file that `save` writes. */
  readonly path: string;
  /** @throws AppError ERR_DATABASE for a damaged file; a missing one is an empty configuration */
  read(): Promise<Snapshot>;
  /**
   * Makes `config` what is served, or saved, as a whole; a failure changes nothing.
   * @throws AppError that names the object; ERR_BUSY if the configuration is not the one of `revision` any more
   */
  apply(config: SaveConfig, revision: number): Promise<{ readonly revision: number }>;
  /** Writes the file; what it had before, or has now where nothing runs, is kept as one of the last 10 backups. */
  save(): Promise<{ readonly path: string; readonly backedUp: boolean }>;
  /** Empty where nothing runs. */
  sessions(): Promise<readonly SessionRow[]>;
  close(): Promise<void>;
}
