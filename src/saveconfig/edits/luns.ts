// Edits of a TPG's luns: made of a storage object and mapped into the ACLs that are there, deleted with their mappings.
import type { Lun, MappedLun, NodeAcl, SaveConfig, StorageObject, Tpg } from '../model.js';
import { backstorePath } from '../paths.js';
import { type Chance, type Edit, exists, invalid, newAlias } from './edit.js';
import { changeTpg, requireTpg, type TpgRef, tpgPath } from './find.js';
import { numberAfter } from './words.js';

const LARGEST_LUN = 65_535;
/** rtslib's bound on the numbers that an initiator sees. */
export const LARGEST_MAPPED_LUN = 255;

export interface LunParams {
  /** A number, or `lunN`; absent: the first that is free. */
  readonly lun?: string | undefined;
  /** Whether the ACLs that are there get it. */
  readonly addMappedLuns: boolean;
}

/** `create OBJECT`: a LUN of a storage object of the configuration. */
export function createLun(
  config: SaveConfig,
  ref: TpgRef,
  object: StorageObject,
  params: LunParams,
  chance: Chance,
): Edit {
  const tpg = requireTpg(config, ref);
  if (tpg.luns.some((lun) => lun.storage_object === backstorePath(object)))
    throw exists(`lun for storage object ${object.plugin}/${object.name} already exists`);
  const index = lunNumber(tpg, params.lun);
  const withLun = { ...tpg, luns: [newLun(index, object, chance), ...tpg.luns] };
  const lines = [`Created LUN ${index}.`];
  const edited = params.addMappedLuns
    ? {
        ...withLun,
        node_acls: tpg.node_acls.map((acl) => mapInto(acl, index, params.lun !== undefined, lines, chance)),
      }
    : withLun;
  return { config: changeTpg(config, ref, () => edited), lines, created: `${tpgPath(ref)}/luns/lun${index}` };
}

/** The first number that none of `used` has. */
export function firstFree(used: readonly number[], most: number): number | null {
  const taken = new Set(used);
  for (let number = 0; number <= most; number++) if (!taken.has(number)) return number;
  return null;
}

function lunNumber(tpg: Tpg, asked: string | undefined): number {
  const used = tpg.luns.map(({ index }) => index);
  if (asked === undefined) {
    const free = firstFree(used, LARGEST_LUN);
    if (free === null) throw exists(`All LUNs 0-${LARGEST_LUN} in use`);
    return free;
  }
  const number = numberAfter('lun', asked);
  if (number === null || number > LARGEST_LUN) throw invalid(`LUN must be 0 to ${LARGEST_LUN}`);
  if (used.includes(number)) throw exists('This LUN already exists in configFS');
  return number;
}

function newLun(index: number, object: StorageObject, chance: Chance): Lun {
  const [group] = object.alua_tpgs;
  return {
    alias: newAlias(chance),
    alua_tg_pt_gp_name: group?.name ?? null,
    index,
    storage_object: backstorePath(object),
  };
}

/** The same number, where it was asked for and is free; else the first free one. */
function mapInto(acl: NodeAcl, index: number, asked: boolean, lines: string[], chance: Chance): NodeAcl {
  const used = acl.mapped_luns.map((mapped) => mapped.index);
  const wanted =
    asked && index <= LARGEST_MAPPED_LUN && !used.includes(index) ? index : firstFree(used, LARGEST_MAPPED_LUN);
  if (wanted === null) {
    lines.push(`Cannot map new lun ${index} into ACL ${acl.node_wwn}`);
    return acl;
  }
  lines.push(`Created LUN ${index}->${wanted} mapping in node ACL ${acl.node_wwn}`);
  return { ...acl, mapped_luns: [newMappedLun(wanted, index, false, chance), ...acl.mapped_luns] };
}

export function newMappedLun(index: number, tpgLun: number, writeProtect: boolean, chance: Chance): MappedLun {
  return { alias: newAlias(chance), index, tpg_lun: tpgLun, write_protect: writeProtect };
}

/** `delete LUN`, with the mappings that lead to it. */
export function deleteLun(config: SaveConfig, ref: TpgRef, lun: string): Edit {
  const tpg = requireTpg(config, ref);
  const index = numberAfter('lun', lun);
  if (index === null || !tpg.luns.some((one) => one.index === index)) throw invalid('Invalid LUN');
  const edited = withoutMappings({ ...tpg, luns: tpg.luns.filter((one) => one.index !== index) }, [index]);
  return { config: changeTpg(config, ref, () => edited), lines: [`Deleted LUN ${index}.`] };
}

/** The TPG without mappings of LUNs that are gone. */
export function withoutMappings(tpg: Tpg, gone: readonly number[]): Tpg {
  const node_acls = tpg.node_acls.map((acl) => ({
    ...acl,
    mapped_luns: acl.mapped_luns.filter((mapped) => !gone.includes(mapped.tpg_lun)),
  }));
  return { ...tpg, node_acls };
}

/** Puts a LUN into one of the ALUA groups of its storage object. */
export function setLunGroup(config: SaveConfig, ref: TpgRef, index: number, group: string): SaveConfig {
  const tpg = requireTpg(config, ref);
  const lun = tpg.luns.find((one) => one.index === index);
  const object = config.storage_objects.find((one) => backstorePath(one) === lun?.storage_object);
  if (!object?.alua_tpgs.some(({ name }) => name === group)) throw invalid('Invalid ALUA group name');
  return changeTpg(config, ref, () => ({
    ...tpg,
    luns: tpg.luns.map((one) => (one.index === index ? { ...one, alua_tg_pt_gp_name: group } : one)),
  }));
}
