// What the schemas of several commands share: units, names, portals, and how a schema and a TypeScript type hold each
// other to the same fields. Loaded by the build and by tests; commands import only types from here.
import * as v from 'valibot';
import type { NodeJson } from '../render/json.js';

/**
 * `schema satisfies Describes<T>` fails to compile when `T` has a field that the schema lacks. Together with a command
 * that returns `Result<typeof schema>`, which fails for the reverse, a schema and what is printed cannot drift apart.
 */
export type Describes<T> = v.GenericSchema<unknown, T>;

/** What is printed. */
export type Output<S extends v.GenericSchema> = Frozen<v.InferOutput<S>>;
/** What a command returns: its document without `schema`, which BaseCommand adds. */
export type Result<S extends v.GenericSchema> = Omit<Output<S>, 'schema'>;

/** `T`, read-only at every depth. */
export type Frozen<T> = T extends readonly (infer U)[]
  ? readonly Frozen<U>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T;

/** The object that one command prints: `schema` names it, and nothing is in it that is not said here. */
export function document<const N extends string, const E extends v.ObjectEntries>(name: N, about: string, entries: E) {
  const schema = v.literal(`lunctl.${name}/1` as const);
  return v.pipe(v.strictObject({ schema, ...entries }), v.description(about));
}

/** Any text. */
export function text(about: string) {
  return v.pipe(v.string(), v.description(about));
}

/** Text, or null where there is none. */
export function textOrNull(about: string) {
  return v.pipe(v.nullable(v.string()), v.description(about));
}

export function flag(about: string) {
  return v.pipe(v.boolean(), v.description(about));
}

/** An integer that is not negative. */
export function count(about: string, least = 0) {
  return v.pipe(v.number(), v.integer(), v.minValue(least), v.description(about));
}

/** An integer number of bytes. */
export function bytes(about: string) {
  return count(`${about} Bytes.`);
}

export function seconds(about: string) {
  return v.pipe(v.number(), v.minValue(0), v.description(`${about} Seconds.`));
}

export function moment(about: string) {
  return v.pipe(v.string(), v.isoTimestamp(), v.description(`${about} RFC 3339.`));
}

export function momentOrNull(about: string) {
  return v.pipe(v.nullable(v.pipe(v.string(), v.isoTimestamp())), v.description(`${about} RFC 3339.`));
}

export function list<const S extends v.GenericSchema>(item: S, about: string) {
  return v.pipe(v.array(item), v.description(about));
}

export function choice<const T extends readonly [string, ...string[]]>(words: T, about: string) {
  return v.pipe(v.picklist(words), v.description(about));
}

export const targetName = text('iSCSI name of the target, RFC 7143 §4.2.7.');
export const initiatorName = text('iSCSI name of the initiator, RFC 7143 §4.2.7.');
export const iface = text('Name of the iface record that the login uses.');
export const sid = count('Number of the session.', 1);
export const lun = count('Logical unit number.');

const address = text('IPv4 or IPv6 address, without brackets, or a host name.');
const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535), v.description('TCP port.'));

/** Where something listens or comes from. */
export const endpoint = v.strictObject({ address, port });

/** An endpoint of a target. */
export const portal = v.strictObject({
  address,
  port,
  tpgt: v.pipe(
    v.number(),
    v.integer(),
    v.minValue(-1),
    v.maxValue(65_535),
    v.description('Target portal group tag, RFC 7143 §13.9; -1 where nobody has told it.'),
  ),
});

/** One way to a target, as a node record names it. */
export const node = v.strictObject({ targetName, portal, iface }) satisfies Describes<NodeJson>;

export const devicePath = textOrNull('Device node, as /dev/nbd0 or /dev/loop0p1; null without one.');
export const nbd = text('URI for NBD clients: nbd+unix:///EXPORT?socket=PATH.');
export const attach = choice(['nbd', 'fuse', 'none'], 'How the LUN has become a device node; none: it has not.');

export const dryRun = flag('Nothing was changed: --dry-run was given.');
export const changedValues = list(
  v.strictObject({
    key: text('Key of open-iscsi.'),
    from: textOrNull('What it was; null where there was no value.'),
    to: textOrNull('What it is.'),
  }),
  'The values that are others now.',
);

/** A record in full. */
export const recordValues = v.pipe(
  v.record(v.string(), v.nullable(v.string())),
  v.description(
    'The keys of open-iscsi, as node.session.timeo.replacement_timeout, with their values as text; null where there is none. Secrets are ******** unless they were asked for.',
  ),
);
