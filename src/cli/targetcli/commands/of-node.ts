// Which commands a node has.
import { absent } from '../../../saveconfig/edits/edit.js';
import type { Command } from '../command.js';
import type { NodeRef, TreeNode } from '../tree.js';
import { ALUA, backstoreCommands, OBJECT } from './backstores.js';
import { COMMON } from './common.js';
import { ISCSI, LOOPBACK, TARGET, TPG } from './fabrics.js';
import { withHelp } from './help.js';
import { ROOT } from './root.js';
import { ACL, ACLS, LUN, LUNS, MAPPED_LUN, PORTAL, PORTALS } from './tpg-parts.js';

/** By name. */
export function commandsOf(node: TreeNode): readonly Command[] {
  return withHelp([...COMMON, ...ownCommands(node.ref)]);
}

/** @throws RefusedEdit */
export function requireCommand(node: TreeNode, name: string): Command {
  const command = commandsOf(node).find((one) => one.name === name);
  if (command === undefined) throw absent(`Command not found ${name}`);
  return command;
}

function ownCommands(ref: NodeRef): readonly Command[] {
  switch (ref.kind) {
    case 'root':
      return ROOT;
    case 'backstores':
    case 'alua-group':
      return [];
    case 'backstore':
      return backstoreCommands(ref.plugin);
    case 'object':
      return OBJECT;
    case 'alua':
      return ALUA;
    case 'fabric':
      return ref.fabric === 'iscsi' ? ISCSI : LOOPBACK;
    case 'target':
      return TARGET;
    case 'tpg':
      return TPG;
    case 'luns':
      return LUNS;
    case 'lun':
      return LUN;
    case 'acls':
      return ACLS;
    case 'acl':
      return ACL;
    case 'mapped-lun':
      return MAPPED_LUN;
    case 'portals':
      return PORTALS;
    case 'portal':
      return PORTAL;
  }
}
