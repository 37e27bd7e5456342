// Edits of /backstores: storage objects are made, and deleted with the LUNs that use them.
import {
  BLOCK_ATTRIBUTES,
  DEFAULT_ALUA_GROUP,
  fileioAttributes,
  PSCSI_ATTRIBUTES,
  RAMDISK_ATTRIBUTES,
  USER_ATTRIBUTES,
} from '../defaults.js';
import type { Lun, SaveConfig, Settings, StorageObject } from '../model.js';
import { backstorePath } from '../paths.js';
import { absent, type Chance, type Edit, exists, invalid, RefusedEdit } from './edit.js';
import { changeEveryTpg, findObject } from './find.js';
import { withoutMappings } from './luns.js';
import { boolWord, sizeWord } from './words.js';

/** What stands at a path of the host. */
export interface PathFacts {
  /** The device node of `H:C:T:L`; otherwise the path that was asked for. */
  readonly path: string;
  readonly kind: 'absent' | 'unreadable' | 'file' | 'block' | 'other';
  /** Bytes, of a file and of a block device. */
  readonly sizeBytes: number;
  /** A block device that the kernel has set read-only. */
  readonly readOnly: boolean;
  /** Whether it is a disk, and no CD or tape; of a block device. */
  readonly isDisk: boolean;
  /** Whether a SCSI device stands behind it, as pscsi needs. */
  readonly isScsi: boolean;
  /** The storage objects of the configuration whose `dev` is the same file, by whatever name. */
  readonly usedBy: readonly StorageObject[];
}

export interface BlockParams {
  readonly name: string;
  readonly dev: string;
  readonly readonly?: string | undefined;
  readonly wwn?: string | undefined;
}
export interface FileioParams {
  readonly name: string;
  readonly file_or_dev: string;
  readonly size?: string | undefined;
  readonly write_back?: string | undefined;
  readonly sparse?: string | undefined;
  readonly wwn?: string | undefined;
}
export interface RamdiskParams {
  readonly name: string;
  readonly size: string;
  readonly nullio?: string | undefined;
  readonly wwn?: string | undefined;
}

/** A file that the host has to make before the edit holds. */
export interface NewFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Otherwise it is written in full. */
  readonly sparse: boolean;
}

const SERIAL = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** `create NAME DEV`, of a block device. */
export function createBlock(config: SaveConfig, params: BlockParams, facts: PathFacts, chance: Chance): Edit {
  const { name, dev } = params;
  const asked = params.readonly;
  if (asked === undefined && (facts.kind === 'absent' || facts.kind === 'unreadable'))
    throw absent(`Could not open ${dev}`);
  const readonly = asked === undefined ? facts.readOnly : boolWord(asked, false);
  checkName(config, 'block', name);
  if (facts.kind !== 'block' || !facts.isDisk) throw invalid(`Device ${dev} is not a TYPE_DISK block device`);
  checkUnused(dev, facts);
  return made(
    config,
    { ...common(BLOCK_ATTRIBUTES, name, params.wwn, chance), plugin: 'block', dev, readonly, write_back: false },
    `Created block storage object ${name} using ${dev}.`,
  );
}

/**
 * `create NAME FILE SIZE`, of a file; `file` in the result has to be made, where there is none. A file that exists keeps
 * its size.
 */
export function createFileio(
  config: SaveConfig,
  params: FileioParams,
  facts: PathFacts,
  chance: Chance,
): Edit & { readonly file: NewFile | null } {
  const { name, file_or_dev: dev } = params;
  const sparse = boolWord(params.sparse, true);
  const write_back = boolWord(params.write_back, true);
  const [holder] = facts.usedBy;
  if (holder !== undefined) throw exists(`storage object for ${dev} already exists: ${holder.name}`);
  checkName(config, 'fileio', name);
  const { lines, size, file } = backingFile(dev, params.size, sparse, facts);
  const object: StorageObject = {
    ...common(fileioAttributes(write_back), name, params.wwn, chance),
    plugin: 'fileio',
    aio: false,
    dev,
    size,
    write_back,
  };
  const edit = made(config, object, `Created fileio ${name} with size ${size}`);
  return { ...edit, lines: [...lines, ...edit.lines], file };
}

function backingFile(
  dev: string,
  asked: string | undefined,
  sparse: boolean,
  facts: PathFacts,
): { lines: string[]; size: number; file: NewFile | null } {
  const lines: string[] = [];
  if (facts.kind === 'block') {
    if (asked !== undefined) lines.push('Block device, size parameter ignored');
    lines.push('Note: block backstore preferred for best results');
    return { lines, size: facts.sizeBytes, file: null };
  }
  if (facts.kind === 'file') {
    if (asked !== undefined) lines.push(`${dev} exists, using its size (${facts.sizeBytes} bytes) instead`);
    return { lines, size: facts.sizeBytes, file: null };
  }
  if (facts.kind === 'unreadable') throw absent(`Could not open ${dev}`);
  if (facts.kind === 'other') throw invalid(`Path ${dev} exists but is not a file`);
  if (asked === undefined) throw invalid('Attempting to create file for new fileio backstore, need a size');
  const size = sizeWord(asked);
  if (!sparse) lines.push(`Writing ${size} bytes`);
  return { lines, size, file: { path: dev, sizeBytes: size, sparse } };
}

