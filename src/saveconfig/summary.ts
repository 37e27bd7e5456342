// What the tree says in brackets behind each object: targetcli's words.
import { iscsiFabric } from './edits/auth.js';
import type { AluaGroup, Lun, MappedLun, NodeAcl, SaveConfig, StorageObject, Tpg } from './model.js';
import { backstorePath } from './paths.js';

/** `healthy`: whether it works; null where that is no question. An empty text becomes OK, ERROR or `...`. */
export interface Summary {
  readonly text: string;
  readonly healthy: boolean | null;
}

/** What the document does not know: how large what stands behind an object is, in bytes; null: nobody can say. */
export type SizeOf = (object: StorageObject) => number | null;

const neutral = (text: string): Summary => ({ text, healthy: null });

export function countSummary(what: string, count: number): Summary {
  return neutral(`${what}: ${count}`);
}

/** A size as targetcli writes it: one decimal, units of 1024. */
export function humanSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  let value = bytes / 1024;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  for (const unit of units) {
    if (value < 1024) return `${value.toFixed(1)}${unit}`;
    value /= 1024;
  }
  return `${value.toFixed(1)}PiB`;
}

/** Active once a LUN is made of it. */
export function isActivated(config: SaveConfig, object: StorageObject): boolean {
  const path = backstorePath(object);
  return config.targets.some(({ tpgs }) => tpgs.some(({ luns }) => luns.some((lun) => lun.storage_object === path)));
}

export function objectSummary(config: SaveConfig, object: StorageObject, sizeOf: SizeOf): Summary {
  const status = isActivated(config, object) ? 'activated' : 'deactivated';
  const bytes = sizeOf(object);
  const size = bytes === null ? '(size unknown)' : `(${humanSize(bytes)})`;
  const cache = 'write_back' in object && object.write_back ? 'write-back' : 'write-thru';
  const healthy = bytes !== null;
  switch (object.plugin) {
    case 'block':
      return { text: `${object.dev} ${size} ${object.readonly ? 'ro ' : ''}${cache} ${status}`, healthy };
    case 'fileio':
      return { text: `${object.dev} ${size} ${cache} ${status}`, healthy };
    case 'ramdisk':
      return { text: `${object.nullio ? 'nullio ' : ''}${size} ${status}`, healthy };
    case 'pscsi':
      return { text: `${object.dev} ${status}`, healthy: true };
    case 'user':
      return { text: `${object.config.slice(object.config.indexOf('/') + 1)} ${size} ${status}`, healthy };
  }
}

const ALUA_STATES: Readonly<Record<number, string>> = {
  0: 'Active/optimized',
  1: 'Active/non-optimized',
  2: 'Standby',
  3: 'Unavailable',
  4: 'LBA Dependent',
  14: 'Offline',
  15: 'Transitioning',
};

export function aluaGroupSummary({ alua_access_state: state }: AluaGroup): Summary {
  return { text: `ALUA state: ${ALUA_STATES[state] ?? state}`, healthy: true };
}

export function fabricSummary(config: SaveConfig, fabric: string): Summary {
  const targets = `Targets: ${config.targets.filter((target) => target.fabric === fabric).length}`;
  const { discovery_enable_auth, ...account } = iscsiFabric(config);
  if (fabric !== 'iscsi' || discovery_enable_auth !== true) return neutral(targets);
  const mutual = isSet(account.discovery_mutual_userid) && isSet(account.discovery_mutual_password);
  return {
    text: `${mutual ? 'mutual' : '1-way'} disc auth, ${targets}`,
    healthy: isSet(account.discovery_userid) && isSet(account.discovery_password),
  };
}

export function tpgSummary(tpg: Tpg): Summary {
  if (!tpg.enable) return { text: 'disabled', healthy: false };
  const demo = Number(tpg.attributes.generate_node_acls) !== 0;
  const acls = demo ? 'gen-acls' : 'no-gen-acls';
  if (Number(tpg.attributes.authentication) === 0) return { text: `${acls}, no-auth`, healthy: demo ? true : null };
  if (!demo) return neutral(`${acls}, auth per-acl`);
  return {
    text: `${acls}, tpg-auth, ${isMutual(tpg) ? 'mutual auth' : '1-way auth'}`,
    healthy: isSet(tpg.chap_userid) && isSet(tpg.chap_password),
  };
}

/** Of the ACLs under one name: one initiator, or a group with a tag. */
export function aclSummary(tpg: Tpg, name: string, acls: readonly NodeAcl[]): Summary {
  const [acl] = acls;
  if (acl === undefined) throw new Error(`no ACL is named ${name}`);
  const parts: string[] = [];
  let healthy: boolean | null = null;
  if (name !== acl.node_wwn) parts.push(acls.length > 1 ? `(group of ${acls.length})` : `(${acl.node_wwn})`);
  if (Number(tpg.attributes.authentication) !== 0) {
    if (Number(tpg.attributes.generate_node_acls) !== 0) parts.push('auth via tpg');
    else {
      healthy = isSet(acl.chap_userid) && isSet(acl.chap_password);
      parts.push(isMutual(acl) ? 'mutual auth' : '1-way auth');
    }
  }
  parts.push(`Mapped LUNs: ${acl.mapped_luns.length}`);
  return { text: parts.join(', '), healthy };
}

export function mappedLunSummary(tpg: Tpg, { tpg_lun, write_protect }: MappedLun): Summary {
  const lun = tpg.luns.find(({ index }) => index === tpg_lun);
  if (lun === undefined) return { text: 'BROKEN LUN LINK', healthy: false };
  return { text: `lun${tpg_lun} ${objectName(lun)} (${write_protect ? 'ro' : 'rw'})`, healthy: true };
}

export function lunSummary(config: SaveConfig, lun: Lun): Summary {
  const object = config.storage_objects.find((one) => backstorePath(one) === lun.storage_object);
  if (object === undefined) return { text: 'BROKEN STORAGE LINK', healthy: false };
  const dev = 'dev' in object ? ` (${object.dev})` : '';
  return { text: `${objectName(lun)}${dev} (${lun.alua_tg_pt_gp_name ?? 'None'})`, healthy: true };
}

/** `fileio/disk01` */
export function objectName({ storage_object }: Lun): string {
  return storage_object.replace(/^\/backstores\//, '');
}

function isMutual(holder: { readonly chap_mutual_userid?: string; readonly chap_mutual_password?: string }): boolean {
  return isSet(holder.chap_mutual_userid) && isSet(holder.chap_mutual_password);
}

function isSet(text: unknown): boolean {
  return typeof text === 'string' && text !== '';
}
