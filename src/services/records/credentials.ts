// The records that CHAP credentials are kept in: those of nodes, and those of the portals that are asked for targets.
import { join } from 'node:path';
import { CHAP_ALGORITHMS } from '../../iscsi/chap.js';
import { DEFAULT_PORT, formatAddress } from '../../iscsi/portal.js';
import { listSendTargets, readSendTargets, writeSendTargets } from '../../records/discovery-store.js';
import { newSendTargetsValues } from '../../records/new-record.js';
import { nodePath, sendTargetsFolder } from '../../records/node-ref.js';
import { discoveryOrigin, readNode, writeNode } from '../../records/node-store.js';
import { AppError } from '../../util/errors.js';
import type { CredentialPair } from '../secret-rules.js';
import type { Credentials } from '../session/info.js';
import {
  clearDiscoveryCredentials,
  clearNodeCredentials,
  discoveryCredentials,
  nodeCredentials,
  setDiscoveryCredentials,
  setNodeCredentials,
} from './auth.js';
import { chooseNodes } from './choose.js';
import { requireDiscovery } from './edit-discoveries.js';
import { type DatabasePaths, locked } from './locked.js';
import { planLogin } from './plan.js';
import { type ConfigFile, type DiscoveryRecord, type NodeRecord, type PortalRef, readConfig } from './records.js';
import type { TargetChoice } from './target.js';

/** A record that can hold credentials. */
export type Holder = NodeRecord | DiscoveryRecord;

export function isNode(holder: Holder): holder is NodeRecord {
  return 'ref' in holder;
}

/** Where a record is, or will be, on disk. */
export function holderPath({ dbDir }: Pick<DatabasePaths, 'dbDir'>, holder: Holder): string {
  return isNode(holder) ? nodePath(dbDir, holder.ref) : join(sendTargetsFolder(dbDir, holder.portal), 'st_config');
}

export interface Holders {
  readonly holders: readonly Holder[];
  readonly config: ConfigFile;
  readonly warnings: readonly string[];
}

/**
 * The node records that are meant. `make`: one that is in no database stands in where target and portal are named.
 * @throws AppError ERR_NOT_FOUND, or ERR_USAGE when the choice could be several targets
 */
export async function nodeHolders(paths: DatabasePaths, choice: TargetChoice, { make = false } = {}): Promise<Holders> {
  if (make) {
    const { records, config, warnings } = await planLogin(paths, choice);
    return { holders: records, config, warnings };
  }
  const config = await readConfig(paths);
  const { items, warnings } = await chooseNodes(paths, choice);
  return { holders: items, config, warnings: [...config.warnings, ...warnings] };
}

/**
 * The discovery records that are meant: that of a portal, those by which a target was found, or the only one.
 * `make`: one that is in no database stands in for a portal that has never been asked.
 * @throws AppError as `nodeHolders`
 */
export async function discoveryHolders(
  paths: DatabasePaths,
  choice: TargetChoice,
  { make = false } = {},
): Promise<Holders> {
  const config = await readConfig(paths);
  const { target, portal } = choice;
  if (target !== undefined) return await byTarget(paths, choice, config);
  if (portal !== undefined) {
    const at = { address: portal.address, port: portal.port ?? DEFAULT_PORT };
    const known = (await readSendTargets(paths.dbDir, at))?.record;
    const fresh = make ? { portal: at, values: newSendTargetsValues(at, config.values) } : null;
    return { holders: [known ?? fresh ?? (await requireDiscovery(paths, at))], config, warnings: config.warnings };
  }
  const { items, warnings } = await listSendTargets(paths.dbDir);
  if (items.length === 0) {
    throw new AppError('ERR_NOT_FOUND', 'No discovery records found', { hint: 'name the portal with -p' });
  }
  if (items.length > 1 && !choice.all) {
    const names = items.map((record) => formatAddress(record.portal)).join(', ');
    throw new AppError('ERR_USAGE', `several portals could be meant: ${names}`, { hint: 'name one with -p' });
  }
  return { holders: items, config, warnings: [...config.warnings, ...warnings] };
}

/** The portals that have named a target. */
async function byTarget(paths: DatabasePaths, choice: TargetChoice, config: ConfigFile): Promise<Holders> {
  const { items, warnings } = await chooseNodes(paths, choice);
  const portals = new Map<string, PortalRef>();
  for (const { values } of items) {
    const origin = discoveryOrigin(values);
    if (origin !== undefined) portals.set(formatAddress(origin), origin);
  }
  if (portals.size === 0) {
    throw new AppError('ERR_NOT_FOUND', `${choice.target} was not found by a discovery`, {
      hint: 'name the portal with -p, and no target',
    });
  }
  const holders = await Promise.all([...portals.values()].map((portal) => requireDiscovery(paths, portal)));
  return { holders, config, warnings: [...config.warnings, ...warnings] };
}

export interface StoredCredentials {
  readonly credentials: Credentials | null;
  /** Where a login finds them. */
  readonly from: 'record' | 'iscsid.conf' | null;
}

/** What a login by this record would use. */
export function storedCredentials(holder: Holder, config: ConfigFile): StoredCredentials {
  const own = credentialsOf(holder, null, { values: new Map() });
  if (own !== null) return { credentials: credentialsOf(holder, null, config), from: 'record' };
  const credentials = credentialsOf(holder, null, config);
  return { credentials, from: credentials === null ? null : 'iscsid.conf' };
}

type Config = Pick<ConfigFile, 'values'>;

/** What a login by a record uses: what is given, else its own, else iscsid.conf's. */
export function credentialsOf(holder: Holder, given: CredentialPair | null, { values }: Config): Credentials | null {
  const choose = isNode(holder) ? nodeCredentials : discoveryCredentials;
  return choose(given, holder.values, values);
}

/** Names of CHAP_A numbers, as records list them. */
export function algorithmNames(numbers: readonly number[]): string[] {
  return numbers.map((number) => CHAP_ALGORITHMS.find((known) => known.number === number)?.name ?? String(number));
}

/**
 * Keeps credentials in each of `holders`, or removes them with `pair` null; records that are not there are made. What else
 * the records hold is left as it is by then.
 */
export async function saveCredentials(
  paths: DatabasePaths,
  holders: readonly Holder[],
  pair: CredentialPair | null,
  signal: AbortSignal,
): Promise<void> {
  await locked(paths, signal, async () => {
    for (const holder of holders) await save(paths.dbDir, holder, pair);
  });
}

async function save(root: string, holder: Holder, pair: CredentialPair | null): Promise<void> {
  if (isNode(holder)) {
    const current = (await readNode(root, holder.ref))?.record ?? holder;
    if (pair === null) clearNodeCredentials(current.values);
    else setNodeCredentials(current.values, pair);
    await writeNode(root, current);
    return;
  }
  const current = (await readSendTargets(root, holder.portal))?.record ?? holder;
  if (pair === null) clearDiscoveryCredentials(current.values);
  else setDiscoveryCredentials(current.values, pair);
  await writeSendTargets(root, current);
}

/** A record in messages. */
export function nameOf(holder: Holder): string {
  return isNode(holder)
    ? `${holder.ref.targetName} at ${formatAddress(holder.ref)}`
    : `discovery at ${formatAddress(holder.portal)}`;
}
