// Links to devices in the run folder and, for root, in udev's folder: never in the place of somebody else's.
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { dropLinks, linkFolder, linkName, putLinks } from '../../src/services/session/links.js';

const owner = { targetName: 'iqn.2026-11.com.example:d', portal: { address: '192.0.2.1', port: 3260 } };
const NAME = 'ip-192.0.2.1:3260-iscsi-iqn.2026-11.com.example:d-lun-';
const isRoot = process.getuid?.() === 0;
/** Devices that no kernel has: their links dangle, as ours do after the machine has gone down. */
const nbd = { device: '/dev/nbd900000', partitions: ['/dev/nbd900000p1', '/dev/nbd900000p2'] };

describe('links by path', () => {
  let runDir = '';
  let udev = '';
  beforeEach(() => {
    runDir = mkdtempSync(`${tmpdir()}/lunctl-links-`);
    mkdirSync(`${runDir}/disk`);
    udev = `${runDir}/disk/by-path`;
  });
  afterEach(() => rmSync(runDir, { recursive: true }));
  const links = (folder: string) =>
    existsSync(folder)
      ? Object.fromEntries(readdirSync(folder).map((name) => [name, readlinkSync(`${folder}/${name}`)]))
      : {};
  const all = {
    [`${NAME}0`]: '/dev/nbd900000',
    [`${NAME}0-part1`]: '/dev/nbd900000p1',
    [`${NAME}0-part2`]: '/dev/nbd900000p2',
  };

  it('the LUN and its partitions, in udev’s folder too for root; they go together', async () => {
    assert.equal(linkName(owner, 0, 2), `${NAME}0-part2`);
    await putLinks(runDir, owner, 0, nbd, udev);
    assert.deepEqual(links(linkFolder(runDir)), all);
    assert.deepEqual(links(udev), isRoot ? all : {});
    await putLinks(runDir, owner, 10, { device: '/dev/nbd900001', partitions: [] }, udev);
    await dropLinks(runDir, owner, 0, udev);
    const rest = { [`${NAME}10`]: '/dev/nbd900001' };
    assert.deepEqual([links(linkFolder(runDir)), links(udev)], [rest, isRoot ? rest : {}]);
    await dropLinks(runDir, owner, undefined, udev);
    assert.deepEqual([links(linkFolder(runDir)), links(udev)], [{}, {}]);
  });

  it('partitions that have gone lose their links', async () => {
    await putLinks(runDir, owner, 0, nbd, udev);
    await putLinks(runDir, owner, 0, { device: nbd.device, partitions: ['/dev/nbd900000p2'] }, udev);
    const { [`${NAME}0-part1`]: _, ...left } = all;
    assert.deepEqual([links(linkFolder(runDir)), links(udev)], [left, isRoot ? left : {}]);
  });

  it('what leads to another living device, or is no link, stays; a link to nothing is replaced', {
    skip: !isRoot && 'not root',
  }, async () => {
    mkdirSync(udev);
    symlinkSync('/dev/null', `${udev}/${NAME}0`);
    symlinkSync('/dev/nbd900007p1', `${udev}/${NAME}0-part1`);
    mkdirSync(`${udev}/${NAME}0-part2`);
    writeFileSync(`${udev}/other`, '');
    await putLinks(runDir, owner, 0, nbd, udev);
    assert.deepEqual(links(linkFolder(runDir)), all);
    assert.equal(readlinkSync(`${udev}/${NAME}0`), '/dev/null');
    assert.equal(readlinkSync(`${udev}/${NAME}0-part1`), '/dev/nbd900000p1');
    await dropLinks(runDir, owner, 0, udev);
    assert.deepEqual(readdirSync(udev).sort(), [`${NAME}0`, `${NAME}0-part2`, 'other']);
  });

  it('a machine without udev’s folder, or where it cannot be made', async () => {
    rmSync(`${runDir}/disk`, { recursive: true });
    await putLinks(runDir, owner, 0, nbd, udev);
    assert.deepEqual(links(linkFolder(runDir)), all);
    writeFileSync(`${runDir}/disk`, '');
    await putLinks(runDir, owner, 0, nbd, udev);
    await dropLinks(runDir, owner, 0, udev);
    assert.deepEqual(links(linkFolder(runDir)), {});
  });
});
