// A configuration as the target core takes it: LIO's attributes and parameters in the words of RFC 7143.
import { randomBytes } from 'node:crypto';
import type { ChapCredentials, NodeAcl, Portal, SaveConfig, Settings, Tpg } from '../../saveconfig/model.js';
import type {
  AclConfig,
  AuthConfig,
  ChapAccount,
  GroupParameters,
  LunConfig,
  PortalConfig,
  PortalGroupConfig,
  TargetConfig,
} from '../../target/config.js';
import { LIMITS } from '../../target/limits.js';
import type { LogicalUnit } from '../../target/logical-unit.js';
import { AppError } from '../../util/errors.js';

/** The unit of a storage object, by its path; undefined where it could not be opened. */
export type UnitOf = (backstorePath: string) => LogicalUnit | undefined;

/** LUNs whose unit is missing are left out, with the mappings on them. @throws AppError ERR_USAGE */
export function nodeConfig(config: SaveConfig, unitOf: UnitOf): TargetConfig {
  const targets = config.targets.filter(({ fabric }) => fabric === 'iscsi');
  return {
    alias: null,
    targets: targets.map(({ wwn, tpgs }) => ({
      name: wwn,
      portalGroups: tpgs.map((tpg) => groupConfig(wwn, tpg, unitOf)),
    })),
    discoveryAuth: discoveryAuth(config),
  };
}

/** IPv6 without its brackets. */
export function bareAddress({ ip_address }: Portal): string {
  return ip_address.replace(/^\[(.*)\]$/, '$1');
}

function groupConfig(owner: string, tpg: Tpg, unitOf: UnitOf): PortalGroupConfig {
  const { attributes } = tpg;
  const attribute = (name: string, absent: number) => numberOf(`${owner} tpg${tpg.tag}`, attributes, name) ?? absent;
  const luns: LunConfig[] = tpg.luns.flatMap(({ index, storage_object }) => {
    const unit = unitOf(storage_object);
    return unit === undefined ? [] : [{ lun: index, unit }];
  });
  const served = new Set(luns.map(({ lun }) => lun));
  const [least, most] = LIMITS.loginTimeoutRangeMs;
  return {
    tag: tpg.tag,
    enabled: tpg.enable,
    portals: tpg.portals.map((portal): PortalConfig => ({ address: bareAddress(portal), port: portal.port })),
    luns,
    acls: tpg.node_acls.map((acl) => aclConfig(acl, served)),
    auth: authOf(tpg),
    demoMode: attribute('generate_node_acls', 0) === 0 ? 'off' : demoAccess(attribute('demo_mode_write_protect', 1)),
    authenticationRequired: attribute('authentication', 1) !== 0,
    alias: tpg.parameters.TargetAlias === undefined ? null : String(tpg.parameters.TargetAlias),
    parameters: groupParameters(`${owner} tpg${tpg.tag}`, tpg.parameters),
    loginTimeoutMs: within(attribute('login_timeout', LIMITS.loginTimeoutMs / 1000) * 1000, least, most),
    commandWindow: within(attribute('default_cmdsn_depth', LIMITS.window), 1, LIMITS.largestWindow),
    demoModeDiscovery: attribute('demo_mode_discovery', 1) !== 0,
    discoveryWhenDisabled: attribute('tpg_enabled_sendtargets', 1) === 0,
  };
}

function demoAccess(writeProtect: number): 'read-only' | 'read-write' {
  return writeProtect === 0 ? 'read-write' : 'read-only';
}

/** As in LIO, an initiator with an ACL proves itself by the ACL's own credentials; those of the group are for all others. */
function aclConfig(acl: NodeAcl, served: ReadonlySet<number>): AclConfig {
  const authentication = numberOf(acl.node_wwn, acl.attributes, 'authentication') ?? -1;
  return {
    initiatorName: acl.node_wwn,
    auth: authOf(acl),
    authenticationRequired: authentication === -1 ? null : authentication !== 0,
    mappedLuns: acl.mapped_luns
      .filter(({ tpg_lun }) => served.has(tpg_lun))
      .map(({ index, tpg_lun, write_protect }) => ({ mappedLun: index, tpgLun: tpg_lun, readOnly: write_protect })),
  };
}

