// Persistent reservations that outlive the server (APTPL): kept before the status, found again, never guessed.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { openReservationFile } from '../../src/services/serve/reservation-file.js';
import type { KeptReservations } from '../../src/target/reservations.js';
import { AppError } from '../../src/util/errors.js';

const NEXUS = 'iqn.2022-08.com.test:a,i,0x80aabbcc0001 iqn.2022-08.com.test:t,t,0x0001';
const STATE: KeptReservations = {
  registrations: [
    { nexus: NEXUS, key: 0xfedc_ba98_7654_3210n, name: 'iqn.2022-08.com.test:a', isid: '80aabbcc0001', port: 1 },
    { nexus: `${NEXUS}2`, key: 1n, name: 'iqn.2022-08.com.test:b', isid: '80aabbcc0002', port: 1 },
  ],
  held: { type: 5, holder: NEXUS },
};

describe('the file of persistent reservations', () => {
  let root: string;
  let folder: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'lunctl-pr-'));
    folder = join(root, 'pr');
  });
  afterEach(() => rmSync(root, { recursive: true }));
  const only = (): string => join(folder, readdirSync(folder)[0] ?? '');

  test('is made when there is something to keep, and read again, for the same disk alone', async () => {
    const keeper = await openReservationFile(folder, 'serial-1');
    assert.equal(keeper.kept, null);
    assert.throws(() => statSync(folder));
    await keeper.keep(STATE);
    assert.deepEqual((await openReservationFile(folder, 'serial-1')).kept, STATE);
    assert.equal((await openReservationFile(folder, 'serial-2')).kept, null);
    assert.equal(statSync(only()).mode & 0o777, 0o600);
    await keeper.keep({ ...STATE, held: { type: 7, holder: null } });
    assert.deepEqual((await openReservationFile(folder, 'serial-1')).kept?.held, { type: 7, holder: null });
    await keeper.keep(null);
    assert.equal((await openReservationFile(folder, 'serial-1')).kept, null);
    assert.equal(readdirSync(folder).length, 1);
  });

  test('a damaged one is an error that names it, and not "nobody has reserved the disk"', async () => {
    await (await openReservationFile(folder, 'serial-1')).keep(STATE);
    const text = readFileSync(only(), 'utf8');
    for (const bytes of [
      '',
      '{',
      'null',
      '[]',
      text.slice(0, -3),
      text.replace('serial-1', 'serial-9'),
      text.replace('"version": 1', '"version": 2'),
      text.replace('fedcba9876543210', 'fedcba987654321'),
      text.replace(`"holder": "${NEXUS}"`, '"holder": "nobody"'),
      text.replace('"type": 5', '"type": 9'),
      `${text}${' '.repeat(2 ** 20)}`,
    ]) {
      writeFileSync(only(), bytes);
      await assert.rejects(openReservationFile(folder, 'serial-1'), (error) => {
        return error instanceof AppError && error.code === 'ERR_DATABASE' && error.message.includes(only());
      });
    }
  });

  test('where it cannot be written the change fails', async () => {
    writeFileSync(folder, 'a file where the folder would be');
    const keeper = await openReservationFile(root, 'serial-1');
    assert.equal(keeper.kept, null);
    await assert.rejects(openReservationFile(folder, 'serial-1').then(({ keep }) => keep(STATE)));
  });
});
