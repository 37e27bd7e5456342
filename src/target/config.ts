// What a target node is made of, as plain data: targets, portal groups, ACLs, mapped LUNs, credentials (RFC 7143 §4.4, §9.2).
import type { NegotiationWishes } from '../iscsi/negotiation.js';
import type { LogicalUnit } from './logical-unit.js';

/** A CHAP name and its secret (RFC 7143 §12.1.3). */
export interface ChapAccount {
  readonly user: string;
  readonly secret: string;
}

/** Who an initiator must prove to be, and how the target proves itself to it. */
export interface AuthConfig {
  /** The account that the initiator must answer for; null where none is configured. */
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
  /** Overrides the portal group's `authenticationRequired`; null or left out takes that. */
  readonly authenticationRequired?: boolean | null;
  /** Overrides the portal group's `commandWindow`. */
  readonly commandWindow?: number | null;
  /** Null maps every LUN of the portal group under its own number. */
  readonly mappedLuns: readonly MappedLunConfig[] | null;
}

/** Where a portal group can be reached. Address 0.0.0.0 or :: stands for every address of the host. IPv6 without brackets. */
export interface PortalConfig {
  readonly address: string;
  readonly port: number;
}

/** Where initiators are sent instead (RFC 7143 §11.13.5, Redirection). */
export interface RedirectConfig extends PortalConfig {
  /** Whether initiators may remember it. */
  readonly permanent: boolean;
}

/**
 * What a portal group wishes for at login (RFC 7143 §13): values beyond what this target can keep are cut down, and what the
 * initiator does not mention is offered to it. Lengths in bytes, times in seconds; a digest list is in no order, since the
 * initiator's decides. What is missing is this target's own wish.
 */
export type GroupParameters = Omit<NegotiationWishes, 'dataPDUInOrder' | 'dataSequenceInOrder'>;

export interface PortalGroupConfig {
  /** TargetPortalGroupTag, 1 … 65535. */
  readonly tag: number;
  /** Logins to a group that is not are answered with status 0301, and it is told to nobody. */
  readonly enabled: boolean;
  readonly portals: readonly PortalConfig[];
  readonly luns: readonly LunConfig[];
  readonly acls: readonly AclConfig[];
  readonly auth: AuthConfig;
  /** Whether initiators without an ACL may log in (demo mode), and whether they may write. */
  readonly demoMode: 'off' | 'read-only' | 'read-write';
  /** Refuses a login that proves nothing, even where no account is configured. Without it an account is for those who offer CHAP. */
  readonly authenticationRequired: boolean;
  /** TargetAlias of this group; left out, that of the node. */
  readonly alias?: string | null;
  readonly parameters?: GroupParameters;
  /** From accept to full feature phase, in milliseconds, 1000 … 30000; left out, 10 s. */
  readonly loginTimeoutMs?: number;
  /** How many commands one session may have under way, 1 … 512; left out, 128. */
  readonly commandWindow?: number;
  /** Whether SendTargets shows the group also to initiators that may not log in to it. */
  readonly demoModeDiscovery?: boolean;
  /** Whether SendTargets shows the group also while it is not enabled. */
  readonly discoveryWhenDisabled?: boolean;
  readonly redirect?: RedirectConfig | null;
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
