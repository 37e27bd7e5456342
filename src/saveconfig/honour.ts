// What a configuration says and this target does not do. It is kept in the file, and named: nothing is dropped in silence.
import type { Remark } from './check.js';
import { DEFAULT_ALUA_GROUP } from './defaults.js';
import type { NodeAcl, Portal, SaveConfig, Settings, StorageObject, Target, Tpg } from './model.js';
import { aclPath, backstorePath, portalPath, targetPath, tpgPath } from './paths.js';

/** Settings that this target honours for one value only, which is then what it does anyway. */
type OnlyValues = Readonly<Record<string, readonly (string | number)[]>>;

const BACKSTORE_ONLY: OnlyValues = {
  alua_support: [1],
  emulate_model_alias: [1],
  emulate_rest_reord: [0],
  emulate_tas: [1],
  emulate_ua_intlck_ctrl: [0],
  enforce_pr_isids: [1],
  pgr_support: [1],
  pi_prot_format: [0],
  pi_prot_type: [0],
  pi_prot_verify: [0],
  unmap_zeroes_data: [0, 1],
};
const TPG_ONLY: OnlyValues = { default_erl: [0], fabric_prot_type: [0], t10_pi: [0] };
const TPG_PARAMETERS_ONLY: OnlyValues = {
  DataPDUInOrder: ['Yes'],
  DataSequenceInOrder: ['Yes'],
  ErrorRecoveryLevel: ['0', 0],
  IFMarker: ['No'],
  OFMarker: ['No'],
};
const ACL_ONLY: OnlyValues = {
  default_erl: [0],
  random_datain_pdu_offsets: [0],
  random_datain_seq_offsets: [0],
  random_r2t_offsets: [0],
};
const SERVED_FABRICS: ReadonlySet<string> = new Set(['iscsi']);

/** In the order of the file; empty where all of it is honoured. */
export function notHonoured(config: SaveConfig): Remark[] {
  return [
    ...config.fabric_modules.filter(({ name }) => name !== 'iscsi').map(otherModule),
    ...config.storage_objects.flatMap(ofStorageObject),
    ...config.targets.flatMap(ofTarget),
  ];
}

function otherModule({ name }: { readonly name: string }): Remark {
  return { path: `/${name}`, reason: `the fabric ${name} is not served` };
}

function ofStorageObject(object: StorageObject): Remark[] {
  const path = backstorePath(object);
  const remarks: Remark[] = [];
  if (object.plugin === 'fileio' && object.aio === true) remarks.push({ path, reason: 'aio has no effect' });
  if (object.plugin === 'user' && !object.config.startsWith('nbd/')) {
    remarks.push({ path, reason: `there is no handler ${object.config.split('/')[0]}: it is not served` });
  }
  // What pscsi passes through is the device's own business.
  if (object.plugin !== 'pscsi') remarks.push(...unlike(path, object.attributes, BACKSTORE_ONLY));
  for (const { name, alua_access_state } of object.alua_tpgs) {
    const group = `${path}/alua/${name}`;
    if (name !== DEFAULT_ALUA_GROUP.name) remarks.push({ path: group, reason: 'only default_tg_pt_gp has an effect' });
    else if (alua_access_state !== 0) {
      remarks.push({ path: group, reason: 'every path is Active/optimized: another state has no effect' });
    }
  }
  return remarks;
}

function ofTarget(target: Target): Remark[] {
  if (!SERVED_FABRICS.has(target.fabric)) {
    return [{ path: targetPath(target), reason: `the fabric ${target.fabric} is not served` }];
  }
  const affinity = target.parameters?.cmd_completion_affinity ?? '-1';
  const remarks: Remark[] = [];
  if (String(affinity) !== '-1') {
    remarks.push({ path: targetPath(target), reason: `cmd_completion_affinity ${affinity} has no effect` });
  }
  return [...remarks, ...target.tpgs.flatMap((tpg) => ofTpg(target, tpg))];
}

function ofTpg(target: Target, tpg: Tpg): Remark[] {
  const path = tpgPath(target, tpg);
  return [
    ...unlike(path, tpg.attributes, TPG_ONLY),
    ...unlike(path, tpg.parameters, TPG_PARAMETERS_ONLY),
    ...tpg.portals.flatMap((portal) => ofPortal(target, tpg, portal)),
    ...tpg.node_acls.flatMap((acl) => ofAcl(target, tpg, acl)),
  ];
}

function ofPortal(target: Target, tpg: Tpg, portal: Portal): Remark[] {
  const path = portalPath(target, tpg, portal);
  return (['iser', 'offload'] as const)
    .filter((key) => portal[key] === true)
    .map((key) => ({ path, reason: `${key} is not there: this portal speaks iSCSI over TCP` }));
}

function ofAcl(target: Target, tpg: Tpg, acl: NodeAcl): Remark[] {
  return unlike(aclPath(target, tpg, acl), acl.attributes, ACL_ONLY);
}

function unlike(path: string, settings: Settings, only: OnlyValues): Remark[] {
  return Object.entries(settings)
    .filter(([name, value]) => Object.hasOwn(only, name) && only[name]?.includes(value) === false)
    .map(([name, value]) => ({ path, reason: `${name}=${value} has no effect` }));
}
