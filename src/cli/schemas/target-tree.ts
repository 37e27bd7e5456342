// What the `target` commands that show or change the tree print under --json.
import * as v from 'valibot';
import type { ListedNode } from '../targetcli/node-list.js';
import { choice, type Describes, document, flag, list, text } from './parts.js';

const path = text('Path in the tree: /iscsi/IQN/tpg1/luns/lun0.');
const lines = list(v.string(), 'What targetcli would say, a line each.');

export const targetLs = document('target-ls', 'The tree of the configuration.', {
  path,
  nodes: list(
    v.strictObject({
      path,
      name: text('Last part of the path.'),
      kind: choice(
        [
          'root',
          'backstores',
          'backstore',
          'object',
          'alua',
          'alua-group',
          'fabric',
          'target',
          'tpg',
          'acls',
          'acl',
          'mapped-lun',
          'luns',
          'lun',
          'portals',
          'portal',
        ],
        'What it is.',
      ),
      summary: text('What the drawn tree has in brackets.'),
      healthy: v.pipe(v.nullable(v.boolean()), v.description('Whether it works; null where that is no question.')),
    }) satisfies Describes<ListedNode>,
    'The node and those below it, each before its children.',
  ),
});

export const targetCreate = document('target-create', 'What came of a create.', { path, lines });
export const targetDelete = document('target-delete', 'What came of a delete.', { path, lines });
export const targetSet = document('target-set', 'What came of a set.', { path, lines });

export const targetGet = document('target-get', 'Settings of a node.', {
  path,
  groups: list(
    v.strictObject({
      name: text('Name of the group.'),
      parameters: list(
        v.strictObject({
          name: text('Name of the setting.'),
          value: text('Its value; of a secret that is set ********.'),
          writable: flag('It can be set.'),
          about: text('What it means; may be empty.'),
        }),
        'By name.',
      ),
    }),
    'The group that was asked for, or all.',
  ),
});

export const targetInfo = document('target-info', 'The plain values of a node.', {
  path,
  lines,
});
