// CHAP settings of records and of iscsid.conf, as credentials and back.
import { CHAP_ALGORITHMS, ChapAlgorithm } from '../../iscsi/chap.js';
import { newSendTargetsValues } from '../../records/new-record.js';
import type { RecordValues } from '../../records/values.js';
import type { CredentialPair } from '../secret-rules.js';
import type { Credentials } from '../session/info.js';

/** CHAP_A numbers by the names that records have. */
const ALGORITHMS = new Map<string, number>(CHAP_ALGORITHMS.map(({ name, number }) => [name, number]));

const NODE = 'node.session.auth.';
const DISCOVERY = 'discovery.sendtargets.auth.';

/** What a lookup by key gives: a record's values, or iscsid.conf's. */
type Lookup = Pick<ReadonlyMap<string, string>, 'get'>;

/**
 * The credentials for a login: those given, else the record's, else iscsid.conf's, else none. The record's list of
 * algorithms is obeyed in every case.
 */
export function nodeCredentials(given: CredentialPair | null, record: Lookup, config: Lookup): Credentials | null {
  return choose(given, record, config, NODE);
}

/** The same for a discovery session; `record` is undefined before the first one. */
export function discoveryCredentials(
  given: CredentialPair | null,
  record: Lookup | undefined,
  config: Lookup,
): Credentials | null {
  return choose(given, record ?? fresh(config), config, DISCOVERY);
}

/** What a record made now would say. */
function fresh(config: Lookup): Lookup {
  return newSendTargetsValues({ address: 'none', port: 0 }, config);
}

function choose(given: CredentialPair | null, record: Lookup, config: Lookup, prefix: string): Credentials | null {
  const pair = given ?? pairOf(record, prefix) ?? pairOf(config, prefix);
  if (pair === null) return null;
  return { ...pair, algorithms: algorithms(record.get(`${NODE}chap_algs`) ?? config.get(`${NODE}chap_algs`)) };
}

/** open-iscsi uses a name and a password whenever both are set, whatever authmethod says. */
function pairOf(source: Lookup, prefix: string): CredentialPair | null {
  const text = (key: string) => source.get(prefix + key) ?? '';
  const user = text('username');
  const secret = text('password');
  if (user === '' || secret === '') return null;
  const mutualUser = text('username_in');
  const mutualSecret = text('password_in');
  // A secret without a name still asks the target to prove itself: any name will do, as with open-iscsi.
  if (mutualSecret === '') return { user, secret };
  return { user, secret, mutual: { user: mutualUser, secret: mutualSecret } };
}

/** Names to numbers in their order. Without a list: MD5, the only one that every target has. */
function algorithms(list: string | undefined): number[] {
  const numbers = (list ?? '').split(',').flatMap((name) => ALGORITHMS.get(name.trim().toUpperCase()) ?? []);
  return numbers.length === 0 ? [ChapAlgorithm.MD5] : [...new Set(numbers)];
}

export function setNodeCredentials(values: RecordValues, pair: CredentialPair): void {
  setPair(values, pair, NODE);
}

export function setDiscoveryCredentials(values: RecordValues, pair: CredentialPair): void {
  setPair(values, pair, DISCOVERY);
}

export function clearNodeCredentials(values: RecordValues): void {
  clearPair(values, NODE);
}

export function clearDiscoveryCredentials(values: RecordValues): void {
  clearPair(values, DISCOVERY);
}

function clearPair(values: RecordValues, prefix: string): void {
  values.set(`${prefix}authmethod`, 'None');
  for (const key of ['username', 'password', 'username_in', 'password_in']) values.set(prefix + key, '');
}

function setPair(values: RecordValues, pair: CredentialPair, prefix: string): void {
  values.set(`${prefix}authmethod`, 'CHAP');
  values.set(`${prefix}username`, pair.user);
  values.set(`${prefix}password`, pair.secret);
  values.set(`${prefix}username_in`, pair.mutual?.user ?? '');
  values.set(`${prefix}password_in`, pair.mutual?.secret ?? '');
}
