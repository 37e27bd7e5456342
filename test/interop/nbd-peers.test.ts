// Our NBD server against the clients that people use: libnbd's tools, QEMU's, fio.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type BlockDevice, BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { FaultDevice } from '../../src/block/fault-device.js';
import { openFileDevice } from '../../src/block/file-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { SliceDevice } from '../../src/block/slice-device.js';
import { startNbdServer, type TestNbdServer } from '../helpers/nbd-server.js';
import { has, md5, run, succeed } from '../helpers/programs.js';

const MIB = 2 ** 20;
const SIZE = 64 * MIB;

describe('NBD clients', () => {
  let folder: string;
  let source: string;
  let server: TestNbdServer;
  let failing: FaultDevice;
  const devices: BlockDevice[] = [];
  const writable = ['memory', 'blocks4k', 'file', 'part'];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lunctl-peers-'));
    source = join(folder, 'source.img');
    await writeFile(source, randomBytes(SIZE));
    const image = join(folder, 'disk.img');
    await writeFile(image, '');
    await truncate(image, SIZE);
    const memory = new MemoryDevice({ sizeBytes: SIZE });
    const blocks4k = new MemoryDevice({ sizeBytes: SIZE, blockSize: 4096 });
    const file = await openFileDevice(image);
    const disk = new MemoryDevice({ sizeBytes: 2 * SIZE });
    const part = new SliceDevice(disk, { start: MIB, length: SIZE });
    failing = new FaultDevice(new MemoryDevice({ sizeBytes: SIZE }));
    devices.push(memory, blocks4k, file, part, disk);
    server = await startNbdServer([
      { name: 'memory', description: 'a disk in memory', device: memory, readOnly: false },
      { name: 'blocks4k', description: '', device: blocks4k, readOnly: false },
      { name: 'file', description: '', device: file, readOnly: false },
      { name: 'part', description: '', device: part, readOnly: false },
      { name: 'read-only', description: '', device: memory, readOnly: true },
      { name: 'failing', description: '', device: failing, readOnly: false },
    ]);
  });
  after(async () => {
    assert.deepEqual(server.errors, [], 'no client has broken the protocol');
    await server.close();
    for (const device of devices) await device.close();
    await rm(folder, { recursive: true });
  });

  it('nbdinfo --list --json shows every export with its flags and sizes', async (t) => {
    if (!has(t, 'nbdinfo', 'libnbd-bin')) return;
    const report = JSON.parse(await succeed('nbdinfo', '--list', '--json', server.uri('')));
    assert.equal(report.protocol, 'newstyle-fixed');
    assert.equal(report.structured, true);
    assert.deepEqual(
      report.exports.map((e: { 'export-name': string }) => e['export-name']),
      ['memory', 'blocks4k', 'file', 'part', 'read-only', 'failing'],
    );
    const [memory, blocks4k, , , readOnly] = report.exports;
    assert.equal(memory.description, 'a disk in memory');
    assert.equal(memory['export-size'], SIZE);
    for (const can of ['cache', 'df', 'fast_zero', 'flush', 'fua', 'multi_conn', 'trim', 'zero']) {
      assert.equal(memory[`can_${can}`], true, can);
    }
    assert.equal(memory.is_read_only, false);
    assert.equal(memory.block_size_minimum, 512);
    assert.equal(blocks4k.block_size_minimum, 4096);
    assert.equal(blocks4k.block_size_maximum, 2 ** 25);
    assert.equal(readOnly.is_read_only, true);
    assert.equal(readOnly.can_trim, false);
  });

  it('nbdinfo answers questions by its exit status', async (t) => {
    if (!has(t, 'nbdinfo', 'libnbd-bin')) return;
    assert.equal((await run('nbdinfo', '--can', 'connect', server.uri('memory'))).code, 0);
    assert.equal((await run('nbdinfo', '--is', 'read-only', server.uri('read-only'))).code, 0);
    assert.equal((await run('nbdinfo', '--is', 'tls', server.uri('memory'))).code, 2);
    assert.equal((await run('nbdinfo', server.uri('absent'))).code, 1);
  });

  for (const name of writable) {
    it(`nbdcopy copies to and from ${name} without changing a byte`, async (t) => {
      if (!has(t, 'nbdcopy', 'libnbd-bin')) return;
      const back = join(folder, `${name}.back`);
      await succeed('nbdcopy', '--flush', source, server.uri(name));
      await succeed('nbdcopy', server.uri(name), back);
      assert.equal(await md5(back), await md5(source));
      await rm(back);
    });

    it(`qemu-img copies to and compares with ${name}`, async (t) => {
      if (!has(t, 'qemu-img', 'qemu-utils')) return;
      await succeed('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', source, server.uri(name));
      const compared = await succeed('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', source, server.uri(name));
      assert.match(compared, /Images are identical/);
    });

    it(`fio verifies random writes of 4k to 1m on ${name}`, async (t) => {
      if (!has(t, 'fio', 'fio')) return;
      const job = ['--ioengine=nbd', `--uri=${server.uri(name)}`, '--rw=randwrite', '--bsrange=4k-1m', '--size=32m'];
      const check = ['--verify=crc32c', '--verify_fatal=1', '--verify_state_save=0', '--iodepth=16', '--name=verify'];
      await succeed('fio', ...job, ...check);
    });
  }

  it('nbdcopy uses four connections where MULTI_CONN says so', async (t) => {
    if (!has(t, 'nbdcopy', 'libnbd-bin')) return;
    const before = server.sessions.size;
    await succeed('nbdcopy', '--connections=4', '--threads=4', source, server.uri('file'));
    const sessions = [...server.sessions].slice(before);
    assert.equal(sessions.length, 4);
    assert.equal(
      sessions.reduce((sum, session) => sum + session.writtenBytes, 0),
      SIZE,
    );
  });

  it('qemu-io writes, zeroes, discards and flushes with FUA', async (t) => {
    if (!has(t, 'qemu-io', 'qemu-utils')) return;
    const commands = [
      'write -P 0x11 0 1M',
      'write -f -P 0x22 1M 64k',
      'write -z 128k 64k',
      'write -z -u 256k 64k',
      'discard 512k 64k',
      'flush',
      'read -P 0x11 0 128k',
      'read -P 0 128k 64k',
      'read -P 0 256k 64k',
      'read -P 0x22 1M 64k',
      // Not at block borders: QEMU itself rounds to the minimum block size that we announce.
      'write -P 0x33 100 1000',
      'read -P 0x33 100 1000',
      'read -P 0x11 1100 1000',
    ].flatMap((command) => ['-c', command]);
    for (const name of writable) {
      const output = await succeed('qemu-io', '-f', 'raw', ...commands, server.uri(name));
      assert.doesNotMatch(output, /verification failed|error/i, name);
    }
  });

  it('qemu-io may not write to a read-only export', async (t) => {
    if (!has(t, 'qemu-io', 'qemu-utils')) return;
    const refused = await run('qemu-io', '-f', 'raw', '-c', 'write 0 512', server.uri('read-only'));
    assert.notEqual(refused.code, 0);
    assert.match(await succeed('qemu-io', '-r', '-f', 'raw', '-c', 'read 0 512', server.uri('read-only')), /512/);
  });

  const scripts: [string, string, string][] = [
    [
      'unaligned requests, although the block size is 4096',
      'blocks4k',
      `
h.set_strict_mode(h.get_strict_mode() & ~nbd.STRICT_ALIGN)
h.connect_uri(uri)
h.pwrite(b"\\x00" * 16384, 0)
h.pwrite(b"abc" * 1000, 4000)
assert h.pread(3010, 3995) == b"\\x00" * 5 + b"abc" * 1000 + b"\\x00" * 5
h.zero(10, 5000)
assert h.pread(14, 4998) == b"ca" + b"\\x00" * 10 + b"ca"
`,
    ],
    [
      'simple replies',
      'memory',
      `
h.set_request_structured_replies(False)
h.connect_uri(uri)
assert not h.can_df()
h.pwrite(b"x" * 3145728, 512)
assert h.pread(3145728, 512) == b"x" * 3145728
h.flush()
`,
    ],
    [
      'reads in chunks and reads that must not be fragmented',
      'file',
      `
h.connect_uri(uri)
data = bytes(range(256)) * 16384
h.pwrite(data, 4096)
seen = []
def chunk(buf, offset, status, error):
    assert status == nbd.READ_DATA
    seen.append(offset)
assert h.pread_structured(len(data), 4096, chunk) == data
assert len(seen) > 1
seen = []
assert h.pread_structured(len(data), 4096, chunk, nbd.CMD_FLAG_DF) == data
assert seen == [4096]
`,
    ],
    [
      'many requests in flight',
      'file',
      `
h.connect_uri(uri)
waiting = set()
for i in range(300):
    waiting.add(h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray([i % 251]) * 4096), i * 4096))
while waiting:
    h.poll(-1)
    waiting = {cookie for cookie in waiting if not h.aio_command_completed(cookie)}
for i in range(300):
    assert h.pread(4096, i * 4096) == bytes([i % 251]) * 4096
`,
    ],
    [
      'errors by their names, and a connection that lives on',
      'memory',
      `
import errno
h.set_strict_mode(0)
h.connect_uri(uri)
size = h.get_size()
def fails(call, wanted):
    try:
        call()
        assert False, "it succeeded"
    except nbd.Error as e:
        assert e.errnum == wanted, e
fails(lambda: h.pread(512, size), errno.EINVAL)
fails(lambda: h.pwrite(b"x" * 512, size), errno.ENOSPC)
fails(lambda: h.zero(1024, size - 512), errno.ENOSPC)
fails(lambda: h.trim(1024, size - 512), errno.EINVAL)
fails(lambda: h.cache(512, size), errno.EINVAL)
h.cache(512, 0)
fails(lambda: h.pread(33554433, 0), errno.EOVERFLOW)
fails(lambda: h.pwrite(b"x" * 33554433, 0), errno.EINVAL)
h.pwrite(b"y" * 33554432, 0)
assert h.pread(512, 33553920) == b"y" * 512
`,
    ],
    [
      'the old way in, NBD_OPT_EXPORT_NAME, and a client that wants no flags',
      'memory',
      `
h.set_full_info(False)
h.set_handshake_flags(0)
h.set_opt_mode(False)
h.connect_uri(uri)
assert h.get_protocol() == "newstyle"
assert h.get_size() == ${SIZE}
h.pwrite(b"z" * 512, 0)
assert h.pread(512, 0) == b"z" * 512
`,
    ],
    [
      'option haggling step by step',
      'part',
      `
h.set_opt_mode(True)
h.set_export_name("absent")
h.connect_unix(socket)
names = []
h.opt_list(lambda name, description: names.append(name))
assert "lun" not in names and "memory" in names, names
try:
    h.opt_info()
    assert False
except nbd.Error:
    pass
h.set_export_name("part")
h.opt_info()
assert h.get_size() == ${SIZE}
assert h.get_canonical_export_name() == "part" if h.get_full_info() else True
h.opt_go()
assert h.get_block_size(nbd.SIZE_MINIMUM) == 512
h.shutdown()
h = nbd.NBD()
h.set_opt_mode(True)
h.connect_unix(socket)
h.opt_abort()
`,
    ],
  ];
  for (const [what, name, script] of scripts) {
    it(`libnbd: ${what}`, async (t) => {
      if (!has(t, 'nbdsh', 'python3-libnbd')) return;
      const start = `import nbd\nuri = "${server.uri(name)}"\nsocket = "${server.socketPath}"\nh = nbd.NBD()\n`;
      await succeed('nbdsh', '-n', '-c', start + script);
    });
  }

  it('nbdcopy ends with a failure when a single request fails', async (t) => {
    if (!has(t, 'nbdcopy', 'libnbd-bin')) return;
    const target = join(folder, 'failed.back');
    // Holes are not read.
    await succeed('nbdcopy', source, server.uri('failing'));
    for (const [op, from, to] of [
      [BlockOp.Read, server.uri('failing'), target],
      [BlockOp.Write, source, server.uri('failing')],
      [BlockOp.Flush, source, server.uri('failing')],
    ] as const) {
      let failed = false;
      failing.plan = (request) => {
        if (request.op !== op || failed) return null;
        failed = true;
        return { status: BlockStatus.Eio };
      };
      const { code } = await run('nbdcopy', '--flush', from, to);
      assert.ok(failed && code !== 0);
    }
    failing.plan = () => null;
  });
});
