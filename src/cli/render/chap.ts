// CHAP credentials as the commands show them: who and how strong, the secret itself only where it was asked for.
import { formatAddress } from '../../iscsi/portal.js';
import {
  algorithmNames,
  type Holder,
  isNode,
  nameOf,
  type StoredCredentials,
} from '../../services/records/credentials.js';
import { STRONG_SECRET } from '../../services/secret-rules.js';
import type { Accepted } from '../../services/try-login.js';
import { AppError } from '../../util/errors.js';
import { printable } from '../../util/printable.js';
import { type ErrorJson, errorJson } from './error.js';
import type { Listing } from './listing.js';
import { orDash } from './text.js';

const MASK = '********';

type Strength = 'none' | 'weak' | 'good';

export interface HolderJson {
  readonly type: 'node' | 'discovery';
  readonly targetName: string | null;
  readonly portal: { readonly address: string; readonly port: number; readonly tpgt: number };
  readonly iface: string | null;
}

/** One record in JSON. */
export function holderJson(holder: Holder): HolderJson {
  if (!isNode(holder)) {
    const { address, port } = holder.portal;
    return { type: 'discovery', targetName: null, portal: { address, port, tpgt: -1 }, iface: null };
  }
  const { targetName, address, port, tpgt, iface } = holder.ref;
  return { type: 'node', targetName, portal: { address, port, tpgt }, iface };
}

/** What a record holds. `showSecrets` as in `chapRow`. */
export interface ChapRow extends HolderJson {
  readonly method: 'CHAP' | 'None';
  readonly user: string | null;
  readonly secret: string | null;
  readonly secretStrength: Strength;
  readonly mutualUser: string | null;
  readonly mutualSecret: string | null;
  readonly mutualSecretStrength: Strength;
  readonly algorithms: string[];
  readonly from: StoredCredentials['from'];
}

/** `showSecrets`: as they are, not as stars. */
export function chapRow(
  holder: Holder,
  { credentials, from }: StoredCredentials,
  { showSecrets }: { readonly showSecrets: boolean },
): ChapRow {
  const shown = (secret: string | undefined) => (secret === undefined ? null : showSecrets ? secret : MASK);
  const mutual = credentials?.mutual;
  return {
    ...holderJson(holder),
    method: credentials === null ? 'None' : 'CHAP',
    user: credentials?.user ?? null,
    secret: shown(credentials?.secret),
    secretStrength: strength(credentials?.secret),
    mutualUser: mutual?.user ?? null,
    mutualSecret: shown(mutual?.secret),
    mutualSecretStrength: strength(mutual?.secret),
    algorithms: algorithmNames(credentials?.algorithms ?? []),
    from,
  };
}

function strength(secret: string | undefined): Strength {
  if (secret === undefined) return 'none';
  return Buffer.byteLength(secret) < STRONG_SECRET ? 'weak' : 'good';
}

/** `chap show`: one line for each record. */
export const CHAP: Listing<ChapRow> = [
  { head: 'RECORD', about: 'node or discovery', text: ({ type }) => type },
  {
    head: 'PORTAL',
    about: 'where the target is reached, or the portal that is asked',
    text: ({ portal }) => formatAddress(portal),
  },
  { head: 'TARGET', about: 'name of the target', text: ({ targetName }) => orDash(targetName) },
  { head: 'METHOD', about: 'CHAP or None', text: ({ method }) => method },
  { head: 'USER', about: 'the name that the initiator gives', text: ({ user }) => orDash(user) },
  {
    head: 'SECRET',
    about: `good; weak: under ${STRONG_SECRET} bytes; with -S the secret itself`,
    text: ({ secret, secretStrength }) => secretText(secret, secretStrength),
  },
  { head: 'MUTUAL', about: 'the name that the target must give', text: ({ mutualUser }) => orDash(mutualUser) },
  {
    head: 'MUTUAL-SECRET',
    about: 'the same of its secret',
    text: ({ mutualSecret, mutualSecretStrength }) => secretText(mutualSecret, mutualSecretStrength),
  },
  {
    head: 'ALGORITHMS',
    about: 'what is offered, the best first',
    text: ({ algorithms }) => orDash(algorithms.join(',')),
  },
  { head: 'FROM', about: 'where it stands: record or iscsid.conf', text: ({ from }) => orDash(from) },
  { head: 'IFACE', about: 'interface record', text: ({ iface }) => orDash(iface), extra: true },
];

function secretText(secret: string | null, strengthOf: Strength): string {
  return secret === null ? '-' : secret === MASK ? strengthOf : printable(secret);
}

/** An accepted login, on one line. */
export function acceptedText(holder: Holder, { algorithm, provedAs }: Accepted): string {
  const [name = ''] = algorithmNames([algorithm]);
  const mutual =
    provedAs === null ? 'the target was not asked to prove itself' : `the target proved itself${as(provedAs)}`;
  return `${nameOf(holder)}: login accepted (CHAP, ${name}; ${mutual})`;
}

/** A record may ask for a proof under whatever name. */
function as(name: string): string {
  return name === '' ? '' : ` as ${printable(name)}`;
}

export interface TrialJson extends HolderJson {
  readonly accepted: boolean;
  readonly algorithm: string | null;
  readonly mutual: boolean;
  readonly error?: ErrorJson;
}

/** How a trial ended, in JSON. */
export function trialJson(holder: Holder, outcome: Accepted | AppError): TrialJson {
  const json = holderJson(holder);
  if (outcome instanceof AppError)
    return { ...json, accepted: false, algorithm: null, mutual: false, error: errorJson(outcome) };
  const [algorithm = null] = algorithmNames([outcome.algorithm]);
  return { ...json, accepted: true, algorithm, mutual: outcome.provedAs !== null };
}
