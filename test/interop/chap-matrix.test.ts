// The CHAP matrix against tgt, istgt and our own target; then names and secrets that are hard to carry.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { loginForeground } from '../../src/services/login.js';
import { ISTGT_TARGET, istgtMissing, startIstgt } from '../helpers/istgt.js';
import { OWN_TARGET, startOwn } from '../helpers/own-target.js';
import { chap, INITIATOR, loginRequest, makeRunFolder } from '../helpers/session.js';
import { startTgt, TGT_TARGET, tgtMissing } from '../helpers/tgt.js';
import { type ChapSubject, runChapMatrix } from './chap-matrix.js';

const ACCOUNT = { user: 'username', secret: 'canary-12345' };
const MUTUAL = { user: 'mutualuser', secret: 'canary-mutual' };
// istgt, and after ten refusals serve, take a second for each login: the short form leaves two algorithms out.
const ALONE = process.env.LUNCTL_TEST_MATRIX === 'all' ? {} : { alone: [5, 8] };
const BOTH = { account: ACCOUNT, mutual: MUTUAL };

async function check(t: TestContext, subject: Omit<ChapSubject, 'address'>): Promise<void> {
  const failures: string[] = [];
  const say = (line: string) => {
    t.diagnostic(line);
    if (line.startsWith('FAIL')) failures.push(line);
  };
  const { failed, total } = await runChapMatrix({ address: '127.0.0.1', ...subject }, say);
  assert.equal(failed, 0, failures.join('\n'));
  assert.ok(total >= 20);
}

/** Names and secrets that are hard to carry: separators of the text format, of lists and of URLs, UTF-8, every length. */
const HARD: readonly { readonly user: string; readonly secret: string }[] = [
  { user: 'a=b,c;d%25"e\'f\\g', secret: 'p=1,2;"\'\\%25 inside' },
  { user: 'Jürgen Müller 日本', secret: 'Schlüßel-日本-🔑' },
  { user: INITIATOR, secret: '1' },
  { user: '0x6162', secret: '0x616263646566' },
  { user: 'None', secret: 'Reject' },
  { user: 'u'.repeat(223), secret: 's'.repeat(100) },
  { user: 'u'.repeat(255), secret: 'x'.repeat(255) },
];

/** Whether a login with these ends in a session that CHAP has authenticated. */
async function authenticated(targetName: string, port: number, account: { user: string; secret: string }) {
  const folder = makeRunFolder();
  try {
    const credentials = chap(account.user, account.secret);
    const session = await loginForeground(loginRequest(targetName, port, { foreground: true, credentials }), {
      paths: folder.paths,
    });
    const { authMethod, chapUser } = session.info;
    await session.logout();
    await session.ended;
    return authMethod === 'CHAP' && chapUser === account.user;
  } finally {
    folder.remove();
  }
}

describe('CHAP names and secrets that are hard to carry', () => {
  for (const account of HARD) {
    const label = `${account.user.slice(0, 24)} (${Buffer.byteLength(account.secret)} bytes)`;
    it(`our own target: ${label}`, async () => {
      const own = await startOwn({ account });
      try {
        assert.equal(await authenticated(OWN_TARGET, own.port, account), true);
        const wrong = { ...account, secret: `${account.secret.slice(0, -1)}~` };
        await assert.rejects(authenticated(OWN_TARGET, own.port, wrong), { code: 'ERR_LOGIN_AUTH' });
      } finally {
        await own.stop();
      }
    });
    // tgtadm reads commas and equals signs itself.
    if (/[,=]/.test(account.user)) continue;
    it(`tgt: ${label}`, { skip: tgtMissing() }, async () => {
      const tgt = await startTgt(2 ** 20);
      try {
        tgt.requireChap(account.user, account.secret);
        assert.equal(await authenticated(TGT_TARGET, tgt.port, account), true);
      } finally {
        await tgt.stop();
      }
    });
  }
});

// istgt takes a second for each connection: side by side nobody waits for it.
describe('CHAP matrix', { concurrency: true }, () => {
  it('tgt: MD5 is right, 7 is its SHA1, no others', { skip: tgtMissing() }, async (t) => {
    const tgt = await startTgt(2 ** 20);
    const openTarget = `${TGT_TARGET}.open`;
    try {
      tgt.requireChap(ACCOUNT.user, ACCOUNT.secret);
      tgt.proveAs(MUTUAL.user, MUTUAL.secret);
      tgt.adm('--op', 'new', '--mode', 'target', '--tid', '2', '-T', openTarget);
      tgt.adm('--op', 'bind', '--mode', 'target', '--tid', '2', '-I', 'ALL');
      const facts = { algorithms: [5], mistakesSeven: true, openTarget };
      await check(t, { port: tgt.port, targetName: TGT_TARGET, ...BOTH, ...facts });
    } finally {
      await tgt.stop();
    }
  });

  it('istgt: MD5 alone', { skip: istgtMissing() }, async (t) => {
    const istgt = await startIstgt(1, ACCOUNT, MUTUAL);
    try {
      await check(t, {
        port: istgt.port,
        targetName: ISTGT_TARGET,
        ...BOTH,
        algorithms: [5],
        discovery: true,
        ...ALONE,
      });
    } finally {
      await istgt.stop();
    }
  });

  it('our own target: all four', async (t) => {
    const own = await startOwn({ account: ACCOUNT, mutual: MUTUAL });
    try {
      await check(t, { port: own.port, targetName: OWN_TARGET, ...BOTH, algorithms: [5, 6, 7, 8], ...ALONE });
    } finally {
      await own.stop();
    }
  });
});
