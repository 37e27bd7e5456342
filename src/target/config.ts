// What a target node is made of, as plain data: targets, portal groups, ACLs, mapped LUNs, credentials (RFC 7143 §4.4, §9.2).
import type { LogicalUnit } from './logical-unit.js';

/** A CHAP name and its secret (RFC 7143 §12.1.3). */
export interface ChapAccount {
  readonly user: string;
  readonly secret: string;
}

/** Who an initiator must prove to be, and how the target proves itself to it. */
export interface AuthConfig {
  /** The account that the initiator must answer for; null where no proof is asked. */
  readonly account: ChapAccount | null;
  /** The account with which the target answers a challenge of the initiator (mutual CHAP). Needs `account`. */
  readonly mutual: ChapAccount | null;
}

/** A logical unit under its number in a portal group. */
export interface LunConfig {
  readonly lun: number;
  readonly unit: LogicalUnit;
}

/** A LUN of the portal group as one initiator sees it: under another number, maybe read-only. */
export interface MappedLunConfig {
  readonly mappedLun: number;
  readonly tpgLun: number;
  readonly readOnly: boolean;
}

/** One initiator that may log in. */
export interface AclConfig {
  readonly initiatorName: string;
  /** Overrides the portal group's credentials; null takes those. */
  readonly auth: AuthConfig | null;
  /** Null maps every LUN of the portal group under its own number. */
  readonly mappedLuns: readonly MappedLunConfig[] | null;
}

/** Where a portal group can be reached. Address 0.0.0.0 or :: stands for every address of the host. */
export interface PortalConfig {
  readonly address: string;
  readonly port: number;
}

export interface PortalGroupConfig {
  /** TargetPortalGroupTag, 1 … 65535. */
  readonly tag: number;
  readonly enabled: boolean;
  readonly portals: readonly PortalConfig[];
  readonly luns: readonly LunConfig[];
  readonly acls: readonly AclConfig[];
  readonly auth: AuthConfig;
  /** Whether initiators without an ACL may log in (demo mode), and whether they may write. */
  readonly demoMode: 'off' | 'read-only' | 'read-write';
  /** Refuses a login that proves nothing, even where no account is configured. */
  readonly authenticationRequired: boolean;
}

export interface TargetEntryConfig {
  readonly name: string;
  readonly portalGroups: readonly PortalGroupConfig[];
}

/** The whole node. `TargetNode` checks it and builds the look-ups. */
export interface TargetConfig {
  /** TargetAlias of every target, or null for none. */
  readonly alias: string | null;
  readonly targets: readonly TargetEntryConfig[];
  /** Credentials of discovery sessions; null lets a name see what it may log into without a proof. */
  readonly discoveryAuth: AuthConfig | null;
}
