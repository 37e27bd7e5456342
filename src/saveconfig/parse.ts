// saveconfig.json as rtslib writes it, read into the model: types and names are checked, keys that nobody knows are kept.
import { isIscsiName } from '../iscsi/names.js';
import { AppError } from '../util/errors.js';
import { type JsonDocument, type JsonObject, type JsonValue, readJson } from './json.js';
import type {
  AluaGroup,
  ChapCredentials,
  FabricModule,
  Lun,
  MappedLun,
  NodeAcl,
  Portal,
  SaveConfig,
  Settings,
  StorageObject,
  Target,
  Tpg,
} from './model.js';

/** A thousand disks with their attributes take 2 MB. */
export const CONFIG_LARGEST = 16_777_216;

/**
 * @throws AppError ERR_DATABASE `FILE:LINE: …` for what is no configuration. An empty file, or `{}`, is none: whoever means to
 *   have nothing writes empty lists
 */
export function parseSaveConfig(text: string, file: string): SaveConfig {
  if (text.length > CONFIG_LARGEST) {
    throw new AppError('ERR_DATABASE', `${file}: longer than ${CONFIG_LARGEST} bytes`);
  }
  const document = readJson(text, file);
  const root = document.value;
  if (!isObject(root)) throw new AppError('ERR_DATABASE', `${file}:1: a configuration begins with "{"`);
  return readConfig(new Node(document, file, root, ''));
}

/** The same of a value that has come over the control socket. @throws AppError ERR_USAGE */
export function checkSaveConfig(value: unknown): SaveConfig {
  try {
    return parseSaveConfig(JSON.stringify(value) ?? '', 'configuration');
  } catch (error) {
    throw error instanceof AppError ? new AppError('ERR_USAGE', error.message, { cause: error }) : error;
  }
}

/** An object of the file, with its place for messages. */
class Node {
  constructor(
    readonly document: JsonDocument,
    readonly file: string,
    readonly keys: JsonObject,
    /** `targets[0].tpgs[1]`, empty for the whole. */
    readonly path: string,
  ) {}

  fail(key: string, what: string): never {
    const name = this.path === '' ? key : `${this.path}.${key}`;
    throw new AppError('ERR_DATABASE', `${this.file}:${this.document.lineOf(this.keys)}: ${name}: ${what}`);
  }

  text(key: string, most = 4096): string {
    const value = this.keys[key];
    if (typeof value !== 'string') this.fail(key, value === undefined ? 'is missing' : 'a text is expected');
    if (value === '' || value.length > most) this.fail(key, `1 to ${most} characters are expected`);
    if (/\p{Cc}/u.test(value)) this.fail(key, 'has control characters');
    return value;
  }
  /** A text that may be left out, and be null or empty, which says the same. */
  maybeText<K extends string>(key: K): { readonly [k in K]?: string } {
    const value = this.keys[key];
    if (value === undefined || value === null || value === '') return {};
    return { [key]: this.text(key) } as { readonly [k in K]?: string };
  }
  integer(key: string, least: number, most: number): number {
    const value = this.keys[key];
    if (value === undefined) this.fail(key, 'is missing');
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      this.fail(key, `a whole number from ${least} to ${most} is expected`);
    }
    return value;
  }
  flag(key: string, absent: boolean): boolean {
    const value = this.keys[key] ?? absent;
    if (value === 0 || value === 1) return value === 1;
    if (typeof value !== 'boolean') this.fail(key, 'true or false is expected');
    return value;
  }
  maybeFlag<K extends string>(key: K): { readonly [k in K]?: boolean } {
    if (this.keys[key] === undefined) return {};
    return { [key]: this.flag(key, false) } as { readonly [k in K]?: boolean };
  }
  /** The objects of a list. A list that is left out is empty where `needed` does not say otherwise. */
  list(key: string, needed = false): Node[] {
    const value = this.keys[key];
    if (value === undefined && !needed) return [];
    if (!Array.isArray(value)) this.fail(key, value === undefined ? 'is missing' : 'a list is expected');
    return value.map((item, index) => {
      if (!isObject(item)) this.fail(`${key}[${index}]`, 'an object is expected');
      return new Node(this.document, this.file, item, `${this.path === '' ? '' : `${this.path}.`}${key}[${index}]`);
    });
  }
  settings(key: string): Settings {
    const value = this.keys[key];
    if (value === undefined) return {};
    if (!isObject(value)) this.fail(key, 'an object is expected');
    for (const [name, setting] of Object.entries(value)) {
      if (typeof setting !== 'number' && typeof setting !== 'string')
        this.fail(`${key}.${name}`, 'a number or a text is expected');
    }
    return { ...value } as Settings;
  }
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readConfig(root: Node): SaveConfig {
  return {
    ...root.keys,
    fabric_modules: root.list('fabric_modules').map(readFabricModule),
    storage_objects: root.list('storage_objects', true).map(readStorageObject),
    targets: root.list('targets', true).map(readTarget),
  };
}

function readFabricModule(node: Node): FabricModule {
  return {
    ...node.keys,
    name: node.text('name', 64),
    ...node.maybeText('discovery_userid'),
    ...node.maybeText('discovery_password'),
    ...node.maybeText('discovery_mutual_userid'),
    ...node.maybeText('discovery_mutual_password'),
    ...node.maybeFlag('discovery_enable_auth'),
  };
}

