// Mode host of the iscsiadm face. As with iscsi_tcp every session is a host of its own, here with the session's number. There is
// no iSCSI hardware, and so nothing in a flash memory and no CHAP table.
import { resolvePaths } from '../../services/paths.js';
import { quickSessions } from '../../services/session/quick-list.js';
import type { Call } from './call.js';
import { operationOf } from './operations.js';
import { Reported } from './reported.js';

const LEVELS = [1, 2, 3, 4] as const;
type Level = (typeof LEVELS)[number];

export async function runHost(call: Call): Promise<void> {
  const { options, talk } = call;
  const submode = options.text('C');
  if (submode === 'chap' || submode === 'flashnode' || submode === 'stats') return hardware(call, submode);
  if (submode === 'ping') return talk.complain('Invalid Sub Mode');
  const level = options.number('P') ?? 0;
  if (level !== 0 && level !== -1 && !isLevel(level)) {
    talk.complain(`Invalid info level ${level}. Try 0 - 4.`);
    return talk.fail(Reported.Invalid);
  }
  const sessions = await quickSessions(resolvePaths());
  if (sessions.length === 0) {
    talk.complain('No iSCSI hosts.');
    return talk.fail(Reported.NoObjects);
  }
  const { showHosts } = await import('./host-show.js');
  await showHosts(call, sessions, isLevel(level) ? level : 0);
}

function isLevel(level: number): level is Level {
  return LEVELS.some((known) => known === level);
}

/** What only a host with its own iSCSI engine has. -H is not checked: no number is one of such a host. */
async function hardware({ options, talk }: Call, submode: 'chap' | 'flashnode' | 'stats'): Promise<void> {
  const host = options.number('H') ?? 0;
  const operation = operationOf(options);
  if (submode === 'chap' && operation === 'none') {
    talk.complain('CHAP mode requires host no and valid operation');
    return talk.fail(Reported.Invalid);
  }
  if (submode === 'chap' && !OF_CHAP.has(operation)) {
    talk.complain('Invalid operation.');
    return talk.fail(Reported.Invalid);
  }
  if (submode === 'flashnode' && !WITHOUT_INDEX.has(operation) && !options.has('x')) {
    talk.complain('Invalid flashnode index');
    return talk.fail(Reported.Invalid);
  }
  talk.complain(`Could not read proc_name for host${host} rc 5.`);
  talk.complain(`Could not match hostno ${submode === 'chap' ? host | 0 : host} to transport.`);
  talk.fail(Reported.NoDriver);
}

const OF_CHAP: ReadonlySet<string> = new Set(['show', 'new', 'update', 'delete']);
const WITHOUT_INDEX: ReadonlySet<string> = new Set(['none', 'show', 'new']);
