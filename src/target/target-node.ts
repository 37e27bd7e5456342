// The immutable look-ups behind a TargetConfig: who may log into what, through where (RFC 7143 §4.4, §9.2.2; LIO's rules).
import type { NegotiationWishes } from '../iscsi/negotiation.js';
import { canonicalAddress, formatAddress } from '../iscsi/portal.js';
import { AppError } from '../util/errors.js';
import type {
  AclConfig,
  AuthConfig,
  PortalConfig,
  PortalGroupConfig,
  TargetConfig,
  TargetEntryConfig,
} from './config.js';
import { keysToInsistOn, wishesOf } from './group-parameters.js';
import { LIMITS } from './limits.js';
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
  /** Refuses a login that proves nothing. */
  readonly authenticationRequired: boolean;
  /** How many commands it may have under way. */
  readonly commandWindow: number;
  readonly luns: ReadonlyMap<number, MappedLun>;
}

/** One line of a SendTargets answer. */
export interface TargetListing {
  readonly name: string;
  readonly addresses: readonly { readonly portal: PortalConfig; readonly tag: number }[];
}

const EVERY_IPV4 = '0.0.0.0';
const WILDCARDS: ReadonlySet<string> = new Set([EVERY_IPV4, '::', '']);

/** How well a portal of a group fits a connection: not at all, as one of every address, or by its own address. */
const Fit = { None: 0, Any: 1, AnyOfFamily: 2, Exact: 3 } as const;

/** One portal group of one target, with its access rules. */
export class PortalGroup {
  readonly targetName: string;
  readonly config: PortalGroupConfig;
  /** What it negotiates, and the keys of it that must not be left out. */
  readonly wishes: NegotiationWishes;
  readonly insistedKeys: ReadonlySet<string>;
  readonly loginTimeoutMs: number;
  readonly #portals: readonly PortalConfig[];
  readonly #grants = new Map<string, Grant>();
  readonly #demo: Grant | null;

  constructor(targetName: string, config: PortalGroupConfig) {
    this.targetName = targetName;
    this.config = config;
    this.wishes = wishesOf(config.parameters);
    this.insistedKeys = keysToInsistOn(config.parameters);
    this.loginTimeoutMs = config.loginTimeoutMs ?? LIMITS.loginTimeoutMs;
    this.#portals = config.portals.map(({ address, port }) => ({ address: canonicalAddress(address), port }));
    checkRange(targetName, 'login timeout in ms', this.loginTimeoutMs, LIMITS.loginTimeoutRangeMs);
    if (!(config.tag >= 1 && config.tag <= 65_535)) throw invalid(`portal group tag ${config.tag} is not in 1 … 65535`);
    const units = new Map<number, LogicalUnit>();
    for (const { lun, unit } of config.luns) {
      if (!(lun >= 0 && lun < 16_384)) throw invalid(`LUN ${lun} is not in 0 … 16383`);
      if (units.has(lun)) throw invalid(`LUN ${lun} of ${targetName} is given twice`);
      units.set(lun, unit);
    }
    checkAuth(targetName, config.auth);
    for (const acl of config.acls) this.#addAcl(acl, units);
    const demoLuns = allLuns(units, config.demoMode === 'read-only');
    this.#demo = config.demoMode === 'off' ? null : this.#grant(config.auth, null, null, demoLuns);
  }

  #addAcl(acl: AclConfig, units: ReadonlyMap<number, LogicalUnit>): void {
    if (this.#grants.has(acl.initiatorName)) throw invalid(`${acl.initiatorName} has two ACLs in ${this.targetName}`);
    const auth = acl.auth ?? this.config.auth;
    checkAuth(this.targetName, auth);
    const { authenticationRequired = null, commandWindow = null } = acl;
    this.#grants.set(acl.initiatorName, this.#grant(auth, authenticationRequired, commandWindow, mapLuns(acl, units)));
  }

