// The commands below /backstores: storage objects and their ALUA groups.
import {
  createBlock,
  createFileio,
  createPscsi,
  createRamdisk,
  createUser,
  deleteObject,
} from '../../../saveconfig/edits/backstores.js';
import type { Edit } from '../../../saveconfig/edits/edit.js';
import { findObject } from '../../../saveconfig/edits/find.js';
import {
  createAluaGroup,
  deleteAluaGroup,
  type ObjectRef,
  setObjectAttribute,
} from '../../../saveconfig/edits/settings.js';
import { boolWord } from '../../../saveconfig/edits/words.js';
import type { StorageObject } from '../../../saveconfig/model.js';
import { type Call, type Command, define, need } from '../command.js';
import { expandHome } from '../home.js';
import { infoText } from '../info.js';

const SIZES = 'A size is a number of bytes, or has one of the units K, M, G, T, which count in 1024.';

const CREATE: Readonly<Record<StorageObject['plugin'], Command>> = {
  block: define(
    'create',
    ['name', 'dev', '[readonly]', '[wwn]'],
    'Makes a storage object of a block device, as an LVM volume. It is read-only when the kernel says so of the device, or readonly=true. wwn is its serial number, a UUID; one is made up otherwise.',
    async (call) => {
      const { config, host } = call.shell;
      const dev = expandHome(need(call, 'dev'));
      const { readonly, wwn } = call.params;
      const params = { name: need(call, 'name'), dev, readonly, wwn };
      await call.shell.change(named(call, 'block', createBlock(config, params, host.look(dev, config), host)));
      return undefined;
    },
  ),
  fileio: define(
    'create',
    ['name', 'file_or_dev', '[size]', '[write_back]', '[sparse]', '[wwn]'],
    `Makes a storage object of a file. A file that is there keeps its size; otherwise one of the given size is made, full of holes unless sparse=false. write_back=false writes through. ${SIZES}`,
    createFile,
  ),
  ramdisk: define(
    'create',
    ['name', 'size', '[nullio]', '[wwn]'],
    `Makes a storage object of memory, which is gone when serving ends. nullio=true: nothing is kept at all, reads give zeros. ${SIZES}`,
    async (call) => {
      const { nullio, wwn } = call.params;
      const params = { name: need(call, 'name'), size: need(call, 'size'), nullio, wwn };
      await call.shell.change(named(call, 'ramdisk', createRamdisk(call.shell.config, params, call.shell.host)));
      return undefined;
    },
  ),
  pscsi: define(
    'create',
    ['name', 'dev'],
    'Makes a storage object of a SCSI device, to which commands are passed as they are. dev is its device node, or H:C:T:L.',
    async (call) => {
      const { config, host } = call.shell;
      const dev = need(call, 'dev');
      await call.shell.change(createPscsi(config, { name: need(call, 'name'), dev }, host.look(dev, config)));
      return undefined;
    },
  ),
  user: define(
    'create',
    ['name', 'size', 'cfgstring', '[wwn]'],
    `Makes a storage object of an NBD export. cfgstring is its URI: nbd://HOST[:PORT]/EXPORT, or nbd+unix:///EXPORT?socket=PATH. A size of 0 stands for all of the export. ${SIZES}`,
    async (call) => {
      const { ref } = call.node;
      const handler = ref.kind === 'backstore' && ref.handler !== null ? ref.handler : 'nbd';
      const params = {
        name: need(call, 'name'),
        size: need(call, 'size'),
        cfgstring: need(call, 'cfgstring'),
        wwn: call.params.wwn,
      };
      await call.shell.change(named(call, 'user', createUser(call.shell.config, handler, params, call.shell.host)));
      return undefined;
    },
  ),
};

const DELETE = define(
  'delete',
  ['name', '[save]'],
  'Deletes a storage object, and with it the LUNs that are made of it. Files and devices stay. save=true saves the configuration at once.',
  async (call) => {
    const { ref } = call.node;
    const save = boolWord(call.params.save, false);
    if (ref.kind === 'backstore')
      await call.shell.change(deleteObject(call.shell.config, ref.plugin, need(call, 'name')));
    if (save) await call.shell.save(undefined);
    return undefined;
  },
);

export function backstoreCommands(plugin: StorageObject['plugin']): readonly Command[] {
  return [CREATE[plugin], DELETE];
}

async function createFile(call: Call): Promise<undefined> {
  const { config, host } = call.shell;
  const path = expandHome(need(call, 'file_or_dev'));
  const { size, write_back, sparse, wwn } = call.params;
  const params = { name: need(call, 'name'), file_or_dev: path, size, write_back, sparse, wwn };
  const edit = createFileio(config, params, host.look(path, config), host);
  const { file } = edit;
  const onHost = file && { make: () => host.makeFile(file), undo: () => host.dropFile(file.path) };
  await call.shell.change(named(call, 'fileio', edit), onHost ?? undefined);
  return undefined;
}

/** The preference about the product name in INQUIRY. */
function named({ shell, params }: Call, plugin: StorageObject['plugin'], edit: Edit): Edit {
  if (shell.preferences.export_backstore_name_as_model) return edit;
  const ref: ObjectRef = { plugin, name: params.name ?? '' };
  return { ...edit, config: setObjectAttribute(edit.config, ref, 'emulate_model_alias', '0') };
}

export const OBJECT: readonly Command[] = [
  define('info', [], 'Shows what the storage object is made of.', ({ node, shell }) => {
    if (node.ref.kind !== 'object') return undefined;
    const { plugin, name } = node.ref.object;
    shell.say(infoText({ ...findObject(shell.config, plugin, name) }));
    return undefined;
  }),
];

export const ALUA: readonly Command[] = [
  define('create', ['name', 'tag'], 'Makes an ALUA target port group with that number, 1 to 65535.', async (call) => {
    const { ref } = call.node;
    if (ref.kind === 'alua')
      await call.shell.change(createAluaGroup(call.shell.config, ref.object, need(call, 'name'), need(call, 'tag')));
    return undefined;
  }),
  define('delete', ['name'], 'Deletes an ALUA group; LUNs in it go back to the default one.', async (call) => {
    const { ref } = call.node;
    if (ref.kind === 'alua')
      await call.shell.change(deleteAluaGroup(call.shell.config, ref.object, need(call, 'name')));
    return undefined;
  }),
];
