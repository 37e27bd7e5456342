// The tree of a configuration: what targetcli shows, with a reference for each node that says what the commands work on.
import { aclsNamed, type TargetRef, type TpgRef } from '../../saveconfig/edits/find.js';
import type { ObjectRef } from '../../saveconfig/edits/settings.js';
import type { SaveConfig, StorageObject, Target, Tpg } from '../../saveconfig/model.js';
import {
  aclSummary,
  aluaGroupSummary,
  countSummary,
  fabricSummary,
  lunSummary,
  mappedLunSummary,
  objectSummary,
  type SizeOf,
  type Summary,
  tpgSummary,
} from '../../saveconfig/summary.js';

/** What a node stands for. */
export type NodeRef =
  | { readonly kind: 'root' | 'backstores' }
  | { readonly kind: 'backstore'; readonly plugin: StorageObject['plugin']; readonly handler: string | null }
  | { readonly kind: 'object'; readonly object: ObjectRef }
  | { readonly kind: 'alua'; readonly object: ObjectRef }
  | { readonly kind: 'alua-group'; readonly object: ObjectRef; readonly group: string }
  | { readonly kind: 'fabric'; readonly fabric: string }
  | { readonly kind: 'target'; readonly target: TargetRef }
  | { readonly kind: 'tpg' | 'acls' | 'luns' | 'portals'; readonly tpg: TpgRef }
  | { readonly kind: 'acl'; readonly tpg: TpgRef; readonly acl: string }
  | { readonly kind: 'mapped-lun'; readonly tpg: TpgRef; readonly acl: string; readonly index: number }
  | { readonly kind: 'lun'; readonly tpg: TpgRef; readonly index: number }
  | { readonly kind: 'portal'; readonly tpg: TpgRef; readonly address: string; readonly port: number };

export interface TreeNode {
  readonly name: string;
  readonly path: string;
  readonly parent: TreeNode | null;
  readonly ref: NodeRef;
  readonly summary: Summary;
  /** In the order in which they are shown. */
  readonly children: readonly TreeNode[];
  /** Left out of the tree as long as it has no children, but there for those who name it. */
  readonly quiet: boolean;
}

/** Where a portal listens, or why not; null: nobody is serving now. */
export type PortalProblem = (tpg: TpgRef, address: string, port: number) => string | null;

/** What the tree shows beyond the document. */
export interface TreeFacts {
  readonly sizeOf: SizeOf;
  readonly portalProblem: PortalProblem;
}

const NOTHING: Summary = { text: '', healthy: null };

class Node implements TreeNode {
  #children: readonly TreeNode[] | undefined;
  constructor(
    readonly parent: TreeNode | null,
    readonly name: string,
    readonly ref: NodeRef,
    readonly summary: Summary,
    private readonly grow: (self: TreeNode) => readonly TreeNode[] = () => [],
    readonly quiet = false,
  ) {}
  get path(): string {
    if (this.parent === null) return '/';
    return this.parent.parent === null ? `/${this.name}` : `${this.parent.path}/${this.name}`;
  }
  get children(): readonly TreeNode[] {
    this.#children ??= [...this.grow(this)].sort(byName);
    return this.#children;
  }
}

/** Numbers at the end count as numbers: lun2 before lun10. */
function byName(a: TreeNode, b: TreeNode): number {
  const [left, right] = [sortKey(a.name), sortKey(b.name)];
  if (left.text !== right.text) return left.text < right.text ? -1 : 1;
  return left.number - right.number;
}
function sortKey(name: string): { text: string; number: number } {
  const digits = /\d+$/.exec(name)?.[0];
  return digits === undefined
    ? { text: name, number: 0 }
    : { text: name.slice(0, -digits.length), number: Number(digits) };
}

export function buildTree(config: SaveConfig, facts: TreeFacts): TreeNode {
  return new Node(null, '/', { kind: 'root' }, NOTHING, (root) => [
    new Node(root, 'backstores', { kind: 'backstores' }, NOTHING, (parent) => backstores(parent, config, facts)),
    ...['iscsi', 'loopback'].map((fabric) => fabricNode(root, config, fabric, facts)),
  ]);
}

const PLUGINS = ['block', 'fileio', 'pscsi', 'ramdisk'] as const;
/** Of user-space backstores ours is the only handler that is served; others are shown when a file has them. */
const HANDLER = 'nbd';

function backstores(parent: TreeNode, config: SaveConfig, facts: TreeFacts): TreeNode[] {
  const handlers = new Set([HANDLER]);
  for (const object of config.storage_objects) if (object.plugin === 'user') handlers.add(handlerOf(object.config));
  return [
    ...PLUGINS.map((plugin) => backstore(parent, config, { plugin, handler: null }, facts)),
    ...[...handlers].map((handler) => backstore(parent, config, { plugin: 'user', handler }, facts)),
  ];
}

