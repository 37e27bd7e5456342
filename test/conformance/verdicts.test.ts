// What the conformance runner reads from iscsi-test-cu: no failure, skip or test that never ended may pass for a pass.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, markdown } from './report.js';
import { complete, listedTests, readVerdicts } from './verdicts.js';

const OUTPUT = `
    Send PRIN/READ_KEYS
Suite: Unmap
  Test: Simple ...passed
  Test: VPD ...
    Test UNMAP VPD
    [SKIPPED] Logical unit is not thin provisioned. Skipping test
passed
  Test: ZeroBlocks ...    [FAILED] RESERVE6 command: failed with sense.
passed    Send PRIN/READ_KEYS

Suite: Verify10
  Test: Simple ...
    [OK] VERIFY10 returned SUCCESS
FAILED
    1. test_verify10.c:40  - CU_ASSERT_EQUAL(ret,0)
  Test: Dpo ...    [SKIPPED] one part
    some more
FAILED
    1. a.c:1  - x
    2. a.c:2  - y
  Test: Flags ...
    Send VERIFY10
`;

test('the verdict of a test is its own last word; a part left out makes a skip; without a word it has failed', () => {
  assert.deepEqual(
    readVerdicts(OUTPUT).map(({ name, verdict }) => `${name} ${verdict}`),
    [
      'Unmap.Simple pass',
      'Unmap.VPD skip',
      'Unmap.ZeroBlocks pass',
      'Verify10.Simple fail',
      'Verify10.Dpo fail',
      'Verify10.Flags fail',
    ],
  );
  const [, skipped, , failed] = readVerdicts(OUTPUT);
  assert.equal(skipped?.reason, 'Logical unit is not thin provisioned');
  assert.equal(failed?.reason, '1. test_verify10.c:40 - CU_ASSERT_EQUAL(ret,0)');
});

test('each distinct test has a line, also one of which nothing was heard', () => {
  const tests = listedTests('ALL\nALL.Unmap\nALL.Unmap.Simple\nALL.Unmap.VPD\nALL.Read6.Simple\nSCSI.Unmap.Simple\n');
  assert.deepEqual(tests, ['Unmap.Simple', 'Unmap.VPD', 'Read6.Simple']);
  const results = complete(tests, readVerdicts(OUTPUT));
  assert.deepEqual([count(results, 'pass'), count(results, 'skip'), count(results, 'fail')], [1, 1, 1]);
  const text = markdown('libiscsi-bin 1', [{ title: 'fileio', results }]);
  assert.match(text, /^\| fileio \| 3 \| 1 \| 1 \| 1 \|$/m);
  assert.match(text, /^\| Read6.Simple \| fail: no verdict \|$/m);
  assert.match(text, /^\| Unmap.VPD \| skip: Logical unit is not thin provisioned \|$/m);
});
