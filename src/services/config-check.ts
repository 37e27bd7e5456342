// Whether configuration and records are in order: what lunctl would pass over, refuse, or should not show to others.
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { type Change, checkChanges, type Scope } from '../records/changes.js';
import { CONFIG_KEYS, readConfigFile } from '../records/config-file.js';
import { type DiscoveryRecord, listSendTargets } from '../records/discovery-store.js';
import { namesIn } from '../records/files.js';
import { BUILT_IN_IFACES, listIfaces } from '../records/iface-store.js';
import { IFACE_KEYS, keysOf, NODE_KEYS, SENDTARGETS_KEYS } from '../records/keys.js';
import { nodePath, sendTargetsFolder } from '../records/node-ref.js';
import { listNodes } from '../records/node-store.js';
import { AppError, messageOf } from '../util/errors.js';
import { printable } from '../util/printable.js';
import { findIdentity } from './identity.js';
import type { Paths } from './paths.js';
import { OPEN_ISCSI_ROOTS } from './records/locked.js';
import { rangeOf } from './records/ranges.js';
import { STRONG_SECRET, showsSecret } from './secret-rules.js';

export interface Finding {
  /** An error keeps something from working; a warning may be meant so. */
  readonly level: 'error' | 'warning';
  /** The file, with its line where there is one. */
  readonly where: string;
  readonly message: string;
  readonly hint: string | null;
}

type Folders = Pick<Paths, 'configDir' | 'dbDir'>;

/** Reads everything and changes nothing. What cannot be read is a finding too. No finding holds a secret. */
export async function checkConfig(
  paths: Folders,
  places: readonly string[] = OPEN_ISCSI_ROOTS,
): Promise<readonly Finding[]> {
  const parts = [
    checkConfigFile,
    checkIdentity,
    checkNodes,
    checkDiscoveries,
    checkIfaces,
    () => checkPlaces(paths, places),
  ];
  const findings: Finding[] = [];
  for (const part of parts) {
    try {
      findings.push(...(await part(paths)));
    } catch (failure) {
      const hint = failure instanceof AppError ? failure.hint : undefined;
      findings.push(error(paths.dbDir, messageOf(failure), hint));
    }
  }
  return findings;
}

async function checkConfigFile({ configDir }: Folders): Promise<Finding[]> {
  const { values, lines, warnings, path } = await readConfigFile(configDir);
  const unknown = [...values.keys()].filter((key) => !CONFIG_KEYS.has(key));
  // The reader tells of unknown keys too, but of a few and without their lines.
  const unreadable = warnings.filter((text) => !text.includes('unknown key'));
  const at = (key: string) => `${path}:${lines.get(key)}`;
  return [
    ...unreadable.map((text) => error(path, text.replace(`${path}: `, ''))),
    ...unknown.map((key) => warning(at(key), `unknown key ${printable(key, 64)}: it is not used`)),
    ...[...values].flatMap((setting) => badValues(setting, at(setting[0]))),
    ...(await secretFindings(path, values)),
    ...credentials(values, 'node.session.auth.', path),
    ...credentials(values, 'discovery.sendtargets.auth.', path),
  ];
}

/** open-iscsi has moved its records once: what lies in the other place is in nobody's use. */
async function checkPlaces({ dbDir }: Folders, places: readonly string[]): Promise<Finding[]> {
  const others = places.includes(dbDir) ? places.filter((place) => place !== dbDir) : [];
  const findings: Finding[] = [];
  for (const place of others) {
    const [here, there] = await Promise.all([realpath(dbDir), realpath(place)].map((path) => path.catch(() => '')));
    if (here === there) continue;
    const found = (await Promise.all(['nodes', 'send_targets'].map((kind) => namesIn(join(place, kind))))).flat();
    if (found.length === 0) continue;
    findings.push(
      warning(place, `there are records here too, but those in ${dbDir} are used`, `--db-dir ${place} uses these`),
    );
  }
  return findings;
}

async function checkIdentity(paths: Folders): Promise<Finding[]> {
  const where = join(paths.configDir, 'initiatorname.iscsi');
  try {
    const identity = await findIdentity(paths);
    if (identity !== undefined) return [];
    return [warning(where, 'this host has no initiator name yet', 'the first discovery or login makes one')];
  } catch (failure) {
    const message = messageOf(failure).replace(`${where}: `, '');
    return [error(where, message, failure instanceof AppError ? failure.hint : undefined)];
  }
}

async function checkNodes({ dbDir }: Folders): Promise<Finding[]> {
  const { items, warnings } = await listNodes(dbDir);
  const ifaces = new Set((await listIfaces(dbDir)).items.map(({ name }) => name));
  const findings = warnings.map((text) => unreadableRecord(dbDir, text));
  for (const { ref, values } of items) {
    const path = nodePath(dbDir, ref);
    findings.push(...(await checkValues(path, values, 'node.session.auth.')));
    if (!ifaces.has(ref.iface)) {
      const hint = `lunctl iface new ${ref.iface}, or lunctl node delete ${ref.targetName} -I ${ref.iface}`;
      findings.push(warning(path, `it is bound to interface ${printable(ref.iface)}, which has no record`, hint));
    }
  }
  return findings;
}

