// Types what was recorded with targetcli into our shell, and compares.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Answer, readRecording } from '../recording.js';
import type { Comparison } from '../replay.js';
import { Ground } from './ground.js';

const root = process.env.LUNCTL_ROOT ?? process.cwd();
const FOLDER = join(root, 'test/transcripts/targetcli');

/** What had been typed before a recording began, and is not shown in it. */
const BEFORE: Readonly<Record<string, readonly string[]>> = {
  other: [
    '/iscsi create iqn.2022-08.com.test:dlp.target01',
    '/iscsi/iqn.2022-08.com.test:dlp.target01/tpg1/acls create iqn.2022-08.com.test:node01.initiator01',
    '/iscsi/iqn.2022-08.com.test:dlp.target01/tpg1/acls/iqn.2022-08.com.test:node01.initiator01 set auth userid=u password=p',
    '/iscsi/iqn.2022-08.com.test:dlp.target01/tpg1 set attribute authentication=1',
  ],
};
export const RECORDINGS = ['block', 'fileio', 'other', 'portals'] as const;

/** The initiator that is logged in when the recording asks for sessions. */
const SESSION = {
  sid: 1,
  type: 'Normal',
  state: 'LOGGED_IN',
  initiatorName: 'iqn.2022-08.com.test:node01.initiator01',
  alias: 'kernel-lab',
  targetName: 'iqn.2022-08.com.test:dlp.target01',
  tag: 1,
  authenticated: true,
  dynamic: false,
  luns: [{ lun: 0, backstore: '/backstores/fileio/disk01', readOnly: false }],
  connections: [{ cid: 0, address: '127.0.0.1', port: 3260, transport: 'TCP', state: 'LOGGED_IN' }],
} as const;

export async function replay(name: string): Promise<Comparison[]> {
  const ground = new Ground();
  for (const line of BEFORE[name] ?? []) await ground.call(line.split(' '));
  if (name === 'fileio') ground.rows = [SESSION];
  const found: Comparison[] = [];
  for (const { line, number, notes: _, ...recorded } of readRecording(join(FOLDER, `${name}.txt`))) {
    const ours = await answer(ground, line);
    found.push({ recording: name, number, line, recorded: normalise(recorded), ours: normalise(ours), ms: 0 });
  }
  return found;
}

async function answer(ground: Ground, line: string): Promise<Answer> {
  const input = /^targetcli < (\S+)$/.exec(line)?.[1];
  if (input === undefined) return await ground.call(line.split(' ').slice(1));
  return await ground.pipe(readFileSync(join(FOLDER, input), 'utf8').trimEnd().split('\n'));
}

/** What the two may differ in although nothing is wrong: what is made up, the fabrics that ours has not, words of explanation. */
const FREE: readonly (readonly [RegExp, string])[] = [
  [/\bsn\.[0-9a-f]{12}\b/g, 'sn.MADE-UP-NAME'],
  [/^(wwn: )[0-9a-f-]{36}$/gm, '$1SERIAL'],
  [/^ {2}o- (?:vhost|xen-pvscsi) \.+ \[Targets: 0\]\n/gm, ''],
  [/^(?:targetcli shell version .*\n.*\n.*\n\n|lunctl target shell .*\n.*\n\n)/, ''],
  [/^\S+ version \d\S*$/gm, 'PROGRAM version VERSION'],
  [/(?<=\nDESCRIPTION\n=+\n\n)[\s\S]*/, 'EXPLANATION\n'],
  // Under a setting and its line of dashes: what it means.
  [/^((?!.* CONFIG GROUP$).+=.*\n-+\n).*\n/gm, '$1EXPLANATION\n'],
];

export function normalise({ stdout, stderr, exit }: Answer): Answer {
  return { stdout: freed(stdout), stderr: freed(stderr), exit };
}

function freed(printed: string): string {
  let text = printed;
  for (const [pattern, by] of FREE) text = text.replace(pattern, by);
  return text;
}
