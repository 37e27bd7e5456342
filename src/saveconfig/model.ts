// The target's configuration as rtslib saves it (saveconfig.json): its names, its nesting. Keys that are not named here are kept.

/** Attributes and parameters: numbers as LIO has them, texts for the negotiated ones. */
export type Settings = Readonly<Record<string, string | number>>;

export interface AluaGroup {
  readonly name: string;
  readonly tg_pt_gp_id: number;
  /** 0 Active/optimized, 1 Active/non-optimized, 2 Standby, 3 Unavailable, 15 Transitioning (SPC-4 §5.16.2). */
  readonly alua_access_state: number;
  readonly [key: string]: unknown;
}

interface StorageObjectBase {
  readonly name: string;
  /** UNIT SERIAL NUMBER; the NAA identifier is made of its hex digits. Made up once where the file has none. */
  readonly wwn?: string;
  readonly attributes: Settings;
  readonly alua_tpgs: readonly AluaGroup[];
  readonly [key: string]: unknown;
}
export interface BlockObject extends StorageObjectBase {
  readonly plugin: 'block';
  readonly dev: string;
  readonly readonly: boolean;
  readonly write_back: boolean;
}
export interface FileioObject extends StorageObjectBase {
  readonly plugin: 'fileio';
  readonly dev: string;
  /** Bytes; of a block device behind fileio its own size counts. */
  readonly size: number;
  readonly write_back: boolean;
  readonly aio?: boolean;
}
export interface RamdiskObject extends StorageObjectBase {
  readonly plugin: 'ramdisk';
  /** Bytes. */
  readonly size: number;
  readonly nullio?: boolean;
}
export interface PscsiObject extends StorageObjectBase {
  readonly plugin: 'pscsi';
  readonly dev: string;
}
/** rtslib's user-space backstore. Ours has the handler `nbd`. */
export interface UserObject extends StorageObjectBase {
  readonly plugin: 'user';
  /** Handler, a slash, and what the handler takes: `nbd/nbd+unix:///name?socket=PATH`. */
  readonly config: string;
  readonly size: number;
}
export type StorageObject = BlockObject | FileioObject | RamdiskObject | PscsiObject | UserObject;

/** The four credentials of a node; absent: not set. */
export interface ChapCredentials {
  readonly chap_userid?: string;
  readonly chap_password?: string;
  readonly chap_mutual_userid?: string;
  readonly chap_mutual_password?: string;
}

export interface Lun {
  readonly index: number;
  /** `/backstores/PLUGIN/NAME` */
  readonly storage_object: string;
  readonly alias?: string;
  readonly alua_tg_pt_gp_name?: string | null;
  readonly [key: string]: unknown;
}
export interface Portal {
  readonly ip_address: string;
  readonly port: number;
  readonly iser?: boolean;
  readonly offload?: boolean;
  readonly [key: string]: unknown;
}
export interface MappedLun {
  /** The number that the initiator sees. */
  readonly index: number;
  readonly tpg_lun: number;
  readonly write_protect: boolean;
  readonly alias?: string;
  readonly [key: string]: unknown;
}
export interface NodeAcl extends ChapCredentials {
  readonly node_wwn: string;
  readonly mapped_luns: readonly MappedLun[];
  readonly attributes: Settings;
  readonly tag?: string;
  readonly [key: string]: unknown;
}
export interface Tpg extends ChapCredentials {
  /** Target portal group tag, 1 … 65535. */
  readonly tag: number;
  readonly enable: boolean;
  readonly luns: readonly Lun[];
  readonly portals: readonly Portal[];
  readonly node_acls: readonly NodeAcl[];
  readonly attributes: Settings;
  readonly parameters: Settings;
  readonly [key: string]: unknown;
}
export interface Target {
  /** `iscsi`, or `loopback`; targets of other fabrics are kept and not served. */
  readonly fabric: string;
  readonly wwn: string;
  readonly tpgs: readonly Tpg[];
  readonly parameters?: Settings;
  readonly [key: string]: unknown;
}
/** Of the iSCSI fabric: the credentials of discovery sessions. */
export interface FabricModule {
  readonly name: string;
  readonly discovery_userid?: string;
  readonly discovery_password?: string;
  readonly discovery_mutual_userid?: string;
  readonly discovery_mutual_password?: string;
  readonly discovery_enable_auth?: boolean;
  readonly [key: string]: unknown;
}

export interface SaveConfig {
  readonly storage_objects: readonly StorageObject[];
  readonly fabric_modules: readonly FabricModule[];
  readonly targets: readonly Target[];
  readonly [key: string]: unknown;
}
