// Edits of a target: its portal groups are made, deleted, switched on and off.
import { TPG_ATTRIBUTES, TPG_PARAMETERS } from '../defaults.js';
import type { SaveConfig, Tpg } from '../model.js';
import { absent, type Edit, exists, invalid } from './edit.js';
import {
  changeTarget,
  changeTpg,
  configfsPath,
  findTarget,
  requireTpg,
  type TargetRef,
  type TpgRef,
  tpgPath,
} from './find.js';
import { ANY_ADDRESS, newPortal, portalConflict } from './portals.js';
import { numberAfter } from './words.js';

/** The global preferences that a new TPG heeds. */
export interface TpgPreferences {
  readonly auto_enable_tpgt: boolean;
  readonly auto_add_default_portal: boolean;
}

const LARGEST_TAG = 65_535;
const DEFAULT_PORT = 3260;

/** `create [TAG]` of a target: enabled and open to the ACLs without authentication, as targetcli makes it. */
export function createTpg(
  config: SaveConfig,
  target: TargetRef,
  asked: string | undefined,
  preferences: TpgPreferences,
): Edit {
  const ref: TpgRef = { ...target, tag: newTag(config, target, asked) };
  const lines = [`Created TPG ${ref.tag}.`];
  const portals = [];
  if (preferences.auto_add_default_portal) {
    const portal = newPortal(ANY_ADDRESS, DEFAULT_PORT);
    if (portalConflict(config, ref, portal) === null) {
      portals.push(portal);
      lines.push('Global pref auto_add_default_portal=true');
      lines.push(`Created default portal listening on all IPs (${ANY_ADDRESS}), port ${DEFAULT_PORT}.`);
    } else lines.push('Default portal not created, TPGs within a target cannot share ip:port.');
  }
  const tpg: Tpg = {
    attributes: { ...TPG_ATTRIBUTES, authentication: 0 },
    enable: preferences.auto_enable_tpgt,
    luns: [],
    node_acls: [],
    parameters: TPG_PARAMETERS,
    portals,
    tag: ref.tag,
  };
  const edited = changeTarget(config, target, (old) => ({ ...old, tpgs: [tpg, ...old.tpgs] }));
  return { config: edited, lines, created: tpgPath(ref) };
}

function newTag(config: SaveConfig, target: TargetRef, asked: string | undefined): number {
  const used = findTarget(config, target)?.tpgs.map(({ tag }) => tag) ?? [];
  if (asked === undefined) {
    for (let tag = 1; tag <= LARGEST_TAG; tag++) if (!used.includes(tag)) return tag;
    throw exists('Cannot find an available TPG Tag');
  }
  const tag = tagOf(asked);
  if (tag < 1 || tag > LARGEST_TAG) throw invalid(`The TPG Tag must be 1 to ${LARGEST_TAG}`);
  if (used.includes(tag)) throw exists('This TPG already exists in configFS');
  return tag;
}

function tagOf(text: string): number {
  const tag = numberAfter('tpg', text);
  if (tag === null) throw invalid('Tag argument must be a number.');
  return tag;
}

/** `delete TAG` */
export function deleteTpg(config: SaveConfig, target: TargetRef, asked: string): Edit {
  const ref = { ...target, tag: tagOf(asked) };
  if (!findTarget(config, target)?.tpgs.some(({ tag }) => tag === ref.tag))
    throw absent(`No such TPG in configfs: ${configfsPath(ref)}`);
  const edited = changeTarget(config, target, (old) => ({
    ...old,
    tpgs: old.tpgs.filter(({ tag }) => tag !== ref.tag),
  }));
  return { config: edited, lines: [`Deleted TPGT ${ref.tag}.`] };
}

/** `enable` and `disable` of a TPG. */
export function enableTpg(config: SaveConfig, ref: TpgRef, enable: boolean): Edit {
  const word = enable ? 'enabled' : 'disabled';
  if (requireTpg(config, ref).enable === enable) return { config, lines: [`The TPGT is already ${word}.`] };
  return { config: changeTpg(config, ref, (tpg) => ({ ...tpg, enable })), lines: [`The TPGT has been ${word}.`] };
}
