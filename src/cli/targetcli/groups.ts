// The groups of settings that a node has for `get` and `set`: attributes, parameters, credentials, preferences.
import {
  AUTH_NAMES,
  type AuthName,
  chapKey,
  discoveryKey,
  iscsiFabric,
  isSecret,
  setAclAuth,
  setDiscoveryAuth,
  setTpgAuth,
} from '../../saveconfig/edits/auth.js';
import { invalid } from '../../saveconfig/edits/edit.js';
import { findObject, requireAcls, requireTpg, type TpgRef } from '../../saveconfig/edits/find.js';
import { setLunGroup } from '../../saveconfig/edits/luns.js';
import {
  type ObjectRef,
  setAclAttribute,
  setAluaParameter,
  setObjectAttribute,
  setTpgAttribute,
  setTpgParameter,
} from '../../saveconfig/edits/settings.js';
import type { ChapCredentials, SaveConfig, Settings } from '../../saveconfig/model.js';
import { backstorePath } from '../../saveconfig/paths.js';
import type { Preferences } from '../../services/target/preferences.js';
import * as about from './descriptions.js';
import type { NodeRef } from './tree.js';

type Kind = 'bool' | 'number' | 'string';

export interface GroupParameter {
  readonly name: string;
  readonly value: string;
  readonly type: Kind;
  readonly writable: boolean;
  readonly about: string;
  /** Its value is not for eyes. */
  readonly secret: boolean;
}

export interface Group {
  readonly name: string;
  /** By name, capitals first. */
  readonly parameters: readonly GroupParameter[];
  /** @throws RefusedEdit for a value that it cannot have */
  set(config: SaveConfig, name: string, value: string): SaveConfig;
}

/** The groups of a node, without the global one. */
export function groupsOf(config: SaveConfig, ref: NodeRef): readonly Group[] {
  switch (ref.kind) {
    case 'object':
      return [objectAttributes(config, ref.object)];
    case 'alua-group':
      return [aluaParameters(config, ref.object, ref.group)];
    case 'fabric':
      return ref.fabric === 'iscsi' ? [discoveryAuth(config)] : [];
    case 'tpg':
      return tpgGroups(config, ref.tpg);
    case 'acl':
      return aclGroups(config, ref.tpg, ref.acl);
    case 'lun':
      return [lunGroup(config, ref.tpg, ref.index)];
    default:
      return [];
  }
}

/** @throws RefusedEdit for a group that the node does not have */
export function requireGroup(groups: readonly Group[], name: string): Group {
  const group = groups.find((one) => one.name === name);
  if (group === undefined) throw invalid(`Unknown configuration group: ${name}`);
  return group;
}

function group(name: string, parameters: readonly GroupParameter[], set: Group['set']): Group {
  return { name, parameters: [...parameters].sort((a, b) => (a.name < b.name ? -1 : 1)), set };
}

function parameter(name: string, value: unknown, more: Partial<GroupParameter> = {}): GroupParameter {
  const text = value === null || value === undefined ? '' : String(value);
  return { name, value: text, type: 'string', writable: true, about: '', secret: false, ...more };
}

function settings(values: Settings, texts: Readonly<Record<string, string>>): GroupParameter[] {
  return Object.entries(values).map(([name, value]) => parameter(name, value, { about: texts[name] ?? '' }));
}

function objectAttributes(config: SaveConfig, ref: ObjectRef): Group {
  const attributes = findObject(config, ref.plugin, ref.name)?.attributes ?? {};
  const hardware = {
    hw_block_size: attributes.block_size ?? 512,
    hw_max_sectors: 16_384,
    hw_pi_prot_type: 0,
    hw_queue_depth: attributes.queue_depth ?? 128,
  };
  const fixed = settings(hardware, about.OBJECT_ATTRIBUTES).map((one) => ({ ...one, writable: false }));
  return group('attribute', [...settings(attributes, about.OBJECT_ATTRIBUTES), ...fixed], (now, name, value) =>
    setObjectAttribute(now, ref, name, value),
  );
}

/** They say what the group is, and cannot be set. */
const ALUA_FIXED = ['alua_support_lba_dependent', 'members', 'tg_pt_gp_id'];

function aluaParameters(config: SaveConfig, ref: ObjectRef, name: string): Group {
  const found = findObject(config, ref.plugin, ref.name)?.alua_tpgs.find((one) => one.name === name);
  const { name: _, ...values } = { ...found, alua_support_lba_dependent: 0, members: membersOf(config, ref, name) };
  const parameters = Object.entries(values).map(([key, value]) =>
    parameter(key, value, { about: `The ${key} alua parameter.`, writable: !ALUA_FIXED.includes(key) }),
  );
  return group('alua', parameters, (now, key, value) => setAluaParameter(now, ref, name, key, value));
}

