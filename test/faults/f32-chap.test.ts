// F32: every way in which CHAP can fail, against our target, tgt and the fake one: 24, at once, after one try, and no word
// about whether the user or the secret was wrong.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { exitCodeOf } from '../../src/cli/exit-codes.js';
import type { Credentials } from '../../src/services/session/info.js';
import { AppError } from '../../src/util/errors.js';
import { lateness } from '../helpers/lateness.js';
import { serveDisks } from '../helpers/own-target.js';
import { rankDifference } from '../helpers/rank-difference.js';
import { Sandbox } from '../helpers/sandbox.js';
import { chap, INITIATOR } from '../helpers/session.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';
import { FAKE_TARGET, FakeServer } from './fake-server.js';
import { connect } from './initiator.js';
import { FaultProxy } from './proxy.js';
import { count, figure, percentile } from './rig.js';

/** Tries of each kind, for the comparison of their times; 200 in the long form. */
const TRIES = count('F32_TRIES', 40);
const USER = 'username';
const SECRET = 'canary-12345';
const MUTUAL = { user: 'mutualuser', secret: 'canary-mutual' };
const OTHER = 'canary-other1';

type Case = readonly [what: string, credentials: Credentials | null];
const both = (user: string, secret: string, mutual = MUTUAL): Credentials => ({ ...chap(user, secret, [5]), mutual });

/** Of a target that knows USER and, for mutual CHAP, MUTUAL. */
const CASES: readonly Case[] = [
  ['an unknown user', chap('nobody', SECRET, [5])],
  ['a wrong secret', chap(USER, OTHER, [5])],
  ['an unknown user and a wrong secret', chap('nobody', OTHER, [5])],
  ['no credentials', null],
  ['mutual: an unknown user', both('nobody', SECRET)],
  ['mutual: a wrong secret', both(USER, OTHER)],
  ['mutual: another target user', both(USER, SECRET, { ...MUTUAL, user: 'somebody' })],
  ['mutual: a wrong target secret', both(USER, SECRET, { ...MUTUAL, secret: OTHER })],
];
/** Those after which nobody may say which half was wrong. */
const ALIKE = [CASES[0], CASES[1], CASES[2]] as readonly Case[];

interface Refused {
  readonly error: AppError;
  readonly ms: number;
  /** Of these, what a busy machine has added. */
  readonly late: number;
  /** Connections that were made. */
  readonly tries: number;
}