/** `create NAME SIZE`, of memory. */
export function createRamdisk(config: SaveConfig, params: RamdiskParams, chance: Chance): Edit {
  const nullio = boolWord(params.nullio, false);
  const size = sizeWord(params.size);
  checkName(config, 'ramdisk', params.name);
  const base = common(RAMDISK_ATTRIBUTES, params.name, params.wwn, chance);
  return made(
    config,
    { ...base, plugin: 'ramdisk', size, ...(nullio ? { nullio } : {}) },
    `Created ramdisk ${params.name} with size ${params.size}.`,
  );
}

/** `create NAME DEV`, of a SCSI device whose commands are passed through. */
export function createPscsi(
  config: SaveConfig,
  { name, dev }: { readonly name: string; readonly dev: string },
  facts: PathFacts,
): Edit {
  const lines = facts.kind === 'block' ? ['Note: block backstore recommended for SCSI block devices'] : [];
  checkName(config, 'pscsi', name);
  if (!facts.isScsi) {
    throw new RefusedEdit(
      'ERR_NOT_FOUND',
      `Cannot find SCSI device by path, and dev parameter not in H:C:T:L format: ${dev}`,
      { lines },
    );
  }
  checkUnused(dev, facts);
  const edit = made(
    config,
    { name, plugin: 'pscsi', dev: facts.path, attributes: PSCSI_ATTRIBUTES, alua_tpgs: [] },
    `Created pscsi storage object ${name} using ${dev}`,
  );
  return { ...edit, lines: [...lines, ...edit.lines] };
}

export interface UserParams {
  readonly name: string;
  readonly size: string;
  readonly cfgstring: string;
  readonly wwn?: string | undefined;
}

/** `create NAME SIZE URI`, of an NBD export. */
export function createUser(config: SaveConfig, handler: string, params: UserParams, chance: Chance): Edit {
  const size = sizeWord(params.size);
  checkName(config, 'user', params.name);
  if (!/^nbds?(?:\+unix|\+vsock)?:\/\//.test(params.cfgstring)) {
    throw invalid(
      `cfgstring invalid: ${params.cfgstring} is no NBD URI`,
      'write nbd://HOST/EXPORT or nbd+unix:///EXPORT?socket=PATH',
    );
  }
  const base = common(USER_ATTRIBUTES, params.name, params.wwn, chance);
  return made(
    config,
    { ...base, plugin: 'user', config: `${handler}/${params.cfgstring}`, size },
    `Created user-backed storage object ${params.name} size ${size}.`,
  );
}

/** `delete NAME`: the LUNs that are made of it go too, and their mappings. */
export function deleteObject(config: SaveConfig, plugin: StorageObject['plugin'], name: string): Edit {
  if (findObject(config, plugin, name) === undefined) throw absent(`No storage object named ${name}.`);
  const path = backstorePath({ plugin, name });
  const kept = changeEveryTpg(config, (tpg) => {
    const gone = tpg.luns.filter((lun: Lun) => lun.storage_object === path).map(({ index }) => index);
    return gone.length === 0
      ? tpg
      : withoutMappings({ ...tpg, luns: tpg.luns.filter(({ index }) => !gone.includes(index)) }, gone);
  });
  const storage_objects = config.storage_objects.filter((object) => object.plugin !== plugin || object.name !== name);
  return { config: { ...kept, storage_objects }, lines: [`Deleted storage object ${name}.`] };
}

/** A storage object of a path that was given in its place: the name is made of the path. */
export function createFromPath(
  config: SaveConfig,
  path: string,
  facts: PathFacts,
  chance: Chance,
): Edit & { readonly object: StorageObject } {
  const name = path.replace(/^\/+|\/+$/g, '').replaceAll('/', '-');
  const edit =
    facts.kind === 'block'
      ? createBlock(config, { name, dev: path }, facts, chance)
      : facts.kind === 'file'
        ? createFileio(config, { name, file_or_dev: path }, facts, chance)
        : null;
  const object = edit === null ? undefined : findObject(edit.config, facts.kind === 'block' ? 'block' : 'fileio', name);
  if (edit === null || object === undefined) throw absent('storage object or path not valid');
  return { ...edit, lines: [`Created storage object ${name}.`], object };
}

function made(config: SaveConfig, object: StorageObject, line: string): Edit {
  // The newest is first, as configfs lists them and rtslib saves them.
  const edited = { ...config, storage_objects: [object, ...config.storage_objects] };
  return { config: edited, lines: [line], created: backstorePath(object) };
}

function common(
  attributes: Settings,
  name: string,
  wwn: string | undefined,
  chance: Chance,
): Pick<StorageObject, 'name' | 'attributes' | 'alua_tpgs'> & { wwn: string } {
  if (wwn !== undefined && !SERIAL.test(wwn)) throw invalid(`WWN not valid as: unit_serial`);
  return { name, wwn: wwn ?? chance.uuid(), attributes, alua_tpgs: [DEFAULT_ALUA_GROUP] };
}

function checkName(config: SaveConfig, plugin: string, name: string): void {
  if (!/^[^/\s\p{C}]{1,255}$/u.test(name)) throw invalid("A storage object's name cannot contain '/' or white space");
  if (findObject(config, plugin, name) !== undefined) throw exists(`Storage object ${plugin}/${name} exists`);
}

function checkUnused(dev: string, { usedBy }: PathFacts): void {
  if (usedBy.length > 0) throw exists(`Cannot configure StorageObject because device ${dev} is already in use`);
}