function authOf(from: ChapCredentials): AuthConfig {
  return {
    account: accountOf(from.chap_userid, from.chap_password),
    mutual: accountOf(from.chap_mutual_userid, from.chap_mutual_password),
  };
}

/** Half an account is none. */
function accountOf(user: string | undefined, secret: string | undefined): ChapAccount | null {
  return user === undefined || secret === undefined ? null : { user, secret };
}

function discoveryAuth(config: SaveConfig): AuthConfig | null {
  const fabric = config.fabric_modules.find(({ name }) => name === 'iscsi');
  if (fabric?.discovery_enable_auth !== true) return null;
  const account = accountOf(fabric.discovery_userid, fabric.discovery_password);
  const mutual = accountOf(fabric.discovery_mutual_userid, fabric.discovery_mutual_password);
  // Switched on before anybody was named: nobody can prove anything, and nobody gets in.
  if (account === null) return { account: { user: random(), secret: random() }, mutual: null };
  return { account, mutual };
}
function random(): string {
  return randomBytes(16).toString('hex');
}

function within(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

/** @throws AppError ERR_USAGE where it is not a number */
function numberOf(owner: string, settings: Settings, name: string): number | undefined {
  const value = settings[name];
  if (value === undefined) return undefined;
  const number = Number(value);
  if (value !== '' && Number.isInteger(number)) return number;
  throw new AppError('ERR_USAGE', `${owner}: ${name}=${value} is no number`);
}

const NUMBERS = {
  // LIO tells initiators this one as its MaxRecvDataSegmentLength; the key of that name is what initiators told it.
  maxRecvDataSegmentLength: 'MaxXmitDataSegmentLength',
  maxBurstLength: 'MaxBurstLength',
  firstBurstLength: 'FirstBurstLength',
  maxOutstandingR2T: 'MaxOutstandingR2T',
  maxConnections: 'MaxConnections',
  defaultTime2Wait: 'DefaultTime2Wait',
  defaultTime2Retain: 'DefaultTime2Retain',
} as const;
const FLAGS = { initialR2T: 'InitialR2T', immediateData: 'ImmediateData' } as const;
const DIGESTS = { headerDigest: 'HeaderDigest', dataDigest: 'DataDigest' } as const;

function groupParameters(owner: string, settings: Settings): GroupParameters {
  const parameters: { -readonly [key in keyof GroupParameters]: GroupParameters[key] } = {};
  for (const [key, name] of entries(NUMBERS)) {
    const value = numberOf(owner, settings, name);
    if (value !== undefined) parameters[key] = value;
  }
  for (const [key, name] of entries(FLAGS)) {
    const value = settings[name];
    if (value === undefined) continue;
    if (value !== 'Yes' && value !== 'No')
      throw new AppError('ERR_USAGE', `${owner}: ${name}=${value} is not Yes or No`);
    parameters[key] = value === 'Yes';
  }
  for (const [key, name] of entries(DIGESTS)) {
    const value = settings[name];
    if (value !== undefined) parameters[key] = digests(owner, name, String(value));
  }
  return parameters;
}

function digests(owner: string, name: string, text: string): ('None' | 'CRC32C')[] {
  return text.split(',').map((word) => {
    if (word === 'None' || word === 'CRC32C') return word;
    throw new AppError('ERR_USAGE', `${owner}: ${name}=${text} has something else than None and CRC32C`);
  });
}

function entries<K extends string, V>(table: Readonly<Record<K, V>>): [K, V][] {
  return Object.entries(table) as [K, V][];
}
