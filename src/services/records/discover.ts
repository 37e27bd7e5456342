// A SendTargets discovery with its records: credentials from where they are, the exchange, then the database.
import { formatPortal } from '../../iscsi/portal.js';
import { type DiscoveredTarget, discoverSendTargets } from '../discover.js';
import type { Paths } from '../paths.js';
import { type CredentialPair, requireStrong, weakSecrets } from '../secret-rules.js';
import { discoveryCredentials } from './auth.js';
import { sourceOf } from './iface.js';
import { recordsInUse } from './in-use.js';
import { discoverySettings } from './login.js';
import {
  type PortalRef,
  type RecordChange,
  readConfig,
  readDiscovery,
  recordDiscovery,
  selectIface,
} from './records.js';

export interface DiscoverAndRecord {
  readonly portal: PortalRef;
  /** Interface records to bind the node records to; none: the default one. The portal is asked by the first. */
  readonly ifaces: readonly string[];
  readonly initiatorName: string;
  /** From the command line; null uses the discovery record's or iscsid.conf's. */
  readonly credentials: CredentialPair | null;
  readonly keepCredentials: boolean;
  /** Refuse secrets of less than 12 bytes instead of warning of them. */
  readonly strongSecrets?: boolean;
  /** Whether the records follow the answer. */
  readonly record: boolean;
  /** Of this target alone records are made, and no other is changed or removed. */
  readonly onlyNew?: string;
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal;
}

export interface DiscoverOutcome {
  /** In the order received. */
  readonly targets: readonly DiscoveredTarget[];
  readonly changes: readonly RecordChange[];
  readonly warnings: readonly string[];
}

/** Nothing is written unless the portal has answered. Errors are those of `discoverSendTargets` and of the database. */
export async function discoverAndRecord(paths: Paths, request: DiscoverAndRecord): Promise<DiscoverOutcome> {
  const { portal, signal } = request;
  const config = await readConfig(paths);
  const ifaces = await Promise.all(request.ifaces.map((name) => selectIface(paths, name)));
  const sources = ifaces.map(sourceOf);
  const known = await readDiscovery(paths, portal);
  const credentials = discoveryCredentials(request.credentials, known?.values, config.values);
  if (request.strongSecrets === true) requireStrong(credentials);
  const targets = await discoverSendTargets({
    portal: { address: portal.address, port: portal.port },
    initiatorName: ifaces[0]?.values.text('iface.initiatorname') || request.initiatorName,
    source: sources[0],
    credentials,
    ...discoverySettings(known?.values, config.values),
    ...(request.timeoutMs === undefined ? {} : { timeoutMs: request.timeoutMs }),
    signal,
  });
  const warnings = [...config.warnings, ...weakSecrets(credentials)];
  if (!request.record) return { targets, changes: [], warnings };
  const inUse = await recordsInUse(paths);
  const { changes, skipped } = await recordDiscovery(paths, {
    portal,
    found: targets,
    ...(ifaces.length === 0 ? {} : { ifaces }),
    ...(request.onlyNew === undefined ? {} : { onlyNew: request.onlyNew }),
    config,
    save: request.keepCredentials ? request.credentials : null,
    inUse,
    signal,
  });
  const refused = skipped.map((name) => `${formatPortal(portal)} names a target that cannot be recorded: ${name}`);
  return { targets, changes, warnings: [...warnings, ...refused] };
}
