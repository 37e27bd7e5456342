// saveconfig.json: what LIO has written is read and written back to the byte; what is damaged is refused with its place.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { contradictions } from '../../src/saveconfig/check.js';
import { notHonoured } from '../../src/saveconfig/honour.js';
import { parseSaveConfig } from '../../src/saveconfig/parse.js';
import { printSaveConfig } from '../../src/saveconfig/print.js';
import { AppError } from '../../src/util/errors.js';

const read = (name: string) => readFileSync(new URL(`data/${name}`, import.meta.url), 'utf8');
const FILES = ['lio-fileio-chap.json', 'lio-two-targets.json', 'lio-block.json'];
const parse = (text: string) => parseSaveConfig(text, 'saveconfig.json');

/** Each with its place, `targets.0.tpgs.0.tag`; what is undefined is taken out. */
type Changes = Readonly<Record<string, unknown>>;

function step(value: unknown, key: string): unknown {
  return (value as Record<string, unknown>)[key];
}
function lookUp(place: string, name = 'lio-two-targets.json'): unknown {
  return place.split('.').reduce(step, JSON.parse(read(name)));
}

function changed(changes: Changes, name = 'lio-two-targets.json'): string {
  const config: unknown = JSON.parse(read(name));
  for (const [place, value] of Object.entries(changes)) {
    const keys = place.split('.');
    const last = keys.pop() ?? '';
    const holder = keys.reduce(step, config) as object;
    if (Array.isArray(holder) && value === undefined) holder.splice(Number(last), 1);
    else Object.defineProperty(holder, last, { value, enumerable: true, configurable: true, writable: true });
  }
  return JSON.stringify(config, null, 2);
}

function refusal(text: string): AppError {
  try {
    parse(text);
  } catch (error) {
    assert.ok(error instanceof AppError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: `taken: ${text.slice(0, 200)}` });
}

