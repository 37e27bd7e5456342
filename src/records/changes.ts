// Changes of a record's values: which keys may be set, what values they take, and how open-iscsi 2.1.8 would store them.
import { AppError } from '../util/errors.js';
import { printable } from '../util/printable.js';
import { VALUE_LARGEST } from './format.js';
import { IFACE_KEYS, keysOf, NODE_KEYS, OWN_KEYS, SECRET_KEYS, SENDTARGETS_KEYS } from './keys.js';

/** What kind of record is changed. */
export type Scope = 'node' | 'iface' | 'discovery';
export type Change = readonly [key: string, value: string];

/** Why a record does not take a change: each is a text of its own in iscsiadm. */
export type Refusal =
  /** No record of this kind has the key. */
  | 'unknown-key'
  /** The key says which record it is. */
  | 'fixed-key'
  /** In a node record the key is a copy of its interface's. */
  | 'iface-key'
  /** The value is none of the key's words; strictly also no number in its range. */
  | 'bad-value'
  /** The interface is bound by another key already. */
  | 'binding'
  /** The interface has no file. */
  | 'special-iface';

/** A change that is refused before anything is written. Its message holds no secret. */
export class RefusedChange extends AppError {
  readonly refusal: Refusal;
  /** The key, or the name of the interface for `special-iface`. */
  readonly key: string;
  /** For `bad-value` what was given, unless the key holds a secret; for `binding` the key that is set. */
  readonly value: string;
  constructor(refusal: Refusal, key: string, value: string, message: string, hint?: string) {
    super('ERR_USAGE', message, hint === undefined ? {} : { hint });
    this.refusal = refusal;
    this.key = key;
    this.value = value;
  }
}

/** A word of a list that is left out, as open-iscsi does. */
export interface Ignored {
  readonly key: string;
  readonly word: string;
  readonly why: 'unknown' | 'repeated';
}

export interface CheckedChanges {
  /** As they are to be stored. */
  readonly changes: readonly Change[];
  readonly ignored: readonly Ignored[];
}

/**
 * Checks all changes, and gives them as they are to be stored. Numbers are read as C's strtol does, so that `abc` is 0
 * and 70000 is 4464 where there are 16 bits; `strict` refuses what is no number in its range, and unknown words of lists.
 * @throws RefusedChange for the first that is refused
 */
export function checkChanges(scope: Scope, changes: readonly Change[], { strict = false } = {}): CheckedChanges {
  const ignored: Ignored[] = [];
  const stored = changes.map(([key, value]): Change => {
    checkKey(scope, key);
    return [key, storedValue(key, value, strict, ignored)];
  });
  return { changes: stored, ignored };
}

const KEYS: Readonly<Record<Scope, ReadonlySet<string>>> = {
  node: new Set(keysOf(NODE_KEYS)),
  iface: new Set(keysOf(IFACE_KEYS)),
  discovery: new Set(keysOf(SENDTARGETS_KEYS)),
};

function checkKey(scope: Scope, key: string): void {
  if (!KEYS[scope].has(key)) {
    throw new RefusedChange(
      'unknown-key',
      key,
      '',
      `${scope} records have no key ${shownKey(key)}`,
      similar(scope, key),
    );
  }
  if (OWN_KEYS.has(key) || (scope === 'iface' && key === 'iface.iscsi_ifacename')) {
    throw new RefusedChange('fixed-key', key, '', `${key} says which record it is and cannot be changed`);
  }
  // iscsiadm lets the transport of a single record be changed, and nothing else of its interface.
  if (scope === 'node' && key.startsWith('iface.') && key !== 'iface.transport_name') {
    const hint = `lunctl iface set NAME ${key}=VALUE`;
    throw new RefusedChange('iface-key', key, '', `${key} belongs to the interface record`, hint);
  }
}

const STARTUP = ['manual', 'automatic', 'onboot'];
const YES_NO = ['Yes', 'No'];
const AUTH = ['None', 'CHAP'];
const DIGESTS = ['None', 'CRC32C', 'None,CRC32C', 'CRC32C,None'];
const CHOICES: ReadonlyMap<string, readonly string[]> = new Map([
  ['node.startup', STARTUP],
  ['node.conn[0].startup', STARTUP],
  ['discovery.startup', STARTUP],
  ['node.leading_login', YES_NO],
  ['node.session.iscsi.FastAbort', YES_NO],
  ['node.session.iscsi.InitialR2T', YES_NO],
  ['node.session.iscsi.ImmediateData', YES_NO],
  ['node.conn[0].iscsi.IFMarker', YES_NO],
  ['node.conn[0].iscsi.OFMarker', YES_NO],
  ['discovery.sendtargets.use_discoveryd', YES_NO],
  ['node.session.auth.authmethod', AUTH],
  ['discovery.sendtargets.auth.authmethod', AUTH],
  ['node.conn[0].iscsi.HeaderDigest', DIGESTS],
  ['node.conn[0].iscsi.DataDigest', DIGESTS],
  ['node.session.scan', ['auto', 'manual']],
]);
const LISTS: ReadonlyMap<string, readonly string[]> = new Map([
  ['node.session.auth.chap_algs', ['MD5', 'SHA1', 'SHA256', 'SHA3-256']],
]);

