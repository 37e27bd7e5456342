// The list of all tests that is committed: what passed, what failed, what was left out and why.
import type { TestResult, Verdict } from './verdicts.js';

export interface Column {
  /** The backstore. */
  readonly title: string;
  readonly results: readonly TestResult[];
}

export function count(results: readonly TestResult[], verdict: Verdict): number {
  return results.filter((result) => result.verdict === verdict).length;
}

/** Markdown. `suite`: the name and version of the suite. Every column has the same tests in the same order. */
export function markdown(suite: string, columns: readonly Column[]): string {
  const names = columns[0]?.results.map(({ name }) => name) ?? [];
  const rows = names.map((name, i) => `| ${name} | ${columns.map(({ results }) => cell(results[i])).join(' | ')} |`);
  const totals = columns.map(({ title, results }) => {
    const [pass, fail, skip] = (['pass', 'fail', 'skip'] as const).map((verdict) => count(results, verdict));
    return `| ${title} | ${results.length} | ${pass} | ${fail} | ${skip} |`;
  });
  return [
    '# iscsi-test-cu against `lunctl serve`',
    '',
    `${suite}; every test of the suite, with data loss and SANITIZE allowed and a second path given; ReadOnly on a write-protected disk. Written by`,
    '`npm run test:conformance`. A test counts as skipped as soon as it leaves one part out; the reason is the suite’s own.',
    'Sanitize.Reset has a disk of 256 MiB, on which an overwrite of 64 MiB/s is still under way when it looks, and a clock of its',
    'own that runs ten times as fast (libfaketime): it sleeps for a minute without an answer to our pings.',
    '',
    '| Backstore | Tests | Passed | Failed | Skipped |',
    '|---|---|---|---|---|',
    ...totals,
    '',
    `| Test | ${columns.map(({ title }) => title).join(' | ')} |`,
    `|---|${columns.map(() => '---').join('|')}|`,
    ...rows,
    '',
  ].join('\n');
}

function cell(result: TestResult | undefined): string {
  if (result === undefined) return 'fail: no verdict';
  return result.reason === '' ? result.verdict : `${result.verdict}: ${result.reason}`;
}
