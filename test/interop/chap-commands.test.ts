// `chap setup`, `test` and `clear` against other people's targets: what they accept is kept, what they refuse is not.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ISTGT_TARGET, type Istgt, istgtMissing, startIstgt } from '../helpers/istgt.js';
import { Sandbox } from '../helpers/sandbox.js';
import { INITIATOR } from '../helpers/session.js';
import { freePort, startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';

const USER = 'username';
const SECRET = 'canary-12345';
const MUTUAL = { user: 'mutualuser', secret: 'canary-mutual' };

let box: Sandbox;
let right: string[];
let wrong: string[];
let mutual: string[];
before(async () => {
  box = await Sandbox.make(INITIATOR);
  right = ['--chap-user', USER, '--chap-secret-file', await box.secretFile('right', SECRET)];
  wrong = ['--chap-user', USER, '--chap-secret-file', await box.secretFile('wrong', 'canary-wrong1')];
  mutual = ['--mutual-user', MUTUAL.user, '--mutual-secret-file', await box.secretFile('mutual', MUTUAL.secret)];
});
after(() => box.stop());

const record = (target: string, port: number) => join(box.folder, `db/nodes/${target}/127.0.0.1,${port}`);

describe('chap: tgt', { skip: tgtMissing() }, () => {
  let tgt: Tgt;
  before(async () => {
    tgt = await startTgt(2 ** 20);
    tgt.requireChap(USER, SECRET);
  });
  after(() => tgt.stop());

  it('a target and a portal need no record; one is made only of what is accepted', async () => {
    const setup = ['chap', 'setup', TGT_TARGET, '-p', `127.0.0.1:${tgt.port}`];
    const refused = await box.run(...setup, ...wrong);
    assert.equal(refused.code, 24, refused.stderr);
    assert.match(refused.stderr, /^lunctl: nothing was stored: .*login status 0x0201\) \[24\]\nhint: .*--no-test/);
    assert.ok(!existsSync(record(TGT_TARGET, tgt.port)));
    const { stdout } = await box.ok(...setup, ...right);
    assert.match(
      stdout,
      /: login accepted \(CHAP, MD5; the target was not asked to prove itself\)\nSaved to .* \(mode 0600\)\n$/,
    );
    assert.match(readFileSync(record(TGT_TARGET, tgt.port), 'utf8'), /^node\.session\.auth\.username = username$/m);
  });
  it('a list in which SHA256 is first gets its second try, as a login does', async () => {
    await box.ok('node', 'set', TGT_TARGET, 'node.session.auth.chap_algs=SHA256,MD5');
    assert.match((await box.ok('chap', 'test', TGT_TARGET)).stdout, /login accepted \(CHAP, MD5; /);
    await box.ok('node', 'set', TGT_TARGET, 'node.session.auth.chap_algs=SHA256');
    const { code, stderr } = await box.run('chap', 'test', TGT_TARGET);
    assert.equal(code, 24);
    assert.match(
      stderr,
      /hint: some targets take CHAP algorithm 7 \(SHA256\) for SHA1: lunctl node set \S+ node\.session\.auth\.chap_algs=MD5$/m,
    );
    await box.ok('node', 'set', TGT_TARGET, 'node.session.auth.chap_algs=SHA3-256,MD5');
  });
  it('a session that is up goes on', async () => {
    await box.ok('login', TGT_TARGET, '--attach', 'none');
    const shown = async () => {
      const { sessions } = JSON.parse((await box.ok('session', 'show', '--json')).stdout) as {
        sessions: Record<string, unknown>[];
      };
      return sessions.map(({ sid, state, tsih, loggedInAt, lastError }) => ({
        sid,
        state,
        tsih,
        loggedInAt,
        lastError,
      }));
    };
    const before = await shown();
    await box.ok('chap', 'test', TGT_TARGET);
    assert.deepEqual(await shown(), before);
    assert.deepEqual([before.length, before[0]?.lastError], [1, null]);
    await box.ok('logout', TGT_TARGET);
  });
  it('every portal of the target gets the credentials; one that cannot be reached keeps nobody', async () => {
    const closed = await freePort();
    await box.ok('node', 'new', TGT_TARGET, '-p', `127.0.0.1:${closed}`);
    const { stdout } = await box.ok('chap', 'setup', TGT_TARGET, ...right);
    assert.equal(stdout.match(/^Saved to /gm)?.length, 2, stdout);
    for (const port of [tgt.port, closed]) {
      assert.match(readFileSync(record(TGT_TARGET, port), 'utf8'), /^node\.session\.auth\.password = canary-12345$/m);
    }
    const tested = await box.run('chap', 'test', TGT_TARGET);
    assert.equal(tested.code, 8);
    assert.match(tested.stdout, /login accepted/);
    assert.match(tested.stderr, /connection refused \[8\]/);
    const alone = await box.run('chap', 'setup', TGT_TARGET, '-p', `127.0.0.1:${closed}`, ...wrong);
    assert.equal(alone.code, 8);
    assert.match(alone.stderr, /nothing was stored: .*connection refused/);
  });
  it('credentials are forgotten, and those of iscsid.conf count again', async () => {
    await box.ok('chap', 'clear', TGT_TARGET);
    assert.doesNotMatch(
      readFileSync(record(TGT_TARGET, tgt.port), 'utf8'),
      /username|password|auth\.authmethod = CHAP/,
    );
    const { code, stderr } = await box.run('chap', 'test', TGT_TARGET, '-p', `127.0.0.1:${tgt.port}`);
    assert.equal(code, 21, stderr);
    assert.match(stderr, /^lunctl: no CHAP credentials are stored for .*\nhint: lunctl chap setup iqn/);
    const config = join(box.folder, 'etc/iscsid.conf');
    const auth = 'node.session.auth.';
    await writeFile(config, `${auth}username = ${USER}\n${auth}password = ${SECRET}\n`, { mode: 0o600 });
    const cleared = await box.ok('chap', 'clear', TGT_TARGET, '-p', `127.0.0.1:${tgt.port}`);
    assert.match(cleared.stderr, /^warning: from now on logins use the credentials of iscsid\.conf in /);
    const columns = ['-n', '-o', 'USER,SECRET,FROM'];
    const { stdout } = await box.ok('chap', 'show', TGT_TARGET, '-p', `127.0.0.1:${tgt.port}`, ...columns);
    assert.equal(stdout, 'username  good  iscsid.conf\n');
    await box.ok('chap', 'test', TGT_TARGET, '-p', `127.0.0.1:${tgt.port}`);
    await rm(config);
  });
});

describe('chap: istgt', { skip: istgtMissing() }, () => {
  let istgt: Istgt;
  before(async () => {
    istgt = await startIstgt(4, { user: USER, secret: SECRET }, MUTUAL);
  });
  after(() => istgt.stop());

  it('discovery has credentials of its own, stored before the first discovery', async () => {
    const portal = ['--discovery', '-p', `127.0.0.1:${istgt.port}`];
    assert.equal((await box.run('chap', 'setup', ...portal, ...wrong)).code, 24);
    assert.ok(!existsSync(join(box.folder, 'db/send_targets')));
    const { stdout } = await box.ok('chap', 'setup', ...portal, ...right, ...mutual);
    assert.match(
      stdout,
      /^discovery at 127\.0\.0\.1:\d+: login accepted \(CHAP, MD5; the target proved itself as mutualuser\)$/m,
    );
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${istgt.port}`);
    await box.ok('chap', 'test', ISTGT_TARGET, '--discovery');
  });
  it('a target that proves itself wrongly is not stored', async () => {
    const other = ['--mutual-user', 'somebody', '--mutual-secret-file', mutual[3] as string];
    const refused = await box.run('chap', 'setup', ISTGT_TARGET, ...right, ...other);
    assert.equal(refused.code, 24);
    assert.match(refused.stderr, /nothing was stored: .*the target did not prove its identity \(mutual CHAP\) \[24\]/);
    const { stdout } = await box.ok('chap', 'setup', ISTGT_TARGET, ...right, ...mutual);
    assert.match(stdout, /the target proved itself as mutualuser\)/);
    await box.ok('login', ISTGT_TARGET, '--attach', 'none');
    await box.ok('logout', ISTGT_TARGET);
  });
  it('shown without secrets, in columns', async () => {
    const { stdout } = await box.ok('chap', 'show', ISTGT_TARGET, '-n', '-o', 'METHOD,USER,SECRET,MUTUAL,FROM');
    assert.match(stdout, /^CHAP {2}username {2}good {2}mutualuser {2}record\n$/);
    assert.match((await box.ok('chap', 'show', ISTGT_TARGET, '-S', '-o', 'SECRET')).stdout, /^canary-12345$/m);
  });
});
