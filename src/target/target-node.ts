// The immutable look-ups behind a TargetConfig: who may log into what, through where (RFC 7143 §4.4, §9.2.2; LIO's rules).
import { AppError } from '../util/errors.js';
import type {
  AclConfig,
  AuthConfig,
  PortalConfig,
  PortalGroupConfig,
  TargetConfig,
  TargetEntryConfig,
} from './config.js';
import type { LogicalUnit } from './logical-unit.js';

/** A logical unit as one initiator sees it. */
export interface MappedLun {
  readonly lun: number;
  readonly unit: LogicalUnit;
  readonly readOnly: boolean;
}

/** What an initiator that may log in gets. */
export interface Grant {
  readonly auth: AuthConfig;
  readonly luns: ReadonlyMap<number, MappedLun>;
}

/** One line of a SendTargets answer. */
export interface TargetListing {
  readonly name: string;
  readonly addresses: readonly { readonly portal: PortalConfig; readonly tag: number }[];
}

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::', '']);

/** Whether a portal address stands for every address of the host. */
export function isWildcard(address: string): boolean {
  return WILDCARDS.has(address);
}

/** One portal group of one target, with its access rules. */
export class PortalGroup {
  readonly targetName: string;
  readonly config: PortalGroupConfig;
  readonly #grants = new Map<string, Grant>();
  readonly #demo: Grant | null;

  constructor(targetName: string, config: PortalGroupConfig) {
    this.targetName = targetName;
    this.config = config;
    if (!(config.tag >= 1 && config.tag <= 65_535)) throw invalid(`portal group tag ${config.tag} is not in 1 … 65535`);
    const units = new Map<number, LogicalUnit>();
    for (const { lun, unit } of config.luns) {
      if (!(lun >= 0 && lun < 16_384)) throw invalid(`LUN ${lun} is not in 0 … 16383`);
      if (units.has(lun)) throw invalid(`LUN ${lun} of ${targetName} is given twice`);
      units.set(lun, unit);
    }
    checkAuth(targetName, config.auth);
    for (const acl of config.acls) this.#addAcl(acl, units);
    this.#demo =
      config.demoMode === 'off' ? null : { auth: config.auth, luns: allLuns(units, config.demoMode === 'read-only') };
  }

  #addAcl(acl: AclConfig, units: ReadonlyMap<number, LogicalUnit>): void {
    if (this.#grants.has(acl.initiatorName)) throw invalid(`${acl.initiatorName} has two ACLs in ${this.targetName}`);
    const auth = acl.auth ?? this.config.auth;
    checkAuth(this.targetName, auth);
    this.#grants.set(acl.initiatorName, { auth, luns: mapLuns(acl, units) });
  }

  /** What `initiatorName` gets here, or null where it may not log in. */
  grantFor(initiatorName: string): Grant | null {
    return this.#grants.get(initiatorName) ?? this.#demo;
  }

  /** Whether a connection that came in at this local address belongs to the group. */
  listensOn(address: string, port: number): boolean {
    return this.config.portals.some((p) => p.port === port && (isWildcard(p.address) || p.address === address));
  }
}

/** Everything that is offered. A change of configuration is a new node. */
export class TargetNode {
  readonly alias: string | null;
  readonly discoveryAuth: AuthConfig | null;
  readonly #targets = new Map<string, readonly PortalGroup[]>();

  /** @throws AppError ERR_USAGE for a configuration that contradicts itself. */
  constructor(config: TargetConfig) {
    this.alias = config.alias;
    this.discoveryAuth = config.discoveryAuth;
    if (config.discoveryAuth) checkAuth('discovery', config.discoveryAuth);
    for (const target of config.targets) this.#add(target);
  }

  #add({ name, portalGroups }: TargetEntryConfig): void {
    if (this.#targets.has(name)) throw invalid(`target ${name} is given twice`);
    if (new Set(portalGroups.map((g) => g.tag)).size !== portalGroups.length) {
      throw invalid(`two portal groups of ${name} have one tag`);
    }
    this.#targets.set(
      name,
      portalGroups.map((group) => new PortalGroup(name, group)),
    );
  }

  has(targetName: string): boolean {
    return this.#targets.has(targetName);
  }

  /** The portal group that a connection to `targetName` at this local address reaches, or null. */
  portalGroup(targetName: string, address: string, port: number): PortalGroup | null {
    const groups = this.#targets.get(targetName) ?? [];
    return groups.find((g) => g.config.enabled && g.listensOn(address, port)) ?? null;
  }

  /** How `initiatorName` logs in to some target here, for discovery by initiators that insist on CHAP; null if nowhere by CHAP. */
  authOf(initiatorName: string): AuthConfig | null {
    for (const groups of this.#targets.values()) {
      for (const group of groups) {
        const auth = group.grantFor(initiatorName)?.auth;
        if (auth?.account) return auth;
      }
    }
    return null;
  }

  /**
   * What a discovery session of `initiatorName` may see (RFC 7143 §4.3, SendTargets): only what it may log into.
   * A portal on every address is named by the one at which the initiator came in.
   */
  listFor(initiatorName: string, localAddress: string, only: string | null): TargetListing[] {
    const listings: TargetListing[] = [];
    for (const [name, groups] of this.#targets) {
      if (only !== null && only !== name) continue;
      const open = groups.filter((g) => g.config.enabled && g.grantFor(initiatorName) !== null);
      if (open.length === 0) continue;
      const addresses = open.flatMap((g) => addressesOf(g, localAddress));
      listings.push({ name, addresses });
    }
    return listings;
  }
}

function addressesOf(group: PortalGroup, localAddress: string): { portal: PortalConfig; tag: number }[] {
  const seen = new Set<string>();
  const addresses: { portal: PortalConfig; tag: number }[] = [];
  for (const portal of group.config.portals) {
    const address = isWildcard(portal.address) ? localAddress : portal.address;
    const key = `${address} ${portal.port}`;
    if (seen.has(key)) continue;
    seen.add(key);
    addresses.push({ portal: { address, port: portal.port }, tag: group.config.tag });
  }
  return addresses;
}

function allLuns(units: ReadonlyMap<number, LogicalUnit>, readOnly: boolean): Map<number, MappedLun> {
  return new Map([...units].map(([lun, unit]) => [lun, { lun, unit, readOnly }]));
}

function mapLuns(acl: AclConfig, units: ReadonlyMap<number, LogicalUnit>): Map<number, MappedLun> {
  if (acl.mappedLuns === null) return allLuns(units, false);
  const mapped = new Map<number, MappedLun>();
  for (const { mappedLun, tpgLun, readOnly } of acl.mappedLuns) {
    const unit = units.get(tpgLun);
    if (!unit) throw invalid(`the ACL of ${acl.initiatorName} maps LUN ${tpgLun}, which does not exist`);
    if (mapped.has(mappedLun)) throw invalid(`the ACL of ${acl.initiatorName} maps LUN ${mappedLun} twice`);
    mapped.set(mappedLun, { lun: mappedLun, unit, readOnly });
  }
  return mapped;
}

function checkAuth(owner: string, auth: AuthConfig): void {
  if (auth.mutual && !auth.account) throw invalid(`${owner}: mutual CHAP needs a CHAP account of the initiator`);
  // RFC 7143 §12.1.3: one secret for both directions would let an initiator reflect the target's own answer.
  if (auth.mutual && auth.account && auth.mutual.secret === auth.account.secret) {
    throw invalid(`${owner}: the secrets of the two directions of CHAP must differ`);
  }
}

function invalid(message: string): AppError {
  return new AppError('ERR_USAGE', message);
}
