// SendTargets discovery as iscsiadm does it: tried again and again, records that follow the answer, and logins.
import { lookup } from 'node:dns/promises';
import { type DiscoveredTarget, discoverSendTargets } from '../../services/discover.js';
import { readIdentity } from '../../services/identity.js';
import { type Paths, resolvePaths } from '../../services/paths.js';
import { discoveryCredentials } from '../../services/records/auth.js';
import { addDiscovery } from '../../services/records/edit-discoveries.js';
import { listIfaces } from '../../services/records/edit-ifaces.js';
import { sourceOf } from '../../services/records/iface.js';
import { recordsInUse } from '../../services/records/in-use.js';
import { type DiscoveryPatience, discoveryPatience, discoverySettings } from '../../services/records/login.js';
import {
  type ConfigFile,
  type IfaceRecord,
  type NodeRecord,
  type PortalRef,
  readConfig,
  readDiscovery,
  recordDiscovery,
  selectIface,
  selectNodes,
  temporaryNode,
} from '../../services/records/records.js';
import { delay } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import { nodeLine, nodeTree, type PathText } from '../render/iscsiadm.js';
import type { Call } from './call.js';
import { type DiscoveryEnd, tellFailure } from './discovery-failure.js';
import { inUseLine } from './node-edit.js';
import { operationsOf } from './operations.js';
import { Reported, reportedText } from './reported.js';

const LARGEST_PORT = 65_535;
/** Between two attempts, milliseconds. */
const PAUSE_MS = 1000;

export interface DiscoveryWays {
  /** The portal's record says how, or else iscsid.conf does. */
  readonly byRecord: boolean;
}

/** Asks a portal for its targets, prints them, makes the records follow, and logs in if that is asked. */
export async function askForTargets(call: Call, portal: PortalRef, { byRecord }: DiscoveryWays): Promise<void> {
  const { options, talk } = call;
  const paths = resolvePaths();
  const operations = operationsOf(options);
  if (portal.port < 0 || portal.port > LARGEST_PORT) {
    // iscsiadm would ask another port than the one typed.
    talk.complain(`port ${portal.port} is not in 0 to ${LARGEST_PORT}`);
    return talk.fail(Reported.Invalid);
  }
  const ifaces = await ifacesOf(call, paths);
  if (ifaces === undefined) return;
  const config = await readConfig(paths);
  if ((options.number('d') ?? 0) > 0) for (const text of config.warnings) talk.complain(text);
  if (!operations.has('nonpersistent')) await keepPortal(call, paths, portal);
  const known = byRecord ? await readDiscovery(paths, portal).catch(() => undefined) : undefined;
  const targets = await discover(call, paths, portal, ifaces[0], { known, config });
  if (targets === undefined) return;
  if (targets.length === 0) {
    talk.complain('No portals found');
    return talk.fail(Reported.NoObjects);
  }
  if (!operations.has('nonpersistent')) await follow(call, paths, { portal, targets, ifaces, config });
  const ways = ifaces.flatMap(({ name }) => targets.map((target) => ({ ...target, iface: name })));
  const level = options.number('P') ?? 0;
  if (level === 1) talk.out(nodeTree(ways));
  else if (level === 0 || level === -1) talk.out(ways.map(nodeLine).join(''));
  if (options.has('l')) await logIn(call, paths, ways, config);
}

/** Those of -I, else those that somebody has made for TCP, else the default one. Undefined when none can be used. */
async function ifacesOf({ options, talk }: Call, paths: Paths): Promise<readonly IfaceRecord[] | undefined> {
  const names = options.all('I');
  if (names.length === 0) {
    const { items } = await listIfaces(paths);
    const own = items.filter(({ name, values }) => name !== 'default' && values.text('iface.transport_name') === 'tcp');
    return own.length > 0 ? own : [await selectIface(paths, 'default')];
  }
  const found: IfaceRecord[] = [];
  for (const name of names) {
    const iface = await selectIface(paths, name).catch(() => undefined);
    const wrong = iface === undefined ? missingIface(paths, name) : foreignTransport(iface);
    if (wrong !== undefined) talk.complain(wrong);
    else if (iface !== undefined) found.push(iface);
  }
  if (found.length > 0) return found;
  talk.fail(Reported.NoObjects);
  return undefined;
}

function missingIface({ dbDir }: Paths, name: string): string {
  const place = `${dbDir}/ifaces`;
  return `Could not read iface info for ${name}. Make sure an iface config with the file name and iface.iscsi_ifacename ${name} is in ${place}.`;
}

/** What is wrong with an interface that is not for TCP. */
function foreignTransport({ name, values }: IfaceRecord): string | undefined {
  const transport = values.text('iface.transport_name');
  return ['tcp', 'default', ''].includes(transport)
    ? undefined
    : `Could not load transport ${transport}.Dropping interface ${name}.`;
}

