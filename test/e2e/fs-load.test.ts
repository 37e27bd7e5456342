// File systems made by our commands on a LUN of tgt, attached by FUSE: under load they stay sound, and a LUN that has grown
// shows its new size once it is attached again. FS_SECONDS is how long the load lasts for each; `npm run test:long fs` has 240.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { figure } from '../faults/rig.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { Sandbox } from '../helpers/sandbox.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';

const SECONDS = Number(process.env.FS_SECONDS ?? 20);
const TYPES = (process.env.FS_TYPES ?? 'xfs,ext4,btrfs').split(',');
const MIB = 2 ** 20;
const SMALL = 1024 * MIB;
const LARGE = 1280 * MIB;
const LOAD = join(import.meta.dirname, '../tools/fs-load.sh');
const DISK = `${TGT_TARGET}/1`;
const PART = `${DISK}p1`;

const skip = tgtMissing() || (whyNoLoopDisks(['fio', 'stress-ng', 'sgdisk']) ?? false);

describe('file systems on a LUN of tgt', { skip }, () => {
  for (const type of TYPES) {
    describe(type, () => {
      let tgt: Tgt;
      let box: Sandbox;
      let directory = '';
      before(async () => {
        tgt = await startTgt(SMALL);
        box = await Sandbox.make('iqn.2022-08.com.test:node01.initiator01');
        directory = join(box.folder, 'mnt');
        await box.ok('node', 'login', '-T', TGT_TARGET, '-p', `127.0.0.1:${tgt.port}`, '--attach', 'fuse');
        await box.ok('disk', 'label', DISK);
        await box.ok('disk', 'partition', DISK);
        await box.ok('disk', 'format', PART, '--type', type);
        await box.ok('disk', 'mount', PART, directory, '--mkdir');
      });
      after(async () => {
        await box.run('disk', 'unmount', PART);
        await box.stop();
        await tgt.stop();
        assert.deepEqual(box.leftovers(), []);
      });
      const device = async () => {
        const { disks } = JSON.parse((await box.ok('disk', 'list', '--json')).stdout);
        return disks.find(({ lun }: { lun: number }) => lun === 1).path as string;
      };

      it(`${SECONDS} s of fio --verify and stress-ng, and the checker finds nothing`, async () => {
        const { stdout } = await shell('load', directory, String(SECONDS));
        figure('fs', `${type}, ${SECONDS} s, ${stdout.match(/^round \d+ verified$/gm)?.length ?? 0} rounds of fio`);
        assert.match(stdout, /^round 1 verified$/m);
        await box.ok('disk', 'unmount', PART);
        await shell('check', type, `${await device()}p1`);
        await box.ok('disk', 'mount', PART, directory);
        assert.match((await shell('verify', directory)).stdout, /early verified\nlate verified/);
      });

      it('grown, it is refused while attached and mounted, and grows once it is attached again', async () => {
        writeFileSync(`${directory}/file`, 'kept');
        // A restart of the target fails the next flush once, as it must; that is not what is tested here.
        await box.ok('disk', 'unmount', PART);
        truncateSync(tgt.image, LARGE);
        await tgt.kill();
        await tgt.restart();
        spawnSync('sync', [await device()]);
        await box.ok('disk', 'mount', PART, directory);
        const { code, stderr } = await box.run('disk', 'grow', DISK);
        assert.equal(code, 28, stderr);
        assert.match(stderr, new RegExp(`still has ${SMALL} bytes, the LUN ${LARGE}; nothing was changed`));
        // The commands are those of the hint.
        assert.match(
          stderr,
          /lunctl disk unmount .*\/1; lunctl lun detach .*\/1; lunctl lun attach .*\/1 --attach fuse/,
        );
        await box.ok('disk', 'unmount', DISK);
        await box.ok('lun', 'detach', DISK);
        await box.ok('lun', 'attach', DISK, '--attach', 'fuse');
        if (type !== 'ext4') await box.ok('disk', 'mount', PART, directory);
        const grown = await box.ok('disk', 'grow', DISK);
        assert.match(grown.stdout, /partition 1 grown from 1022M to 1.2G\n.* grown from 1022M to 1.2G\n$/);
        assert.match((await box.ok('disk', 'grow', DISK)).stdout, /^unchanged: loop\d+p1 has all the room there is\n$/);
        if (type === 'ext4') await box.ok('disk', 'mount', PART, directory);
        const { blocks, bsize } = statfsSync(directory);
        assert.ok(blocks * bsize > 1100 * MIB, `${blocks * bsize}`);
        assert.equal(await readFile(`${directory}/file`, 'utf8'), 'kept');
        assert.match((await shell('verify', directory)).stdout, /early verified\nlate verified/);
        await box.ok('disk', 'unmount', PART);
        assert.match(execFileSync('sgdisk', ['-v', await device()], { encoding: 'utf8' }), /No problems found/);
        await shell('check', type, `${await device()}p1`);
      });
    });
  }
});

/** fs-load.sh to its end; what it says is part of the error where it fails. */
async function shell(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  assert.ok(existsSync(LOAD));
  return promisify(execFile)('sh', [LOAD, ...args], { maxBuffer: 64 * MIB });
}