/** Keys whose default is a number hold numbers: of 32 bits with a sign unless they stand here. */
const UNSIGNED_BITS: ReadonlyMap<string, 8 | 16 | 32> = new Map([
  ['node.session.initial_cmdsn', 32],
  ['node.session.cmds_max', 16],
  ['node.session.queue_depth', 16],
  ['iface.prefix_len', 8],
  ['iface.vlan_id', 16],
  ['iface.vlan_priority', 8],
  ['iface.iface_num', 32],
  ['iface.mtu', 16],
  ['iface.port', 16],
  ['iface.tos', 8],
  ['iface.ttl', 8],
  ['iface.tcp_wsf', 8],
  ['iface.tcp_timer_scale', 8],
  ['iface.def_task_mgmt_timeout', 16],
  ['iface.erl', 8],
  ['iface.max_receive_data_len', 32],
  ['iface.first_burst_len', 32],
  ['iface.max_outstanding_r2t', 16],
  ['iface.max_burst_len', 32],
]);
const NUMBERS = new Set(
  [...NODE_KEYS, ...SENDTARGETS_KEYS].filter(([, value]) => /^-?\d+$/.test(value)).map(([key]) => key),
);

function storedValue(key: string, given: string, strict: boolean, ignored: Ignored[]): string {
  const value = given.trim();
  const choices = CHOICES.get(key);
  if (choices !== undefined) {
    if (choices.includes(value)) return value;
    throw badValue(key, given, `it is one of ${choices.join(' | ')}`);
  }
  const words = LISTS.get(key);
  if (words !== undefined) return storedList(key, value, words, strict, ignored);
  if (NUMBERS.has(key)) return storedNumber(key, value, strict);
  // What would break the file for everyone who reads it, or come back as something else.
  if (/\p{Cc}/u.test(value)) throw badValue(key, '', 'it holds control characters');
  if (Buffer.byteLength(value) > VALUE_LARGEST) throw badValue(key, '', `it is longer than ${VALUE_LARGEST} bytes`);
  return value;
}

function storedList(key: string, value: string, words: readonly string[], strict: boolean, ignored: Ignored[]): string {
  const kept: string[] = [];
  for (const word of value.split(/[\s,]+/).filter((text) => text !== '')) {
    const why = kept.includes(word) ? 'repeated' : 'unknown';
    if (words.includes(word) && why === 'unknown') kept.push(word);
    else if (strict) throw badValue(key, value, `it is a list of ${words.join(' | ')}, each once`);
    else ignored.push({ key, word, why });
  }
  if (kept.length > 0) return kept.join(',');
  if (strict) throw badValue(key, value, `it is a list of ${words.join(' | ')}`);
  return words[0] ?? '';
}

function storedNumber(key: string, value: string, strict: boolean): string {
  const unsigned = UNSIGNED_BITS.get(key);
  const bits = unsigned ?? 32;
  // The largest number that strtol gives is all ones in the low bits, -1.
  const digits = /^[+-]?\d{1,18}(?!\d)/.exec(value)?.[0] ?? (/^[+-]?\d/.test(value) ? '-1' : '0');
  const number = BigInt(digits.replace('+', ''));
  const stored = unsigned === undefined ? BigInt.asIntN(bits, number) : BigInt.asUintN(bits, number);
  if (strict && String(stored) !== value) {
    const [least, most] = unsigned === undefined ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** bits - 1];
    throw badValue(key, value, `it is a number from ${least} to ${most}`);
  }
  return String(stored);
}

function badValue(key: string, given: string, rule: string): RefusedChange {
  const value = SECRET_KEYS.has(key) ? '' : given;
  return new RefusedChange(
    'bad-value',
    key,
    value,
    `${key} does not take ${value === '' ? 'this' : `"${shownKey(value)}"`}: ${rule}`,
  );
}

/** Keys that end the same way, for the hint. */
function similar(scope: Scope, key: string): string | undefined {
  const last = key.split('.').at(-1)?.toLowerCase() ?? '';
  const close = [...KEYS[scope]].filter((known) => last.length > 2 && known.toLowerCase().endsWith(last));
  return close.length === 0 || close.length > 4 ? undefined : `did you mean ${close.join(' or ')}?`;
}

function shownKey(text: string): string {
  return printable(text, 64);
}