/** The portal's record is made before it is asked. What cannot be a portal gets none; a record that is there stays. */
async function keepPortal({ signal }: Call, paths: Paths, portal: PortalRef): Promise<void> {
  try {
    if ((await readDiscovery(paths, portal)) === undefined) await addDiscovery(paths, portal, signal);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'ERR_USAGE') throw error;
  }
}

interface Settings {
  readonly known: { readonly values: Pick<ReadonlyMap<string, string>, 'get'> } | undefined;
  readonly config: ConfigFile;
}

/** The answer, or undefined when all attempts have failed, each of which is told. */
async function discover(
  call: Call,
  paths: Paths,
  portal: PortalRef,
  iface: IfaceRecord | undefined,
  { known, config }: Settings,
): Promise<readonly DiscoveredTarget[] | undefined> {
  const patience = discoveryPatience(known?.values, config.values);
  const request = {
    portal,
    initiatorName: iface?.values.text('iface.initiatorname') || (await readIdentity(paths)).initiatorName,
    source: iface && sourceOf(iface),
    credentials: discoveryCredentials(null, known?.values, config.values),
    ...discoverySettings(known?.values, config.values),
    connectMs: patience.connectMs,
    answerMs: patience.answerMs,
    timeoutMs: patience.connectMs + 2 * patience.answerMs,
    signal: call.signal,
  };
  const host = await numericHost(portal.address);
  const end = await attempts(call, patience, async () => {
    try {
      return { kind: 'done', targets: await discoverSendTargets(request) } as const;
    } catch (error) {
      if (call.signal.aborted) throw call.signal.reason;
      return tellFailure(call.talk, error, { ...portal, host, answerMs: patience.answerMs });
    }
  });
  if (end.kind === 'done') return end.targets;
  call.talk.complain(`Could not perform SendTargets discovery: ${reportedText(end.number)}`);
  call.talk.fail(end.number);
  return undefined;
}

type Outcome = DiscoveryEnd | { readonly kind: 'done'; readonly targets: readonly DiscoveredTarget[] };

async function attempts(
  { talk, signal }: Call,
  { reopens }: DiscoveryPatience,
  attempt: () => Promise<Outcome>,
): Promise<Exclude<Outcome, { kind: 'again' }>> {
  for (let left = reopens; ; left--) {
    const outcome = await attempt();
    if (outcome.kind !== 'again') return outcome;
    if (left === 0) break;
    await delay(PAUSE_MS, signal);
  }
  talk.complain(`connection login retries (reopen_max) ${reopens} exceeded`);
  return { kind: 'over', number: Reported.PduTimeout };
}

/** Messages name the address that a name stands for. */
async function numericHost(address: string): Promise<string> {
  const found = await lookup(address, { order: 'verbatim' }).catch(() => undefined);
  return found?.address ?? address;
}

interface Answer {
  readonly portal: PortalRef;
  readonly targets: readonly DiscoveredTarget[];
  readonly ifaces: readonly IfaceRecord[];
  readonly config: ConfigFile;
}

/** -o says what may be done to the records; without it everything. `update` adds what is new too, as iscsiadm does. */
async function follow(call: Call, paths: Paths, { portal, targets, ifaces, config }: Answer): Promise<void> {
  const { options, talk, signal } = call;
  const asked = operationsOf(options);
  const all = asked.size === 0;
  const operations = new Set<'new' | 'update' | 'delete'>();
  if (all || asked.has('new') || asked.has('update')) operations.add('new');
  if (all || asked.has('update')) operations.add('update');
  if (all || asked.has('delete')) operations.add('delete');
  if (operations.size === 0) return;
  const { skipped } = await recordDiscovery(paths, {
    ...{ portal, found: targets, ifaces, config, operations, signal },
    save: null,
    inUse: await recordsInUse(paths),
    onKept: (ref) => talk.complain(inUseLine(ref)),
  });
  for (const name of skipped) talk.complain(`Could not add/update the record of ${name}: it cannot be a file name`);
}

/** In the order of the answer. What has no record gets a login with the settings of iscsid.conf. */
async function logIn(call: Call, paths: Paths, ways: readonly PathText[], config: ConfigFile): Promise<void> {
  const { items } = await selectNodes(paths);
  const records = ways.map((way): NodeRecord => {
    const stored = items.find(
      ({ ref }) =>
        ref.targetName === way.targetName &&
        ref.address === way.address &&
        ref.port === way.port &&
        ref.iface === way.iface,
    );
    return stored ?? temporaryNode(way.targetName, way, config);
  });
  const { loginWith } = await import('./login.js');
  await loginWith(call, records);
}
