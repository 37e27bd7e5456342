// Finding and replacing the parts of a configuration by their names.
import type { NodeAcl, SaveConfig, StorageObject, Target, Tpg } from '../model.js';
import { absent, CONFIGFS } from './edit.js';

export interface TargetRef {
  readonly fabric: string;
  readonly wwn: string;
}
export interface TpgRef extends TargetRef {
  readonly tag: number;
}

/** rtslib's path of a TPG. */
export function configfsPath({ fabric, wwn, tag }: TpgRef): string {
  return `${CONFIGFS}/${fabric}/${wwn}/tpgt_${tag}`;
}

/** The path of a TPG in the tree. */
export function tpgPath({ fabric, wwn, tag }: TpgRef): string {
  return `/${fabric}/${wwn}/tpg${tag}`;
}

export function findObject(config: SaveConfig, plugin: string, name: string): StorageObject | undefined {
  return config.storage_objects.find((object) => object.plugin === plugin && object.name === name);
}

export function findTarget(config: SaveConfig, { fabric, wwn }: TargetRef): Target | undefined {
  return config.targets.find((target) => target.fabric === fabric && target.wwn === wwn);
}

/** @throws RefusedEdit when it is not there (any more) */
export function requireTpg(config: SaveConfig, ref: TpgRef): Tpg {
  const tpg = findTarget(config, ref)?.tpgs.find(({ tag }) => tag === ref.tag);
  if (tpg === undefined) throw absent(`No such TPG in configfs: ${configfsPath(ref)}`);
  return tpg;
}

/** The ACLs of that name or tag: a tag stands for a group whose settings are the same. */
export function aclsNamed(tpg: Tpg, name: string): readonly NodeAcl[] {
  return tpg.node_acls.filter((acl) => acl.node_wwn === name || acl.tag === name);
}

/** @throws RefusedEdit when there is none */
export function requireAcls(tpg: Tpg, ref: TpgRef, name: string): readonly NodeAcl[] {
  const found = aclsNamed(tpg, name);
  if (found.length === 0) throw absent(`No such NodeACL in configfs: ${configfsPath(ref)}/acls/${name}`);
  return found;
}

export function changeTarget(config: SaveConfig, ref: TargetRef, change: (target: Target) => Target): SaveConfig {
  const targets = config.targets.map((target) =>
    target.fabric === ref.fabric && target.wwn === ref.wwn ? change(target) : target,
  );
  return { ...config, targets };
}

export function changeTpg(config: SaveConfig, ref: TpgRef, change: (tpg: Tpg) => Tpg): SaveConfig {
  return changeTarget(config, ref, (target) => ({
    ...target,
    tpgs: target.tpgs.map((tpg) => (tpg.tag === ref.tag ? change(tpg) : tpg)),
  }));
}

/** Changes every TPG of every target. */
export function changeEveryTpg(config: SaveConfig, change: (tpg: Tpg) => Tpg): SaveConfig {
  const targets = config.targets.map((target) => ({ ...target, tpgs: target.tpgs.map(change) }));
  return { ...config, targets };
}

/** Changes the ACLs of that name or tag. */
export function changeAcls(tpg: Tpg, name: string, change: (acl: NodeAcl) => NodeAcl): Tpg {
  const node_acls = tpg.node_acls.map((acl) => (acl.node_wwn === name || acl.tag === name ? change(acl) : acl));
  return { ...tpg, node_acls };
}

export function changeObject(
  config: SaveConfig,
  { plugin, name }: { readonly plugin: string; readonly name: string },
  change: (object: StorageObject) => StorageObject,
): SaveConfig {
  const storage_objects = config.storage_objects.map((object) =>
    object.plugin === plugin && object.name === name ? change(object) : object,
  );
  return { ...config, storage_objects };
}
