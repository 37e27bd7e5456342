// The target shell: going about, settings, prompts, completion, changes that somebody else makes meanwhile.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { completeLine } from '../../../src/cli/targetcli/complete.js';
import type { TargetShell } from '../../../src/cli/targetcli/shell.js';
import { AppError } from '../../../src/util/errors.js';
import { Ground } from '../../transcripts/targetcli/ground.js';

const IQN = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const TPG = `/iscsi/${IQN}/tpg1`;

class Typist {
  readonly ground = new Ground();
  #said: string[] = [];
  readonly shell: TargetShell = this.ground.shell((text) => void this.#said.push(text));
  /** What a line says. */
  async type(line: string): Promise<string> {
    this.#said = [];
    await this.shell.runLine(line);
    return this.#said.join('\n');
  }
  async refused(line: string): Promise<AppError> {
    return await this.type(line).then(
      () => assert.fail(`${line} was taken`),
      (error: unknown) => (error instanceof AppError ? error : assert.fail(String(error))),
    );
  }
  static async withTarget(): Promise<Typist> {
    const typist = new Typist();
    for (const line of [
      '/backstores/fileio create disk01 /var/lib/iscsi_disks/disk01.img 10G',
      '/backstores/ramdisk create rd0 64M',
      `/iscsi create ${IQN}`,
      `${TPG}/luns create /backstores/fileio/disk01`,
      `${TPG}/acls create ${INITIATOR}`,
    ])
      await typist.type(line);
    return typist;
  }
}

describe('going about', () => {
  test('paths, prompts, history', async () => {
    const typist = await Typist.withTarget();
    const at = async (line: string): Promise<string> => {
      await typist.type(line);
      return typist.shell.prompt;
    };
    assert.equal(await at(`cd ${TPG}/luns`), '/iscsi/iqn.20...t01/tpg1/luns> ');
    assert.equal(await at('../acls'), '/iscsi/iqn.20...t01/tpg1/acls> ');
    assert.equal(await at('cd <'), '/iscsi/iqn.20...t01/tpg1/luns> ');
    assert.equal(await at('cd >'), '/iscsi/iqn.20...t01/tpg1/acls> ');
    assert.equal(await at('cd ../../../../..'), '/> ');
    assert.equal(await at('backstores/fileio/'), '/backstores/fileio> ');
    await typist.type('bookmarks add files');
    assert.equal(await at('/'), '/> ');
    assert.equal(await at('cd @files'), '/backstores/fileio> ');
    assert.match(await typist.type('ls @files 1'), /^o- fileio .*\n {2}o- disk01 [^\n]*$/);
    assert.equal((await typist.refused('cd nowhere')).message, 'No such path /backstores/fileio/nowhere');
    await typist.type('set global prompt_length=0');
    assert.equal(await at(`cd ${TPG}`), `${TPG}> `);
  });
  test('a current node that is deleted: the nearest one above it', async () => {
    const typist = await Typist.withTarget();
    await typist.type(`cd ${TPG}/acls`);
    await typist.type(`/iscsi delete ${IQN}`);
    assert.match(await typist.type('pwd'), /^\/iscsi$/);
  });
  test('a star runs on each child', async () => {
    const typist = await Typist.withTarget();
    const said = await typist.type('/backstores/* status');
    assert.match(said, /^\[\/backstores\/block\]\nStatus for \/backstores\/block: Storage Objects: 0\n\[/);
  });
  test('the tree without its root, its summaries, its depth', async () => {
    const typist = await Typist.withTarget();
    await typist.type('set global tree_show_root=false tree_status_mode=false tree_round_nodes=false');
    assert.equal(await typist.type('ls /iscsi 2'), `+- ${IQN}\n  +- tpg1`);
  });
  test('auto_cd_after_create', async () => {
    const typist = await Typist.withTarget();
    await typist.type('set global auto_cd_after_create=true');
    await typist.type(`${TPG}/luns create /backstores/ramdisk/rd0`);
    assert.equal(await typist.type('pwd'), `${TPG}/luns/lun1`);
  });
});

describe('settings', () => {
  test('a password is taken, repeated as targetcli does, and never shown again', async () => {
    const typist = await Typist.withTarget();
    const acl = `${TPG}/acls/${INITIATOR}`;
    assert.equal(await typist.type(`${acl} set auth password="a b"`), "Parameter password is now 'a b'.");
    assert.equal(await typist.type(`${acl} get auth password`), 'password=******** ');
    assert.match(await typist.type(`${acl} info`), /^chap_password: \*{8}$/m);
    assert.equal(await typist.type(`${acl} set auth password=`), "Parameter password is now ''.");
    assert.equal(await typist.type(`${acl} get auth password`), 'password= ');
  });
  test('what is set and has no effect is told, once', async () => {
    const { ground } = await Typist.withTarget();
    const line = ['/backstores/fileio/disk01/alua', 'create', 'standby', '2'];
    assert.match((await ground.call(line)).stderr, /^warning: \/backstores\/fileio\/disk01\/alua\/standby: only .*\n$/);
    assert.equal((await ground.call([TPG, 'disable'])).stderr, '');
  });
  test('several values, or none', async () => {
    const typist = await Typist.withTarget();
    const { applied } = typist.ground;
    const refused = await typist.refused(`${TPG} set attribute authentication=1 login_timeout=x`);
    assert.match(refused.message, /login_timeout/);
    assert.equal(typist.ground.applied, applied);
    assert.equal(await typist.type(`${TPG} get attribute authentication`), 'authentication=0 ');
  });
  test('what cannot be: read-only, unknown, out of range', async () => {
    const typist = await Typist.withTarget();
    for (const [line, pattern] of [
      ['/backstores/fileio/disk01 set attribute hw_block_size=1', /Parameter hw_block_size is read-only/],
      ['/backstores/fileio/disk01 set attribute emulate_tpu=2', /Cannot set attribute emulate_tpu/],
      ['/backstores/fileio/disk01 set attribute block_size=513', /Cannot set attribute block_size/],
      ['/backstores set attribute x=1', /Unknown configuration group: attribute/],
      [`${TPG} set parameter MaxBurstLength=100`, /Cannot set parameter MaxBurstLength/],
      [`${TPG} set parameter ImmediateData=maybe`, /'maybe' is not Yes\|No/],
      [`${TPG} set parameter DataDigest=MD5`, /Cannot set parameter DataDigest/],
      [`${TPG} set auth password=NULL`, /'NULL' is not a permitted value/],
      [`${TPG} set auth password=${'x'.repeat(256)}`, /maximum length of 255/],
      ['set global prompt_length=x', /is not a NUMBER/],
    ] as const)
      assert.match((await typist.refused(line)).message, pattern, line);
  });
  test('authentication decides what is offered', async () => {
    const typist = await Typist.withTarget();
    assert.equal(await typist.type(`${TPG} get parameter AuthMethod`), 'AuthMethod=CHAP,None ');
    await typist.type(`${TPG} set attribute authentication=1`);
    assert.equal(await typist.type(`${TPG} get parameter AuthMethod`), 'AuthMethod=CHAP ');
  });
  test('ALUA groups', async () => {
    const typist = await Typist.withTarget();
    const object = '/backstores/fileio/disk01';
    await typist.type(`${object}/alua create standby 2`);
    await typist.type(`${object}/alua/standby set alua alua_access_state=2`);
    assert.match(await typist.type(`ls ${object}/alua`), /o- standby \.+ \[ALUA state: Standby\]/);
    await typist.type(`${TPG}/luns/lun0 set alua alua_tg_pt_gp_name=standby`);
    assert.match(await typist.type(`ls ${TPG}/luns`), /\(standby\)\]$/);
    await typist.type(`${object}/alua delete standby`);
    assert.match(await typist.type(`ls ${TPG}/luns`), /\(default_tg_pt_gp\)\]$/);
    assert.match((await typist.refused(`${object}/alua delete default_tg_pt_gp`)).message, /Can not delete/);
  });
});

