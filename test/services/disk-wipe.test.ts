// disk wipe, and plans done by hand: what is kept puts the disk back byte for byte, and the printed lines make the same disk.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readOwnTable } from '../../src/disk/own-table.js';
import { parseSpans } from '../../src/disk/positions.js';
import { signaturesOn } from '../../src/disk/probe.js';
import { runTool } from '../../src/disk/run.js';
import { clearedBytes } from '../../src/disk/wipe.js';
import { type DiskJob, prepareFormat, prepareLabel, preparePartition } from '../../src/services/disk/prepare.js';
import { prepareWipe, type WipeJob } from '../../src/services/disk/wipe.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { type FakeSession, startFakeSession, TARGET } from '../helpers/fake-session.js';

const MIB = 2 ** 20;
const SIZE = 20 * MIB;
const UUID = '01234567-89ab-cdef-0123-456789abcdef';
const skip = whyNoLoopDisks(['nbdkit']) ?? false;

/** `steps`: makes the next plan, and is done with it once it has been run. */
async function finish(job: DiskJob): Promise<void> {
  try {
    await job.run(() => {});
  } finally {
    await job.close();
  }
}

for (const attach of ['fuse', 'none'] as const) {
  describe(attach === 'none' ? 'without a device' : 'on a loop device', { skip }, () => {
    let fake: FakeSession;
    let stateDir = '';
    before(async () => {
      fake = await startFakeSession({ sizeBytes: SIZE, attach });
      stateDir = mkdtempSync(join(tmpdir(), 'lunctl-state-'));
    });
    after(async () => {
      await fake.close();
      rmSync(stateDir, { recursive: true });
    });
    const at = (partition?: number) => ({ dev: `${TARGET}/0`, paths: fake.paths, partition });
    const wipe = (clear: 'discard' | 'zero' | null = null, partition?: number): Promise<WipeJob> =>
      prepareWipe({ ...at(partition), stateDir, clear });
    const label = (type: 'gpt' | 'dos') => prepareLabel({ ...at(), type });
    const parts = (...words: string[]) => preparePartition({ ...at(), spans: parseSpans(words) });
    const settled = async () => {
      if (fake.attachment !== null) await runTool('blockdev', ['--flushbufs', fake.attachment.path]);
      return fake.checksum();
    };

    test('a blank disk is left as it is', async () => {
      const job = await wipe();
      assert.deepEqual([job.steps, job.lines, job.loss, job.backup], [[], [], null, null]);
      await finish(job);
      assert.equal(existsSync(join(stateDir, 'wiped')), false);
    });

    test('signatures go, and come back byte for byte from the files that are kept', async () => {
      await finish(await label('gpt'));
      await finish(await parts('0%', '50%', '50%', '100%'));
      const sum = await settled();
      const job = await wipe();
      assert.notEqual(job.loss, null);
      const folder = job.backup?.folder ?? '';
      assert.ok(folder.startsWith(`${stateDir}/wiped/`));
      assert.equal(existsSync(folder), false);
      await finish(job);
      assert.deepEqual(await signaturesOn(fake.image), []);
      assert.equal(statSync(folder).mode & 0o777, 0o700);
      const files = readdirSync(folder);
      assert.equal(files.length, 3);
      for (const file of files) assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600);
      // By the line that is printed; without a device it leaves the name to be filled in.
      const path = fake.attachment?.path ?? fake.image;
      const line = (job.backup?.restore ?? '').replace('of=DEVICE', `of=${path}`);
      execFileSync('sh', ['-c', line], { stdio: 'ignore' });
      assert.equal(await settled(), sum);
      const again = await wipe();
      await again.close();
      assert.equal(again.loss?.what.includes('holds gpt'), true);
    });

    for (const clear of ['zero', 'discard'] as const) {
      test(`--${clear} leaves nothing of the content`, async () => {
        await finish(await label('dos'));
        await finish(await parts('0%', '100%'));
        const told: number[] = [];
        const job = await wipe(clear);
        assert.equal(job.sizeBytes, SIZE);
        await job.run(
          () => {},
          (step, printed) => {
            const bytes = step.name === 'clear' && printed !== null ? clearedBytes(printed) : null;
            if (bytes !== null) told.push(bytes);
          },
        );
        await job.close();
        assert.equal(await settled(), blankSum(SIZE));
        if (clear === 'zero') assert.equal(told.at(-1), SIZE);
      });
    }

    test('the lines of a dry run, in a shell, make the same disk as the run', async () => {
      await finish(await wipe('zero'));
      const jobs: (() => Promise<DiskJob>)[] = [
        () => label('gpt'),
        () => parts('0%', '40%', '50%', '90%'),
        () => prepareFormat({ ...at(), type: 'swap', uuid: UUID, label: 'one', extra: [] }),
        () => label('dos'),
        () => wipe(),
        () => prepareFormat({ ...at(), type: 'vfat', uuid: '1A2B-3C4D', extra: ['--invariant'] }),
        () => wipe('zero'),
      ];
      for (const make of jobs) {
        const before = await image();
        const job = await make();
        await finish(job);
        const done = await settled();
        await restore(before);
        // The folder of a backup is named by the second, and the run has filled it.
        if ('backup' in job) rmSync(join(stateDir, 'wiped'), { recursive: true, force: true });
        execFileSync('sh', ['-ec', job.lines.join('\n')], { stdio: ['ignore', 'ignore', 'pipe'], timeout: 60_000 });
        assert.equal(await settled(), done, job.lines.join('\n'));
        rmSync(before);
      }
      assert.equal(existsSync(`${fake.paths.runDir}/by-hand`), false);
    });

    const path = () => fake.attachment?.path ?? fake.image;
    const image = async () => {
      await settled();
      const copy = `${stateDir}/copy`;
      execFileSync('cp', ['--sparse=always', fake.image, copy]);
      return copy;
    };
    const restore = async (copy: string) => {
      execFileSync('dd', [`if=${copy}`, `of=${path()}`, 'bs=1M', 'conv=notrunc,fsync', 'status=none']);
      await settled();
      if (fake.attachment !== null) await fake.attachment.rescan();
    };
  });
}

test('a GPT that only our own reader finds is kept and taken off too', { skip }, async () => {
  const fake = await startFakeSession({ sizeBytes: 64 * MIB, attach: 'none', blockSize: 4096 });
  const stateDir = mkdtempSync(join(tmpdir(), 'lunctl-state-'));
  try {
    const at = { dev: `${TARGET}/0`, paths: fake.paths };
    await finish(await prepareLabel({ ...at, type: 'gpt' }));
    const sum = fake.checksum();
    assert.deepEqual((await readOwnTable(fake.image, 4096)).gptHeaders, [4096, 64 * MIB - 4096]);
    const job = await prepareWipe({ ...at, stateDir, clear: null });
    await finish(job);
    assert.deepEqual((await readOwnTable(fake.image, 4096)).gptHeaders, []);
    assert.deepEqual(await signaturesOn(fake.image), []);
    assert.equal(readdirSync(job.backup?.folder ?? '').length, 3);
    execFileSync('sh', ['-c', (job.backup?.restore ?? '').replace('of=DEVICE', `of=${fake.image}`)], {
      stdio: 'ignore',
    });
    assert.equal(fake.checksum(), sum);
  } finally {
    await fake.close();
    rmSync(stateDir, { recursive: true });
  }
});

function blankSum(bytes: number): string {
  return execFileSync('sh', ['-c', `head -c ${bytes} /dev/zero | sha256sum`], { encoding: 'utf8' }).split(' ')[0] ?? '';
}
