// Modes discovery and discoverydb of the iscsiadm face: what is asked, by the kind of discovery.
import { resolvePaths } from '../../services/paths.js';
import type { Call } from './call.js';
import { operationOf, operationsOf } from './operations.js';
import { portalOf } from './pattern.js';
import { Reported } from './reported.js';

type Kind = 'sendtargets' | 'isns' | 'slp' | 'fw';
const KINDS: Readonly<Record<string, Kind>> = {
  st: 'sendtargets',
  sendtargets: 'sendtargets',
  isns: 'isns',
  slp: 'slp',
  fw: 'fw',
};

export async function runDiscovery(call: Call): Promise<void> {
  const { mode, options, talk } = call;
  const type = options.text('t') ?? '';
  const kind = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
  switch (kind) {
    case 'sendtargets':
      return sendTargets(call);
    case 'isns':
      return isns(call);
    case 'slp':
      return refuse(call, 'SLP discovery is not fully implemented yet.');
    case 'fw':
      if (mode === 'discoverydb' && !options.has('D')) {
        return refuse(call, 'Invalid command. Possibly missing --discover argument.');
      }
      talk.complain(`Could not get list of targets from firmware. (err ${Reported.NoObjects})`);
      return talk.fail(Reported.NoObjects);
    default:
      return mode === 'discovery' ? untyped(call) : untypedDb(call);
  }
}

function refuse({ talk }: Call, line: string): void {
  talk.complain(line);
  talk.fail(Reported.Invalid);
}

async function sendTargets(call: Call): Promise<void> {
  const { mode, options } = call;
  const portal = portalOf(call);
  if (portal === undefined) return refuse(call, 'Please specify portal as <ipaddr>[:<ipport>]');
  const discover = options.has('D') || mode === 'discovery';
  if (!discover) return (await import('./discovery-db.js')).discoveryOperation(call, portal);
  const { askForTargets } = await import('./sendtargets.js');
  await askForTargets(call, portal, { byRecord: mode === 'discoverydb' });
}

/** Nobody has asked for iSNS in this program: see the manual page. */
async function isns(call: Call): Promise<void> {
  const { mode, options, talk } = call;
  if (options.text('p') === undefined) {
    const form = mode === 'discovery' ? '<ipaddr>:[<ipport>]' : '<ipaddr>[:<ipport>]';
    return refuse(call, `Please specify portal as ${form}`);
  }
  talk.complain('iSNS discovery failed: this program asks no iSNS server');
  talk.complain('Could not perform iSNS discovery: iSNS query failed');
  talk.fail(Reported.IsnsQuery);
}

/** Mode discovery without a known -t: the stored records, which are those of SendTargets here. */
async function untyped(call: Call): Promise<void> {
  const { options, talk } = call;
  const portal = portalOf(call);
  const operation = operationOf(options);
  const shows = operation === 'none' || operation === 'show';
  const db = await import('./discovery-db.js');
  if (portal === undefined) return shows ? db.listDiscoveries(call) : refuse(call, 'Invalid operation.');
  const { readDiscovery } = await import('../../services/records/records.js');
  if ((await readDiscovery(resolvePaths(), portal).catch(() => undefined)) === undefined) {
    talk.complain(`Discovery record [${portal.address},${portal.port}] not found!`);
    return talk.fail(Reported.Invalid);
  }
  if (options.has('D') || options.has('l')) {
    return (await import('./sendtargets.js')).askForTargets(call, portal, { byRecord: true });
  }
  if (shows || operation === 'delete') return db.discoveryOperation(call, portal);
  if (operation === 'update' || operation === 'new') {
    return refuse(call, 'Operations new and update for discovery mode is not supported. Use discoverydb mode.');
  }
  refuse(call, 'Invalid operation.');
}

async function untypedDb(call: Call): Promise<void> {
  const { options } = call;
  if (portalOf(call) !== undefined) {
    const reason = operationsOf(options).size > 0 ? '' : 'Portal not needed or ';
    return refuse(call, `Invalid command. ${reason}Possibly missing discovery --type.`);
  }
  const operation = operationOf(options);
  if (operation !== 'none' && operation !== 'show') {
    return refuse(call, 'Invalid operation. Operation not supported.');
  }
  await (await import('./discovery-db.js')).listDiscoveries(call);
}
