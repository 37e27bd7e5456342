// libnbd's own scripts on the NBD export of a session's worker, in front of tgt: what no other tool asks for, and how long.
import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Rig } from '../faults/rig.js';
import { has, succeed } from '../helpers/programs.js';
import { tgtMissing } from '../helpers/tgt.js';
import { PART, TgtExport } from './tgt-export.js';

const MIB = 2 ** 20;

describe('nbdsh on the export of a session in front of tgt', { skip: tgtMissing() }, () => {
  let lun: TgtExport;
  const uri = (name?: string) => lun.uri(name);

  before(async () => {
    lun = await TgtExport.start();
  });
  after(() => lun?.stop());

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
      const start = `import errno\nuri = "${uri(name)}"\nsocket = "${lun.session.socket}"\nh = nbd.NBD()\n`;
      await succeed('nbdsh', '-n', '-c', `import nbd\n${start}${script}`);
    });
  }

  it('after all of them the worker holds no more than before', () => lun.holdsNoMore());
});

describe('nbdsh while the target is away', { skip: tgtMissing() }, () => {
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
