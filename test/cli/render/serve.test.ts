// What serve prints: the lines at the start and one for each event.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventLine, listeningLines } from '../../../src/cli/render/serve.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const AT = new Date(2026, 10, 21, 9, 14, 2);
const REMOTE = { address: '192.168.219.102', port: 51_544 };

test('the start names files, addresses, LUNs and who may log in', () => {
  const disk = {
    targetName: TARGET,
    tag: 1,
    lun: 0,
    kind: 'fileio',
    name: 'disk01',
    path: '/srv/disk01.img',
    sizeBytes: 10_737_418_240,
    created: true,
  } as const;
  const server = { portals: [{ address: '0.0.0.0', port: 3260 }], disks: [disk] };
  const text = listeningLines(server, {
    of: () => ({ acl: 'ACL 1', chap: true }),
    reachableAt: '192.168.219.101:3260',
    served: null,
  });
  assert.equal(
    text,
    `created /srv/disk01.img, 10737418240 bytes (sparse)
listening on 0.0.0.0:3260
${TARGET}  tpg1  LUN 0 = fileio /srv/disk01.img  ACL 1  auth CHAP
on another host:  lunctl discovery sendtargets 192.168.219.101:3260      (Ctrl-C stops)
`,
  );
});

test('a login, a refusal with its reason, an end', () => {
  const names = { initiatorName: INITIATOR, targetName: TARGET };
  assert.equal(
    eventLine({ kind: 'login', ...names, session: 1, authenticated: true, reinstated: false }, REMOTE, AT),
    `09:14:02  login   ${INITIATOR}  192.168.219.102:51544  session 1`,
  );
  assert.equal(
    eventLine({ kind: 'refuse', ...names, status: 0x0202, reason: 'not in the ACL' }, REMOTE, AT),
    `09:14:02  refuse  ${INITIATOR}  192.168.219.102:51544  not in the ACL (0x0202); lunctl target explain-auth ${INITIATOR} says more`,
  );
  assert.equal(
    eventLine({ kind: 'end', ...names, session: 1, cause: 'logout', reason: 'logout' }, REMOTE, AT),
    `09:14:02  end     ${INITIATOR}  192.168.219.102:51544  session 1: logout`,
  );
  assert.equal(
    eventLine({ kind: 'end', ...names, session: 1, cause: 'lost', reason: 'no answer to a ping' }, REMOTE, AT),
    `09:14:02  end     ${INITIATOR}  192.168.219.102:51544  session 1 lost: no answer to a ping`,
  );
});

test('control characters of a peer never reach the terminal', () => {
  const line = eventLine({ kind: 'fault', reason: 'bad \u001b[2J\u0007 thing' }, REMOTE, AT);
  assert.ok(!/\p{Cc}/u.test(line));
});
