// Edits of a node ACL: what the initiator sees under which number, and whether it may write to it.
import type { NodeAcl, SaveConfig, Tpg } from '../model.js';
import { absent, type Chance, type Edit, exists, invalid } from './edit.js';
import { changeAcls, changeTpg, configfsPath, requireAcls, requireTpg, type TpgRef, tpgPath } from './find.js';
import { LARGEST_MAPPED_LUN, newMappedLun } from './luns.js';
import { flagWord, numberAfter } from './words.js';

export interface MappedLunParams {
  /** The number that the initiator sees. */
  readonly mapped_lun: string;
  /** The LUN of the TPG. */
  readonly tpgLun: number;
  readonly write_protect?: string | undefined;
}

/** `create MAPPED_LUN TPG_LUN`, of all ACLs of that name or tag. */
export function createMappedLun(
  config: SaveConfig,
  ref: TpgRef,
  acl: string,
  params: MappedLunParams,
  chance: Chance,
): Edit {
  const tpg = requireTpg(config, ref);
  const acls = requireAcls(tpg, ref, acl);
  const index = mappedNumber(params.mapped_lun);
  const writeProtect = flagWord('write_protect', params.write_protect, false);
  if (!tpg.luns.some((lun) => lun.index === params.tpgLun))
    throw absent(`LUN ${params.tpgLun} does not exist in this TPG`);
  if (acls.some(({ mapped_luns }) => mapped_luns.some((mapped) => mapped.index === index)))
    throw exists('This MappedLUN already exists in configFS');
  const lines = acls[0]?.mapped_luns.some(({ tpg_lun }) => tpg_lun === params.tpgLun)
    ? [`Warning: TPG LUN ${params.tpgLun} already mapped to this NodeACL`]
    : [];
  const add = (old: NodeAcl): NodeAcl => ({
    ...old,
    mapped_luns: [newMappedLun(index, params.tpgLun, writeProtect, chance), ...old.mapped_luns],
  });
  return {
    config: changeTpg(config, ref, (old: Tpg) => changeAcls(old, acl, add)),
    lines: [...lines, `Created Mapped LUN ${index}.`],
    created: `${tpgPath(ref)}/acls/${acl}/mapped_lun${index}`,
  };
}

/** `delete MAPPED_LUN` */
export function deleteMappedLun(config: SaveConfig, ref: TpgRef, acl: string, mapped_lun: string): Edit {
  const tpg = requireTpg(config, ref);
  const acls = requireAcls(tpg, ref, acl);
  const index = mappedNumber(mapped_lun);
  if (!acls.some(({ mapped_luns }) => mapped_luns.some((mapped) => mapped.index === index)))
    throw absent(`No such MappedLUN in configfs: ${configfsPath(ref)}/acls/${acls[0]?.node_wwn}/lun_${index}`);
  const drop = (old: NodeAcl): NodeAcl => ({
    ...old,
    mapped_luns: old.mapped_luns.filter((mapped) => mapped.index !== index),
  });
  return {
    config: changeTpg(config, ref, (old: Tpg) => changeAcls(old, acl, drop)),
    lines: [`Deleted Mapped LUN ${index}.`],
  };
}

function mappedNumber(text: string): number {
  const index = numberAfter('mapped_lun', text);
  if (index === null) throw invalid('mapped_lun must be an integer');
  if (index > LARGEST_MAPPED_LUN) throw invalid(`Mapped LUN must be 0 to ${LARGEST_MAPPED_LUN}`);
  return index;
}
