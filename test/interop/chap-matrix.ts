// Every CHAP algorithm, one-way and mutual, with right and wrong names and secrets, against one target. A program for any
// target, and what the tests call:
//   node --import tsx test/interop/chap-matrix.ts HOST:PORT TARGET USER SECRET [MUTUALUSER MUTUALSECRET]
// The target must want CHAP with these (secrets of tests only: they are visible to all while this runs). Environment:
// CHAP_ALGORITHMS (those that the target knows, default 5,6,7,8), CHAP_OPEN_TARGET (a target at the same portal that wants
// no CHAP), CHAP_DISCOVERY=1 (discovery wants CHAP too), MATRIX_INITIATOR. One line per case; exit 1 when one failed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parsePortal } from '../../src/iscsi/portal.js';
import { discoverSendTargets } from '../../src/services/discover.js';
import { loginForeground } from '../../src/services/login.js';
import type { Credentials } from '../../src/services/session/info.js';
import { AppError } from '../../src/util/errors.js';
import { INITIATOR, loginRequest } from '../helpers/session.js';
import { type Relay, startRelay } from './wire-check.js';

export interface ChapSubject {
  readonly address: string;
  readonly port: number;
  readonly targetName: string;
  readonly account: { readonly user: string; readonly secret: string };
  /** What the target proves in return; null where it has nothing for that. */
  readonly mutual: { readonly user: string; readonly secret: string } | null;
  /** CHAP_A numbers that the target knows and means as RFC 7143 does. */
  readonly algorithms: readonly number[];
  /** It takes 7 for another hash, as tgt does: with MD5 in the list a second connection offers that alone. */
  readonly mistakesSeven?: boolean;
  /** The algorithms to try alone; default all. */
  readonly alone?: readonly number[];
  readonly openTarget?: string;
  readonly discovery?: boolean;
  readonly initiatorName?: string;
}

/** What a case must come to: an error code, or CHAP. `connections` is how many it takes, retry included. */
interface Case {
  readonly name: string;
  readonly credentials: Credentials | null;
  readonly expect: string;
  readonly connections?: number;
  readonly target?: string;
  readonly discovery?: boolean;
}

const DEFAULT_LIST = [8, 5, 7, 6];
const NAMES: Readonly<Record<number, string>> = { 5: 'MD5', 6: 'SHA1', 7: 'SHA256', 8: 'SHA3-256' };
const REFUSED = 'ERR_LOGIN_AUTH';

function casesOf(subject: ChapSubject): Case[] {
  const { account, mutual, algorithms, openTarget } = subject;
  const cases: Case[] = [];
  const add = (name: string, credentials: Credentials | null, expect: string, more: Partial<Case> = {}) =>
    cases.push({ name, credentials, expect, ...more });
  for (const algorithm of subject.alone ?? [5, 6, 7, 8]) {
    const right = algorithms.includes(algorithm) ? 'CHAP' : REFUSED;
    const one = { ...account, algorithms: [algorithm] };
    // The list has one entry, and it is obeyed: nothing weaker is tried.
    const once = { connections: 1 };
    const label = NAMES[algorithm] ?? '';
    add(`${label} right secret`, one, right, once);
    add(`${label} wrong secret`, { ...one, secret: 'canary-wrong1x' }, REFUSED, once);
    add(`${label} unknown user`, { ...one, user: 'nobody' }, REFUSED, once);
    if (mutual === null) {
      add(
        `${label} mutual, not configured there`,
        { ...one, mutual: { user: 'm', secret: 'canary-of-it-1' } },
        REFUSED,
      );
      continue;
    }
    add(`${label} mutual right`, { ...one, mutual }, right, once);
    add(`${label} mutual right, any name`, { ...one, mutual: { ...mutual, user: '' } }, right, once);
    add(
      `${label} mutual wrong target secret`,
      { ...one, mutual: { ...mutual, secret: 'canary-nothis' } },
      REFUSED,
      once,
    );
    add(`${label} mutual wrong target name`, { ...one, mutual: { ...mutual, user: 'other' } }, REFUSED, once);
    add(`${label} mutual wrong own secret`, { ...one, secret: 'canary-wrong1x', mutual }, REFUSED, once);
  }
  const list = { ...account, algorithms: DEFAULT_LIST };
  // Only a refused answer to 7 may be the hash's fault: everything else ends with the first connection.
  add('default list right secret', list, 'CHAP', { connections: 1 });
  add('default list wrong secret', { ...list, secret: 'canary-wrong1x' }, REFUSED, { connections: 1 });
  add('default list unknown user', { ...list, user: 'nobody' }, REFUSED, { connections: 1 });
  const sevenFirst = { ...account, algorithms: [7, 5] };
  const { mistakesSeven = false } = subject;
  const chosen = mistakesSeven || algorithms.includes(7);
  add('7 before 5, right secret', sevenFirst, 'CHAP', { connections: mistakesSeven ? 2 : 1 });
  add('7 before 5, wrong secret', { ...sevenFirst, secret: 'canary-wrong1x' }, REFUSED, {
    connections: chosen ? 2 : 1,
  });
  add('one secret for both directions', { ...list, mutual: { user: 'm', secret: account.secret } }, 'ERR_USAGE', {
    connections: 0,
  });
  // LIO says why only to a second question.
  add('no credentials', null, REFUSED);
  // LIO refuses the offer itself, before a challenge: then MD5 alone is offered once more, and never None.
  if (openTarget !== undefined) add('a target without CHAP', list, REFUSED, { target: openTarget });
  if (subject.discovery) {
    const discovery = true;
    add('discovery right secret', list, 'CHAP', { discovery });
    add('discovery wrong secret', { ...list, secret: 'canary-wrong1x' }, REFUSED, { discovery });
    add('discovery without credentials', null, REFUSED, { discovery });
    if (mutual !== null) {
      add('discovery mutual right', { ...list, mutual }, 'CHAP', { discovery });
      add(
        'discovery mutual wrong target secret',
        { ...list, mutual: { ...mutual, secret: 'canary-nothis' } },
        REFUSED,
        { discovery },
      );
    }
  }
  return cases;
}

