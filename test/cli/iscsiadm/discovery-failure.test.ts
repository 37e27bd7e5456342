// What iscsiadm says of an attempt at a discovery that has failed, and whether it tries again (recorded from 2.1.8).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DiscoveryEnd, tellFailure } from '../../../src/cli/iscsiadm/discovery-failure.js';
import { Talk } from '../../../src/cli/iscsiadm/talk.js';
import { RefusedLogin } from '../../../src/initiator/login-refusal.js';
import { SilentHost } from '../../../src/transport/connect.js';
import { AppError } from '../../../src/util/errors.js';

class Heard extends Talk {
  readonly lines: string[] = [];
  override complain(text: string): void {
    this.lines.push(text);
  }
}

const PORTAL = { address: 'storage.example', host: '192.0.2.7', answerMs: 30_000 };
const AGAIN: DiscoveryEnd = { kind: 'again' };
const over = (number: number): DiscoveryEnd => ({ kind: 'over', number });
/** As `discoverSendTargets` throws it: the reason is behind the error. */
const behind = (cause: unknown, code: AppError['code'] = 'ERR_TIMEOUT') =>
  new AppError('ERR_TIMEOUT', 'discovery failed', { cause: new AppError(code, 'inner', { cause }) });
const system = (syscall: string, code: string) => behind(Object.assign(new Error(code), { syscall, code }));
const fault = (word: string) => new AppError('ERR_TIMEOUT', 'what has happened', { fault: word });
const refused = (status: number) => behind(new RefusedLogin(status, 'ERR_LOGIN_AUTH', 'refused', {}));

const CASES: [string, unknown, DiscoveryEnd, string[]][] = [
  [
    'a name that nobody knows',
    system('getaddrinfo', 'EAI_AGAIN'),
    over(4),
    [
      'Cannot resolve host storage.example. getaddrinfo error: [Temporary failure in name resolution]',
      'cannot resolve host name storage.example',
      'cannot resolve host name storage.example',
    ],
  ],
  [
    'a refused connection',
    system('connect', 'ECONNREFUSED'),
    AGAIN,
    ['cannot make connection to 192.0.2.7: Connection refused'],
  ],
  [
    'no route',
    system('connect', 'ENETUNREACH'),
    AGAIN,
    ['cannot make connection to 192.0.2.7: Network is unreachable'],
  ],
  ['a silent host', behind(new SilentHost()), AGAIN, ['connect to 192.0.2.7 timed out']],
  [
    'a service that closes the connection',
    fault('closed'),
    AGAIN,
    [
      'Connection to Discovery Address 192.0.2.7 closed',
      'Login I/O error, failed to receive a PDU',
      'retrying discovery login to 192.0.2.7',
    ],
  ],
  [
    'a service that says nothing',
    fault('silent'),
    over(19),
    [
      'Login response timeout. Waited 30 seconds and did not get response PDU.',
      'discovery login to 192.0.2.7 failed, giving up 2',
    ],
  ],
  ['a service that is no target', fault('not-iscsi'), over(11), ['what has happened']],
  [
    'a status of authentication',
    refused(0x0201),
    over(24),
    [
      'Login failed to authenticate with target ',
      'discovery login to 192.0.2.7 rejected: initiator failed authorization',
    ],
  ],
  [
    'an initiator that is not admitted',
    refused(0x0202),
    over(24),
    ['discovery login to 192.0.2.7 rejected: initiator failed authorization'],
  ],
  [
    'another status of class 2',
    refused(0x0205),
    over(19),
    ['discovery login to 192.0.2.7 rejected: initiator error (02/05), non-retryable, giving up'],
  ],
  ['a target that is busy', refused(0x0302), AGAIN, ['discovery login to 192.0.2.7 rejected: target error (03/02)']],
];

for (const [name, error, end, lines] of CASES) {
  test(name, () => {
    const talk = new Heard();
    assert.deepEqual(tellFailure(talk, error, PORTAL), end);
    assert.deepEqual(talk.lines, lines);
  });
}