describe('changes', () => {
  test('what somebody else does meanwhile is seen, and the change is made anew', async () => {
    const typist = await Typist.withTarget();
    const apply = typist.ground.apply.bind(typist.ground);
    let calls = 0;
    typist.ground.apply = async (config, revision) => {
      if (++calls === 1) typist.ground.revision++;
      return await apply(config, revision);
    };
    assert.equal(await typist.type(`${TPG}/luns create /backstores/ramdisk/rd0`), LUN_1);
    assert.equal(calls, 2);
  });
  const LUN_1 = `Created LUN 1.\nCreated LUN 1->1 mapping in node ACL ${INITIATOR}`;
  test('a backing file does not outlive a change that failed', async () => {
    const typist = await Typist.withTarget();
    const path = '/var/lib/iscsi_disks/new.img';
    typist.ground.apply = async () => {
      throw new AppError('ERR_ACCESS', 'no');
    };
    await typist.refused(`/backstores/fileio create new ${path} 1M`);
    assert.ok(!typist.ground.has(path));
  });
  test('a storage object that goes takes its LUNs and mappings along', async () => {
    const typist = await Typist.withTarget();
    await typist.type('/backstores/fileio delete disk01');
    assert.match(await typist.type(`ls ${TPG}`), /Mapped LUNs: 0[\s\S]*LUNs: 0/);
  });
  test('a LUN of a path that is no storage object yet', async () => {
    const typist = await Typist.withTarget();
    const said = await typist.type(`${TPG}/acls/${INITIATOR} create 7 /dev/ram0 write_protect=true`);
    assert.equal(said, 'Created storage object dev-ram0.\nCreated LUN 1.\nCreated Mapped LUN 7.');
    assert.match(await typist.type(`ls ${TPG}/acls`), /mapped_lun7 \.+ \[lun1 block\/dev-ram0 \(ro\)\]/);
    assert.match((await typist.refused(`${TPG}/acls/${INITIATOR} create 8 1 write_protect=maybe`)).message, /1 or 0/);
  });
  test('a tag joins initiators, and gives the newcomer its settings', async () => {
    const typist = await Typist.withTarget();
    const other = 'iqn.2022-08.com.test:node02';
    await typist.type(`${TPG}/acls create ${other} add_mapped_luns=false`);
    await typist.type(`${TPG}/acls/${INITIATOR} set auth userid=u password=p`);
    await typist.type(`${TPG}/acls tag ${INITIATOR} both`);
    await typist.type(`${TPG}/acls tag ${other} both`);
    assert.match(await typist.type(`ls ${TPG}/acls 1`), /o- both \.+ \[\(group of 2\), Mapped LUNs: 1\]$/);
    await typist.type(`${TPG}/acls untag both`);
    assert.match(await typist.type(`${TPG}/acls/${other} get auth userid`), /userid=u/);
  });
  test('conflicts of portals', async () => {
    const typist = await Typist.withTarget();
    for (const address of ['0.0.0.0', '127.0.0.1', '::0', '[::]'])
      await typist.refused(`${TPG}/portals create ${address}`);
    await typist.type(`${TPG}/portals delete 0.0.0.0 3260`);
    await typist.type(`${TPG}/portals create ::0`);
    assert.match((await typist.refused(`${TPG}/portals create [::]`)).message, /already exists/);
    assert.match((await typist.refused(`${TPG}/portals create fe80::1 3261`)).hint ?? '', /link/);
    await typist.type(`${TPG}/portals delete :: 3260`);
    assert.match(await typist.type(`ls ${TPG}/portals`), /Portals: 0/);
  });
  test('an NBD export is a storage object, and its node is shown once it has one', async () => {
    const typist = await Typist.withTarget();
    assert.doesNotMatch(await typist.type('ls /backstores'), /user:nbd/);
    await typist.type('/backstores/user:nbd create far 1G nbd://127.0.0.1/export');
    assert.match(
      await typist.type('ls /backstores'),
      /o- far \.+ \[nbd:\/\/127\.0\.0\.1\/export \(1\.0GiB\) deactivated\]/,
    );
    await typist.type(`${TPG}/luns create /backstores/user:nbd/far`);
    assert.match(await typist.type(`ls ${TPG}/luns`), /lun1 \.+ \[user\/far \(default_tg_pt_gp\)\]/);
  });
});

