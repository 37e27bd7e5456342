// Why an initiator gets in or not, portal group by portal group: the rules of LIO, told before anybody tries.
import type { ChapCredentials, NodeAcl, SaveConfig, Target, Tpg } from './model.js';

export interface ExplainedLun {
  /** As the initiator counts. */
  readonly lun: number;
  readonly backstore: string;
  readonly readOnly: boolean;
}

export interface AccessExplanation {
  readonly targetName: string;
  /** Of the portal group. */
  readonly tag: number;
  /** `ADDRESS:PORT` */
  readonly portals: readonly string[];
  readonly allowed: boolean;
  /** Why, in words: the rule that decides. */
  readonly reason: string;
  /** What an initiator would be told: the status of RFC 7143 §11.13.5; 0 where it gets in. */
  readonly status: number;
  /** Whether SendTargets shows the group to it. */
  readonly listed: boolean;
  /** By which rule it gets in: an ACL of its own, or demo mode. */
  readonly by: 'acl' | 'demo' | null;
  readonly chap: 'none' | 'one-way' | 'mutual';
  /** The name that it must prove itself with; null where none is needed or none is set. */
  readonly chapUser: string | null;
  readonly luns: readonly ExplainedLun[];
}

/** Attributes that decide, with what LIO takes where a file does not say. */
export function groupAttribute(tpg: Tpg, name: keyof typeof ABSENT): boolean {
  return Number(tpg.attributes[name] ?? ABSENT[name]) !== 0;
}
const ABSENT = {
  authentication: 1,
  demo_mode_discovery: 1,
  demo_mode_write_protect: 1,
  generate_node_acls: 0,
  tpg_enabled_sendtargets: 1,
} as const;

/** For every portal group of the iSCSI targets, or of one of them. */
export function explainAccess(config: SaveConfig, initiatorName: string, only: string | null): AccessExplanation[] {
  return config.targets
    .filter(({ fabric, wwn }) => fabric === 'iscsi' && (only === null || wwn === only))
    .flatMap((target) => target.tpgs.map((tpg) => explainGroup(target, tpg, initiatorName)));
}

function explainGroup(target: Target, tpg: Tpg, initiatorName: string): AccessExplanation {
  const acl = tpg.node_acls.find(({ node_wwn }) => node_wwn === initiatorName);
  const demo = groupAttribute(tpg, 'generate_node_acls');
  const known = acl !== undefined || demo;
  const required = authenticationRequired(tpg, acl);
  const credentials = acl ?? tpg;
  const verdict = judge(tpg, acl, { known, required });
  return {
    targetName: target.wwn,
    tag: tpg.tag,
    portals: tpg.portals.map(({ ip_address, port }) => `${ip_address}:${port}`),
    allowed: verdict.status === 0,
    ...verdict,
    listed:
      (tpg.enable || !groupAttribute(tpg, 'tpg_enabled_sendtargets')) &&
      (known || groupAttribute(tpg, 'demo_mode_discovery')),
    by: acl !== undefined ? 'acl' : demo ? 'demo' : null,
    chap: !required ? 'none' : hasMutual(credentials) ? 'mutual' : 'one-way',
    chapUser: required && hasAccount(credentials) ? (credentials.chap_userid ?? null) : null,
    luns: !known ? [] : acl === undefined ? demoLuns(tpg) : mappedLuns(tpg, acl),
  };
}

interface Facts {
  readonly known: boolean;
  readonly required: boolean;
}

function judge(tpg: Tpg, acl: NodeAcl | undefined, { known, required }: Facts): { reason: string; status: number } {
  if (!tpg.enable) return { reason: 'the portal group is disabled', status: 0x0301 };
  if (tpg.portals.length === 0) return { reason: 'the portal group has no portal', status: 0x0203 };
  if (!known) return { reason: 'no ACL has this name, and generate_node_acls is 0', status: 0x0202 };
  const owner = acl === undefined ? 'the portal group' : 'its ACL';
  if (required && !hasAccount(acl ?? tpg)) {
    return { reason: `CHAP is required, and ${owner} has no userid and password`, status: 0x0201 };
  }
  const way = acl === undefined ? 'demo mode lets every initiator in (generate_node_acls is 1)' : 'it has an ACL';
  if (acl !== undefined && acl.mapped_luns.length === 0) return { reason: `${way}, which maps no LUN`, status: 0 };
  return { reason: way, status: 0 };
}

function authenticationRequired(tpg: Tpg, acl: NodeAcl | undefined): boolean {
  const own = Number(acl?.attributes.authentication ?? -1);
  return own === -1 ? groupAttribute(tpg, 'authentication') : own !== 0;
}

function hasAccount({ chap_userid, chap_password }: ChapCredentials): boolean {
  return chap_userid !== undefined && chap_password !== undefined;
}
function hasMutual({ chap_mutual_userid, chap_mutual_password }: ChapCredentials): boolean {
  return chap_mutual_userid !== undefined && chap_mutual_password !== undefined;
}

function demoLuns(tpg: Tpg): ExplainedLun[] {
  const readOnly = groupAttribute(tpg, 'demo_mode_write_protect');
  const luns = tpg.luns.map(({ index, storage_object }) => ({ lun: index, backstore: storage_object, readOnly }));
  return luns.sort((a, b) => a.lun - b.lun);
}

function mappedLuns(tpg: Tpg, acl: NodeAcl): ExplainedLun[] {
  const objects = new Map(tpg.luns.map(({ index, storage_object }) => [index, storage_object]));
  return acl.mapped_luns
    .map(({ index, tpg_lun, write_protect }) => {
      return { lun: index, backstore: objects.get(tpg_lun) ?? '', readOnly: write_protect };
    })
    .sort((a, b) => a.lun - b.lun);
}
