// The commands of /iscsi, /loopback, of targets and of their portal groups.
import { RefusedEdit } from '../../../saveconfig/edits/edit.js';
import { findTarget, requireTpg } from '../../../saveconfig/edits/find.js';
import { createTarget, deleteTarget } from '../../../saveconfig/edits/targets.js';
import { createTpg, deleteTpg, enableTpg } from '../../../saveconfig/edits/tpgs.js';
import { type Call, type Command, define, need } from '../command.js';
import { infoText } from '../info.js';

export const ISCSI: readonly Command[] = [
  define(
    'create',
    ['[wwn]'],
    'Makes a target with a portal group. The name is an iqn., eui. or naa. name; without one, a name is made up.',
    async (call) => {
      const { config, preferences, host } = call.shell;
      await call.shell.change(createTarget(config, call.params.wwn, preferences, host));
      return undefined;
    },
  ),
  define('delete', ['wwn'], 'Deletes a target with all that is in it. Its sessions end.', async (call) => {
    await call.shell.change(deleteTarget(call.shell.config, { fabric: 'iscsi', wwn: need(call, 'wwn') }));
    return undefined;
  }),
  define('info', [], 'Shows what the fabric can do.', ({ shell }) => {
    shell.say(
      [
        'Fabric module name: iscsi',
        `Allowed WWN types: ${WWN_TYPES}`,
        'Fabric module features: discovery_auth, acls, auth, nps, tpgts',
      ].join('\n'),
    );
    return undefined;
  }),
];
const WWN_TYPES = 'iqn, naa, eui';

export const LOOPBACK: readonly Command[] = [
  define(
    'create',
    ['[wwn]'],
    'Not here: a target in user space cannot make a SCSI device of this host. Log in to it over 127.0.0.1 instead.',
    () => {
      throw new RefusedEdit(
        'ERR_NOT_SUPPORTED',
        'loopback targets need a kernel that makes SCSI devices of storage objects',
        {
          hint: 'to use a LUN on this host: lunctl login TARGET -p 127.0.0.1, or lunctl nbd iscsi://127.0.0.1/TARGET/LUN',
        },
      );
    },
  ),
  define('delete', ['wwn'], 'Deletes a target that a configuration from elsewhere has brought.', async (call) => {
    await call.shell.change(deleteTarget(call.shell.config, { fabric: 'loopback', wwn: need(call, 'wwn') }));
    return undefined;
  }),
];

export const TARGET: readonly Command[] = [
  define('create', ['[tag]'], 'Makes a portal group; without a tag, with the next free one.', async (call) => {
    const { ref } = call.node;
    if (ref.kind === 'target')
      await call.shell.change(createTpg(call.shell.config, ref.target, call.params.tag, call.shell.preferences));
    return undefined;
  }),
  define('delete', ['tag'], 'Deletes a portal group with all that is in it.', async (call) => {
    const { ref } = call.node;
    if (ref.kind === 'target') await call.shell.change(deleteTpg(call.shell.config, ref.target, need(call, 'tag')));
    return undefined;
  }),
  define('info', [], 'Shows the fabric and the name of the target.', ({ node, shell }) => {
    if (node.ref.kind === 'target') shell.say(infoText({ ...findTarget(shell.config, node.ref.target) }));
    return undefined;
  }),
];

export const TPG: readonly Command[] = [
  define(
    'disable',
    [],
    'No initiator can log in any more; the portals go on listening.',
    async (call) => await switchTpg(call, false),
  ),
  define('enable', [], 'Initiators can log in again.', async (call) => await switchTpg(call, true)),
  define('info', [], 'Shows the tag and the credentials of the group.', ({ node, shell }) => {
    if (node.ref.kind === 'tpg') shell.say(infoText({ ...requireTpg(shell.config, node.ref.tpg) }));
    return undefined;
  }),
];

async function switchTpg({ node, shell }: Call, enable: boolean): Promise<undefined> {
  if (node.ref.kind === 'tpg') await shell.change(enableTpg(shell.config, node.ref.tpg, enable));
  return undefined;
}
