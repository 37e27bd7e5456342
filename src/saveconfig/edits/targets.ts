// Edits of a fabric: targets are made, with a name where none is given, and deleted with all that is in them.
import { checkIscsiName, isIscsiName } from '../../iscsi/names.js';
import { TARGET_PARAMETERS } from '../defaults.js';
import type { SaveConfig } from '../model.js';
import { absent, type Chance, CONFIGFS, type Edit, exists, invalid } from './edit.js';
import { findTarget, type TargetRef } from './find.js';
import { createTpg, type TpgPreferences } from './tpgs.js';

/** What a made-up target name is made of. */
export interface HostName extends Chance {
  readonly hostname: string;
  /** `x86_64`, as uname says it. */
  readonly machine: string;
}

/** `create [WWN]` of /iscsi: the target with its first TPG. */
export function createTarget(
  config: SaveConfig,
  wwn: string | undefined,
  preferences: TpgPreferences,
  host: HostName,
): Edit {
  const ref: TargetRef = { fabric: 'iscsi', wwn: wwn === undefined ? newTargetName(host) : wwnOf(wwn) };
  if (findTarget(config, ref) !== undefined) throw exists('This Target already exists in configFS');
  const target = { ...ref, parameters: TARGET_PARAMETERS, tpgs: [] };
  const {
    config: edited,
    lines,
    created = '',
  } = createTpg({ ...config, targets: [target, ...config.targets] }, ref, undefined, preferences);
  return { config: edited, lines: [`Created target ${ref.wwn}.`, ...lines], created };
}

/** `delete WWN` */
export function deleteTarget(config: SaveConfig, ref: TargetRef): Edit {
  if (findTarget(config, ref) === undefined)
    throw absent(`No such Target in configfs: ${CONFIGFS}/${ref.fabric}/${ref.wwn}`);
  const targets = config.targets.filter((target) => target.fabric !== ref.fabric || target.wwn !== ref.wwn);
  return { config: { ...config, targets }, lines: [`Deleted Target ${ref.wwn}.`] };
}

/** The name of a target or an initiator, in lower case as rtslib keeps it. @throws RefusedEdit */
export function wwnOf(text: string): string {
  const name = text.trim().toLowerCase();
  if (isIscsiName(name)) return name;
  throw invalid('WWN not valid as: iqn, naa, eui', complaintOf(name));
}

function complaintOf(name: string): string {
  try {
    checkIscsiName(name);
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
}

function newTargetName({ hostname, machine, uuid }: HostName): string {
  const host = (hostname.split('.')[0] ?? '').replaceAll('_', '').toLowerCase() || 'localhost';
  return `iqn.2003-01.org.linux-iscsi.${host}.${machine.replaceAll('_', '').toLowerCase()}:sn.${uuid().slice(24)}`;
}
