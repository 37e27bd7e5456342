// What `npm run test:long` runs: a test file, the counts of its long form, and the minutes after which it is given up.
// `alone`: it measures times, so nothing runs beside it. A new row is one line here.
export const ROWS = [
  { file: 'faults/f01-target-killed.test.ts', env: { F01_CYCLES: '200', F01_OUTAGES: '20' }, minutes: 60, alone: true },
  { file: 'faults/f19-slow-login.test.ts', env: { F19_ATTACKERS: '1000' }, minutes: 2 },
  { file: 'faults/f31-lun-swapped.test.ts', env: { F31_SWAPS: '100' }, minutes: 15 },
  {
    file: 'faults/f28-parallel-commands.test.ts',
    env: { F28_WIDTH: '64', F28_ROUNDS: '100' },
    minutes: 240,
    alone: true,
  },
  { file: 'faults/f32-chap.test.ts', env: { F32_TRIES: '200' }, minutes: 3, alone: true },
  { file: 'interop/parameter-matrix.test.ts', env: { LUNCTL_TEST_MATRIX: 'all' }, minutes: 20 },
  { file: 'interop/chap-matrix.test.ts', env: { LUNCTL_TEST_MATRIX: 'all' }, minutes: 5 },
  { file: 'initiator/recovery-random.test.ts', env: { LUNCTL_RECOVERY_SEEDS: '10000' }, minutes: 15 },
];
