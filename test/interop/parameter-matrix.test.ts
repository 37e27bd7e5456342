// Every combination of InitialR2T, ImmediateData, FirstBurstLength, MaxBurstLength and MaxRecvDataSegmentLength, against
// three targets: data read back another way, and the wire held to RFC 7143. LUNCTL_TEST_MATRIX=all goes through 88 sets each.
import { describe, it } from 'node:test';
import { ISTGT_TARGET, istgtMissing, startIstgt } from '../helpers/istgt.js';
import { OWN_TARGET, startOwn } from '../helpers/own-target.js';
import { startTgt, TGT_TARGET, tgtMissing } from '../helpers/tgt.js';
import { checkMatrix, MATRIX_SETS } from './matrix.js';

const SETS = MATRIX_SETS[process.env.LUNCTL_TEST_MATRIX ?? 'short'] ?? [];

const GENEROUS = [
  ['InitialR2T', 'No'],
  ['MaxOutstandingR2T', '8'],
  ['FirstBurstLength', '262144'],
  ['MaxBurstLength', '16776192'],
  ['MaxRecvDataSegmentLength', '16384'],
] as const;

describe('parameter matrix', { concurrency: true }, () => {
  it('tgt', { skip: tgtMissing() }, async (t) => {
    const tgt = await startTgt(16 * 2 ** 20);
    try {
      // tgt insists on R2Ts unless it is told otherwise. Segments below FirstBurstLength make unsolicited Data-Out PDUs.
      for (const [name, value] of GENEROUS) {
        tgt.adm('--op', 'update', '--mode', 'target', '--tid', '1', '-n', name, '-v', value);
      }
      await checkMatrix(t, { port: tgt.port, targetName: TGT_TARGET, image: tgt.image }, SETS);
    } finally {
      await tgt.stop();
    }
  });

  it('istgt', { skip: istgtMissing() }, async (t) => {
    const istgt = await startIstgt(16, null);
    try {
      await checkMatrix(t, { port: istgt.port, targetName: ISTGT_TARGET, image: istgt.image }, SETS);
    } finally {
      await istgt.stop();
    }
  });

  it('our own target', async (t) => {
    const own = await startOwn();
    try {
      await checkMatrix(t, { port: own.port, targetName: OWN_TARGET, image: own.image }, SETS);
    } finally {
      await own.stop();
    }
  });
});