describe('completion', () => {
  const offers = async (typist: Typist, line: string): Promise<string[]> => {
    const { here, config } = await typist.shell.look();
    return completeLine(line, { here, config, preferences: typist.shell.preferences })[0];
  };
  test('of commands, paths, parameters, values', async () => {
    const typist = await Typist.withTarget();
    assert.deepEqual(await offers(typist, 'sa'), ['saveconfig']);
    assert.deepEqual(await offers(typist, 'ba'), ['backstores/']);
    assert.deepEqual(await offers(typist, 'cd /iscsi/'), [`/iscsi/${IQN}/`]);
    assert.deepEqual(await offers(typist, '/backstores/ramdisk cr'), ['create']);
    assert.deepEqual(await offers(typist, '/backstores/ramdisk create x 1M nu'), ['nullio=']);
    assert.deepEqual(await offers(typist, '/backstores/ramdisk create x 1M nullio='), ['nullio=false', 'nullio=true']);
    assert.deepEqual(await offers(typist, `${TPG}/luns create /backstores/r`), ['/backstores/ramdisk/rd0']);
    assert.deepEqual(await offers(typist, `${TPG} set attribute authe`), ['authentication=']);
    assert.deepEqual(await offers(typist, `${TPG}/portals delete `), ['0.0.0.0', 'ip_address=', 'ip_port=']);
    assert.deepEqual(await offers(typist, '/nowhere ls '), []);
  });
});
