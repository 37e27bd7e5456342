// Whether a portal can be reached, is an iSCSI target, answers a discovery, and names portals that can be reached too.
import { LoginStatus } from '../../iscsi/login-status.js';
import { formatAddress, lacksZone } from '../../iscsi/portal.js';
import { now } from '../../transport/clock.js';
import { connectTcp } from '../../transport/connect.js';
import { AppError, messageOf, ProtocolError } from '../../util/errors.js';
import { sideBySide } from '../../util/side-by-side.js';
import type { DiscoveredTarget } from '../discover.js';
import { discoveryFailure } from '../discovery-failure.js';
import { findIdentity } from '../identity.js';
import type { Paths } from '../paths.js';
import { discoverAndRecord } from '../records/discover.js';
import type { Endpoint } from '../session/attempts.js';
import { type Check, type Finding, fail, failure, ok, warn } from './finding.js';

const CONNECT_MS = 5000;
const DISCOVERY_MS = 10_000;
/** Of the portals that are named: each, and all together so many at once. */
const OTHER_MS = 3000;
const AT_ONCE = 16;
const MOST_PORTALS = 64;
/** Who asks where this host has no name yet: none is made for a question. */
const NAMELESS = 'iqn.2026-11.io.lunctl:doctor';

/** What is asked for is over after the first answer that is none: the rest would fail for the same reason. */
export function portalChecks(paths: Paths, portal: Endpoint): readonly Check[] {
  const name = formatAddress(portal);
  return [{ name, run: (signal) => portalFindings(paths, portal, signal) }];
}

async function portalFindings(paths: Paths, portal: Endpoint, signal: AbortSignal): Promise<Finding[]> {
  const name = formatAddress(portal);
  try {
    const took = await connectTime(portal, CONNECT_MS, signal);
    const connected = ok('connect', `${name} answers in ${took < 10 ? took.toFixed(1) : Math.round(took)} ms`);
    return [connected, ...(await discoveryFindings(paths, portal, signal))];
  } catch (error) {
    signal.throwIfAborted();
    const hint = 'is the target running, is the address right, and is the port open in the firewall?';
    return [
      error instanceof AppError && error.hint !== undefined
        ? failure('connect', error)
        : fail('connect', messageOf(error), hint),
    ];
  }
}

async function discoveryFindings(paths: Paths, portal: Endpoint, signal: AbortSignal): Promise<Finding[]> {
  const name = formatAddress(portal);
  const identity = await findIdentity(paths).catch(() => undefined);
  const initiatorName = identity?.initiatorName ?? NAMELESS;
  const question = { portal, ifaces: [], initiatorName, credentials: null, keepCredentials: false, record: false };
  try {
    const { targets } = await discoverAndRecord(paths, { ...question, timeoutMs: DISCOVERY_MS, signal });
    if (targets.length === 0) {
      const fix = `a target may show itself only to initiators that it lists: this one is ${initiatorName}`;
      return [warn('discovery', `${name} names no target for this initiator`, fix)];
    }
    return [targetsFinding(name, targets), ...(await reachFindings(portal, targets, signal))];
  } catch (error) {
    signal.throwIfAborted();
    return [discoveryFinding(name, error)];
  }
}

function targetsFinding(name: string, targets: readonly DiscoveredTarget[]): Finding {
  const names = new Set(targets.map(({ targetName }) => targetName)).size;
  const ways = new Set(targets.map(({ address, port }) => formatAddress({ address, port }))).size;
  return ok(
    'discovery',
    `${name} names ${count(names, 'target')} at ${count(ways, 'portal')}, without a record being made`,
  );
}

function discoveryFinding(name: string, error: unknown): Finding {
  const found = discoveryFailure(error);
  if (found.kind === 'not-iscsi' || isProtocolFault(error)) {
    return fail(
      'discovery',
      `${name} answers, but is no iSCSI target: ${messageOf(error)}`,
      'is it the right port? 3260 is the usual one',
    );
  }
  if (found.kind === 'refused' && found.status === LoginStatus.AuthenticationFailure) {
    const fix = `lunctl discovery sendtargets -p ${name} --chap-user NAME --chap-secret-file FILE --save`;
    return fail('discovery', `${name} wants CHAP for a discovery, or other credentials than are kept here`, fix);
  }
  return failure('discovery', error);
}

/** Something answered, and not as a target does. */
function isProtocolFault(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (cause instanceof ProtocolError) return true;
  return false;
}

/** The other portals that the answer names: a login tries each of them. */
async function reachFindings(
  asked: Endpoint,
  targets: readonly DiscoveredTarget[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const others = new Map(targets.map(({ address, port }) => [formatAddress({ address, port }), { address, port }]));
  others.delete(formatAddress(asked));
  const all = [...others].slice(0, MOST_PORTALS);
  const results = await Promise.all(
    sideBySide(all, AT_ONCE, async ([name, portal]) =>
      (await isReachable(portal, signal)) ? null : `${name}${noteOf(portal)}`,
    ),
  );
  const lost = results.flatMap((name) => (name === null ? [] : [name]));
  if (lost.length === 0)
    return all.length === 0 ? [] : [ok('portals', `all ${all.length} other portals can be reached`)];
  const are = lost.length === 1 ? '1 portal that cannot' : `${lost.length} portals that cannot`;
  const fix = 'take them off the target, or delete their records: lunctl node delete TARGET -p PORTAL';
  return [warn('portals', `discovery lists ${are} be reached: ${lost.join(', ')}`, fix)];
}

async function isReachable(portal: Endpoint, signal: AbortSignal): Promise<boolean> {
  // Without its zone such an address leads nowhere, and the kernel would only say so.
  if (isLinkLocal(portal)) return false;
  return await connectTime(portal, OTHER_MS, signal).then(
    () => true,
    () => {
      signal.throwIfAborted();
      return false;
    },
  );
}

function noteOf(portal: Endpoint): string {
  return isLinkLocal(portal) ? ' (link-local)' : '';
}

function isLinkLocal({ address }: Endpoint): boolean {
  return lacksZone(address) || address.startsWith('169.254.');
}

/** Milliseconds until the connection stood; it is closed again at once. */
async function connectTime({ address, port }: Endpoint, timeoutMs: number, signal: AbortSignal): Promise<number> {
  const began = now();
  const wire = await connectTcp({ host: address, port }, { timeoutMs, signal });
  const took = now() - began;
  wire.destroy();
  return took;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
