// What is on many ordinary files, by one run of blkid. Not for devices: one that does not answer would hold up the others.
import { type Content, NO_CONTENT, parseBlkid } from './probe.js';
import { type RunOptions, runTool } from './run.js';

const PROBE_MS = 60_000;

/**
 * In the order of `paths`. blkid ends at the first file that holds nothing it knows, or more than one thing: it is run
 * again for those behind that. Throws ERR_HELPER.
 */
export async function contentsOf(
  paths: readonly string[],
  options: Pick<RunOptions, 'signal'> = {},
): Promise<Content[]> {
  const contents: Content[] = [];
  while (contents.length < paths.length) {
    const rest = paths.slice(contents.length);
    const args = ['--probe', '--output', 'export', '--', ...rest];
    const result = await runTool('blkid', args, { ...options, timeoutMs: PROBE_MS, okStatuses: [0, 2, 8] });
    const found = rest.length === 1 && result.status === 0 ? [parseBlkid(result.stdout)] : parseMany(result.stdout);
    contents.push(...found);
    if (found.length < rest.length) {
      contents.push(result.status === 8 ? { ...NO_CONTENT, type: 'ambiguous' } : NO_CONTENT);
    }
  }
  return contents;
}

/** Blocks of NAME=VALUE, each begun by DEVNAME. */
export function parseMany(text: string): Content[] {
  const blocks = text.split(/^(?=DEVNAME=)/m);
  return blocks.filter((block) => block.startsWith('DEVNAME=')).map(parseBlkid);
}
