// Logs in with one set of parameters after the other, writes blocks of every size through our initiator, and reads them
// back both through it and another way. A program for any target, and what the tests call:
//   node --import tsx test/interop/matrix.ts HOST:PORT TARGET [few|short|all|digests] [IMAGE]
// IMAGE is the file behind the first LUN; without it the other way is qemu-img's own initiator (libiscsi). Environment:
// MATRIX_INITIATOR (name), MATRIX_USER and MATRIX_SECRET_FILE (one-way CHAP). The first 16 MiB of the LUN are overwritten.
// One line per set; exit 1 when one failed.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { DigestName, OperationalParams } from '../../src/iscsi/params.js';
import { parsePortal } from '../../src/iscsi/portal.js';
import { loginForeground } from '../../src/services/login.js';
import type { Credentials } from '../../src/services/session/info.js';
import { succeed } from '../helpers/programs.js';
import { chap, INITIATOR, loginRequest } from '../helpers/session.js';
import { startRelay, type WireLog } from './wire-check.js';

export interface MatrixSet {
  readonly initialR2T: boolean;
  readonly immediateData: boolean;
  readonly firstBurstLength: number;
  readonly maxBurstLength: number;
  readonly maxRecvDataSegmentLength: number;
  readonly headerDigest?: DigestName;
  readonly dataDigest?: DigestName;
}

export interface MatrixTarget {
  readonly address: string;
  readonly port: number;
  readonly targetName: string;
  /** The file behind the first LUN, or null. */
  readonly image: string | null;
  readonly initiatorName?: string;
  readonly credentials?: Credentials | null;
}

/** FirstBurstLength, MaxBurstLength, MaxRecvDataSegmentLength: the sixteen that open-iscsi's own tests go through. */
const OPEN_ISCSI: readonly (readonly [number, number, number])[] = [
  ...[4096, 8192, 16_384, 32_768, 65_536, 131_972].map((first) => [first, 4096, 4096] as const),
  ...[8192, 16_384, 32_768, 65_536, 131_072].map((most) => [4096, most, 4096] as const),
  ...[8192, 16_384, 32_768, 65_536, 131_072].map((segment) => [4096, 4096, segment] as const),
];
/** The smallest that are legal, what record files say, and numbers that no block size divides. */
const OTHERS: readonly (readonly [number, number, number])[] = [
  [512, 512, 512],
  [262_144, 16_776_192, 262_144],
  [65_536, 262_144, 8192],
  [1000, 3001, 777],
  [8191, 12_289, 5003],
  [16_777_215, 16_777_215, 16_777_215],
];
const SWITCHES: readonly (readonly [initialR2T: boolean, immediateData: boolean])[] = [
  [true, false],
  [false, true],
  [true, true],
  [false, false],
];

function withSwitches(lengths: readonly (readonly [number, number, number])[]): MatrixSet[] {
  return lengths.flatMap(([firstBurstLength, maxBurstLength, maxRecvDataSegmentLength]) =>
    SWITCHES.map(([initialR2T, immediateData]) => ({
      ...{ initialR2T, immediateData, firstBurstLength, maxBurstLength, maxRecvDataSegmentLength },
    })),
  );
}

const ALL = withSwitches([...OPEN_ISCSI, ...OTHERS]);
const DIGESTS = (['None', 'CRC32C'] as const).flatMap((headerDigest) =>
  (['None', 'CRC32C'] as const).map((dataDigest) => ({
    ...{ initialR2T: false, immediateData: true, firstBurstLength: 65_536, maxBurstLength: 262_144 },
    ...{ maxRecvDataSegmentLength: 65_536, headerDigest, dataDigest },
  })),
);
const SHORT = [...OTHERS.keys()].map((i) => ALL[(OPEN_ISCSI.length + i) * 4 + (i % 4)] as MatrixSet);
/**
 * `short` has every switch once, every extreme once; `all` every combination of everything. `few` is for slow machines: what
 * record files say, odd lengths, the largest, and two of the digests.
 */
export const MATRIX_SETS: Readonly<Record<string, readonly MatrixSet[]>> = {
  few: [...[2, 4, 5].map((i) => SHORT[i] as MatrixSet), ...DIGESTS.slice(-2)],
  short: SHORT,
  all: ALL,
  digests: DIGESTS,
};