/** The LUNs in an ALUA group. */
function membersOf(config: SaveConfig, ref: ObjectRef, name: string): string {
  const path = backstorePath(ref);
  return config.targets
    .flatMap(({ fabric, wwn, tpgs }) =>
      tpgs.flatMap(({ tag, luns }) =>
        luns
          .filter((lun) => lun.storage_object === path && lun.alua_tg_pt_gp_name === name)
          .map(({ index }) => `${fabric}/${wwn}/tpgt_${tag}/lun_${index}`),
      ),
    )
    .join(' ');
}

function credentials(
  values: Readonly<Record<string, unknown>>,
  what: string,
  keyOf: (name: AuthName) => string,
): GroupParameter[] {
  return AUTH_NAMES.map((name) =>
    parameter(name, values[keyOf(name)], { about: `The ${name} ${what} parameter.`, secret: isSecret(name) }),
  );
}

function discoveryAuth(config: SaveConfig): Group {
  const fabric = iscsiFabric(config);
  const enabled = fabric.discovery_enable_auth === true ? 'True' : 'False';
  const enable = parameter('enable', enabled, { type: 'number', about: 'The enable discovery_auth parameter.' });
  return group('discovery_auth', [enable, ...credentials(fabric, 'discovery_auth', discoveryKey)], (now, name, value) =>
    setDiscoveryAuth(now, name as AuthName | 'enable', value),
  );
}

function tpgGroups(config: SaveConfig, ref: TpgRef): Group[] {
  const tpg = requireTpg(config, ref);
  return [
    group('parameter', settings(tpg.parameters, about.TPG_PARAMETERS), (now, name, value) =>
      setTpgParameter(now, ref, name, value),
    ),
    group('attribute', settings(tpg.attributes, about.TPG_ATTRIBUTES), (now, name, value) =>
      setTpgAttribute(now, ref, name, value),
    ),
    group('auth', credentials({ ...(tpg as ChapCredentials) }, 'auth', chapKey), (now, name, value) =>
      setTpgAuth(now, ref, name as AuthName, value),
    ),
  ];
}

function aclGroups(config: SaveConfig, ref: TpgRef, name: string): Group[] {
  const [acl] = requireAcls(requireTpg(config, ref), ref, name);
  if (acl === undefined) return [];
  return [
    group('attribute', settings(acl.attributes, about.ACL_ATTRIBUTES), (now, key, value) =>
      setAclAttribute(now, ref, name, key, value),
    ),
    group('auth', credentials({ ...(acl as ChapCredentials) }, 'auth', chapKey), (now, key, value) =>
      setAclAuth(now, ref, name, key as AuthName, value),
    ),
  ];
}

function lunGroup(config: SaveConfig, ref: TpgRef, index: number): Group {
  const lun = requireTpg(config, ref).luns.find((one) => one.index === index);
  const value = lun?.alua_tg_pt_gp_name ?? null;
  const only = parameter('alua_tg_pt_gp_name', value, { about: 'The alua_tg_pt_gp_name alua parameter.' });
  return group('alua', [only], (now, _, wanted) => setLunGroup(now, ref, index, wanted));
}

const TYPE_OF: Readonly<Record<string, Kind>> = { boolean: 'bool', number: 'number', string: 'string' };

/** The group `global`, of every node. It is no part of the configuration: see `withPreference`. */
export function preferenceParameters(preferences: Preferences): readonly GroupParameter[] {
  return Object.entries(preferences)
    .filter(([name]) => name !== 'bookmarks')
    .map(([name, value]) =>
      parameter(name, value, { about: about.PREFERENCES[name] ?? '', type: TYPE_OF[typeof value] ?? 'string' }),
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** @throws RefusedEdit for a value that it cannot have */
export function withPreference(preferences: Preferences, name: string, text: string): Preferences {
  const old = preferences[name as keyof Preferences];
  if (typeof old === 'boolean') {
    const word = text.toLowerCase();
    if (word !== 'true' && word !== 'false')
      throw invalid(`Not setting ${name}! Syntax error, '${text}' is not true|false.`);
    return { ...preferences, [name]: word === 'true' };
  }
  if (!/^\d{1,4}$/.test(text)) throw invalid(`Not setting ${name}! Syntax error, '${text}' is not a NUMBER.`);
  return { ...preferences, [name]: Number(text) };
}
