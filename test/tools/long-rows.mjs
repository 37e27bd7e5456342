// What `npm run test:long` runs: a test file, the counts of its long form, and the minutes after which it is given up.
// `alone`: it measures times, so nothing runs beside it. A new row is one line here.
export const ROWS = [
  { file: 'long/soak.test.ts', env: { SOAK_SECONDS: '3600' }, minutes: 75 },
  {
    file: 'faults/f01-target-killed.test.ts',
    env: { F01_CYCLES: '200', F01_LONGEST_OUTAGE_MS: '15000', F01_OUTAGES: '20' },
    minutes: 75,
  },
  { file: 'faults/f02-reset.test.ts', env: { F02_RESETS: '200', F02_EVERY_MS: '3000' }, minutes: 40 },
  { file: 'faults/f03-black-hole.test.ts', env: { F03_NOP_MS: '5000', F03_DOWN_MS: '25000' }, minutes: 5 },
  { file: 'faults/f04-stale-write.test.ts', env: { F04_RUNS: '1000', F04_KILLS: '100' }, minutes: 30 },
  { file: 'faults/f07-nop-while-data-flows.test.ts', env: { F07_ROUNDS: '5', F07_DELAYED_MS: '30000' }, minutes: 5 },
  { file: 'faults/f08-target-pings.test.ts', env: { F08_IDLE_MS: '60000' }, minutes: 3 },
  { file: 'faults/f12-worker-killed.test.ts', env: { F12_KILLS: '20' }, minutes: 10 },
  { file: 'faults/f13-cli-killed.test.ts', env: { F13_KILLS: '50' }, minutes: 10 },
  { file: 'faults/f34-late-target.test.ts', env: { F34_LATE_MS: '20000' }, minutes: 3 },
  { file: 'faults/f39-out-of-time.test.ts', env: { F39_TIMEOUT_MS: '10000', F39_LONGER_MS: '10000' }, minutes: 3 },
  { file: 'faults/f17-bit-flips.test.ts', env: { F17_FLIPS: '10000' }, minutes: 120 },
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
