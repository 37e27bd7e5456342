// The NBD export of a session's worker, in front of tgt, under the tools that people use on it: nbdinfo, nbdcopy, nbdsh, QEMU's,
// fio, nbdfuse, nbdkit. What they say of holes and contents is compared with the file behind tgt's LUN.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fdatasyncSync, fstatSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { login } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import type { SessionInfo } from '../../src/services/session/info.js';
import { footprint, Rig } from '../faults/rig.js';
import { OWN_TARGET, serveDisks } from '../helpers/own-target.js';
import { has, md5, run, succeed } from '../helpers/programs.js';
import { loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';

const MIB = 2 ** 20;
const SIZE = 32 * MIB;
/** Where the LUN holds data before the tests, in MiB: the rest is a hole in the file. */
const DATA: readonly [from: number, to: number][] = [
  [0, 1],
  [8, 12],
  [24, 25],
];
const PART = { from: 2 * MIB, length: 16 * MIB } as const;

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

describe('NBD tools on the export of a session in front of tgt', { skip: tgtMissing() }, () => {
  let folder: string;
  let tgt: Tgt;
  let runFolder: RunFolder;
  let session: SessionInfo;
  /** Open in the worker before its first client. */
  let descriptors: number;
  const uri = (name = 'lun1') => `nbd+unix:///${name}?socket=${encodeURIComponent(session.socket)}`;

  /** The LUN as it was at first: DATA of random bytes, a partition table in its first block, holes for the rest. */
  async function fill(image: string): Promise<void> {
    await truncate(image, 0);
    await truncate(image, SIZE);
    const fd = openSync(image, 'r+');
    for (const [from, to] of DATA) writeSync(fd, randomBytes((to - from) * MIB), 0, (to - from) * MIB, from * MIB);
    // An MBR with one partition: exact to the sector, and no tool of today's taste.
    const mbr = Buffer.alloc(512);
    mbr[446 + 4] = 0x83;
    mbr.writeUInt32LE(PART.from / 512, 446 + 8);
    mbr.writeUInt32LE(PART.length / 512, 446 + 12);
    mbr.writeUInt16BE(0x55aa, 510);
    writeSync(fd, mbr, 0, 512, 0);
    assert.ok(fstatSync(fd).blocks * 512 < 16 * MIB, 'the file has holes');
    closeSync(fd);
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lunctl-nbd-tools-'));
    tgt = await startTgt(SIZE);
    await fill(tgt.image);
    tgt.adm('--op', 'update', '--mode', 'logicalunit', '--tid', '1', '--lun', '1', '--params', 'thin_provisioning=1');
    runFolder = makeRunFolder();
    session = await login(loginRequest(TGT_TARGET, tgt.port), { paths: runFolder.paths });
    descriptors = footprint(session.pid).descriptors;
    assert.deepEqual(
      session.devices[0]?.partitions.map(({ exportName }) => exportName),
      ['lun1p1'],
    );
  });
  after(async () => {
    if (session !== undefined) await logout([session.sid], { paths: runFolder.paths });
    runFolder?.remove();
    await tgt?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  // Before anything is written

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

  // From here on the LUN is written to

  const scripts: [string, string, string][] = [
    [
      'block_status: the whole, a part, one extent, unaligned',
      'lun1',
      `
h.add_meta_context("base:allocation")
h.connect_uri(uri)
assert h.can_meta_context("base:allocation") and not h.can_meta_context("qemu:dirty")
def status(count, offset, flags=0):
    found = []
    def extent(name, at, entries, error):
        assert name == "base:allocation" and at == offset and error.value == 0
        found.extend(zip(entries[::2], entries[1::2]))
    h.block_status(count, offset, extent, flags)
    return found
MIB = 1 << 20
assert status(MIB, 8 * MIB) == [(MIB, 0)]
assert status(MIB, 20 * MIB) == [(MIB, 3)]
mixed = status(16 * MIB, 4 * MIB)
assert mixed == [(4 * MIB, 3), (4 * MIB, 0), (8 * MIB, 3)], mixed
assert status(16 * MIB, 4 * MIB, nbd.CMD_FLAG_REQ_ONE) == [(4 * MIB, 3)]
h.set_strict_mode(h.get_strict_mode() & ~nbd.STRICT_ALIGN & ~nbd.STRICT_BOUNDS)
assert status(10, 8 * MIB - 3) == [(3, 3), (7, 0)]
for count, offset in ((512, h.get_size()), (1024, h.get_size() - 512)):
    try:
        status(count, offset)
        assert False
    except nbd.Error as e:
        assert e.errnum == errno.EINVAL, e
`,
    ],
    [
      'pread_structured: holes are holes, and none with DF',
      'lun1',
      `
h.connect_uri(uri)
MIB = 1 << 20
seen = []
def chunk(buf, offset, status, error):
    seen.append((status, offset, len(buf)))
zeros = h.pread_structured(2 * MIB, 20 * MIB, chunk)
assert zeros == bytes(2 * MIB)
assert seen and all(s == nbd.READ_HOLE for s, _, _ in seen), seen
assert sum(n for _, _, n in seen) == 2 * MIB or all(n == 0 for _, _, n in seen), seen
seen = []
mixed = h.pread_structured(4 * MIB, 7 * MIB, chunk)
kinds = set(s for s, _, _ in seen)
assert kinds == {nbd.READ_HOLE, nbd.READ_DATA}, seen
assert mixed[:MIB] == bytes(MIB) and mixed == h.pread(4 * MIB, 7 * MIB)
seen = []
assert h.pread_structured(4 * MIB, 7 * MIB, chunk, nbd.CMD_FLAG_DF) == mixed
assert [(s, o) for s, o, _ in seen] == [(nbd.READ_DATA, 7 * MIB)], seen
`,
    ],
    [
      'cache, trim, zero with every flag, and what becomes of the map',
      'lun1p1',
      `
h.add_meta_context("base:allocation")
h.connect_uri(uri)
MIB = 1 << 20
def holes(count, offset):
    found = []
    h.block_status(count, offset, lambda name, at, entries, error: found.extend(zip(entries[::2], entries[1::2])))
    return found
h.cache(MIB, 0)
h.cache(h.get_size(), 0)
data = b"\\x5a" * MIB
h.pwrite(data, 0)
h.pwrite(data, MIB, nbd.CMD_FLAG_FUA)
assert holes(2 * MIB, 0) == [(2 * MIB, 0)]
# tgt knows WRITE SAME, so this is fast.
h.zero(MIB, 0, nbd.CMD_FLAG_FAST_ZERO)
assert h.pread(MIB, 0) == bytes(MIB)
assert h.pread(MIB, MIB) == data
h.zero(MIB, MIB, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
assert h.pread(MIB, MIB) == bytes(MIB)
assert holes(MIB, MIB) == [(MIB, 0)], holes(MIB, MIB)
h.pwrite(data, 0)
h.trim(MIB, 0, nbd.CMD_FLAG_FUA)
assert holes(MIB, 0) == [(MIB, 3)], holes(MIB, 0)
assert h.pread(MIB, 0) == bytes(MIB)
h.flush()
h.shutdown()
`,
    ],
    [
      '200 block_status, reads and writes in flight together',
      'lun1p1',
      `
h.add_meta_context("base:allocation")
h.connect_uri(uri)
waiting = set()
def extent(name, at, entries, error):
    assert error.value == 0 and entries
for i in range(100):
    waiting.add(h.aio_block_status(65536, i * 65536, extent))
    waiting.add(h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray([i + 1]) * 4096), (1 << 23) + i * 4096))
while waiting:
    h.poll(-1)
    waiting = {cookie for cookie in waiting if not h.aio_command_completed(cookie)}
for i in range(100):
    assert h.pread(4096, (1 << 23) + i * 4096) == bytes([i + 1]) * 4096
`,
    ],
    [
      'contexts are listed and set option by option',
      'lun1',
      `
h.set_opt_mode(True)
h.set_export_name("lun1p1")
h.connect_unix(socket)
names = []
h.opt_list_meta_context(lambda name: names.append(name))
assert names == ["base:allocation"], names
names = []
h.add_meta_context("base:")
h.opt_list_meta_context(lambda name: names.append(name))
assert names == ["base:allocation"], names
names = []
h.clear_meta_contexts()
h.add_meta_context("x-nosuch:")
h.opt_list_meta_context(lambda name: names.append(name))
assert names == [], names
h.clear_meta_contexts()
h.add_meta_context("base:allocation")
h.opt_go()
assert h.can_meta_context("base:allocation")
assert h.get_size() == ${PART.length}
`,
    ],
  ];
  for (const [what, name, script] of scripts) {
    it(`nbdsh: ${what}`, async (t) => {
      if (!has(t, 'nbdsh', 'python3-libnbd')) return;
      const start = `import errno\nuri = "${uri(name)}"\nsocket = "${session.socket}"\nh = nbd.NBD()\n`;
      await succeed('nbdsh', '-n', '-c', `import nbd\n${start}${script}`);
    });
  }

  it('nbdcopy writes the LUN, with one connection and with four, and every byte is in the file behind tgt', async (t) => {
    if (!has(t, 'nbdcopy', 'libnbd-bin')) return;
    const source = join(folder, 'source.img');
    for (const connections of [1, 4]) {
      await writeFile(source, Buffer.concat([randomBytes(8 * MIB), Buffer.alloc(16 * MIB), randomBytes(8 * MIB)]));
      await succeed('nbdcopy', `--connections=${connections}`, '--flush', source, uri());
      assert.equal(await md5(tgt.image), await md5(source));
    }
    await succeed('nbdcopy', '--destination-is-zero', '--flush', '--allocated', source, uri());
    assert.equal(await md5(tgt.image), await md5(source));
  });

  it('qemu-img convert writes it, from a sparse image and with a target that is to be zeroed first', async (t) => {
    if (!has(t, 'qemu-img', 'qemu-utils')) return;
    const source = join(folder, 'sparse.img');
    await writeFile(source, randomBytes(3 * MIB));
    await truncate(source, SIZE);
    const convert = ['convert', '-n', '-f', 'raw', '-O', 'raw', '-W', '-m', '8', source, uri()];
    await succeed('qemu-img', ...convert);
    assert.match(await succeed('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', source, uri()), /identical/);
    assert.equal(await md5(tgt.image), await md5(source));
  });

  it('qemu-io writes, zeroes, discards, flushes, and maps', async (t) => {
    if (!has(t, 'qemu-io', 'qemu-utils')) return;
    const commands = [
      'write -P 0x11 0 4M',
      'write -f -P 0x22 1M 64k',
      'write -z 2M 64k',
      'write -z -u 3M 64k',
      'discard 3200k 64k',
      'flush',
      'read -P 0x11 0 1M',
      'read -P 0x22 1M 64k',
      'read -P 0 2M 64k',
      'read -P 0 3M 64k',
      'read -P 0 3200k 64k',
      'aio_write -P 0x33 5M 1M',
      'aio_read 0 1M',
      'aio_flush',
      'read -P 0x33 5M 1M',
      'map',
    ].flatMap((command) => ['-c', command]);
    const output = await succeed('qemu-io', '-f', 'raw', ...commands, uri());
    assert.doesNotMatch(output, /verification failed|error/i);
    assert.match(output, /\(0x0\)|bytes .*allocated/i);
  });

  for (const args of [
    ['--rw=randwrite', '--bsrange=4k-1m'],
    ['--rw=randrw', '--bs=4k', '--direct=1'],
    ['--rw=randtrim', '--bs=64k'],
  ]) {
    it(`fio ${args.join(' ')}`, async (t) => {
      if (!has(t, 'fio', 'fio')) return;
      const job = ['--name=verify', '--ioengine=nbd', `--uri=${uri('lun1p1')}`, '--size=16m', '--iodepth=16', ...args];
      const verify = ['--verify=crc32c', '--verify_fatal=1', '--verify_state_save=0', '--do_verify=1'];
      const output = await succeed('fio', ...job, ...(args[0] === '--rw=randtrim' ? [] : verify));
      assert.match(output, /err= 0/);
    });
  }

  it('nbdfuse makes a file of it: read, written and flushed through the file system', async (t) => {
    if (!has(t, 'nbdfuse', 'libnbd-bin')) return;
    if (!existsSync('/dev/fuse')) return t.skip('no /dev/fuse');
    const point = join(folder, 'fuse');
    await mkdir(point);
    const child: ChildProcess = spawn('nbdfuse', ['--pidfile', join(folder, 'pid'), point, uri()], { stdio: 'ignore' });
    try {
      for (let i = 0; i < 200 && !existsSync(join(folder, 'pid')); i++) await sleep(50);
      const file = join(point, 'nbd');
      assert.equal(await md5(file), await md5(tgt.image));
      const bytes = randomBytes(MIB);
      const fd = openSync(file, 'r+');
      writeSync(fd, bytes, 0, MIB, 5 * MIB + 4096);
      fdatasyncSync(fd);
      closeSync(fd);
      const behind = Buffer.alloc(MIB);
      const back = openSync(tgt.image, 'r');
      readSync(back, behind, 0, MIB, 5 * MIB + 4096);
      closeSync(back);
      assert.ok(behind.equals(bytes));
    } finally {
      spawnSync('umount', ['-l', point]);
      if (child.exitCode === null) {
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        await Promise.race([gone, sleep(5000).then(() => child.kill('SIGKILL'))]);
      }
    }
  });

  it('after all of them the worker holds no more than before', async () => {
    let left = footprint(session.pid).descriptors;
    for (let i = 0; i < 100 && left > descriptors; i++) {
      await sleep(50);
      left = footprint(session.pid).descriptors;
    }
    assert.ok(left <= descriptors, `${descriptors} → ${left} descriptors`);
  });
});

describe('NBD tools while the target is away', { skip: tgtMissing() }, () => {
  it('a BLOCK_STATUS waits for the target as a read does, and both are right when it is back', async (t) => {
    if (!has(t, 'nbdsh', 'python3-libnbd')) return;
    const rig = await Rig.start({ proxy: false });
    try {
      const fd = openSync(rig.tgt.image, 'r+');
      writeSync(fd, Buffer.alloc(MIB, 7), 0, MIB, 2 * MIB);
      closeSync(fd);
      await rig.tgt.kill();
      const script = `
h.add_meta_context("base:allocation")
h.connect_uri("${rig.uri}")
found = []
waiting = {
    h.aio_block_status(4 << 20, 0, lambda name, at, entries, error: found.extend(entries)),
    h.aio_pread(nbd.Buffer(4096), 2 << 20),
}
while waiting:
    h.poll(-1)
    waiting = {cookie for cookie in waiting if not h.aio_command_completed(cookie)}
assert found[::2] == [2 << 20, 1 << 20, 1 << 20], found
assert [flags & 1 for flags in found[1::2]] == [1, 0, 1], found
`;
      let ended = false;
      const asked = succeed('nbdsh', '-c', script).finally(() => {
        ended = true;
      });
      await sleep(1500);
      assert.equal(ended, false, 'it waits');
      await rig.tgt.restart();
      await asked;
    } finally {
      await rig.stop();
    }
  });
});

describe('NBD tools on a target that is full (F20)', () => {
  it('ENOSPC reaches nbdcopy and nbdsh; other reads go on; once there is space writes work', async (t) => {
    if (!has(t, 'nbdcopy', 'libnbd-bin') || !has(t, 'nbdsh', 'python3-libnbd')) return;
    if (process.getuid?.() !== 0) return t.skip('a file system of its own needs root');
    const folder = await mkdtemp(join(tmpdir(), 'lunctl-full-'));
    const small = join(folder, 'small');
    await mkdir(small);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', small]).status !== 0) {
      await rm(folder, { recursive: true });
      return t.skip('tmpfs cannot be mounted here');
    }
    const runFolder = makeRunFolder();
    const disk = { kind: 'fileio', path: join(small, 'disk.img'), sizeBytes: 32 * MIB } as const;
    const server = await serveDisks(OWN_TARGET, [disk], { allow: [], open: true });
    try {
      const request = loginRequest(OWN_TARGET, server.portals[0]?.port ?? 0);
      const session = await login(request, { paths: runFolder.paths });
      try {
        const uri = session.devices[0]?.nbd ?? '';
        const source = join(folder, 'source.img');
        await writeFile(source, randomBytes(16 * MIB));
        const copied = await run('nbdcopy', source, uri);
        assert.notEqual(copied.code, 0);
        assert.match(copied.stderr, /No space left on device/);
        const script = `
import errno
h.connect_uri("${uri}")
assert len(h.pread(4096, 0)) == 4096
failed = 0
for at in range(16, 32):
    try:
        h.pwrite(b"x" * 1048576, at << 20)
    except nbd.Error as e:
        assert e.errnum == errno.ENOSPC, e
        failed += 1
assert failed > 0
h.trim(16 << 20, 0)
h.pwrite(b"y" * 1048576, 0)
h.flush()
assert h.pread(1048576, 0) == b"y" * 1048576
`;
        await succeed('nbdsh', '-c', script);
      } finally {
        await logout([session.sid], { paths: runFolder.paths });
      }
    } finally {
      await server.close();
      spawnSync('umount', [small]);
      runFolder.remove();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
