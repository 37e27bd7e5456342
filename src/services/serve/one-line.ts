// `serve FILE=SIZE …` as a configuration: one target with one portal group, every disk a LUN in the order given.
import { DEFAULT_ALUA_GROUP } from '../../saveconfig/defaults.js';
import type { ChapCredentials, MappedLun, NodeAcl, SaveConfig, StorageObject, Tpg } from '../../saveconfig/model.js';
import { backstorePath } from '../../saveconfig/paths.js';
import { printable } from '../../util/printable.js';
import { storageObject } from './backstores/serve-disk.js';
import type { ServeOptions } from './options.js';

export async function oneLineConfig(options: ServeOptions): Promise<SaveConfig> {
  const storage_objects: StorageObject[] = [];
  for (const disk of options.disks) {
    const object = await storageObject(disk, options.targetName);
    storage_objects.push({ ...object, name: freeName(object, storage_objects), alua_tpgs: [DEFAULT_ALUA_GROUP] });
  }
  const target = { fabric: 'iscsi', wwn: options.targetName, tpgs: [groupOf(options, storage_objects)] };
  return { fabric_modules: [], storage_objects, targets: [target] };
}

/** Two files of one name are two storage objects. */
function freeName(object: StorageObject, others: readonly StorageObject[]): string {
  const plain = printable(object.name.replace(/[/\s]/g, '_')) || 'disk';
  const taken = new Set(others.filter(({ plugin }) => plugin === object.plugin).map(({ name }) => name));
  for (let n = 1; ; n++) {
    const name = n === 1 ? plain : `${plain}-${n}`;
    if (!taken.has(name)) return name;
  }
}

function groupOf(options: ServeOptions, objects: readonly StorageObject[]): Tpg {
  const { account, open, readOnly } = options;
  const luns = objects.map((object, index) => {
    return { index, storage_object: backstorePath(object), alua_tg_pt_gp_name: DEFAULT_ALUA_GROUP.name };
  });
  const mapped_luns = luns.map(({ index }): MappedLun => ({ index, tpg_lun: index, write_protect: readOnly }));
  const credentials = credentialsOf(options);
  const attributes = {
    authentication: account === null ? 0 : 1,
    cache_dynamic_acls: open ? 1 : 0,
    // Only who may log in sees what there is.
    demo_mode_discovery: 0,
    demo_mode_write_protect: readOnly ? 1 : 0,
    generate_node_acls: open ? 1 : 0,
    login_timeout: 10,
    default_cmdsn_depth: 128,
  };
  return {
    tag: 1,
    enable: true,
    luns,
    portals: options.portals.map(({ address, port }) => ({
      ip_address: address.includes(':') ? `[${address}]` : address,
      port,
      iser: false,
      offload: false,
    })),
    node_acls: options.allow.map((node_wwn): NodeAcl => ({ node_wwn, mapped_luns, attributes: {}, ...credentials })),
    attributes,
    parameters: {},
    ...(open ? credentials : {}),
  };
}

function credentialsOf({ account, mutual }: ServeOptions): ChapCredentials {
  return {
    ...(account && { chap_userid: account.user, chap_password: account.secret }),
    ...(mutual && { chap_mutual_userid: mutual.user, chap_mutual_password: mutual.secret }),
  };
}
