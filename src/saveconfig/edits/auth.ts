// Edits of credentials: of a TPG, of ACLs, of discovery sessions.
import type { ChapCredentials, FabricModule, SaveConfig } from '../model.js';
import { invalid } from './edit.js';
import { changeAcls, changeTpg, type TpgRef } from './find.js';

/** The names of targetcli, in its order. */
export const AUTH_NAMES = ['mutual_password', 'mutual_userid', 'password', 'userid'] as const;
export type AuthName = (typeof AUTH_NAMES)[number];

const LARGEST = 255;

/** Whether the value of that name must not be shown. */
export function isSecret(name: string): boolean {
  return name.endsWith('password');
}

export function chapKey(name: AuthName): keyof ChapCredentials & string {
  return `chap_${name}`;
}

export function discoveryKey(name: AuthName): `discovery_${AuthName}` {
  return `discovery_${name}`;
}

/** An empty value takes the credential away. @throws RefusedEdit for what the kernel would not take */
export function setTpgAuth(config: SaveConfig, ref: TpgRef, name: AuthName, value: string): SaveConfig {
  const checked = checkedValue(value);
  return changeTpg(config, ref, (tpg) => put(tpg, chapKey(name), checked));
}

/** Of all ACLs of that name or tag. */
export function setAclAuth(config: SaveConfig, ref: TpgRef, acl: string, name: AuthName, value: string): SaveConfig {
  const checked = checkedValue(value);
  return changeTpg(config, ref, (tpg) => changeAcls(tpg, acl, (old) => put(old, chapKey(name), checked)));
}

/** The credentials of discovery sessions, and `enable`. */
export function setDiscoveryAuth(config: SaveConfig, name: AuthName | 'enable', value: string): SaveConfig {
  if (name === 'enable') {
    if (!/^[+-]?\d+$/.test(value)) throw invalid(`Not setting enable! Syntax error, '${value}' is not a NUMBER.`);
    return changeFabric(config, (fabric) => ({ ...fabric, discovery_enable_auth: Number(value) !== 0 }));
  }
  const checked = checkedValue(value);
  return changeFabric(config, (fabric) => put(fabric, discoveryKey(name), checked));
}

/** The iSCSI fabric; one with nothing set where the document has none. */
export function iscsiFabric(config: SaveConfig): FabricModule {
  return config.fabric_modules.find(({ name }) => name === 'iscsi') ?? { name: 'iscsi' };
}

function changeFabric(config: SaveConfig, change: (fabric: FabricModule) => FabricModule): SaveConfig {
  const others = config.fabric_modules.filter(({ name }) => name !== 'iscsi');
  return { ...config, fabric_modules: [...others, change(iscsiFabric(config))] };
}

function checkedValue(value: string): string {
  const text = value.trim();
  if (text === 'NULL') throw invalid("'NULL' is not a permitted value");
  if (Buffer.byteLength(text) > LARGEST) throw invalid(`Value longer than maximum length of ${LARGEST}`);
  return text;
}

function put<T extends object>(object: T, key: keyof T & string, value: string): T {
  const { [key]: _, ...rest } = object as Record<string, unknown>;
  return (value === '' ? rest : { ...rest, [key]: value }) as T;
}
