// Whatever is typed, the configuration stays sound: no reference leads nowhere, nothing is there twice, and the file takes it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { contradictions } from '../../../src/saveconfig/check.js';
import { EMPTY_CONFIG } from '../../../src/saveconfig/defaults.js';
import { setDiscoveryAuth } from '../../../src/saveconfig/edits/auth.js';
import { restoreInto } from '../../../src/saveconfig/edits/restore.js';
import { sizeWord } from '../../../src/saveconfig/edits/words.js';
import { parseSaveConfig } from '../../../src/saveconfig/parse.js';
import { printSaveConfig } from '../../../src/saveconfig/print.js';
import { AppError } from '../../../src/util/errors.js';
import { Ground } from '../../transcripts/targetcli/ground.js';

const TARGETS = ['iqn.2022-08.com.test:a', 'iqn.2022-08.com.test:b'];
const INITIATORS = ['iqn.2022-08.com.test:i1', 'iqn.2022-08.com.test:i2'];

/** Lines that mean something, so that sequences of them get somewhere. */
const line: fc.Arbitrary<string> = fc
  .record({
    target: fc.constantFrom(...TARGETS),
    tag: fc.integer({ min: 1, max: 2 }),
    who: fc.constantFrom(...INITIATORS, 'both'),
    object: fc.constantFrom('ramdisk/r0', 'ramdisk/r1', 'fileio/f0', 'block/b0', 'user:nbd/n0'),
    number: fc.integer({ min: 0, max: 3 }),
    port: fc.integer({ min: 3260, max: 3261 }),
    address: fc.constantFrom('0.0.0.0', '127.0.0.1', '::1', '::0'),
  })
  .chain(({ target, tag, who, object, number, port, address }) => {
    const tpg = `/iscsi/${target}/tpg${tag}`;
    const [plugin, name] = object.split('/') as [string, string];
    return fc.constantFrom(
      `/backstores/ramdisk create ${name} 1M`,
      `/backstores/fileio create ${name} /tmp/${name} 1M`,
      '/backstores/block create b0 /dev/ram0',
      '/backstores/user:nbd create n0 0 nbd://127.0.0.1/x',
      `/backstores/${plugin} delete ${name}`,
      `/backstores/${object}/alua create g${number} ${number}`,
      `/backstores/${object}/alua delete g${number}`,
      `/iscsi create ${target}`,
      `/iscsi/${target} create ${tag}`,
      `/iscsi/${target} delete ${tag}`,
      `/iscsi delete ${target}`,
      `${tpg}/luns create /backstores/${object}`,
      `${tpg}/luns create /backstores/${object} lun=${number}`,
      `${tpg}/luns delete ${number}`,
      `${tpg}/luns/lun${number} set alua alua_tg_pt_gp_name=g${number}`,
      `${tpg}/acls create ${who}`,
      `${tpg}/acls delete ${who}`,
      `${tpg}/acls tag ${who} both`,
      `${tpg}/acls untag both`,
      `${tpg}/acls/${who} create ${number} ${number} ${tag - 1}`,
      `${tpg}/acls/${who} create ${number} /backstores/${object}`,
      `${tpg}/acls/${who} delete ${number}`,
      `${tpg}/acls/${who} set auth userid=u password=p${number}`,
      `${tpg}/portals create ${address} ${port}`,
      `${tpg}/portals delete ${address} ${port}`,
      `${tpg} set attribute authentication=${tag - 1}`,
      `${tpg} disable`,
    );
  });

test('any sequence of lines leaves a sound configuration that the file takes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(line, { minLength: 5, maxLength: 40 }), async (lines) => {
      const ground = new Ground();
      const shell = ground.shell(() => undefined);
      for (const typed of lines) {
        await shell
          .runLine(typed)
          .catch((error: unknown) => assert.ok(error instanceof AppError, `${typed}: ${error}`));
        assert.deepEqual(contradictions(ground.config), [], typed);
      }
      const text = printSaveConfig(ground.config);
      assert.equal(printSaveConfig(parseSaveConfig(text, 'made')), text);
      await shell.runLine('ls /');
    }),
    { numRuns: 60 },
  );
});

test('the discovery credentials have the keys that rtslib saves', () => {
  let config = setDiscoveryAuth(EMPTY_CONFIG, 'userid', 'u');
  config = setDiscoveryAuth(config, 'mutual_password', 'p');
  config = setDiscoveryAuth(config, 'enable', '1');
  assert.deepEqual(config.fabric_modules, [
    { name: 'iscsi', discovery_userid: 'u', discovery_mutual_password: 'p', discovery_enable_auth: true },
  ]);
});

test('sizes', () => {
  for (const [text, bytes] of [
    ['0', 0],
    ['4096', 4096],
    ['4096B', 4096],
    ['10G', 10_737_418_240],
    ['1kB', 1024],
    ['1MiB', 1_048_576],
    ['2t', 2_199_023_255_552],
  ] as const)
    assert.equal(sizeWord(text), bytes);
  for (const text of ['', 'G', '-1', '1.5G', '1P', '12X', '9007199254740993', '99999999T'])
    assert.throws(() => sizeWord(text), /Cannot interpret size/);
});

describe('restoring', () => {
  const made = async (...lines: string[]): Promise<Ground> => {
    const ground = new Ground();
    for (const typed of lines) await ground.shell(() => undefined).runLine(typed);
    return ground;
  };
  test('one object, or all, beside what is there or in its place', async () => {
    const { config: saved } = await made('/backstores/ramdisk create r0 1M', `/iscsi create ${TARGETS[0]}`);
    const { config: now } = await made('/backstores/ramdisk create r0 2M', '/backstores/ramdisk create r1 1M');
    assert.throws(
      () => restoreInto(now, saved, { clearExisting: false }),
      /storageobject 'ramdisk:r0' exist not restoring/,
    );
    const names = (config: typeof now): string[] => config.storage_objects.map(({ name, size }) => `${name} ${size}`);
    const cleared = restoreInto(now, saved, { clearExisting: true }).config;
    assert.deepEqual([names(cleared), cleared.targets.length], [['r0 1048576'], 1]);
    const one = restoreInto(now, saved, { clearExisting: true, storageObject: 'r0' }).config;
    assert.deepEqual([names(one), one.targets.length], [['r0 1048576', 'r1 1048576'], 0]);
    const target = restoreInto(now, saved, { clearExisting: false, target: TARGETS[0] }).config;
    assert.deepEqual([names(target), target.targets.length], [['r1 1048576', 'r0 2097152'], 1]);
  });
});
