// What iscsi-test-cu says of each of its tests, read from its own output (with -V: only then does it name every skip).

export type Verdict = 'pass' | 'fail' | 'skip';

export interface TestResult {
  /** FAMILY.TEST, as `iscsi-test-cu --list` has it below ALL. */
  readonly name: string;
  readonly verdict: Verdict;
  /** Of a skip and a failure: the suite's own words. Empty for a pass. */
  readonly reason: string;
}

/** The distinct tests: those below ALL; the list repeats them under other families. */
export function listedTests(list: string): string[] {
  return [...list.matchAll(/^ALL\.([^.\s]+\.[^.\s]+)$/gm)].map(([, name]) => name ?? '');
}

/** The tests that `output` reports on, which is that of one or more families. */
export function readVerdicts(output: string): TestResult[] {
  const results: TestResult[] = [];
  for (const suite of output.split(/^Suite: /m).slice(1)) {
    const family = /^\S+/.exec(suite)?.[0] ?? '';
    for (const test of suite.split(/^ {2}Test: /m).slice(1)) results.push(readTest(family, test));
  }
  return results;
}

/** `text` begins with the test's name and ends before the next one's. */
function readTest(family: string, text: string): TestResult {
  const [, test = '', body = ''] = /^(\S+) \.\.\.([\s\S]*)$/.exec(text) ?? [];
  const name = `${family}.${test}`;
  // A failed test's word is followed by its failed assertions, numbered.
  const failed = /^FAILED$([\s\S]*)/m.exec(body);
  if (failed !== null)
    return { name, verdict: 'fail', reason: oneLine(/\d+\. [^\n]*/.exec(failed[1] ?? '')?.[0] ?? '') };
  if (!/^passed/m.test(body)) return { name, verdict: 'fail', reason: 'no verdict: the suite ended within this test' };
  // One left-out part makes a skip of the whole test.
  const skipped = /\[SKIP(?:PED|PING)\] *([^\n]*)/.exec(body);
  if (skipped !== null) return { name, verdict: 'skip', reason: oneLine(skipped[1] ?? '') };
  return { name, verdict: 'pass', reason: '' };
}

function oneLine(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replaceAll('|', '\\|')
    .replace(/\.? ?Skipping test\.?$/, '')
    .trim();
}

/** `tests` in their order, each with what was reported of it; a failure where nothing was. */
export function complete(tests: readonly string[], results: readonly TestResult[]): TestResult[] {
  const found = new Map(results.map((result) => [result.name, result]));
  return tests.map((name) => found.get(name) ?? { name, verdict: 'fail', reason: 'no verdict' });
}
