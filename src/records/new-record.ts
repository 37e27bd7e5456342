// The values of records that are made here: the key table, then what iscsid.conf sets.
import type { IfaceRecord } from './iface-store.js';
import { keysOf, NEW_RECORD_CHAP_ALGS, NODE_KEYS, OWN_KEYS, SENDTARGETS_KEYS } from './keys.js';
import { DEFAULT_IFACE, type NodeRef, type PortalRef } from './node-ref.js';
import { RecordValues } from './values.js';

/** What iscsid.conf sets. */
type Settings = Pick<ReadonlyMap<string, string>, 'get'>;

/** A node record for `ref`, found through `origin`, or made by hand when that is null. */
export function newNodeValues(ref: NodeRef, origin: PortalRef | null, config: Settings): RecordValues {
  const values = overlaid(NODE_KEYS, config);
  values.set('node.name', ref.targetName);
  values.set('node.tpgt', String(ref.tpgt));
  values.set('iface.iscsi_ifacename', ref.iface);
  values.set('node.conn[0].address', ref.address);
  values.set('node.conn[0].port', String(ref.port));
  setOrigin(values, origin);
  return values;
}

/** A node record holds a copy of its interface's record. That of the default interface stays as iscsid.conf has made it. */
export function bindIface(values: RecordValues, iface: IfaceRecord | undefined): void {
  if (iface === undefined || iface.name === DEFAULT_IFACE) return;
  for (const [key, value] of iface.values) values.set(key, value);
}

/** Says through which SendTargets portal a record was found. */
export function setOrigin(values: RecordValues, origin: PortalRef | null): void {
  values.set('node.discovery_type', origin === null ? 'static' : 'send_targets');
  values.set('node.discovery_address', origin?.address ?? '');
  values.set('node.discovery_port', String(origin?.port ?? 0));
}

/** A discovery record for one SendTargets portal. */
export function newSendTargetsValues(portal: PortalRef, config: Settings): RecordValues {
  const values = overlaid(SENDTARGETS_KEYS, config);
  values.set('discovery.sendtargets.address', portal.address);
  values.set('discovery.sendtargets.port', String(portal.port));
  return values;
}

/**
 * Sets every value again from iscsid.conf, as a repeated discovery does. CHAP settings of the record stay unless
 * iscsid.conf has credentials of its own: a discovery must not lose a secret that someone has saved.
 */
export function refreshNodeValues(values: RecordValues, config: Settings): void {
  const keepAuth = config.get('node.session.auth.username') === undefined;
  for (const [key, value] of overlaid(NODE_KEYS, config)) {
    if (OWN_KEYS.has(key) || key.startsWith('iface.')) continue;
    if (keepAuth && key.startsWith('node.session.auth.')) continue;
    values.set(key, value);
  }
}

/** What a new node record and a new discovery record would say, without the keys that are each record's own. */
export function newRecordSettings(config: Settings): Map<string, string> {
  const all = [...overlaid(NODE_KEYS, config), ...overlaid(SENDTARGETS_KEYS, config)];
  return new Map(all.filter(([key]) => !OWN_KEYS.has(key) && !key.startsWith('iface.')));
}

function overlaid(table: readonly (readonly [string, string])[], config: Settings): RecordValues {
  const values = new RecordValues(keysOf(table), table);
  values.set('node.session.auth.chap_algs', NEW_RECORD_CHAP_ALGS);
  for (const [key] of table) {
    const setting = config.get(key);
    if (setting !== undefined && !OWN_KEYS.has(key)) values.set(key, setting);
  }
  return values;
}
