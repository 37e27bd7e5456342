// `lunctl __complete KIND`: what exists now, one word a line, for the scripts of `lunctl completion`. It reads state and
// record files, changes nothing, and is silent about what it cannot read: a shell asks it while somebody types.
import { formatAddress } from '../iscsi/portal.js';
import { resolvePaths } from '../services/paths.js';
import type { SessionInfo } from '../services/session/info.js';

type Paths = ReturnType<typeof resolvePaths>;

/** A session that cannot say at once which devices it has has none worth waiting for. */
const ANSWER_MS = 1000;
/** Nobody looks at more, and a shell would. */
const MOST_WORDS = 2000;
/** What every shell takes as one plain word. A record or a peer may name anything; that is then typed by hand. */
const PLAIN = /^[\w.:,@%/[\]=+-]+$/;

const KINDS = {
  targets: async (paths: Paths) => [
    ...(await nodes(paths)).map(({ targetName }) => targetName),
    ...(await sessions(paths)).map(({ targetName }) => targetName),
  ],
  portals: async (paths: Paths) => {
    const ways = [...(await nodes(paths)), ...(await sessions(paths)).map(({ portal }) => portal)];
    return ways.map(({ address, port }) => formatAddress({ address, port }));
  },
  sids: async (paths: Paths) => (await sessions(paths)).map(({ sid }) => String(sid)),
  devices,
  ifaces: async (paths: Paths) => {
    const { listIfaces } = await import('../services/records/edit-ifaces.js');
    return (await listIfaces(paths)).items.map(({ name }) => name);
  },
  /** Paths of the target's configuration. */
  tree: async ({ runDir, targetConfig }: Paths) => {
    const { openTargetStore } = await import('../services/target/open-store.js');
    const { pathsOf } = await import('./targetcli/node-list.js');
    const store = await openTargetStore({ runDir, targetConfig, signal: AbortSignal.timeout(ANSWER_MS) });
    return pathsOf(await store.read());
  },
  /** Keys as KEY=VALUE arguments begin, and as iscsiadm's -n takes them. */
  keys: async () => (await recordKeys()).map((key) => `${key}=`),
  names: recordKeys,
  'iface-keys': async () => (await recordKeys()).filter((key) => key.startsWith('iface.')).map((key) => `${key}=`),
} as const satisfies Readonly<Record<string, (paths: Paths) => Promise<readonly string[]>>>;
export type LiveKind = keyof typeof KINDS;

/** @param argv the words after `__complete`. Writes to standard output; never throws. */
export async function complete(argv: readonly string[]): Promise<void> {
  const words = await liveWords(argv[0] ?? '').catch(() => []);
  process.stdout.write(words.map((word) => `${word}\n`).join(''));
}

async function liveWords(kind: string): Promise<string[]> {
  if (!Object.hasOwn(KINDS, kind)) return [];
  const words = await KINDS[kind as LiveKind](resolvePaths(process.env));
  return [...new Set(words)].filter((word) => PLAIN.test(word)).slice(0, MOST_WORDS);
}

async function nodes({ dbDir }: Paths) {
  const { listNodes } = await import('../records/node-store.js');
  return (await listNodes(dbDir)).items.map(({ ref }) => ref);
}

/** The usable ones by their state files; what dead ones have left stays for a command to clean up. */
async function sessions({ runDir }: Paths) {
  const { ownerLives, readState, sessionFolder, sessionIds } = await import('../services/session/folder.js');
  const states = await Promise.all((await sessionIds(runDir)).map((sid) => readState(sessionFolder(runDir, sid))));
  return states.filter((state) => state !== null).filter((state) => state.phase === 'ready' && ownerLives(state));
}

/** Device names, and TARGET/LUN for every LUN. */
async function devices(paths: Paths): Promise<string[]> {
  const { callSession } = await import('../services/session/control.js');
  const ask = async ({ sid }: { readonly sid: number }) =>
    (await callSession(paths, sid, 'info', {}, ANSWER_MS, {})) as SessionInfo;
  const asked = await Promise.allSettled((await sessions(paths)).map(ask));
  return asked.flatMap((outcome) => (outcome.status === 'fulfilled' ? deviceWords(outcome.value) : []));
}

function deviceWords({ targetName, devices: luns }: SessionInfo): string[] {
  return luns.flatMap(({ lun, path, partitions }) => {
    const name = path?.replace('/dev/', '');
    const nodes = name === undefined ? [] : [name, ...partitions.map(({ number }) => `${name}p${number}`)];
    return [...nodes, `${targetName}/${lun}`];
  });
}

async function recordKeys(): Promise<string[]> {
  const { keysOf, NODE_KEYS } = await import('../records/keys.js');
  return keysOf(NODE_KEYS);
}
