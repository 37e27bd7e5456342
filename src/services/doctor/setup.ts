// What is set up here: the initiator's name, iscsid.conf, records, the run folder, sessions of ours and of the kernel's.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { formatAddress } from '../../iscsi/portal.js';
import { messageOf } from '../../util/errors.js';
import { findIdentity } from '../identity.js';
import type { Paths } from '../paths.js';
import { kernelSessions } from '../records/in-use.js';
import { readConfig, selectNodes } from '../records/records.js';
import { showsSecret } from '../secret-rules.js';
import { callSession } from '../session/control.js';
import { ownerLives, readState, sessionFolder, sessionIds } from '../session/folder.js';
import type { SessionInfo } from '../session/info.js';
import { type Check, type Finding, fail, ok, warn } from './finding.js';

/** A worker that is well answers at once. */
const ANSWER_MS = 2000;
/** Of a damaged database not every record is named. */
const MOST_NAMED = 8;

export function setupChecks(paths: Paths): readonly Check[] {
  return [
    { name: 'initiator name', run: () => nameFindings(paths) },
    { name: 'iscsid.conf', run: () => configFindings(paths) },
    { name: 'records', run: () => recordFindings(paths) },
    { name: 'sessions', run: () => sessionFindings(paths) },
    { name: 'kernel sessions', run: () => kernelFindings() },
  ];
}

async function nameFindings(paths: Paths): Promise<Finding[]> {
  const check = 'initiator name';
  const identity = await findIdentity(paths);
  if (identity === undefined) return [ok(check, 'initiator name: none yet, the first login or discovery makes one')];
  return [ok(check, `initiator name ${identity.initiatorName} (${identity.path})`)];
}

async function configFindings(paths: Paths): Promise<Finding[]> {
  const check = 'iscsid.conf';
  const { path, values, warnings } = await readConfig(paths);
  const found = warnings.slice(0, MOST_NAMED).map((text) => warn(check, text, 'lunctl config check'));
  if (!existsSync(path)) return [...found, ok(check, `no ${path}: the usual settings are used`)];
  if (await showsSecret(path, values)) {
    found.push(warn(check, `${path} holds CHAP secrets, and others may read it`, `chmod 600 ${path}`));
  }
  return found.length > 0 ? found : [ok(check, path)];
}

async function recordFindings(paths: Paths): Promise<Finding[]> {
  const { items, warnings } = await selectNodes(paths);
  const bad = warnings.slice(0, MOST_NAMED).map((text) => warn('records', text, 'lunctl node prune --dry-run'));
  const targets = new Set(items.map(({ ref }) => ref.targetName)).size;
  return [...bad, ok('records', `${count(items.length, 'record')} of ${count(targets, 'target')} in ${paths.dbDir}`)];
}

async function sessionFindings(paths: Paths): Promise<Finding[]> {
  const sids = await sessionIds(paths.runDir);
  const found = await Promise.all(sids.map((sid) => sessionFinding(paths, sid)));
  const bad = found.flatMap((finding) => (finding === null ? [] : [finding]));
  const well = sids.length - bad.length;
  return [
    ...bad,
    ok('sessions', `${well === 0 ? 'no session' : count(well, 'session')} logged in, run folder ${paths.runDir}`),
  ];
}

/** null for a session that is well. Nothing is cleaned up. */
async function sessionFinding(paths: Paths, sid: number): Promise<Finding | null> {
  const check = 'sessions';
  const folder = sessionFolder(paths.runDir, sid);
  const state = await readState(folder);
  if (state !== null && !ownerLives(state)) {
    const message = `session ${sid} to ${state.targetName} has lost its process ${state.pid}`;
    return warn(check, message, 'lunctl session show cleans up');
  }
  try {
    const info = (await callSession(paths, sid, 'info', {}, ANSWER_MS, {})) as SessionInfo;
    return stateFinding(info, folder.path);
  } catch (error) {
    return fail(check, `session ${sid} does not answer: ${messageOf(error)}`, `look into ${join(folder.path, 'log')}`);
  }
}

function stateFinding(
  { sid, targetName, recovery, lostSince, lastError, portal }: SessionInfo,
  folder: string,
): Finding | null {
  if (lostSince === null) return null;
  const message = `session ${sid} to ${targetName} lost its connection at ${lostSince}: ${lastError ?? 'no reason known'}`;
  const fix = `lunctl doctor ${formatAddress(portal)}, and ${join(folder, 'log')}`;
  return recovery === 'expired'
    ? fail('sessions', `${message}; I/O fails`, fix)
    : warn('sessions', `${message}; I/O waits`, fix);
}

/** A disk that two initiators of one host write to is lost. */
async function kernelFindings(): Promise<Finding[]> {
  const targets = [...new Set((await kernelSessions()).map(({ targetName }) => targetName))];
  if (targets.length === 0) return [];
  const message = `the kernel's initiator is logged in to ${targets.slice(0, MOST_NAMED).join(', ')}: lunctl refuses those (15)`;
  return [warn('kernel sessions', message, 'iscsiadm -m node -T TARGET --logout, to use lunctl for one')];
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
