// Mode node of the iscsiadm face: which operation is meant, in the order in which iscsiadm looks.
import { resolvePaths } from '../../services/paths.js';
import type { Call } from './call.js';
import { operationOf } from './operations.js';
import { type Pattern, patternOf } from './pattern.js';
import { Reported } from './reported.js';

export async function runNode(call: Call): Promise<void> {
  const { options, talk } = call;
  if (options.has('L')) return (await import('./login.js')).runLoginAll(call);
  if (options.has('U')) return (await import('./logout.js')).runLogoutAll(call);
  if (options.all('I').length > 1) {
    talk.complain('NODE mode only accepts one interface. Using the first one driver  hwaddress  ipaddress .');
  }
  const pattern = patternOf(call);
  if (await ifaceIsMissing(call, pattern.iface)) return;
  await nodeOperation(call, pattern);
}

/** Does what -o, -R, -s, -l and -u say to the records or sessions of a pattern; without any of them, shows. */
export async function nodeOperation(call: Call, pattern: Pattern): Promise<void> {
  const { options, talk } = call;
  const operation = operationOf(options);
  const login = options.has('l');
  const logout = options.has('u');
  if (operation === 'new') return (await import('./node-edit.js')).newNodes(call, pattern);
  if (options.has('R')) return (await import('./sessions.js')).runRescan(call, pattern);
  if (options.has('s')) return (await import('./sessions.js')).runStats(call, pattern);
  if (login && logout) {
    talk.complain('Invalid parameters. Both login and logout passed in');
    return talk.fail(Reported.Invalid);
  }
  if ((login || logout) && operation !== 'none') {
    talk.complain('Invalid parameters. Login/logout and op passed in');
    return talk.fail(Reported.Invalid);
  }
  if (login) return (await import('./login.js')).runLogin(call, pattern);
  if (logout) return (await import('./logout.js')).runLogout(call, pattern);
  if (operation === 'update') return (await import('./node-edit.js')).updateNodes(call, pattern);
  if (operation === 'delete') return (await import('./node-edit.js')).deleteNodes(call, pattern);
  const { listNodes, showNodes } = await import('./node-list.js');
  if (operation === 'show') return showNodes(call, pattern);
  if (operation === 'none') return isWhole(pattern) ? listNodes(call) : showNodes(call, pattern);
  talk.complain('operation is not supported.');
  talk.fail(Reported.Invalid);
}

function isWhole({ targetName, address, iface }: Pattern): boolean {
  return targetName === undefined && address === undefined && iface === undefined;
}

/** Whether -I names an interface that is not there; then it has been said. */
async function ifaceIsMissing({ talk }: Call, name: string | undefined): Promise<boolean> {
  if (name === undefined) return false;
  const { readIface } = await import('../../records/iface-store.js');
  const { dbDir } = resolvePaths();
  try {
    await readIface(dbDir, name);
    return false;
  } catch {
    talk.complain(`Could not read iface info for ${name}.`);
    talk.fail(Reported.NoMemory);
    return true;
  }
}
