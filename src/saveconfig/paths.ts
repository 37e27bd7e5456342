// targetcli's names for the objects of a configuration.
import type { Lun, MappedLun, NodeAcl, Portal, StorageObject, Target, Tpg } from './model.js';

/** `/backstores/fileio/disk01`: how LUNs name their storage object. */
export function backstorePath({ plugin, name }: Pick<StorageObject, 'plugin' | 'name'>): string {
  return `/backstores/${plugin}/${name}`;
}
export function targetPath(target: Target): string {
  return `/${target.fabric}/${target.wwn}`;
}
export function tpgPath(target: Target, tpg: Tpg): string {
  return `${targetPath(target)}/tpg${tpg.tag}`;
}
export function lunPath(target: Target, tpg: Tpg, lun: Lun): string {
  return `${tpgPath(target, tpg)}/luns/lun${lun.index}`;
}
export function portalPath(target: Target, tpg: Tpg, { ip_address, port }: Portal): string {
  return `${tpgPath(target, tpg)}/portals/${ip_address}:${port}`;
}
export function aclPath(target: Target, tpg: Tpg, acl: NodeAcl): string {
  return `${tpgPath(target, tpg)}/acls/${acl.node_wwn}`;
}
export function mappedLunPath(target: Target, tpg: Tpg, acl: NodeAcl, mapped: MappedLun): string {
  return `${aclPath(target, tpg, acl)}/mapped_lun${mapped.index}`;
}