function handlerOf(config: string): string {
  const at = config.indexOf('/');
  return at < 0 ? config : config.slice(0, at);
}

function backstore(
  parent: TreeNode,
  config: SaveConfig,
  { plugin, handler }: { plugin: StorageObject['plugin']; handler: string | null },
  facts: TreeFacts,
): TreeNode {
  const objects = config.storage_objects.filter(
    (object) => object.plugin === plugin && (object.plugin !== 'user' || handlerOf(object.config) === handler),
  );
  const name = handler === null ? plugin : `${plugin}:${handler}`;
  const summary = countSummary('Storage Objects', objects.length);
  const grow = (self: TreeNode): TreeNode[] => objects.map((object) => objectNode(self, config, object, facts));
  return new Node(parent, name, { kind: 'backstore', plugin, handler }, summary, grow, handler !== null);
}

function objectNode(parent: TreeNode, config: SaveConfig, object: StorageObject, { sizeOf }: TreeFacts): TreeNode {
  const ref: ObjectRef = { plugin: object.plugin, name: object.name };
  return new Node(
    parent,
    object.name,
    { kind: 'object', object: ref },
    objectSummary(config, object, sizeOf),
    (self) => [
      new Node(
        self,
        'alua',
        { kind: 'alua', object: ref },
        countSummary('ALUA Groups', object.alua_tpgs.length),
        (alua) =>
          object.alua_tpgs.map(
            (group) =>
              new Node(
                alua,
                group.name,
                { kind: 'alua-group', object: ref, group: group.name },
                aluaGroupSummary(group),
              ),
          ),
      ),
    ],
  );
}

function fabricNode(parent: TreeNode, config: SaveConfig, fabric: string, facts: TreeFacts): TreeNode {
  const targets = config.targets.filter((target) => target.fabric === fabric);
  return new Node(parent, fabric, { kind: 'fabric', fabric }, fabricSummary(config, fabric), (self) =>
    targets.map((target) => targetNode(self, config, target, facts)),
  );
}

function targetNode(parent: TreeNode, config: SaveConfig, target: Target, facts: TreeFacts): TreeNode {
  const ref: TargetRef = { fabric: target.fabric, wwn: target.wwn };
  return new Node(
    parent,
    target.wwn,
    { kind: 'target', target: ref },
    countSummary('TPGs', target.tpgs.length),
    (self) => target.tpgs.map((tpg) => tpgNode(self, config, { ...ref, tag: tpg.tag }, tpg, facts)),
  );
}

function tpgNode(parent: TreeNode, config: SaveConfig, ref: TpgRef, tpg: Tpg, facts: TreeFacts): TreeNode {
  const names = new Set(tpg.node_acls.map((acl) => acl.tag ?? acl.node_wwn));
  return new Node(parent, `tpg${tpg.tag}`, { kind: 'tpg', tpg: ref }, tpgSummary(tpg), (self) => [
    new Node(self, 'acls', { kind: 'acls', tpg: ref }, countSummary('ACLs', names.size), (acls) =>
      [...names].map((name) => aclNode(acls, ref, tpg, name)),
    ),
    new Node(self, 'luns', { kind: 'luns', tpg: ref }, countSummary('LUNs', tpg.luns.length), (luns) =>
      tpg.luns.map(
        (lun) =>
          new Node(luns, `lun${lun.index}`, { kind: 'lun', tpg: ref, index: lun.index }, lunSummary(config, lun)),
      ),
    ),
    new Node(self, 'portals', { kind: 'portals', tpg: ref }, countSummary('Portals', tpg.portals.length), (portals) =>
      tpg.portals.map(({ ip_address: address, port }) => {
        const problem = facts.portalProblem(ref, address, port);
        const summary = { text: problem ?? '', healthy: problem === null };
        return new Node(portals, `${address}:${port}`, { kind: 'portal', tpg: ref, address, port }, summary);
      }),
    ),
  ]);
}

function aclNode(parent: TreeNode, ref: TpgRef, tpg: Tpg, name: string): TreeNode {
  const acls = aclsNamed(tpg, name);
  return new Node(parent, name, { kind: 'acl', tpg: ref, acl: name }, aclSummary(tpg, name, acls), (self) =>
    (acls[0]?.mapped_luns ?? []).map(
      (mapped) =>
        new Node(
          self,
          `mapped_lun${mapped.index}`,
          { kind: 'mapped-lun', tpg: ref, acl: name, index: mapped.index },
          mappedLunSummary(tpg, mapped),
        ),
    ),
  );
}
