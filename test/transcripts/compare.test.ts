// The replay's own parts: what it reads, and that the normaliser leaves real differences alone.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Differences } from './differences.js';
import { normalise } from './normalise.js';
import { type Answer, formatAnswer, parseRecording } from './recording.js';
import { SCENES } from './scenes.js';
import { Sids } from './sids.js';

const FOLDER = join(import.meta.dirname, 'recordings');
const answer = (stdout: string, stderr = ''): Answer => ({ stdout, stderr, exit: 0 });
const plain = (stdout: string): string => normalise(answer(stdout)).stdout;

describe('recordings', () => {
  test('every recording is read to the letter, and each has a scene', () => {
    const files = readdirSync(FOLDER);
    assert.deepEqual(files.map((file) => file.replace('.txt', '')).sort(), [...SCENES.keys()].sort());
    for (const file of files) {
      const text = readFileSync(join(FOLDER, file), 'utf8');
      const commands = parseRecording(text);
      const again = commands.map(({ notes, line, ...rest }) => {
        return `${notes.map((note) => `## ${note}\n`).join('')}$ ${line}\n${formatAnswer(rest)}`;
      });
      const kept = (all: string): string =>
        all
          .replace(/^# (?!BEGIN|END).*\n/gm, '')
          .replace(/ \(after about \d+ s\)/g, '')
          .replace(/\n\n(?=\$|#|\n)/g, '\n')
          .trim();
      assert.equal(kept(again.join('\n')), kept(text), file);
    }
  });

  test('text that belongs to no command is refused', () => {
    assert.throws(() => parseRecording('iscsiadm: lost\n'), /line 1 belongs to no command/);
    assert.throws(() => parseRecording('$ iscsiadm\n--- stdout\nand no end'), /no exit status/);
  });

  test('hidden steps name commands that exist', () => {
    for (const [name, { before = [], parts = new Map(), onlyLio = new Set() }] of SCENES) {
      const commands = parseRecording(readFileSync(join(FOLDER, `${name}.txt`), 'utf8'));
      for (const [number, beginning] of before) assert.ok(commands[number - 1]?.line.startsWith(beginning), name);
      for (const number of [...parts.keys(), ...onlyLio]) assert.match(commands[number - 1]?.line ?? '', /iscsiadm/);
    }
  });
});

describe('normaliser', () => {
  test('versions, disks, hosts and counts may differ', () => {
    assert.equal(plain('# BEGIN RECORD 2.1.8\n'), plain('# BEGIN RECORD 0.1.0\n'));
    assert.equal(
      plain('\t\t\tAttached scsi disk sda\t\tState: running\n'),
      plain('\t\t\tAttached scsi disk nbd0\t\tState: running\n'),
    );
    assert.equal(plain('\tscsicmd_pdus: 381\n'), plain('\tscsicmd_pdus: 4\n'));
    assert.equal(plain('\t\tHost Number: 0\tState: running\n'), plain('\t\tHost Number: 3\tState: running\n'));
  });

  test('values, states and missing lines may not', () => {
    for (const [a, b] of [
      ['node.tpgt = 1\n', 'node.tpgt = 2\n'],
      ['# BEGIN RECORD 2.1.8\nnode.tpgt = 1\n', '# BEGIN RECORD 2.1.8\n'],
      ['\t\t\tAttached scsi disk sda\t\tState: running\n', '\t\t\tAttached scsi disk sda\t\tState: blocked\n'],
      ['\tscsicmd_pdus: 381\n', '\tscsirsp_pdus: 381\n'],
      ['\t\tRecovery Timeout: 120\n', '\t\tRecovery Timeout: 5\n'],
      ['Login to [a] successful.\n', 'Login to [a] successful.\nLogin to [a] successful.\n'],
      ['127.0.0.2:3260,1 iqn.a\n127.0.0.1:3260,1 iqn.a\n', '127.0.0.1:3260,1 iqn.a\n127.0.0.2:3260,1 iqn.a\n'],
    ] as const) {
      assert.notEqual(plain(a), plain(b));
    }
  });

  test('the order of logins is free, of what stands between them it is not', () => {
    const [a, b] = ['Login to [a] successful.\n', 'Login to [b] successful.\n'];
    assert.equal(plain(a + b), plain(b + a));
    assert.notEqual(plain(`${a}x\n${b}`), plain(`${b}x\n${a}`));
    const failed = (name: string): string =>
      `iscsiadm: Could not login to [${name}].\niscsiadm: initiator reported error (${name})\n`;
    const errors = (stderr: string): string => normalise(answer('', stderr)).stderr;
    assert.equal(errors(failed('a') + failed('b')), errors(failed('b') + failed('a')));
    assert.notEqual(errors(failed('a') + failed('b')), errors(failed('a') + failed('c')));
  });

  test('stored discoveries and sessions are trees whose branches may come in any order', () => {
    const portal = (address: string): string => `\tPortal: ${address}\n\t\tIface Name: default\n`;
    const stored = (...portals: string[]): string =>
      `SENDTARGETS:\nTarget: a\n${portals.join('')}iSNS:\nNo targets found.\n`;
    assert.equal(plain(stored(portal('1'), portal('2'))), plain(stored(portal('2'), portal('1'))));
    assert.notEqual(plain(stored(portal('1'))), plain(stored(portal('2'))));
    const session = (sid: number): string =>
      `\tCurrent Portal: p${sid}\n\tPersistent Portal: p${sid}\n\t\tSID: ${sid}\n`;
    assert.equal(plain(`Target: a\n${session(9)}${session(10)}`), plain(`Target: a\n${session(10)}${session(9)}`));
    assert.equal(plain(`Target: a\n${session(9)}`), `Target: a\n${session(9)}`);
  });
});

describe('the list of differences', () => {
  test('every reason is an item of lunctl-iscsiadm(8), and every item that names one has a command', () => {
    const prose = readFileSync(join(import.meta.dirname, '../../man/prose/lunctl-iscsiadm.mdoc'), 'utf8');
    const section = /^\.Sh DIFFERENCES\n([\s\S]*?)^\.Sh /m.exec(prose)?.[1] ?? '';
    const named = [...section.matchAll(/^\.It .*\n\.\\" ([\w-]+)$/gm)].map(([, reason]) => reason);
    assert.deepEqual([...Differences.read().reasons].sort(), named.sort());
  });
});

describe('session numbers', () => {
  test('are matched by target and portal, then by rank', () => {
    const sids = new Sids();
    const list = (...rows: [number, string][]): string =>
      rows.map(([sid, portal]) => `tcp: [${sid}] ${portal},1 iqn.a (non-flash)\n`).join('');
    sids.learn(
      list([11, '127.0.0.2:3260'], [12, '[::1]:3260'], [13, '127.0.0.2:3260']),
      list([1, '[::1]:3260'], [2, '127.0.0.2:3260'], [3, '127.0.0.2:3260']),
    );
    assert.equal(sids.command('iscsiadm -m session -r 12 -u'), 'iscsiadm -m session -r 1 -u');
    assert.equal(
      sids.text('Logging out of session [sid: 3, target: iqn.a, portal: 127.0.0.2,3260]\n'),
      'Logging out of session [sid: 13, target: iqn.a, portal: 127.0.0.2,3260]\n',
    );
    assert.equal(sids.command('iscsiadm -m session -r 77'), 'iscsiadm -m session -r 77');
    // Logged out and in again: a new number on both sides.
    sids.learn(
      'Logging out of session [sid: 14, target: iqn.a, portal: ::1,3260]\n',
      'Logging out of session [sid: 4, target: iqn.a, portal: ::1,3260]\n',
    );
    assert.equal(sids.command('-r 14'), '-r 4');
  });

  test('a number that is used again stands for the later session', () => {
    const sids = new Sids();
    const list = (sid: number): string => `tcp: [${sid}] 127.0.0.1:3260,1 iqn.a (non-flash)\n`;
    sids.learn(list(8), list(1));
    sids.learn(list(10), list(1));
    assert.equal(sids.text(list(1)), list(10));
    assert.equal(sids.command('-r 10'), '-r 1');
  });

  test('a session that the recording does not have keeps its number', () => {
    const sids = new Sids();
    sids.learn('', 'tcp: [5] 127.0.0.1:3260,1 iqn.a (non-flash)\n');
    assert.equal(sids.text('tcp: [5] x\n'), 'tcp: [5] x\n');
  });
});
