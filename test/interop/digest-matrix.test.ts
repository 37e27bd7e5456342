// The four combinations of header and data digest against three targets: agreed as asked, data read back another way.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loginForeground } from '../../src/services/login.js';
import { ISTGT_TARGET, istgtMissing, startIstgt } from '../helpers/istgt.js';
import { OWN_TARGET, startOwn } from '../helpers/own-target.js';
import { loginRequest, makeRunFolder } from '../helpers/session.js';
import { startTgt, TGT_TARGET, tgtMissing } from '../helpers/tgt.js';
import { checkMatrix, MATRIX_SETS } from './matrix.js';

const SETS = MATRIX_SETS.digests ?? [];

describe('digest matrix', { concurrency: true }, () => {
  it('tgt', { skip: tgtMissing() }, async (t) => {
    const tgt = await startTgt(16 * 2 ** 20);
    try {
      // tgt offers a digest only where it is told to allow one; it says None otherwise.
      for (const digest of ['HeaderDigest', 'DataDigest']) {
        tgt.adm('--op', 'update', '--mode', 'target', '--tid', '1', '-n', digest, '-v', 'CRC32C,None');
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

  it('a list is an offer: a target without digests still logs in, one that insists is refused', {
    skip: tgtMissing(),
  }, async () => {
    const tgt = await startTgt(2 ** 20);
    const folder = makeRunFolder();
    try {
      for (const digest of ['HeaderDigest', 'DataDigest']) {
        tgt.adm('--op', 'update', '--mode', 'target', '--tid', '1', '-n', digest, '-v', 'None');
      }
      const list = { headerDigest: ['CRC32C', 'None'], dataDigest: ['CRC32C', 'None'] } as const;
      const request = loginRequest(TGT_TARGET, tgt.port, { foreground: true, negotiate: list });
      const session = await loginForeground(request, { paths: folder.paths });
      assert.deepEqual([session.info.params.headerDigest, session.info.params.dataDigest], ['None', 'None']);
      await session.logout();
      await session.ended;
      const strict = { ...request, negotiate: { dataDigest: 'CRC32C' } as const };
      await assert.rejects(loginForeground(strict, { paths: folder.paths }), /DataDigest/);
    } finally {
      await tgt.stop();
      folder.remove();
    }
  });
});
