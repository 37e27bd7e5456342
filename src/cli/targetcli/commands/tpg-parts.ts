// The commands of what is in a portal group: luns, acls with their mapped LUNs, portals.
import { createAcl, deleteAcl, tagAcls, untagAcls } from '../../../saveconfig/edits/acls.js';
import { createFromPath } from '../../../saveconfig/edits/backstores.js';
import { absent, type Edit, RefusedEdit } from '../../../saveconfig/edits/edit.js';
import { findObject, requireAcls, requireTpg, type TpgRef } from '../../../saveconfig/edits/find.js';
import { createLun, deleteLun } from '../../../saveconfig/edits/luns.js';
import { createMappedLun, deleteMappedLun } from '../../../saveconfig/edits/mapped-luns.js';
import { createPortal, deletePortal } from '../../../saveconfig/edits/portals.js';
import { boolWord, numberAfter } from '../../../saveconfig/edits/words.js';
import type { SaveConfig, StorageObject } from '../../../saveconfig/model.js';
import { backstorePath } from '../../../saveconfig/paths.js';
import { type Call, type Command, define, need } from '../command.js';
import { infoText } from '../info.js';
import { nodeAt } from './common.js';

const WITH_MAPPED = 'add_mapped_luns=false, or the preference auto_add_mapped_luns, leaves that out.';

function tpgOf({ node }: Call): TpgRef {
  if (!('tpg' in node.ref)) throw new Error(`${node.path} is in no portal group`);
  return node.ref.tpg;
}

export const LUNS: readonly Command[] = [
  define(
    'create',
    ['storage_object', '[lun]', '[add_mapped_luns]'],
    `Makes a LUN of a storage object, given by its path in the tree; a storage object is made first of the path of a file or block device. lun is a number; otherwise the first free one is taken. The ACLs that are there get the LUN, too: ${WITH_MAPPED}`,
    async (call) => {
      const { config, host, preferences } = call.shell;
      const found = objectOf(call, need(call, 'storage_object'), 'storage object or path not valid');
      const addMappedLuns = boolWord(call.params.add_mapped_luns, preferences.auto_add_mapped_luns);
      const edit = createLun(
        found.config ?? config,
        tpgOf(call),
        found.object,
        { lun: call.params.lun, addMappedLuns },
        host,
      );
      await call.shell.change({ ...edit, lines: [...found.lines, ...edit.lines] });
      return undefined;
    },
  ),
  define('delete', ['lun'], 'Deletes a LUN, by its number or as lunN, and its mappings in the ACLs.', async (call) => {
    await call.shell.change(deleteLun(call.shell.config, tpgOf(call), need(call, 'lun')));
    return undefined;
  }),
];

interface Found {
  /** Null: the storage object was there. */
  readonly config: SaveConfig | null;
  readonly object: StorageObject;
  readonly lines: readonly string[];
}

/** The storage object that a path of the tree names, or one that is made of a path of the host. */
function objectOf(call: Call, path: string, complaint: string): Found {
  const { config, host } = call.shell;
  const ref = refAt(call, path);
  const object = ref?.kind === 'object' ? findObject(config, ref.object.plugin, ref.object.name) : undefined;
  if (object !== undefined) return { config: null, object, lines: [] };
  const facts = host.look(path, config);
  if (ref !== null || !path.startsWith('/') || (facts.kind !== 'file' && facts.kind !== 'block'))
    throw absent(complaint);
  return createFromPath(config, path, facts, host);
}

function refAt(call: Call, path: string): ReturnType<typeof nodeAt>['ref'] | null {
  try {
    return nodeAt(call, path).ref;
  } catch {
    return null;
  }
}

export const LUN: readonly Command[] = [
  define('info', [], 'Shows what the LUN is made of.', (call) => {
    const { ref } = call.node;
    const lun =
      ref.kind === 'lun' ? requireTpg(call.shell.config, ref.tpg).luns.find(({ index }) => index === ref.index) : {};
    call.shell.say(infoText({ ...lun }));
    return undefined;
  }),
];

export const ACLS: readonly Command[] = [
  define(
    'create',
    ['wwn', '[add_mapped_luns]'],
    `Lets an initiator in, by its name. It gets the LUNs that are there: ${WITH_MAPPED}`,
    async (call) => {
      const { config, host, preferences } = call.shell;
      const addMappedLuns = boolWord(call.params.add_mapped_luns, preferences.auto_add_mapped_luns);
      await call.shell.change(createAcl(config, tpgOf(call), { wwn: need(call, 'wwn'), addMappedLuns }, host));
      return undefined;
    },
  ),
  define('delete', ['wwn'], 'Takes an initiator off the list. Its sessions end.', async (call) => {
    await call.shell.change(deleteAcl(call.shell.config, tpgOf(call), need(call, 'wwn')));
    return undefined;
  }),
  define(
    'tag',
    ['wwn_or_tag', 'new_tag'],
    'Gives initiators a name in the tree under which they have the same settings; who joins a tag takes its settings.',
    async (call) => {
      await call.shell.change(tagAcls(call.shell.config, tpgOf(call), need(call, 'wwn_or_tag'), need(call, 'new_tag')));
      return undefined;
    },
  ),
  define('untag', ['wwn_or_tag'], 'Takes the tag away; the settings stay.', async (call) => {
    await call.shell.change(untagAcls(call.shell.config, tpgOf(call), need(call, 'wwn_or_tag')));
    return undefined;
  }),
];

