// What `config check` says of the places in which records may lie; all else is tested with the command.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { checkConfig } from '../../src/services/config-check.js';
import { addNode } from '../../src/services/records/edit-nodes.js';

it('records in both of open-iscsi’s places are told of, those in use are not', async () => {
  const root = await mkdtemp(join(tmpdir(), 'lunctl-check-'));
  try {
    const places = ['etc', 'var'].map((name) => join(root, name));
    const [etc = '', other = ''] = places;
    for (const place of places) mkdirSync(place);
    writeFileSync(join(etc, 'initiatorname.iscsi'), 'InitiatorName=iqn.2022-08.com.test:me\n');
    const check = (dbDir: string) => checkConfig({ configDir: etc, dbDir }, places);
    const { signal } = new AbortController();
    const node = { targetName: 'iqn.2022-08.com.test:a', portal: { address: '10.0.0.1', port: 3260 }, tpgt: 1 };
    await addNode({ configDir: etc, dbDir: other }, node, signal);
    assert.deepEqual(await check(other), []);
    assert.deepEqual(
      (await check(etc)).map(({ level, where, message }) => [level, where, message]),
      [['warning', other, `there are records here too, but those in ${etc} are used`]],
    );
    assert.deepEqual(await check(join(root, 'elsewhere')), []);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
