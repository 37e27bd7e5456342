// Edits of attributes and parameters, of storage objects, TPGs and ACLs, and of ALUA groups.
import { DEFAULT_ALUA_GROUP } from '../defaults.js';
import type { AluaGroup, SaveConfig, Settings, StorageObject, Tpg } from '../model.js';
import { absent, type Edit, exists, invalid } from './edit.js';
import { changeAcls, changeObject, changeTpg, findObject, type TpgRef } from './find.js';

export type ObjectRef = Pick<StorageObject, 'plugin' | 'name'>;

/** These take any number; all others that are 0 or 1 by default are switches. */
const NUMBERS = new Set([
  'alua_support',
  'block_size',
  'default_cmdsn_depth',
  'default_erl',
  'fabric_prot_type',
  'max_unmap_block_desc_count',
  'max_unmap_lba_count',
  'max_write_same_len',
  'optimal_sectors',
  'pi_prot_type',
  'queue_depth',
  'unmap_granularity',
  'unmap_granularity_alignment',
  'emulate_ua_intlck_ctrl',
]);
const BLOCK_SIZES = [512, 1024, 2048, 4096];

export function setObjectAttribute(config: SaveConfig, ref: ObjectRef, name: string, value: string): SaveConfig {
  return changeObject(config, ref, (object) => ({
    ...object,
    attributes: withAttribute(object.attributes, name, value),
  }));
}

export function setTpgAttribute(config: SaveConfig, ref: TpgRef, name: string, value: string): SaveConfig {
  return changeTpg(config, ref, (tpg) => {
    const attributes = withAttribute(tpg.attributes, name, value);
    return { ...tpg, attributes, parameters: name === 'authentication' ? withAuthMethod(tpg, value) : tpg.parameters };
  });
}

/** The kernel offers AuthMethod None where no authentication is asked for, and only there. */
function withAuthMethod({ parameters }: Tpg, authentication: string): Settings {
  return { ...parameters, AuthMethod: authentication === '0' ? 'CHAP,None' : 'CHAP' };
}

export function setAclAttribute(config: SaveConfig, ref: TpgRef, acl: string, name: string, value: string): SaveConfig {
  return changeTpg(config, ref, (tpg) =>
    changeAcls(tpg, acl, (old) => ({ ...old, attributes: withAttribute(old.attributes, name, value) })),
  );
}

export function setTpgParameter(config: SaveConfig, ref: TpgRef, name: string, value: string): SaveConfig {
  const checked = parameterValue(name, value);
  return changeTpg(config, ref, (tpg) => ({ ...tpg, parameters: { ...tpg.parameters, [name]: checked } }));
}

function withAttribute(attributes: Settings, name: string, value: string): Settings {
  const old = attributes[name];
  if (typeof old === 'string') return { ...attributes, [name]: value };
  if (!/^-?\d{1,15}$/.test(value)) throw invalid(`Not setting ${name}! Syntax error, '${value}' is not a NUMBER.`);
  const number = Number(value);
  const isSwitch = (old === 0 || old === 1) && !NUMBERS.has(name);
  const wrong = isSwitch ? number !== 0 && number !== 1 : name === 'block_size' && !BLOCK_SIZES.includes(number);
  if (wrong || (number < 0 && name !== 'authentication'))
    throw invalid(`Cannot set attribute ${name}: [Errno 22] Invalid argument`);
  return { ...attributes, [name]: number };
}

/** Of the keys of RFC 7143 §13 that are a number or a yes or no. */
const YES_NO = new Set([
  'DataPDUInOrder',
  'DataSequenceInOrder',
  'IFMarker',
  'ImmediateData',
  'InitialR2T',
  'OFMarker',
]);
const NUMBER_RANGE: Readonly<Record<string, readonly [number, number]>> = {
  DefaultTime2Retain: [0, 3600],
  DefaultTime2Wait: [0, 3600],
  ErrorRecoveryLevel: [0, 2],
  FirstBurstLength: [512, 16_777_215],
  MaxBurstLength: [512, 16_777_215],
  MaxConnections: [1, 65_535],
  MaxOutstandingR2T: [1, 65_535],
  MaxRecvDataSegmentLength: [512, 16_777_215],
  MaxXmitDataSegmentLength: [512, 16_777_215],
};
const LISTS: Readonly<Record<string, readonly string[]>> = {
  AuthMethod: ['CHAP', 'None'],
  DataDigest: ['CRC32C', 'None'],
  HeaderDigest: ['CRC32C', 'None'],
};