function aclOf({ node }: Call): string {
  if (node.ref.kind !== 'acl' && node.ref.kind !== 'mapped-lun') throw new Error(`${node.path} is no ACL`);
  return node.ref.acl;
}

export const ACL: readonly Command[] = [
  define(
    'create',
    ['mapped_lun', 'tpg_lun_or_backstore', '[write_protect]'],
    'Shows a LUN of the portal group to the initiator under the number mapped_lun. In place of the LUN a storage object may be named, or a file or block device: what is missing is made. write_protect=1: for reading only.',
    async (call) => {
      const { config, host } = call.shell;
      const ref = tpgOf(call);
      const made = lunFor(call, need(call, 'tpg_lun_or_backstore'));
      const params = {
        mapped_lun: need(call, 'mapped_lun'),
        tpgLun: made.lun,
        write_protect: call.params.write_protect,
      };
      const edit = createMappedLun(made.config ?? config, ref, aclOf(call), params, host);
      await call.shell.change({ ...edit, lines: [...made.lines, ...edit.lines] });
      return undefined;
    },
  ),
  define('delete', ['mapped_lun'], 'Takes a mapping away.', async (call) => {
    await call.shell.change(deleteMappedLun(call.shell.config, tpgOf(call), aclOf(call), need(call, 'mapped_lun')));
    return undefined;
  }),
  define('info', [], 'Shows the settings of the ACL, and the initiators that it is for.', (call) => {
    const ref = tpgOf(call);
    const acls = requireAcls(requireTpg(call.shell.config, ref), ref, aclOf(call));
    const { node_wwn: _, ...first } = { ...acls[0] };
    const values = infoText(first);
    call.shell.say([...(values === '' ? [] : [values]), 'wwns:', ...acls.map((acl) => acl.node_wwn)].join('\n'));
    return undefined;
  }),
];

/** The LUN of the portal group that is meant, made first where it is missing. */
function lunFor(call: Call, text: string): { config: SaveConfig | null; lun: number; lines: readonly string[] } {
  const number = numberAfter('lun', text);
  if (number !== null) return { config: null, lun: number, lines: [] };
  const found = objectOf(call, text, 'LUN, storage object, or path not valid');
  const config = found.config ?? call.shell.config;
  const path = backstorePath(found.object);
  const there = requireTpg(config, tpgOf(call)).luns.find((lun) => lun.storage_object === path);
  if (there !== undefined) return { config: found.config, lun: there.index, lines: found.lines };
  const edit: Edit = createLun(config, tpgOf(call), found.object, { addMappedLuns: false }, call.shell.host);
  const lun = requireTpg(edit.config, tpgOf(call)).luns.find((one) => one.storage_object === path);
  if (lun === undefined) throw new Error('a LUN that was made is there');
  return { config: edit.config, lun: lun.index, lines: [...found.lines, ...edit.lines] };
}

export const MAPPED_LUN: readonly Command[] = [
  define('info', [], 'Shows which LUN it is.', (call) => {
    const { ref } = call.node;
    if (ref.kind !== 'mapped-lun') return undefined;
    const [acl] = requireAcls(requireTpg(call.shell.config, ref.tpg), ref.tpg, ref.acl);
    call.shell.say(infoText({ ...acl?.mapped_luns.find(({ index }) => index === ref.index) }));
    return undefined;
  }),
];

export const PORTALS: readonly Command[] = [
  define(
    'create',
    ['[ip_address]', '[ip_port]'],
    'Listens on an address, 0.0.0.0 if none is given, and a port, 3260 if none is given. ::0 stands for every address, of IPv4 too.',
    async (call) => {
      const { ip_address, ip_port } = call.params;
      await call.shell.change(createPortal(call.shell.config, tpgOf(call), ip_address, ip_port));
      return undefined;
    },
  ),
  define(
    'delete',
    ['ip_address', 'ip_port'],
    'Stops listening there. Sessions that came that way end.',
    async (call) => {
      const [address, port] = [need(call, 'ip_address'), need(call, 'ip_port')];
      await call.shell.change(deletePortal(call.shell.config, tpgOf(call), address, port));
      return undefined;
    },
  ),
];

function notHere(what: string): Command['run'] {
  return () => {
    throw new RefusedEdit(
      'ERR_NOT_SUPPORTED',
      `${what} needs a network card and a kernel that can do it; this target speaks plain TCP`,
    );
  };
}

export const PORTAL: readonly Command[] = [
  define('enable_iser', ['boolean'], 'Not here: the target speaks plain TCP.', notHere('iSER')),
  define('enable_offload', ['boolean'], 'Not here: the target speaks plain TCP.', notHere('offload')),
  define('info', [], 'Shows address and port.', (call) => {
    const { ref } = call.node;
    if (ref.kind !== 'portal') return undefined;
    const { portals } = requireTpg(call.shell.config, ref.tpg);
    call.shell.say(
      infoText({ ...portals.find(({ ip_address, port }) => ip_address === ref.address && port === ref.port) }),
    );
    return undefined;
  }),
];