/** One login through a proxy, which counts. */
async function refused(port: number, targetName: string, credentials: Credentials | null): Promise<Refused> {
  const proxy = await FaultProxy.start(port);
  try {
    const late = lateness();
    const began = performance.now();
    const error = await connect(proxy.port, { targetName, credentials }).then(
      () => assert.fail('logged in'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof AppError, String(error));
    return { error, ms: performance.now() - began, late: late(), tries: proxy.links.length };
  } finally {
    await proxy.close();
  }
}

function check({ error, ms, late, tries }: Refused, algorithms = 1): void {
  assert.equal(exitCodeOf(error), 24, error.message);
  assert.equal(error.retriable, false);
  assert.ok(ms < 1000 + late, `${ms} ms, ${late} ms late`);
  assert.ok(tries <= algorithms, `${tries} connections`);
  for (const secret of [SECRET, OTHER, MUTUAL.secret]) assert.ok(!`${error.message} ${error.hint}`.includes(secret));
}

/** Without what the case itself put there: the port and the user's own name. */
function text({ message }: AppError): string {
  return message.replace(/127\.0\.0\.1:\d+/, 'PORTAL').replaceAll(/nobody|username/g, 'USER');
}

async function ours() {
  return serveDisks(FAKE_TARGET, [{ kind: 'ramdisk', name: 'ram', sizeBytes: 2 ** 22 }], {
    account: { user: USER, secret: SECRET },
    mutual: MUTUAL,
  });
}

/** A target's port, for one case: our own slows an address down after ten failures. */
type With = (use: (port: number) => Promise<void>) => Promise<void>;

function matrix(targetName: string, target: With): void {
  for (const [what, credentials] of CASES) {
    it(`refuses ${what} with 24, at once, after one try`, () =>
      target(async (port) => check(await refused(port, targetName, credentials))));
  }
  it('says the same of an unknown user and of a wrong secret', () =>
    target(async (port) => {
      const texts = new Set<string>();
      for (const [, credentials] of ALIKE) texts.add(text((await refused(port, targetName, credentials)).error));
      assert.equal(texts.size, 1, [...texts].join('\n'));
    }));
  it('lets in who is right, both ways', () =>
    target(async (port) => {
      const initiator = await connect(port, { targetName, credentials: both(USER, SECRET) });
      assert.equal(initiator.open.authMethod, 'CHAP');
      await initiator.close();
    }));
  it('a list of algorithms ends in two tries at most', () =>
    target(async (port) => {
      check(await refused(port, targetName, chap(USER, OTHER, [8, 5, 7, 6])), 2);
    }));
}

describe('F32 our target', { concurrency: 4 }, () => {
  matrix(FAKE_TARGET, async (use) => {
    const server = await ours();
    try {
      await use(server.portals[0]?.port ?? 0);
    } finally {
      await server.close();
    }
  });

  it('the command ends with 24 too, and leaves nothing', async () => {
    const box = await Sandbox.make(INITIATOR);
    const server = await ours();
    try {
      const { port } = server.portals[0] as { port: number };
      await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
      const file = await box.secretFile('wrong', OTHER);
      const login = ['node', 'login', FAKE_TARGET, '--attach', 'none'];
      const run = await box.run(...login, '--chap-user', USER, '--chap-secret-file', file);
      assert.equal(run.code, 24, run.stderr);
      assert.equal(run.stderr.match(/refused/g)?.length, 1, run.stderr);
      assert.deepEqual(box.leftovers(), []);
    } finally {
      await server.close();
      await box.stop();
    }
  });
});

describe('F32 tgt', { skip: tgtMissing() }, () => {
  let tgt: Tgt;
  before(async () => {
    tgt = await startTgt();
    tgt.requireChap(USER, SECRET);
    tgt.adm('--op', 'new', '--mode', 'account', '--user', MUTUAL.user, '--password', MUTUAL.secret);
    tgt.adm('--op', 'bind', '--mode', 'account', '--tid', '1', '--user', MUTUAL.user, '--outgoing');
  });
  after(() => tgt.stop());
  matrix(TGT_TARGET, (use) => use(tgt.port));
});

describe('F32 the fake target', () => {
  let server: FakeServer;
  before(async () => {
    const find = (user: string) => (user === USER ? { secret: SECRET, mutual: MUTUAL } : undefined);
    server = await new FakeServer(undefined, { chap: { find } }).start();
  });
  after(async () => {
    await server.stop();
    assert.deepEqual(server.faults, []);
  });
  matrix(FAKE_TARGET, (use) => use(server.port));

  it('takes as long over an unknown user as over a wrong secret', async () => {
    // The same core as our own target's, without the delay that ten failures of an address bring there.
    const times: [number[], number[]] = [[], []];
    const accounts = [chap('nobody', SECRET, [5]), chap(USER, OTHER, [5])] as const;
    for (let i = 0; i < TRIES; i++) {
      // The order alternates, so that what comes first in a pair favours nobody.
      for (const which of i % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
        const began = performance.now();
        await assert.rejects(connect(server.port, { credentials: accounts[which] }));
        times[which].push(performance.now() - began);
      }
    }
    // The quick ones: what the machine does beside it makes only the others slower.
    const [unknown, wrong] = times.map((list) => percentile(list, 0.2)) as [number, number];
    figure('F32', `unknown user ${unknown.toFixed(1)} ms, wrong secret ${wrong.toFixed(1)} ms (p20, n=${TRIES} each)`);
    // What a busy machine makes of so few does not go by ranks.
    const z = rankDifference(...times);
    const close = Math.abs(unknown - wrong) < 5 + 0.5 * Math.min(unknown, wrong);
    assert.ok(close || Math.abs(z) < 4, `${unknown} and ${wrong} ms, ${z} standard deviations apart`);
  });
});
