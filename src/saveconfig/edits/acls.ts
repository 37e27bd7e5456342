// Edits of a TPG's acls: initiators are let in, with the LUNs that are there; tags put several under one name.
import { ACL_ATTRIBUTES } from '../defaults.js';
import type { NodeAcl, SaveConfig, Tpg } from '../model.js';
import { absent, type Chance, type Edit, exists, invalid } from './edit.js';
import { aclsNamed, changeTpg, requireAcls, requireTpg, type TpgRef, tpgPath } from './find.js';
import { LARGEST_MAPPED_LUN, newMappedLun } from './luns.js';
import { wwnOf } from './targets.js';

export interface AclParams {
  readonly wwn: string;
  /** Whether it gets every LUN that is there, under the same number. */
  readonly addMappedLuns: boolean;
}

/** `create WWN` */
export function createAcl(config: SaveConfig, ref: TpgRef, params: AclParams, chance: Chance): Edit {
  const node_wwn = wwnOf(params.wwn);
  const tpg = requireTpg(config, ref);
  if (tpg.node_acls.some((acl) => acl.node_wwn === node_wwn)) throw exists('This NodeACL already exists in configFS');
  const mappable = params.addMappedLuns ? tpg.luns.filter(({ index }) => index <= LARGEST_MAPPED_LUN) : [];
  const acl: NodeAcl = {
    attributes: ACL_ATTRIBUTES,
    mapped_luns: mappable.map(({ index }) => newMappedLun(index, index, false, chance)).reverse(),
    node_wwn,
  };
  return {
    config: changeTpg(config, ref, () => ({ ...tpg, node_acls: [acl, ...tpg.node_acls] })),
    lines: [`Created Node ACL for ${node_wwn}`, ...mappable.map(({ index }) => `Created mapped LUN ${index}.`)],
    created: `${tpgPath(ref)}/acls/${node_wwn}`,
  };
}

/** `delete WWN` */
export function deleteAcl(config: SaveConfig, ref: TpgRef, wwn: string): Edit {
  const tpg = requireTpg(config, ref);
  const gone = requireAcls(tpg, ref, wwn);
  const node_acls = tpg.node_acls.filter((acl) => !gone.includes(acl));
  return {
    config: changeTpg(config, ref, () => ({ ...tpg, node_acls })),
    lines: [`Deleted Node ACL ${wwn}.`],
  };
}

/** `tag WWN_OR_TAG NEW_TAG`: who joins a tag that is there takes its settings. */
export function tagAcls(config: SaveConfig, ref: TpgRef, name: string, tag: string): Edit {
  if (name === tag) return { config, lines: [] };
  if (tag.includes('.')) throw invalid("'.' not permitted in tag names.");
  const tpg = requireTpg(config, ref);
  const joining = aclsNamed(tpg, name);
  if (joining.length === 0) throw absent(`wwn_or_tag ${name} not found.`);
  const model = aclsNamed(tpg, tag).find((acl) => !joining.includes(acl));
  return { config: changeJoined(config, ref, tpg, joining, (acl) => joined(acl, tag, model)), lines: [] };
}

/** `untag WWN_OR_TAG`: back to one name for each, with the settings of the group. */
export function untagAcls(config: SaveConfig, ref: TpgRef, name: string): Edit {
  const tpg = requireTpg(config, ref);
  return { config: changeJoined(config, ref, tpg, aclsNamed(tpg, name), withoutTag), lines: [] };
}

function changeJoined(
  config: SaveConfig,
  ref: TpgRef,
  tpg: Tpg,
  which: readonly NodeAcl[],
  change: (acl: NodeAcl) => NodeAcl,
): SaveConfig {
  const node_acls = tpg.node_acls.map((acl) => (which.includes(acl) ? change(acl) : acl));
  return changeTpg(config, ref, () => ({ ...tpg, node_acls }));
}

function joined(acl: NodeAcl, tag: string, model: NodeAcl | undefined): NodeAcl {
  return model === undefined ? { ...acl, tag } : { ...model, node_wwn: acl.node_wwn, tag };
}

function withoutTag({ tag: _, ...acl }: NodeAcl): NodeAcl {
  return acl;
}