/** The whole disks' worth: half of it written in parallel, half by single writes of the sizes below. */
const REGION = 16 * 2 ** 20;
const HALF = REGION / 2;
const SIZES = [512, 1024, 4096, 4608, 8192, 65_536, 66_048, 262_144, 262_656, 2 ** 20, 4 * 2 ** 20];

/** Goes through `sets`, and says how each went. @returns how many failed */
export async function runMatrix(
  target: MatrixTarget,
  sets: readonly MatrixSet[],
  say: (line: string) => void,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-matrix-'));
  let failed = 0;
  try {
    for (const set of sets) {
      const began = performance.now();
      const problems: string[] = [];
      const log = await oneSet(target, set, folder, problems).catch((error: unknown) => {
        problems.push(error instanceof Error ? error.message : String(error));
        return null;
      });
      if (problems.length > 0) failed++;
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      say(
        `${problems.length === 0 ? 'ok  ' : 'FAIL'} ${describe(set)} ${summary(log)} ${seconds}s ${problems.join('; ')}`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return failed;
}

/** The same for a test: each set's line is a diagnostic, and no set may fail. */
export async function checkMatrix(
  t: TestContext,
  target: Omit<MatrixTarget, 'address'>,
  sets: readonly MatrixSet[],
): Promise<void> {
  assert.ok(sets.length > 0, 'no sets of that name');
  const failures: string[] = [];
  const say = (line: string) => {
    t.diagnostic(line);
    if (line.startsWith('FAIL')) failures.push(line);
  };
  assert.equal(await runMatrix({ address: '127.0.0.1', ...target }, sets, say), 0, failures.join('\n'));
}

function describe(set: MatrixSet): string {
  const flag = (value: boolean) => (value ? 'Yes' : 'No');
  const digests = set.headerDigest === undefined ? '' : ` header=${set.headerDigest} data=${set.dataDigest}`;
  const lengths = `first=${set.firstBurstLength} max=${set.maxBurstLength} recv=${set.maxRecvDataSegmentLength}`;
  return `R2T=${flag(set.initialR2T)} imm=${flag(set.immediateData)} ${lengths}${digests}`;
}

function summary(log: WireLog | null): string {
  if (log?.agreed === undefined || log.agreed === null) return '';
  const { initialR2T, immediateData, firstBurstLength, maxBurstLength, toTarget, toInitiator } = log.agreed;
  const agreed = `${Number(initialR2T)}${Number(immediateData)} ${firstBurstLength}/${maxBurstLength} ${toTarget}>${toInitiator}`;
  return `-> ${agreed} cmds=${log.commands} imm=${log.immediateBytes} unsol=${log.unsolicitedPdus} r2t=${log.r2ts}/${log.mostOutstandingR2T}`;
}

async function oneSet(target: MatrixTarget, set: MatrixSet, folder: string, problems: string[]): Promise<WireLog> {
  const relay = await startRelay(target.address, target.port);
  const paths = { runDir: join(folder, 'run'), dbDir: join(folder, 'db') };
  const expected = randomBytes(REGION);
  try {
    const request = loginRequest(target.targetName, relay.port, {
      foreground: true,
      negotiate: set,
      credentials: target.credentials ?? null,
      initiatorName: target.initiatorName ?? INITIATOR,
    });
    const session = await loginForeground(request, { paths });
    try {
      const [disk] = session.info.devices;
      if (disk === undefined) throw new Error('the target has no disk');
      if (disk.sizeBytes < REGION) throw new Error(`the disk has less than ${REGION} bytes`);
      await writeRegion(disk.nbd, expected, folder);
      const log = relay.logs.at(-1) as WireLog;
      checkAgreed(set, session.info.params, log, problems);
      compare('through our initiator', expected, await readUri(disk.nbd, folder), problems);
    } finally {
      await session.logout();
      await session.ended;
    }
    const otherWay = target.image === null ? await readUri(iscsiUri(target), folder) : readImage(target.image);
    compare('another way', expected, otherWay, problems);
    for (const log of relay.logs) problems.push(...log.violations.map((rule) => `broke ${rule}`));
    return relay.logs.at(-1) as WireLog;
  } finally {
    await relay.close();
  }
}

/** What was agreed is within what was asked for, and the same at both ends and in between. */
function checkAgreed(set: MatrixSet, params: OperationalParams, log: WireLog, problems: string[]): void {
  const must = (holds: boolean, what: string) => holds || problems.push(what);
  must(params.initialR2T || !set.initialR2T, 'InitialR2T=Yes was not heeded');
  must(!params.immediateData || set.immediateData, 'ImmediateData=No was not heeded');
  must(params.maxBurstLength <= set.maxBurstLength, 'MaxBurstLength was not heeded');
  must(
    params.firstBurstLength <= Math.min(set.firstBurstLength, params.maxBurstLength),
    'FirstBurstLength was not heeded',
  );
  if (set.headerDigest !== undefined) must(params.headerDigest === set.headerDigest, 'HeaderDigest was not heeded');
  if (set.dataDigest !== undefined) must(params.dataDigest === set.dataDigest, 'DataDigest was not heeded');
  const { agreed } = log;
  const same =
    agreed?.initialR2T === params.initialR2T &&
    agreed.immediateData === params.immediateData &&
    agreed.maxBurstLength === params.maxBurstLength &&
    agreed.toTarget === params.maxXmitDataSegmentLength &&
    agreed.toInitiator === set.maxRecvDataSegmentLength - (set.maxRecvDataSegmentLength % 4);
  must(same, `the session says ${JSON.stringify(params)}, the wire ${JSON.stringify(agreed)}`);
}

/** The first half many writes at a time, the second one write of each size, each from a random place in the data. */
async function writeRegion(uri: string, bytes: Buffer, folder: string): Promise<void> {
  const whole = join(folder, 'whole');
  writeFileSync(whole, bytes.subarray(0, HALF));
  await succeed('nbdcopy', '--requests=16', '--connections=1', '--flush', whole, uri);
  const commands: string[] = [];
  let at = HALF;
  for (const size of SIZES) {
    const part = join(folder, `part${size}`);
    writeFileSync(part, bytes.subarray(at, at + size));
    commands.push('-c', `write -s ${part} ${at} ${size}`);
    at += size;
  }
  const rest = join(folder, 'rest');
  writeFileSync(rest, bytes.subarray(at));
  commands.push('-c', `write -s ${rest} ${at} ${REGION - at}`, '-c', 'flush');
  await succeed('qemu-io', '-f', 'raw', '-t', 'none', ...commands, uri);
}

async function readUri(uri: string, folder: string): Promise<Buffer> {
  const copy = join(folder, 'copy');
  await succeed(
    'qemu-img',
    'dd',
    '-f',
    'raw',
    '-O',
    'raw',
    'bs=1M',
    `count=${REGION / 2 ** 20}`,
    `if=${uri}`,
    `of=${copy}`,
  );
  return readImage(copy);
}

function readImage(path: string): Buffer {
  const bytes = Buffer.alloc(REGION);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, bytes, 0, REGION, 0);
  } finally {
    closeSync(fd);
  }
  return bytes;
}

function iscsiUri({ address, port, targetName, credentials }: MatrixTarget): string {
  const login = credentials ? `${credentials.user}%${credentials.secret}@` : '';
  return `iscsi://${login}${address.includes(':') ? `[${address}]` : address}:${port}/${targetName}/${process.env.MATRIX_LUN ?? '0'}`;
}

function compare(how: string, expected: Buffer, found: Buffer, problems: string[]): void {
  if (expected.equals(found)) return;
  const at = expected.findIndex((byte, i) => byte !== found[i]);
  problems.push(`${how}: byte ${at} is not what was written`);
}

async function main([portal = '', targetName = '', which = 'short', image]: readonly string[]): Promise<void> {
  const sets = MATRIX_SETS[which];
  if (sets === undefined || targetName === '')
    throw new Error('usage: matrix.ts HOST:PORT TARGET [few|short|all|digests] [IMAGE]');
  const { MATRIX_INITIATOR, MATRIX_USER, MATRIX_SECRET_FILE } = process.env;
  const secret = MATRIX_SECRET_FILE === undefined ? '' : readFileSync(MATRIX_SECRET_FILE, 'utf8').trimEnd();
  const failed = await runMatrix(
    {
      ...parsePortal(portal),
      targetName,
      image: image ?? null,
      initiatorName: MATRIX_INITIATOR ?? INITIATOR,
      credentials: MATRIX_USER === undefined ? null : chap(MATRIX_USER, secret),
    },
    sets,
    (line) => console.log(line),
  );
  console.log(`${sets.length - failed} of ${sets.length} sets passed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
