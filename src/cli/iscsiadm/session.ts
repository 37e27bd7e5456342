// Mode session of the iscsiadm face. The plain list loads next to nothing: scripts poll it.
import { resolvePaths } from '../../services/paths.js';
import { type QuickSession, quickSessions } from '../../services/session/quick-list.js';
import { sessionLine } from '../render/iscsiadm.js';
import type { Call } from './call.js';
import { operationOf } from './operations.js';
import { Reported } from './reported.js';
import { readSid } from './sid.js';

const LEVELS = [1, 2, 3] as const;
type Level = (typeof LEVELS)[number];

export async function runSession(call: Call): Promise<void> {
  const { options, talk } = call;
  const which = options.text('r');
  if (which !== undefined) return oneSession(call, which);
  if (operationOf(options) === 'new') {
    talk.complain("session mode: Operation 'new' only allowed with specific session IDs");
    return talk.fail(Reported.Invalid);
  }
  if (isWork(call)) return (await import('./node.js')).nodeOperation(call, { tpgt: -1 });
  const sessions = await quickSessions(resolvePaths());
  if (sessions.length === 0) {
    talk.complain('No active sessions.');
    return talk.fail(Reported.NoObjects);
  }
  await show(call, sessions);
}

/** Whether something is to be done to sessions, and not only shown. */
function isWork({ options }: Call): boolean {
  return ['u', 'R', 's'].some((letter) => options.has(letter));
}

async function show(call: Call, sessions: readonly QuickSession[]): Promise<void> {
  const { options, talk } = call;
  const level = options.number('P') ?? 0;
  if (level === 0 || level === -1) {
    return talk.out(sessions.map((session) => sessionLine({ ...session, ...session.portal })).join(''));
  }
  if (!isLevel(level)) {
    talk.complain(`Invalid info level ${level}. Try 0 - 3.`);
    return talk.fail(Reported.Invalid);
  }
  const { showBlocks } = await import('./session-show.js');
  await showBlocks(call, sessions, level);
}

function isLevel(level: number): level is Level {
  return LEVELS.some((known) => known === level);
}

/** `-r`: what else is asked is done to this session, or to the record that it was made from. */
async function oneSession(call: Call, which: string): Promise<void> {
  const { options, talk } = call;
  // What is neither a number nor a path has been refused with the other options.
  const sid = readSid(which);
  const session = (await quickSessions(resolvePaths())).find((one) => one.sid === sid);
  if (session === undefined) {
    talk.complain('could not read session targetname: 5');
    talk.complain(`Could not get session info for sid ${sid}`);
    return talk.fail(Reported.SysfsLookup);
  }
  const operation = operationOf(options);
  if (!isWork(call) && operation === 'none' && (options.number('P') ?? 0) > 0) return show(call, [session]);
  const { targetName, iface, portal } = session;
  const pattern = {
    targetName,
    address: portal.address,
    port: portal.port,
    tpgt: portal.tpgt,
    iface,
    sid: session.sid,
  };
  if (operation === 'new') return (await import('./login.js')).runLogin(call, pattern, { further: true });
  return (await import('./node.js')).nodeOperation(call, pattern);
}
