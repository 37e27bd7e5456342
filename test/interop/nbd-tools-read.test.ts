// The NBD export of a session's worker, in front of tgt, under the tools that read it: nbdinfo, nbdcopy, QEMU's, nbdkit. What
// they say of holes and contents is compared with the file behind tgt's LUN.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { login } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import type { SessionInfo } from '../../src/services/session/info.js';
import { has, md5, run, succeed } from '../helpers/programs.js';
import { loginRequest } from '../helpers/session.js';
import { TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';
import { DATA, PART, SIZE, TgtExport } from './tgt-export.js';

const MIB = 2 ** 20;

interface Extent {
  readonly offset: number;
  readonly length: number;
  readonly hole: boolean;
}
/** Neighbours of one kind joined: how many a tool prints depends on how often it asks. */
function joined(extents: readonly Extent[]): Extent[] {
  const all: Extent[] = [];
  for (const extent of extents) {
    const last = all.at(-1);
    assert.equal(extent.offset, last === undefined ? extent.offset : last.offset + last.length, 'no gap');
    if (last?.hole === extent.hole) all[all.length - 1] = { ...last, length: last.length + extent.length };
    else all.push(extent);
  }
  return all;
}
/** DATA within a range, counted from its start. */
function expected(from = 0, length = SIZE): Extent[] {
  const kinds: Extent[] = [];
  for (let at = from; at < from + length; at += MIB) {
    const hole = !DATA.some(([a, b]) => at >= a * MIB && at < b * MIB);
    kinds.push({ offset: at - from, length: MIB, hole });
  }
  return joined(kinds);
}

describe('NBD tools that read the export of a session in front of tgt', { skip: tgtMissing() }, () => {
  let lun: TgtExport;
  let folder: string;
  let tgt: Tgt;
  let session: SessionInfo;
  const uri = (name?: string) => lun.uri(name);

  before(async () => {
    lun = await TgtExport.start();
    ({ folder, tgt, session } = lun);
  });
  after(() => lun?.stop());

  for (const [name, from, length] of [
    ['lun1', 0, SIZE],
    ['lun1p1', PART.from, PART.length],
  ] as const) {
    it(`nbdinfo --map on ${name} shows the holes of the file`, async (t) => {
      if (!has(t, 'nbdinfo', 'libnbd-bin')) return;
      const entries: { offset: number; length: number; type: number; description: string }[] = JSON.parse(
        await succeed('nbdinfo', '--map', '--json', uri(name)),
      );
      // Holes of a thin unit with LBPRZ read as zeros: both bits.
      assert.ok(
        entries.every(({ type }) => type === 0 || type === 3),
        JSON.stringify(entries),
      );
      assert.ok(entries.every(({ type, description }) => description === (type === 0 ? 'data' : 'hole,zero')));
      const found = entries.map(({ offset, length, type }) => ({ offset, length, hole: type === 3 }));
      assert.deepEqual(joined(found), expected(from, length));
      assert.match(await succeed('nbdinfo', '--map=base:allocation', uri(name)), /hole,zero/);
      const totals: { size: number; type: number }[] = JSON.parse(
        await succeed('nbdinfo', '--map', '--totals', '--json', uri(name)),
      );
      const data = expected(from, length).reduce((sum, extent) => sum + (extent.hole ? 0 : extent.length), 0);
      assert.equal(totals.find(({ type }) => type === 0)?.size, data);
      assert.equal(totals.find(({ type }) => type === 3)?.size, length - data);
    });

    it(`qemu-img map on ${name} says the same`, async (t) => {
      if (!has(t, 'qemu-img', 'qemu-utils')) return;
      const args = ['map', '--output=json', '-f', 'raw', uri(name)];
      const entries: { start: number; length: number; zero: boolean; data: boolean }[] = JSON.parse(
        await succeed('qemu-img', ...args),
      );
      assert.ok(entries.every(({ zero, data }) => zero !== data));
      const found = entries.map(({ start, length, zero }) => ({ offset: start, length, hole: zero }));
      assert.deepEqual(joined(found), expected(from, length));
      assert.match(await succeed('qemu-img', 'map', '-f', 'raw', uri(name)), /^Offset/);
    });
  }

  it('nbdinfo --list --json names LUN and partition, with target, LUN and serial in their descriptions', async (t) => {
    if (!has(t, 'nbdinfo', 'libnbd-bin')) return;
    const report = JSON.parse(await succeed('nbdinfo', '--list', '--json', uri('')));
    assert.equal(report.protocol, 'newstyle-fixed');
    assert.equal(report.structured, true);
    const [lun, part] = report.exports;
    assert.deepEqual([lun['export-name'], part['export-name'], report.exports.length], ['lun1', 'lun1p1', 2]);
    assert.equal(lun.description, `${TGT_TARGET} LUN 1: IET VIRTUAL-DISK serial beaf11`);
    assert.equal(part.description, `${TGT_TARGET} LUN 1, partition 1`);
    assert.deepEqual([lun['export-size'], part['export-size']], [SIZE, PART.length]);
    for (const entry of report.exports) {
      assert.deepEqual(entry.contexts, ['base:allocation']);
      const { block_size_minimum, block_size_preferred, block_size_maximum } = entry;
      assert.deepEqual([block_size_minimum, block_size_preferred, block_size_maximum], [512, 4096, 2 ** 25]);
    }
    const list = await succeed('nbdinfo', '--list', uri(''));
    assert.match(list, /export="lun1":[\s\S]*export="lun1p1":/);
  });

  it('nbdinfo: whole, --json, --size, --content', async (t) => {
    if (!has(t, 'nbdinfo', 'libnbd-bin')) return;
    assert.match(await succeed('nbdinfo', uri()), /protocol: newstyle-fixed without TLS, using structured packets/);
    const { exports } = JSON.parse(await succeed('nbdinfo', '--json', uri()));
    assert.equal(exports[0]['export-size'], SIZE);
    assert.equal((await succeed('nbdinfo', '--size', uri())).trim(), String(SIZE));
    assert.equal((await succeed('nbdinfo', '--size', uri('lun1p1'))).trim(), String(PART.length));
    const content = await succeed('nbdinfo', '--content', '--json', uri());
    assert.match(JSON.parse(content).exports[0].content, /DOS\/MBR boot sector/);
    assert.match(await succeed('nbdinfo', '--no-content', uri()), /export-size/);
  });

  const words: [string, string, number][] = [
    ...(['cache', 'connect', 'df', 'fast-zero', 'flush', 'fua', 'multi-conn', 'trim', 'zero'] as const).map(
      (word): [string, string, number] => ['--can', word, 0],
    ),
    ['--can', 'structured-reply', 0],
    ['--is', 'read-only', 2],
    ['--is', 'rotational', 2],
    ['--is', 'tls', 2],
  ];
  it('nbdinfo --is and --can answer by their exit status', async (t) => {
    if (!has(t, 'nbdinfo', 'libnbd-bin')) return;
    for (const [flag, word, code] of words) {
      for (const name of ['lun1', 'lun1p1']) {
        const ran = await run('nbdinfo', flag, word, uri(name));
        assert.deepEqual([ran.code, ran.stdout], [code, ''], `nbdinfo ${flag} ${word} ${name}: ${ran.stderr}`);
      }
    }
  });

  it('nbdcopy reads the LUN byte for byte, with one connection and with four', async (t) => {
    if (!has(t, 'nbdcopy', 'libnbd-bin')) return;
    const whole = await md5(tgt.image);
    for (const connections of [1, 4]) {
      const copy = join(folder, `copy-${connections}.img`);
      await succeed('nbdcopy', `--connections=${connections}`, uri(), copy);
      assert.equal(await md5(copy), whole);
    }
    // Sparse on the way in: what is a hole there is one here.
    const { blocks } = statSync(join(folder, 'copy-4.img'));
    assert.ok(blocks * 512 < 16 * MIB, `${blocks * 512} bytes`);
    const part = join(folder, 'part.img');
    await succeed('nbdcopy', '--no-extents', uri('lun1p1'), part);
    assert.equal(await md5(part), await md5(tgt.image, { start: PART.from, end: PART.from + PART.length - 1 }));
  });

  it('nbdcopy --allocated and --synchronous, and from one export to another program', async (t) => {
    if (!has(t, 'nbdcopy', 'libnbd-bin')) return;
    const copy = join(folder, 'allocated.img');
    await succeed('nbdcopy', '--synchronous', '--allocated', uri(), copy);
    assert.equal(await md5(copy), await md5(tgt.image));
    const sum = await succeed('sh', '-c', 'nbdcopy "$1" - | md5sum', 'sh', uri());
    assert.equal(sum.slice(0, 32), await md5(tgt.image));
  });

  it('qemu-img info, compare and convert read it', async (t) => {
    if (!has(t, 'qemu-img', 'qemu-utils')) return;
    const info = JSON.parse(await succeed('qemu-img', 'info', '--output=json', '-f', 'raw', uri()));
    assert.equal(info['virtual-size'], SIZE);
    assert.match(await succeed('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', uri(), tgt.image), /identical/);
    const copy = join(folder, 'converted.qcow2');
    await succeed('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', uri(), copy);
    assert.match(await succeed('qemu-img', 'compare', '-f', 'raw', '-F', 'qcow2', uri(), copy), /identical/);
    assert.ok(statSync(copy).size < 16 * MIB, 'holes are not copied');
  });

  it('qemu-nbd --list sees exports, sizes and contexts', async (t) => {
    if (!has(t, 'qemu-nbd', 'qemu-utils')) return;
    const list = await succeed('qemu-nbd', '--list', `--socket=${session.socket}`);
    assert.match(list, /exports available: 2/);
    assert.match(list, /export: 'lun1'[\s\S]*size: {2}33554432[\s\S]*base:allocation[\s\S]*export: 'lun1p1'/);
    for (const flag of ['flush', 'fua', 'trim', 'zeroes', 'df', 'multi', 'cache', 'fast-zero']) {
      assert.match(list, new RegExp(`flags: .*\\b${flag}\\b`), flag);
    }
  });

  it('URIs as libguestfs and others write them: socket path encoded or not, with spaces and signs, old and new forms', async (t) => {
    if (!has(t, 'qemu-img', 'qemu-utils') || !has(t, 'nbdinfo', 'libnbd-bin')) return;
    const odd = join(folder, 'a b&c=d%25é+#');
    await mkdir(odd);
    const path = join(odd, 'nbd.sock');
    await symlink(session.socket, path);
    const encoded = encodeURIComponent(path);
    const halfEncoded = path.split('/').map(encodeURIComponent).join('/');
    for (const [socket, name, size] of [
      [encoded, 'lun1', SIZE],
      [halfEncoded, 'lun1p1', PART.length],
      [encoded, 'lun1p%31', PART.length],
      [session.socket, 'lun1', SIZE],
    ] as const) {
      const it = `nbd+unix:///${name}?socket=${socket}`;
      assert.equal((await succeed('nbdinfo', '--size', it)).trim(), String(size), it);
      const info = JSON.parse(await succeed('qemu-img', 'info', '--output=json', '-f', 'raw', it));
      assert.equal(info['virtual-size'], size, it);
    }
    // The default export is the first LUN.
    assert.equal((await succeed('nbdinfo', '--size', `nbd+unix://?socket=${encoded}`)).trim(), String(SIZE));
    const old = `nbd:unix:${session.socket}:exportname=lun1p1`;
    assert.match(await succeed('qemu-img', 'info', '-f', 'raw', old), /16 MiB/);
    const options = `driver=nbd,server.type=unix,server.path=${session.socket},export=lun1p1,reconnect-delay=5`;
    assert.match(await succeed('qemu-img', 'info', '--image-opts', options), /16 MiB/);
    const unknown = await run('nbdinfo', '--size', uri('lun1p9'));
    assert.notEqual(unknown.code, 0);
    assert.match(unknown.stderr, /no such export|No such file/i);
  });

  it('the URI that a session shows is one of these, whatever its run folder is called', async (t) => {
    if (!has(t, 'nbdinfo', 'libnbd-bin')) return;
    const runDir = join(folder, 'run & co');
    const paths = { runDir, dbDir: join(folder, 'db') };
    const second = await login(loginRequest(TGT_TARGET, tgt.port, { readOnly: true, also: true }), { paths });
    try {
      assert.match(second.devices[0]?.nbd ?? '', /run%20%26%20co/);
      for (const { nbd } of [...second.devices, ...(second.devices[0]?.partitions ?? [])]) {
        const { exports } = JSON.parse(await succeed('nbdinfo', '--json', nbd));
        assert.equal(exports[0].is_read_only, true);
        assert.equal(exports[0].can_trim, false);
      }
    } finally {
      await logout([second.sid], { paths });
    }
  });

  it('nbdkit stands in front of it', async (t) => {
    if (!has(t, 'nbdkit', 'nbdkit') || !has(t, 'nbdcopy', 'libnbd-bin')) return;
    const copy = join(folder, 'nbdkit.img');
    const script = `nbdinfo --map "$uri" && nbdcopy "$uri" '${copy}'`;
    const map = await succeed('nbdkit', '-U', '-', 'nbd', `uri=${uri()}`, '--run', script);
    assert.match(map, /hole,zero/);
    assert.equal(await md5(copy), await md5(tgt.image));
  });

  it('after all of them the worker holds no more than before', () => lun.holdsNoMore());
});