/** Goes through every case, and says how each went. @returns how many failed */
export async function runChapMatrix(
  subject: ChapSubject,
  say: (line: string) => void,
): Promise<{ failed: number; total: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-chap-'));
  const relay = await startRelay(subject.address, subject.port);
  const cases = casesOf(subject);
  let failed = 0;
  try {
    for (const one of cases) {
      const before = relay.logs.length;
      const began = performance.now();
      const { result, message } = await attempt(subject, one, relay, folder);
      const ms = Math.round(performance.now() - began);
      const logs = relay.logs.slice(before);
      const problems = [];
      if (result !== one.expect) problems.push(`expected ${one.expect}`);
      if (one.connections !== undefined && logs.length !== one.connections) {
        problems.push(`${logs.length} connections where ${one.connections} were due`);
      }
      for (const { offered } of logs) {
        if (one.credentials !== null && offered.size > 0 && offered.get('AuthMethod') !== 'CHAP')
          problems.push('offered something else than CHAP');
      }
      const first = logs[0]?.offered.get('CHAP_A');
      if (first !== undefined && first !== one.credentials?.algorithms.join(','))
        problems.push(`offered CHAP_A=${first}`);
      if (Object.values(secretsOf(subject)).some((secret) => message.includes(secret)))
        problems.push('the message holds a secret');
      if (problems.length > 0) failed++;
      say(
        `${problems.length === 0 ? 'ok  ' : 'FAIL'} ${one.name}: ${result} in ${ms} ms, ${logs.length} connections ${problems.join('; ')} ${message}`,
      );
    }
  } finally {
    await relay.close();
    rmSync(folder, { recursive: true, force: true });
  }
  return { failed, total: cases.length };
}

function secretsOf({ account, mutual }: ChapSubject): string[] {
  // Short ones may be part of any message.
  return [account.secret, mutual?.secret ?? ''].filter((secret) => secret.length >= 8);
}

async function attempt(
  { targetName, initiatorName = INITIATOR }: ChapSubject,
  { credentials, target, discovery }: Case,
  { port }: Relay,
  folder: string,
): Promise<{ result: string; message: string }> {
  const paths = { runDir: join(folder, 'run'), dbDir: join(folder, 'db') };
  try {
    if (discovery) {
      const found = await discoverSendTargets({ portal: { address: '127.0.0.1', port }, initiatorName, credentials });
      return { result: found.some((one) => one.targetName === targetName) ? 'CHAP' : 'nothing', message: '' };
    }
    const request = loginRequest(target ?? targetName, port, { foreground: true, credentials, initiatorName });
    const session = await loginForeground(request, { paths });
    const { authMethod } = session.info;
    await session.logout();
    await session.ended;
    return { result: authMethod, message: '' };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { result: error.code, message: error.message };
  }
}

async function main(args: readonly string[]): Promise<void> {
  const [portal = '', targetName = '', user = '', secret = '', mutualUser, mutualSecret] = args;
  if (secret === '') throw new Error('usage: chap-matrix.ts HOST:PORT TARGET USER SECRET [MUTUALUSER MUTUALSECRET]');
  const { CHAP_ALGORITHMS = '5,6,7,8', CHAP_OPEN_TARGET, CHAP_DISCOVERY, MATRIX_INITIATOR } = process.env;
  const subject: ChapSubject = {
    ...parsePortal(portal),
    targetName,
    account: { user, secret },
    mutual: mutualUser === undefined || mutualSecret === undefined ? null : { user: mutualUser, secret: mutualSecret },
    algorithms: CHAP_ALGORITHMS.split(',').map(Number),
    discovery: CHAP_DISCOVERY === '1',
    ...(CHAP_OPEN_TARGET === undefined ? {} : { openTarget: CHAP_OPEN_TARGET }),
    ...(MATRIX_INITIATOR === undefined ? {} : { initiatorName: MATRIX_INITIATOR }),
  };
  const { failed, total } = await runChapMatrix(subject, (line) => console.log(line));
  console.log(`${total - failed} of ${total} cases passed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
