// F23 on the target's side, as the kernel sees it: strace shows no SCSI Response to SYNCHRONIZE CACHE, to FUA, or with the write
// cache off to any WRITE, before an fdatasync that began after the data was written has returned.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ScsiStatus } from '../../src/scsi/status.js';
import { pattern } from '../block/contract.js';
import { connect } from './initiator.js';
import { asker, missing, STORE_TARGET, SYNCHRONIZE_CACHE, write10 } from './store-rig.js';

/** `strace` can watch a child here: a container may forbid it. */
function cannotTrace(): string | false {
  const absent = missing('strace');
  if (absent !== false) return absent;
  return spawnSync('strace', ['-f', '-o', '/dev/null', 'true']).status === 0 ? false : 'strace may not trace here';
}

interface Call {
  readonly name: string;
  readonly args: string;
  /** Lines of the trace in which it began and ended. */
  readonly began: number;
  readonly ended: number;
}

/** The calls in a trace of several threads, where another's lines may come between a call's two. */
function readTrace(text: string): Call[] {
  const calls: Call[] = [];
  const open = new Map<string, { name: string; args: string; began: number }>();
  for (const [line, content] of text.split('\n').entries()) {
    const [, thread = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(content) ?? [];
    const begun = /^(\w+)\((.*)$/.exec(rest);
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest);
    if (begun !== null) {
      const [, name = '', args = ''] = begun;
      if (args.endsWith('<unfinished ...>')) open.set(`${thread} ${name}`, { name, args, began: line });
      else calls.push({ name, args, began: line, ended: line });
    } else if (resumed !== null) {
      const [, name = '', args = ''] = resumed;
      const first = open.get(`${thread} ${name}`);
      if (first) calls.push({ name, args: first.args + args, began: first.began, ended: line });
    }
  }
  return calls.sort((a, b) => a.began - b.began);
}

/** Bytes on the wire, as strace -xx writes them. */
const bytesOf = ({ args }: Call): string => [...args.matchAll(/\\x([0-9a-f]{2})/g)].map(([, byte]) => byte).join('');
const SENDS = ['write', 'writev', 'sendto', 'sendmsg'];

describe('F23: a status that says stable', { skip: cannotTrace() }, () => {
  for (const writeBack of [true, false]) {
    it(`write cache ${writeBack ? 'on: SYNCHRONIZE CACHE and FUA' : 'off: every WRITE'}`, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'lunctl-f23-'));
      const image = join(folder, 'disk.img');
      const trace = join(folder, 'trace');
      writeFileSync(image, '');
      truncateSync(image, 2 ** 20);
      const calls = 'trace=pwrite64,pwritev,fdatasync,fsync,write,writev,sendto,sendmsg';
      const strace = ['-f', '-o', trace, '-xx', '-s', '64', '-e', calls, '-e', 'signal=none'];
      const program = [process.execPath, '--import', 'tsx', join(import.meta.dirname, 'serve-main.ts')];
      const child = spawn('strace', [...strace, ...program, image, String(2 ** 20), String(writeBack)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      try {
        const initiator = await connect(await portOf(child), { targetName: STORE_TARGET });
        const scsi = asker(initiator);
        const caching = (await scsi(0, '1a 08 08 00 ff 00', { in: 255 })).data;
        assert.equal((caching[6] ?? 0) & 0x04, writeBack ? 0x04 : 0, 'WCE tells the truth');
        for (let i = 0; i < 8; i++) {
          const fua = writeBack && i % 2 === 1;
          assert.equal((await scsi(0, write10(8 * i, 8, fua), { out: pattern(4096, i) })).status, ScsiStatus.Good);
          if (writeBack && !fua) assert.equal((await scsi(0, SYNCHRONIZE_CACHE)).status, ScsiStatus.Good);
        }
        await initiator.close();
        child.stdin?.end();
        await new Promise((resolve) => child.once('close', resolve));
        checkTrace(readTrace(readFileSync(trace, 'utf8')), writeBack);
      } finally {
        child.kill('SIGKILL');
        rmSync(folder, { recursive: true });
      }
    });
  }
});

async function portOf(child: ChildProcess): Promise<number> {
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').once('data', resolve);
    child.once('close', () => reject(new Error('the server has ended')));
  });
  return Number(line);
}

/** Commands come one after another, so the n-th write of data belongs to the n-th WRITE, and what follows up to the next to it. */
function checkTrace(calls: readonly Call[], writeBack: boolean): void {
  const isData = (call: Call) => call.name.startsWith('pwrite') && / 4096, \d+\)\s+= 4096$/.test(call.args);
  const writes = calls.filter(isData);
  assert.equal(writes.length, 8, 'each WRITE reaches the file');
  const syncs = calls.filter(({ name, args }) => name === 'fdatasync' && / = 0$/.test(args));
  /** SCSI Responses: opcode 21h, final, and their status. */
  const responses = calls.filter((call) => SENDS.includes(call.name) && /^2180/.test(bytesOf(call)));
  for (const [i, write] of writes.entries()) {
    const next = writes[i + 1]?.began ?? Number.POSITIVE_INFINITY;
    const own = responses.filter(({ began }) => began > write.ended && began < next);
    const sync = syncs.find(({ began }) => began > write.ended);
    assert.ok(sync !== undefined && sync.ended < next, `the ${i}th WRITE is made stable before the next one`);
    assert.ok(own.length > 0, `the ${i}th WRITE is answered`);
    const cached = writeBack && i % 2 === 0;
    assert.equal(own.length, cached ? 2 : 1, `answers after the ${i}th WRITE`);
    assert.ok(
      (own.at(-1)?.began ?? 0) > sync.ended,
      `the status of ${cached ? 'SYNCHRONIZE CACHE' : 'the WRITE'} comes after`,
    );
  }
}
