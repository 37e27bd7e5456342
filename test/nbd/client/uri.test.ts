import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseNbdUri } from '../../../src/nbd/client/uri.js';
import { AppError } from '../../../src/util/errors.js';

const NO_TLS = { identity: null, certificates: null, pskFile: null, hostname: null };

describe('NBD URIs', () => {
  const good: [string, object][] = [
    ['nbd://server', { address: { host: 'server', port: 10_809 }, exportName: '', tls: null }],
    ['nbd://server:99/', { address: { host: 'server', port: 99 }, exportName: '', tls: null }],
    ['nbd://[::1]:99/a/b%20c', { address: { host: '::1', port: 99 }, exportName: 'a/b c', tls: null }],
    ['nbd+unix:///?socket=/run/a%3Fb', { address: { path: '/run/a?b' }, exportName: '', tls: null }],
    ['nbd+unix:///name?socket=/run/s', { address: { path: '/run/s' }, exportName: 'name', tls: null }],
    [
      'nbds://alice@server/x?tls-psk-file=/etc/keys',
      {
        address: { host: 'server', port: 10_809 },
        exportName: 'x',
        tls: { ...NO_TLS, identity: 'alice', pskFile: '/etc/keys' },
      },
    ],
    [
      'nbds+unix:///x?socket=/s&tls-certificates=/etc/pki&tls-hostname=server',
      { address: { path: '/s' }, exportName: 'x', tls: { ...NO_TLS, certificates: '/etc/pki', hostname: 'server' } },
    ],
  ];
  for (const [text, expected] of good) it(text, () => assert.deepEqual(parseNbdUri(text), expected));

  const bad = [
    '',
    'http://server/',
    'nbd:server',
    'nbd:///x',
    'nbd://server:0/',
    'nbd://server:70000/',
    'nbd://::1/',
    'nbd+unix:///x',
    'nbd+unix://host/x?socket=/s',
    'nbds://server/x',
    'nbds://server/x?tls-psk-file=a&tls-certificates=b',
    'nbd://server/%zz',
    'nbd://server/x?tls-psk-file=a',
    'nbd://server/x?socket=/s',
    'nbds://server/x?tls-certificates=a&tls-verify-peer=false',
  ];
  for (const text of bad) it(`refuses ${text}`, () => assert.throws(() => parseNbdUri(text), { code: 'ERR_USAGE' }));

  it('any text: an answer or a refusal', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.webUrl(),
          fc.string().map((rest) => `nbds+unix://${rest}`),
        ),
        (text) => {
          try {
            parseNbdUri(text);
          } catch (error) {
            assert.ok(error instanceof AppError && error.code === 'ERR_USAGE');
          }
        },
      ),
    );
  });
});