function parameterValue(name: string, value: string): string {
  if (YES_NO.has(name) && value !== 'Yes' && value !== 'No')
    throw invalid(`Not setting ${name}! Syntax error, '${value}' is not Yes|No.`);
  const range = NUMBER_RANGE[name];
  if (range !== undefined) {
    if (!/^\d{1,9}$/.test(value)) throw invalid(`Not setting ${name}! Syntax error, '${value}' is not a NUMBER.`);
    if (Number(value) < range[0] || Number(value) > range[1])
      throw invalid(
        `Cannot set parameter ${name}: [Errno 22] Invalid argument`,
        `RFC 7143 takes ${range[0]} to ${range[1]}`,
      );
    return String(Number(value));
  }
  const list = LISTS[name];
  if (list !== undefined && !value.split(',').every((word) => list.includes(word)))
    throw invalid(`Cannot set parameter ${name}: [Errno 22] Invalid argument`, `the values are ${list.join(' and ')}`);
  if (Buffer.byteLength(value) > 255) throw invalid('Value longer than maximum length of 255');
  return value;
}

/** `create NAME TAG` of a storage object's alua node. */
export function createAluaGroup(config: SaveConfig, ref: ObjectRef, name: string, tag: string): Edit {
  const groups = groupsOf(config, ref);
  const id = /^\d{1,5}$/.test(tag) ? Number(tag) : 0;
  if (id < 1 || id > 65_535) throw invalid('The TPG Tag must be between 1 and 65535');
  if (!/^[\w.-]{1,64}$/.test(name)) throw invalid(`${name} is no name for an ALUA group`);
  if (groups.some((group) => group.name === name || group.tg_pt_gp_id === id))
    throw exists('This ALUATargetPortGroup already exists in configFS');
  return {
    config: changeObject(config, ref, (object) => ({
      ...object,
      alua_tpgs: [{ ...DEFAULT_ALUA_GROUP, name, tg_pt_gp_id: id }, ...groups],
    })),
    lines: [`Created ALUA TPG ${name}.`],
    created: `/backstores/${ref.plugin}/${ref.name}/alua/${name}`,
  };
}

/** `delete NAME`: LUNs in the group go back to the default one. */
export function deleteAluaGroup(config: SaveConfig, ref: ObjectRef, name: string): Edit {
  const groups = groupsOf(config, ref);
  if (!groups.some((group) => group.name === name)) throw absent('Invalid ALUA group name');
  if (name === 'default_tg_pt_gp') throw invalid('Can not delete default_tg_pt_gp');
  const kept = changeObject(config, ref, (object) => ({
    ...object,
    alua_tpgs: groups.filter((group) => group.name !== name),
  }));
  const path = `/backstores/${ref.plugin}/${ref.name}`;
  const targets = kept.targets.map((target) => ({
    ...target,
    tpgs: target.tpgs.map((tpg) => ({
      ...tpg,
      luns: tpg.luns.map((lun) =>
        lun.storage_object === path && lun.alua_tg_pt_gp_name === name
          ? { ...lun, alua_tg_pt_gp_name: 'default_tg_pt_gp' }
          : lun,
      ),
    })),
  }));
  return { config: { ...kept, targets }, lines: [] };
}

/** SPC-4 §5.16.2: the states that a group can be put into. */
const ALUA_STATES = [0, 1, 2, 3];

export function setAluaParameter(
  config: SaveConfig,
  ref: ObjectRef,
  group: string,
  name: string,
  value: string,
): SaveConfig {
  if (!/^\d{1,9}$/.test(value)) throw invalid(`Cannot set ${name}: [Errno 22] Invalid argument`);
  if (name === 'alua_access_state' && !ALUA_STATES.includes(Number(value)))
    throw invalid('Cannot change ALUA state: [Errno 22] Invalid argument');
  return changeObject(config, ref, (object) => ({
    ...object,
    alua_tpgs: object.alua_tpgs.map((one) => (one.name === group ? { ...one, [name]: Number(value) } : one)),
  }));
}

function groupsOf(config: SaveConfig, { plugin, name }: ObjectRef): readonly AluaGroup[] {
  const object = findObject(config, plugin, name);
  if (object === undefined) throw absent(`No storage object named ${name}.`);
  if (plugin === 'pscsi') throw invalid('Backend does not support ALUA setup');
  return object.alua_tpgs;
}
