import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { formatAddress } from '../../src/iscsi/portal.js';
import { type Attempt, attemptLogin } from '../../src/services/session/attempts.js';
import { nbdUri } from '../../src/services/session/exports.js';
import type { Credentials } from '../../src/services/session/info.js';
import { isidFor, isidRandomPart, type NexusKey } from '../../src/services/session/isid.js';
import { openSessionLog } from '../../src/services/session/log.js';
import { workerCommand } from '../../src/services/session/worker-unit.js';
import { AppError } from '../../src/util/errors.js';
import { chap } from '../helpers/session.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lunctl-parts-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('login attempts', () => {
  const here = { address: '10.0.0.1', port: 3260 };
  const refused = new AppError('ERR_LOGIN_AUTH', 'no');
  /** Plays a script of outcomes and notes what each attempt was given. */
  const play = async (script: Attempt<string>[], credentials: Credentials | null) => {
    const given: string[] = [];
    const result = await attemptLogin(here, credentials, async (portal, offered) => {
      given.push(`${formatAddress(portal)} ${offered?.algorithms.join() ?? '-'}`);
      const next = script.shift();
      if (next === undefined) throw new Error('one attempt too many');
      return next;
    }).catch((error: AppError) => error.code);
    return { result, given };
  };

  it('follow three redirections and no more', async () => {
    const to = (address: string): Attempt<string> => ({ kind: 'redirect', to: { address, port: 1 } });
    assert.deepEqual(await play([to('a'), to('b'), to('fe80::1'), { kind: 'done', value: 'in' }], null), {
      result: 'in',
      given: ['10.0.0.1:3260 -', 'a:1 -', 'b:1 -', '[fe80::1]:1 -'],
    });
    assert.equal((await play([to('a'), to('b'), to('c'), to('d')], null)).result, 'ERR_CONNECT');
  });

  it('offer MD5 alone once, where the list may have been the trouble', async () => {
    const stumble: Attempt<string> = { kind: 'failed', error: refused, retryWithMd5: true };
    const verdict: Attempt<string> = { kind: 'failed', error: refused, retryWithMd5: false };
    const given = async (script: Attempt<string>[], algorithms: number[]) =>
      (await play(script, chap('u', 's', algorithms))).given.map((line) => line.split(' ')[1]);
    assert.deepEqual(await given([stumble, { kind: 'done', value: 'in' }], [8, 5, 7, 6]), ['8,5,7,6', '5']);
    assert.deepEqual(await given([stumble, stumble], [8, 5, 7, 6]), ['8,5,7,6', '5']);
    assert.deepEqual(await given([verdict], [8, 5, 7, 6]), ['8,5,7,6']);
    assert.deepEqual(await given([stumble], [8, 7]), ['8,7']);
    assert.deepEqual(await given([stumble], [5]), ['5']);
    assert.equal((await play([stumble], null)).result, 'ERR_LOGIN_AUTH');
  });
});

describe('the ISID', () => {
  const key: NexusKey = {
    initiatorName: 'iqn.2022-08.com.test:i',
    targetName: 'iqn.2022-08.com.test:t',
    portal: { address: '127.0.0.1', port: 3260, tpgt: 1 },
    iface: 'default',
  };
  const hex = (changes: Partial<NexusKey>, taken: string[] = []) =>
    isidFor(0xabcdef, { ...key, ...changes }, new Set(taken)).toString('hex');

  it('is of the random kind, the same for a path, another for another path', () => {
    assert.match(hex({}), /^80abcdef[0-9a-f]{4}$/);
    assert.equal(hex({}), hex({}));
    const others = [
      { iface: 'b' },
      { portal: { address: '127.0.0.2', port: 3260, tpgt: 1 } },
      { targetName: 'iqn.2022-08.com.test:u' },
    ];
    assert.equal(new Set([hex({}), ...others.map((change) => hex(change))]).size, 4);
  });

  it('is never one that a live session has', () => {
    const next = hex({}, [hex({})]);
    assert.notEqual(next, hex({}));
    assert.equal(hex({}, [hex({}), next]).slice(0, 8), '80abcdef');
  });

  it('keeps its random part in the database, else in the run folder', async () => {
    const paths = { dbDir: join(folder, 'db'), runDir: join(folder, 'run') };
    const parts = await Promise.all([isidRandomPart(paths), isidRandomPart(paths)]);
    const kept = Number.parseInt(readFileSync(join(paths.dbDir, 'isid'), 'utf8'), 16);
    assert.equal(await isidRandomPart(paths), kept);
    assert.deepEqual(parts, [kept, kept]);
    assert.equal(statSync(join(paths.dbDir, 'isid')).mode & 0o777, 0o600);
    writeFileSync(join(folder, 'file'), '');
    const readOnly = { dbDir: join(folder, 'file', 'db'), runDir: join(folder, 'run2') };
    assert.equal(await isidRandomPart(readOnly), await isidRandomPart(readOnly));
  });
});

describe('the session log', () => {
  it('stays below its two files, whatever is logged, and is private', () => {
    const path = join(folder, 'log');
    const log = openSessionLog(path, 4096);
    for (let i = 0; i < 500; i++) log.info(`line ${i}`);
    log.close();
    log.info('too late');
    assert.ok(statSync(path).size <= 4096);
    assert.ok(statSync(`${path}.1`).size <= 4096);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const lines = readFileSync(path, 'utf8').trim().split('\n');
    const last = JSON.parse(lines.at(-1) ?? '') as { msg: string; time: string };
    assert.equal(last.msg, 'line 499');
    assert.match(last.time, /^\d{4}-\d\d-\d\dT/);
  });

  it('falls silent when its folder goes', () => {
    const log = openSessionLog(join(folder, 'none', 'log'));
    log.error('nowhere to write to');
    log.close();
  });
});

describe('NBD URIs', () => {
  it('quote what a query cannot hold', () => {
    assert.equal(nbdUri('/run/lunctl/s/1/nbd.sock', 'lun0p1'), 'nbd+unix:///lun0p1?socket=/run/lunctl/s/1/nbd.sock');
    assert.equal(nbdUri('/tmp/a b&c/nbd.sock', 'lun0'), 'nbd+unix:///lun0?socket=/tmp/a%20b%26c/nbd.sock');
  });
});

describe('the command of a worker', () => {
  it('is a process of our own Node, or under systemd a unit', () => {
    const environment = { PATH: '/bin' };
    assert.deepEqual(workerCommand(3, ['/w.js'], { systemd: false, environment }), [process.execPath, '/w.js']);
    const unit = workerCommand(3, ['/w.js'], { systemd: true, environment });
    assert.equal(unit[0], 'systemd-run');
    assert.ok(unit.includes('--unit=lunctl-session-3'));
    assert.ok(unit.includes('--setenv=PATH=/bin'));
    assert.deepEqual(unit.slice(unit.indexOf('--')), ['--', process.execPath, '/w.js']);
  });
});