/** 2^53 - 1, the largest size that is kept exactly. */
const LARGEST_SIZE = Number.MAX_SAFE_INTEGER;

function readStorageObject(node: Node): StorageObject {
  const name = node.text('name', 255);
  // It becomes part of a path of the tree.
  if (/[/\s]/.test(name)) node.fail('name', 'must have no "/" and no blank');
  const common = {
    ...node.keys,
    name,
    ...node.maybeText('wwn'),
    attributes: node.settings('attributes'),
    alua_tpgs: node.list('alua_tpgs').map(readAluaGroup),
  };
  const plugin = node.text('plugin', 64);
  switch (plugin) {
    case 'block': {
      const flags = { readonly: node.flag('readonly', false), write_back: node.flag('write_back', false) };
      return { ...common, plugin, dev: node.text('dev'), ...flags };
    }
    case 'fileio': {
      const size = node.integer('size', 0, LARGEST_SIZE);
      const flags = { write_back: node.flag('write_back', false), ...node.maybeFlag('aio') };
      return { ...common, plugin, dev: node.text('dev'), size, ...flags };
    }
    case 'ramdisk':
      return { ...common, plugin, size: node.integer('size', 1, LARGEST_SIZE), ...node.maybeFlag('nullio') };
    case 'pscsi':
      return { ...common, plugin, dev: node.text('dev') };
    case 'user':
      return { ...common, plugin, config: node.text('config'), size: node.integer('size', 0, LARGEST_SIZE) };
    default:
      return node.fail('plugin', `there is no backstore ${JSON.stringify(plugin)}`);
  }
}

function readAluaGroup(node: Node): AluaGroup {
  const tg_pt_gp_id = node.integer('tg_pt_gp_id', 0, 65_535);
  const alua_access_state = node.keys.alua_access_state === undefined ? 0 : node.integer('alua_access_state', 0, 15);
  return { ...node.keys, name: node.text('name', 255), tg_pt_gp_id, alua_access_state };
}

function readTarget(node: Node): Target {
  const fabric = node.text('fabric', 64);
  const wwn = node.text('wwn', 255);
  if (fabric === 'iscsi' && !isIscsiName(wwn)) node.fail('wwn', `${JSON.stringify(wwn)} is no iSCSI name`);
  const parameters = node.keys.parameters === undefined ? {} : { parameters: node.settings('parameters') };
  return { ...node.keys, fabric, wwn, ...parameters, tpgs: node.list('tpgs').map((tpg) => readTpg(tpg, fabric)) };
}

function readTpg(node: Node, fabric: string): Tpg {
  return {
    ...node.keys,
    // A fabric without portal groups, as loopback, has one that rtslib counts as 1.
    tag: node.keys.tag === undefined ? 1 : node.integer('tag', 1, 65_535),
    enable: node.flag('enable', true),
    attributes: node.settings('attributes'),
    parameters: node.settings('parameters'),
    ...credentials(node),
    luns: node.list('luns').map(readLun),
    portals: node.list('portals').map(readPortal),
    node_acls: node.list('node_acls').map((acl) => readAcl(acl, fabric)),
  };
}

function credentials(node: Node): ChapCredentials {
  return {
    ...node.maybeText('chap_userid'),
    ...node.maybeText('chap_password'),
    ...node.maybeText('chap_mutual_userid'),
    ...node.maybeText('chap_mutual_password'),
  };
}

function readLun(node: Node): Lun {
  const storage_object = node.text('storage_object', 512);
  if (!/^\/backstores\/[^/]+\/[^/]+$/.test(storage_object)) {
    node.fail('storage_object', '/backstores/PLUGIN/NAME is expected');
  }
  const group = node.keys.alua_tg_pt_gp_name;
  if (group !== undefined && group !== null) node.text('alua_tg_pt_gp_name', 255);
  const index = node.integer('index', 0, 16_383);
  return { ...node.keys, index, storage_object, ...node.maybeText('alias') };
}

function readPortal(node: Node): Portal {
  const ip_address = node.text('ip_address', 64);
  // IPv6 is written in brackets, and by older versions without.
  if (!/^(\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:.]+)$/.test(ip_address)) node.fail('ip_address', 'no IP address');
  const port = node.integer('port', 1, 65_535);
  return { ...node.keys, ip_address, port, ...node.maybeFlag('iser'), ...node.maybeFlag('offload') };
}

function readAcl(node: Node, fabric: string): NodeAcl {
  const node_wwn = node.text('node_wwn', 255);
  if (fabric === 'iscsi' && !isIscsiName(node_wwn))
    node.fail('node_wwn', `${JSON.stringify(node_wwn)} is no iSCSI name`);
  return {
    ...node.keys,
    node_wwn,
    ...node.maybeText('tag'),
    ...credentials(node),
    attributes: node.settings('attributes'),
    mapped_luns: node.list('mapped_luns').map(readMappedLun),
  };
}

function readMappedLun(node: Node): MappedLun {
  const [index, tpg_lun] = [node.integer('index', 0, 16_383), node.integer('tpg_lun', 0, 16_383)];
  return { ...node.keys, index, tpg_lun, write_protect: node.flag('write_protect', false), ...node.maybeText('alias') };
}
