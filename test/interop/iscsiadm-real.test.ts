// The same commands given to the real iscsiadm and to ours, each on a database of its own: what they print, on which stream,
// their exit codes and the records that they leave are equal. No daemon, no network: usage errors, records and interfaces.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { FORGET_OTHERS } from '../helpers/mount-namespace.js';
import { succeed } from '../helpers/programs.js';
import { whyNoIscsiadm } from '../helpers/real-iscsiadm.js';
import { DISCOVERIES, IFACES, NODES, ORDER, USAGE } from './iscsiadm-commands.js';

const OURS = pathToFileURL(join(import.meta.dirname, '../../dist/cli/iscsiadm/main.js')).href;
const LOOP = join(import.meta.dirname, 'iscsiadm-loop.mjs');

/** Without its daemon the real one does not know iscsid.conf: what it takes then, in the words of that file. */
const COMPILED_IN = `node.session.initial_login_retry_max = 4
node.conn[0].timeo.login_timeout = 30
node.session.auth.chap_algs = MD5
`;
/** What is only said because there is no daemon. */
const NO_DAEMON = 'iscsiadm: can not connect to iSCSI daemon (111)!\n';

const SCRIPT = `set -e
${FORGET_OTHERS}mount --bind "$1/etc" /etc/iscsi
if [ -d /var/lib/iscsi ]; then mount -t tmpfs tmpfs /var/lib/iscsi; fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock
cd "$1"
set +e
n=0
if [ "$2" != iscsiadm ]; then
  node "$3" "$2" > loop.out 2>&1 || { cat loop.out; exit 1; }
else while IFS= read -r line; do
  n=$((n + 1))
  eval "$line" > $n.out 2> $n.err < /dev/null
  echo $? > $n.code
done < commands; fi`;

interface Answer {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: string;
}

/** Gives every line to one program, in namespaces where /etc/iscsi is a folder of its own; the answers, and the records left. */
async function answers(program: string, config: string, lines: readonly string[]) {
  const root = await mkdtemp(join(tmpdir(), 'lunctl-real-'));
  try {
    const etc = join(root, 'etc');
    await mkdir(etc);
    await writeFile(join(etc, 'iscsid.conf'), `iscsid.startup = /bin/true\n${config}`);
    await copyFile('/etc/iscsi/initiatorname.iscsi', join(etc, 'initiatorname.iscsi'));
    await writeFile(join(root, 'commands'), lines.map((line) => `${line}\n`).join(''));
    await succeed('unshare', '--net', '--mount', 'bash', '-c', SCRIPT, 'bash', root, program, LOOP);
    const text = (name: string) => readFileSync(join(root, name), 'utf8');
    const given = lines.map((line, i): Answer => {
      const stderr = text(`${i + 1}.err`);
      const spoken = line.includes('-k') ? stderr : stderr.replaceAll(NO_DAEMON, '');
      return { stdout: text(`${i + 1}.out`), stderr: spoken, exit: text(`${i + 1}.code`).trim() };
    });
    return { given, records: recordsIn(etc) };
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Path, mode and content of every record; of a link its path alone. */
function recordsIn(root: string): string[] {
  return ['nodes', 'ifaces', 'static', 'send_targets'].flatMap((folder) => filesBelow(join(root, folder), root)).sort();
}

function filesBelow(folder: string, root: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesBelow(path, root);
    if (entry.isSymbolicLink()) return [relative(root, path)];
    return [`${relative(root, path)} ${(statSync(path).mode & 0o777).toString(8)}\n${readFileSync(path, 'utf8')}`];
  });
}

/** The real one takes folders in the order in which the file system has them. */
function unordered(answer: Answer): Answer {
  return { ...answer, stdout: answer.stdout.split('\n').sort().join('\n') };
}

describe('the real iscsiadm and ours', { skip: whyNoIscsiadm() }, () => {
  for (const [name, lines] of [
    ['options and modes', USAGE],
    ['node records', NODES],
    ['order and addresses', ORDER],
    ['interfaces', IFACES],
    ['discoveries and no sessions', DISCOVERIES],
  ] as const) {
    it(`${name}: ${lines.length} commands`, { timeout: 120_000 }, async () => {
      const [real, ours] = await Promise.all([answers('iscsiadm', '', lines), answers(OURS, COMPILED_IN, lines)]);
      for (const [i, line] of lines.entries()) {
        const [expected, got] = [real.given[i], ours.given[i]];
        assert.ok(expected && got);
        const loose = line.endsWith('-o new') && !line.includes('-I');
        assert.deepEqual(loose ? unordered(got) : got, loose ? unordered(expected) : expected, line);
      }
      assert.deepEqual(ours.records, real.records);
    });
  }
});