  #grant(
    auth: AuthConfig,
    authenticationRequired: boolean | null,
    window: number | null,
    luns: ReadonlyMap<number, MappedLun>,
  ): Grant {
    const commandWindow = window ?? this.config.commandWindow ?? LIMITS.window;
    checkRange(this.targetName, 'command window', commandWindow, [1, LIMITS.largestWindow]);
    return {
      auth,
      authenticationRequired: authenticationRequired ?? this.config.authenticationRequired,
      commandWindow,
      luns,
    };
  }

  /** What `initiatorName` gets here, or null where it may not log in. */
  grantFor(initiatorName: string): Grant | null {
    return this.#grants.get(initiatorName) ?? this.#demo;
  }

  /** Whether SendTargets shows the group to `initiatorName` (RFC 7143 §4.3): only what it may log into, unless configured. */
  isShownTo(initiatorName: string): boolean {
    const { enabled, discoveryWhenDisabled = false, demoModeDiscovery = false } = this.config;
    if (!enabled && !discoveryWhenDisabled) return false;
    return demoModeDiscovery || this.grantFor(initiatorName) !== null;
  }

  /** How well a connection that came in at this local address belongs to the group. */
  fit(address: string, port: number): number {
    const local = canonicalAddress(address);
    const fits = this.#portals.filter((portal) => portal.port === port).map((portal) => fitOf(portal.address, local));
    return Math.max(Fit.None, ...fits);
  }

  /** Where to reach it, as an initiator that came in at `local` can: a portal on every address is named by that one. */
  addressesFor(local: string): { portal: PortalConfig; tag: number }[] {
    const seen = new Set<string>();
    const addresses: { portal: PortalConfig; tag: number }[] = [];
    for (const { address, port } of this.#portals) {
      const here = WILDCARDS.has(address) ? canonicalAddress(local) : address;
      // One that is open on every IPv4 address does not answer at the IPv6 address by which this initiator came.
      if ((address === EVERY_IPV4 && here.includes(':')) || seen.has(`${here} ${port}`)) continue;
      seen.add(`${here} ${port}`);
      addresses.push({ portal: { address: here, port }, tag: this.config.tag });
    }
    return addresses;
  }
}

function fitOf(portal: string, local: string): number {
  if (portal === local) return Fit.Exact;
  if (!WILDCARDS.has(portal)) return Fit.None;
  if (portal === '') return Fit.Any;
  const sameFamily = portal.includes(':') === local.includes(':');
  if (portal === EVERY_IPV4 && !sameFamily) return Fit.None;
  return sameFamily ? Fit.AnyOfFamily : Fit.Any;
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
    const groups = portalGroups.map((group) => new PortalGroup(name, group));
    checkPortals(name, groups);
    this.#targets.set(name, groups);
  }

  has(targetName: string): boolean {
    return this.#targets.has(targetName);
  }

  /** The portal group that a connection to `targetName` at this local address reaches, enabled or not, or null. */
  portalGroup(targetName: string, address: string, port: number): PortalGroup | null {
    let best: PortalGroup | null = null;
    let [bestFit, bestEnabled]: [number, boolean] = [Fit.None, false];
    for (const group of this.#targets.get(targetName) ?? []) {
      const fit = group.fit(address, port);
      const { enabled } = group.config;
      // An address of its own decides; among equals one that is enabled.
      if (fit < bestFit || fit === Fit.None || (fit === bestFit && (bestEnabled || !enabled))) continue;
      [best, bestFit, bestEnabled] = [group, fit, enabled];
    }
    return best;
  }

  /** The portal group of that tag, or null. */
  groupByTag(targetName: string, tag: number): PortalGroup | null {
    return this.#targets.get(targetName)?.find((group) => group.config.tag === tag) ?? null;
  }

  /** The tags of the enabled portal groups of a target that have `unit`. */
  tagsWith(targetName: string, unit: LogicalUnit): number[] {
    const groups = (this.#targets.get(targetName) ?? []).filter(({ config }) => config.enabled);
    return groups.filter(({ config }) => config.luns.some((lun) => lun.unit === unit)).map(({ config }) => config.tag);
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
   * What a discovery session of `initiatorName`, that came in at `localAddress`, sees (RFC 7143 §4.3, SendTargets).
   */
  listFor(initiatorName: string, localAddress: string, only: string | null): TargetListing[] {
    const listings: TargetListing[] = [];
    for (const [name, groups] of this.#targets) {
      if (only !== null && only !== name) continue;
      const shown = groups.filter((group) => group.isShownTo(initiatorName));
      if (shown.length === 0) continue;
      listings.push({ name, addresses: shown.flatMap((group) => group.addressesFor(localAddress)) });
    }
    return listings;
  }
}

/** One portal of a target leads to one of its groups. */
function checkPortals(targetName: string, groups: readonly PortalGroup[]): void {
  const seen = new Set<string>();
  for (const { config } of groups) {
    const own = new Set(
      config.portals.map(({ address, port }) => formatAddress({ address: canonicalAddress(address), port })),
    );
    for (const portal of own) {
      if (seen.has(portal)) throw invalid(`portal ${portal} is in two portal groups of ${targetName}`);
      seen.add(portal);
    }
  }
}

function checkRange(owner: string, what: string, value: number, [least, most]: readonly [number, number]): void {
  if (!(value >= least && value <= most))
    throw invalid(`${owner}: the ${what} must be ${least} … ${most}, not ${value}`);
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