async function checkDiscoveries({ dbDir }: Folders): Promise<Finding[]> {
  const { items, warnings } = await listSendTargets(dbDir);
  const findings = warnings.map((text) => unreadableRecord(dbDir, text));
  for (const { portal, values } of items) {
    const path = join(sendTargetsFolder(dbDir, portal), 'st_config');
    findings.push(...(await checkValues(path, values, 'discovery.sendtargets.auth.')));
  }
  return findings;
}

async function checkIfaces({ dbDir }: Folders): Promise<Finding[]> {
  const { items, warnings } = await listIfaces(dbDir);
  const own = items.filter(({ name }) => !BUILT_IN_IFACES.has(name));
  return [
    ...warnings.map((text) => unreadableRecord(dbDir, text)),
    ...own.flatMap(({ name, values }) =>
      [...values].flatMap((setting) => badValues(setting, join(dbDir, 'ifaces', name))),
    ),
  ];
}

function unreadableRecord(dbDir: string, text: string): Finding {
  return error(dbDir, text, 'lunctl node prune --dry-run says what it would remove');
}

/** What any record can have wrong with it. */
async function checkValues(path: string, values: DiscoveryRecord['values'], prefix: string): Promise<Finding[]> {
  const unknown = [...values].filter(([key]) => !CONFIG_KEYS.has(key));
  return [
    // Releases of open-iscsi that do not know a key refuse the whole record.
    ...unknown.map(([key]) => warning(path, `unknown key ${printable(key, 64)}: it is kept, and not used`)),
    ...[...values].flatMap((setting) => badValues(setting, path)),
    ...(await secretFindings(path, values)),
    ...credentials(values, prefix, path),
  ];
}

const SCOPES: readonly (readonly [Scope, ReadonlySet<string>])[] = [
  ['node', new Set(keysOf(NODE_KEYS).filter((key) => !key.startsWith('iface.')))],
  ['discovery', new Set(keysOf(SENDTARGETS_KEYS))],
  ['iface', new Set(keysOf(IFACE_KEYS))],
];

/** A value that a change would be refused for. Keys that nobody may change are left to the reader of the record. */
function badValues(setting: Change, where: string): Finding[] {
  const [key, value] = setting;
  const scope = SCOPES.find(([, keys]) => keys.has(key))?.[0];
  if (scope === undefined || value === '') return [];
  try {
    checkChanges(scope, [setting], { strict: true });
    return outOfRange(key, value, where);
  } catch (failure) {
    const refused = failure as { readonly refusal?: string; readonly message: string };
    return refused.refusal === 'bad-value' ? [warning(where, refused.message)] : [];
  }
}

function outOfRange(key: string, value: string, where: string): Finding[] {
  const range = rangeOf(key);
  if (range === undefined) return [];
  const [least, most] = range;
  if (Number(value) >= least && Number(value) <= most) return [];
  return [warning(where, `${key} = ${value} is not used: it must be from ${least} to ${most}`)];
}

async function secretFindings(path: string, values: Iterable<readonly [string, string]>): Promise<Finding[]> {
  if (!(await showsSecret(path, values))) return [];
  return [warning(path, 'it holds a secret, and others than its owner may read it', `chmod go= ${path}`)];
}

/** RFC 7143 §9.2.1: secrets of 96 bits, and another one in each direction. */
function credentials(values: Pick<ReadonlyMap<string, string>, 'get'>, prefix: string, where: string): Finding[] {
  const text = (key: string) => values.get(prefix + key) ?? '';
  const [user, secret, mutual] = [text('username'), text('password'), text('password_in')];
  const findings: Finding[] = [];
  const setup = 'lunctl chap setup sets them';
  if (text('authmethod') === 'CHAP' && (user === '' || secret === '')) {
    findings.push(error(where, `${prefix}authmethod is CHAP, but name or password is missing`, setup));
  }
  if (mutual !== '' && mutual === secret) {
    findings.push(error(where, 'both directions of mutual CHAP have the same secret (RFC 7143 §9.2.1)', setup));
  }
  for (const [key, value] of [
    ['password', secret],
    ['password_in', mutual],
  ] as const) {
    const length = Buffer.byteLength(value);
    if (value === '' || length >= STRONG_SECRET) continue;
    findings.push(warning(where, `${prefix}${key} has ${length} bytes; RFC 7143 asks for at least ${STRONG_SECRET}`));
  }
  return findings;
}

function error(where: string, message: string, hint?: string): Finding {
  return { level: 'error', where, message, hint: hint ?? null };
}

function warning(where: string, message: string, hint?: string): Finding {
  return { level: 'warning', where, message, hint: hint ?? null };
}
