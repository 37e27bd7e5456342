// fstab as text: one line in, one line out, every other byte kept.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { addFstabLine, fstabLine, parseFstab, removeFstabLines } from '../../src/disk/fstab.js';
import { mountOptionsOf } from '../../src/disk/mount-options.js';

const ENTRY = { spec: 'UUID=1-2', directory: '/mnt', type: 'xfs', options: ['defaults', '_netdev'] };

describe('fstab', () => {
  test('entries, comments, blank lines and lines that are none', () => {
    const text =
      '# static\n\n/dev/sda1\t/ ext4 errors=remount-ro 0 1\n  UUID=a /srv/a\\040b/  xfs\nlonely\n#/dev/x /y xfs\n';
    assert.deepEqual(parseFstab(text), [
      { spec: '/dev/sda1', directory: '/', type: 'ext4', options: ['errors=remount-ro'], line: 3 },
      { spec: 'UUID=a', directory: '/srv/a b', type: 'xfs', options: ['defaults'], line: 4 },
    ]);
  });
  test('a line is added behind the last one, which is ended if need be', () => {
    const line = fstabLine(ENTRY);
    assert.equal(line, 'UUID=1-2 /mnt xfs defaults,_netdev 0 0');
    assert.equal(addFstabLine('', line), `${line}\n`);
    assert.equal(addFstabLine('a b c\n', line), `a b c\n${line}\n`);
    assert.equal(addFstabLine('a b c', line), `a b c\n${line}\n`);
  });
  test('any directory comes back, and any bytes around it stay', () => {
    const directory = fc
      .array(fc.constantFrom(...'ab/ \t\n\\#"é日0'), { maxLength: 12 })
      .map((characters) => `/x${characters.join('')}y`);
    const other = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
    fc.assert(
      fc.property(directory, other, (at, bytes) => {
        const before = parseFstab(bytes).length;
        const text = addFstabLine(bytes, fstabLine({ ...ENTRY, directory: at }));
        const found = parseFstab(text);
        assert.equal(found.length, before + 1);
        assert.equal(found.at(-1)?.directory, at);
        const ended = bytes === '' || bytes.endsWith('\n') ? bytes : `${bytes}\n`;
        assert.equal(removeFstabLines(text, [found.at(-1)?.line ?? 0]), ended);
      }),
    );
  });
  test('arguments for mount: options are kept, anything else is refused', () => {
    assert.deepEqual(mountOptionsOf(['-o', 'noexec,nosuid', '-onodev', '--options=ro', '--options', 'x-a=b', '-r']), [
      ...['noexec', 'nosuid', 'nodev', 'ro', 'x-a=b', 'ro'],
    ]);
    for (const extra of [['--bind'], ['-t', 'xfs'], ['-v'], ['--', '-o']]) {
      assert.throws(() => mountOptionsOf(extra), { code: 'ERR_USAGE' }, extra.join(' '));
    }
  });
});
