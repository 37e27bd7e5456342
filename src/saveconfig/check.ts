// What a configuration must be to be served at all: every reference leads somewhere, nothing is there twice.
import { AppError } from '../util/errors.js';
import type { NodeAcl, SaveConfig, StorageObject, Target, Tpg } from './model.js';
import { aclPath, backstorePath, lunPath, mappedLunPath, portalPath, targetPath, tpgPath } from './paths.js';

/** Something about one object of the tree. */
export interface Remark {
  /** targetcli's path: `/iscsi/IQN/tpg1/luns/lun0`. */
  readonly path: string;
  readonly reason: string;
}

/** Everything that contradicts itself, in the order of the file; empty for a sound configuration. */
export function contradictions(config: SaveConfig): Remark[] {
  const remarks: Remark[] = [];
  const backstores = new Map<string, StorageObject>();
  for (const object of config.storage_objects) {
    const path = backstorePath(object);
    if (backstores.has(path)) remarks.push({ path, reason: 'is there twice' });
    backstores.set(path, object);
  }
  const names = new Twice(remarks);
  for (const target of config.targets) {
    names.see(targetPath(target));
    const tags = new Twice(remarks);
    for (const tpg of target.tpgs) {
      tags.see(tpgPath(target, tpg));
      checkTpg(target, tpg, backstores, remarks);
    }
  }
  return remarks;
}

/** @throws AppError ERR_USAGE that names every object */
export function refuseContradictions(config: SaveConfig): void {
  const remarks = contradictions(config);
  if (remarks.length === 0) return;
  throw new AppError('ERR_USAGE', remarks.map(({ path, reason }) => `${path}: ${reason}`).join('\n'));
}

class Twice {
  readonly #seen = new Set<string>();
  constructor(private readonly remarks: Remark[]) {}
  see(path: string): void {
    if (this.#seen.has(path)) this.remarks.push({ path, reason: 'is there twice' });
    this.#seen.add(path);
  }
}

function checkTpg(target: Target, tpg: Tpg, backstores: ReadonlyMap<string, StorageObject>, remarks: Remark[]): void {
  const seen = new Twice(remarks);
  for (const lun of tpg.luns) {
    const path = lunPath(target, tpg, lun);
    seen.see(path);
    if (!backstores.has(lun.storage_object)) remarks.push({ path, reason: `there is no ${lun.storage_object}` });
  }
  // Port 0 is another one each time.
  for (const portal of tpg.portals) if (portal.port !== 0) seen.see(portalPath(target, tpg, portal));
  for (const acl of tpg.node_acls) {
    seen.see(aclPath(target, tpg, acl));
    checkAcl(target, tpg, acl, remarks);
  }
}

function checkAcl(target: Target, tpg: Tpg, acl: NodeAcl, remarks: Remark[]): void {
  const seen = new Twice(remarks);
  const luns = new Set(tpg.luns.map(({ index }) => index));
  for (const mapped of acl.mapped_luns) {
    const path = mappedLunPath(target, tpg, acl, mapped);
    seen.see(path);
    if (!luns.has(mapped.tpg_lun))
      remarks.push({ path, reason: `there is no LUN ${mapped.tpg_lun} in the portal group` });
  }
}