describe('a file of LIO', () => {
  for (const name of FILES) {
    it(`${name} comes back byte for byte, and is sound`, () => {
      const config = parse(read(name));
      assert.equal(printSaveConfig(config), read(name));
      assert.deepEqual(contradictions(config), []);
      assert.deepEqual(
        notHonoured(config).filter(({ path }) => !path.includes('pscsi')),
        [],
      );
    });
  }

  it('keys that nobody knows are kept, at every level', () => {
    const text = changed({
      future: { deep: [1, { x: null }] },
      'storage_objects.0.new_key': 'é\u007f',
      'targets.1.tpgs.0.node_acls.0.mapped_luns.0.more': [true],
      'targets.0.__proto__': { polluted: 1 },
    });
    const again = printSaveConfig(parse(text));
    assert.equal(printSaveConfig(parse(again)), again);
    assert.match(again, /"future": \{/);
    assert.match(again, /"new_key": "\\u00e9\\u007f"/);
    assert.match(again, /"__proto__": \{\s+"polluted": 1/);
    assert.equal(({} as { polluted?: number }).polluted, undefined);
  });

  it('what older versions leave out has the value that they meant', () => {
    const config = parse(
      changed({
        fabric_modules: undefined,
        'storage_objects.1.alua_tpgs': undefined,
        'storage_objects.1.write_back': undefined,
        'targets.0.tpgs.0.enable': undefined,
      }),
    );
    assert.deepEqual(config.fabric_modules, []);
    assert.deepEqual(config.storage_objects[1]?.alua_tpgs, []);
    assert.equal(config.targets[0]?.tpgs[0]?.enable, true);
  });
});

describe('what cannot be honoured is named with its path', () => {
  const cases: [string, Changes, string][] = [
    ['another fabric', { 'targets.0.fabric': 'vhost' }, '/vhost/iqn.2003-01.org.linux-iscsi'],
    ['iser', { 'targets.0.tpgs.0.portals.0.iser': true }, 'portals/0.0.0.0:3260: iser'],
    ['offload', { 'targets.0.tpgs.0.portals.0.offload': true }, 'portals/0.0.0.0:3260: offload'],
    ['T10 PI', { 'storage_objects.1.attributes.pi_prot_type': 1 }, '/backstores/fileio/f2: pi_prot_type=1'],
    ['aio', { 'storage_objects.1.aio': true }, '/backstores/fileio/f2: aio'],
    [
      'an ALUA state',
      { 'storage_objects.1.alua_tpgs.0.alua_access_state': 2 },
      '/backstores/fileio/f2/alua/default_tg_pt_gp: every path is Active/optimized',
    ],
    ['ERL 2', { 'targets.0.tpgs.0.parameters.ErrorRecoveryLevel': '2' }, 'tpg1: ErrorRecoveryLevel=2'],
    [
      'a handler',
      { 'storage_objects.6': { plugin: 'user', name: 'r', config: 'rbd/p/i', size: 512 } },
      'user/r: there is no handler rbd',
    ],
    ['a fabric module', { 'fabric_modules.0': { name: 'qla2xxx' } }, '/qla2xxx: the fabric'],
  ];
  for (const [name, change, expected] of cases) {
    it(name, () => {
      const remarks = notHonoured(parse(changed(change))).map(({ path, reason }) => `${path}: ${reason}`);
      assert.equal(remarks.filter((line) => line.includes(expected)).length, 1, remarks.join('\n'));
    });
  }
});

describe('contradictions', () => {
  const cases: [string, Changes, string][] = [
    ['a LUN without its backstore', { 'storage_objects.1': undefined }, 'luns/lun2: there is no /backstores/fileio/f2'],
    [
      'a mapping without its LUN',
      { 'targets.1.tpgs.0.luns.0': undefined },
      'mapped_lun1: there is no LUN 2 in the portal group',
    ],
    [
      'a target twice',
      { 'targets.3': lookUp('targets.0') },
      '/iscsi/iqn.2003-01.org.linux-iscsi.kernel-lab.x8664:sn.d1dd971b5e94: is there twice',
    ],
    [
      'a backstore twice',
      { 'storage_objects.6': lookUp('storage_objects.1') },
      '/backstores/fileio/f2: is there twice',
    ],
    [
      'an ACL twice',
      { 'targets.1.tpgs.0.node_acls.2': lookUp('targets.1.tpgs.0.node_acls.0') },
      'node02: is there twice',
    ],
  ];
  for (const [name, change, expected] of cases) {
    it(name, () => {
      const found = contradictions(parse(changed(change))).map(({ path, reason }) => `${path}: ${reason}`);
      assert.ok(
        found.some((line) => line.endsWith(expected)),
        found.join('\n'),
      );
    });
  }
});

describe('what is no configuration', () => {
  const cases: [string, string, RegExp][] = [
    ['nothing', '', /^saveconfig.json:1:1: the file ends here$/],
    ['an empty object', '{}', /^saveconfig.json:1: storage_objects: is missing$/],
    ['no targets', '{"storage_objects": []}', /^saveconfig.json:1: targets: is missing$/],
    ['a list', '[]', /begins with/],
    ['no JSON', 'storage_objects:\n', /^saveconfig.json:1:1: a value is expected$/],
    [
      'a key twice',
      '{"storage_objects": [],\n "storage_objects": []}',
      /^saveconfig.json:2:2: the key "storage_objects" comes twice$/,
    ],
    ['deep nesting', `${'['.repeat(100_000)}`, /nested deeper/],
    ['a size that would be rounded', changed({ 'storage_objects.1.size': 2 ** 53 }), /too large/],
    ['a size below nothing', changed({ 'storage_objects.1.size': -1 }), /storage_objects\[1\].size: a whole number/],
    ['a text for a number', changed({ 'targets.0.tpgs.0.tag': '1' }), /targets\[0\].tpgs\[0\].tag/],
    ['a name with a slash', changed({ 'storage_objects.1.name': '../x' }), /no "\/"/],
    ['no iSCSI name', changed({ 'targets.0.wwn': 'iqn.x' }), /targets\[0\].wwn.*no iSCSI name/],
    ['an unknown plugin', changed({ 'storage_objects.1.plugin': 'rbd' }), /storage_objects\[1\].plugin/],
    ['a control character', changed({ 'storage_objects.1.dev': '/a\u0000b' }), /control characters/],
  ];
  for (const [name, text, message] of cases) {
    it(name, () => {
      const error = refusal(text);
      assert.equal(error.code, 'ERR_DATABASE');
      assert.match(error.message, message);
    });
  }

  it('a file of 100 MB is refused before it is looked at', () => {
    assert.match(refusal(' '.repeat(100_000_000)).message, /longer than/);
  });

  it('cut at every byte, it is never taken', () => {
    const text = read('lio-fileio-chap.json');
    for (let length = 0; length < text.length - 2; length++) {
      const error = refusal(text.slice(0, length));
      assert.match(error.message, /^saveconfig.json:\d+:\d+: /);
    }
  });

  it('with one bit turned, it is refused or says something else, and never loses a disk', () => {
    const bytes = readFileSync(new URL('data/lio-fileio-chap.json', import.meta.url));
    let refused = 0;
    for (let bit = 0; bit < bytes.length * 8; bit += 3) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        const config = parse(flipped.toString());
        assert.equal(config.storage_objects.length, 1);
        assert.equal(config.targets.length, 1);
      } catch (error) {
        assert.ok(error instanceof AppError, String(error));
        refused++;
      }
    }
    assert.ok(refused > 1000, `${refused} refused`);
  });
});
