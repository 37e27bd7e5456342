// The schemas that `lunctl schema` prints, and what real commands print held against them.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Interfaces } from '@oclif/core';
import { Ajv, type ValidateFunction } from 'ajv';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { Sandbox } from '../helpers/sandbox.js';

const root = join(import.meta.dirname, '../..');
const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
/** What --json prints besides the result of a command. */
const NO_COMMAND = ['error', 'serve event'];

type Json = Readonly<Record<string, unknown>>;
interface Published {
  readonly name: string;
  readonly id: string;
  readonly jsonSchema: Json;
}

let box: Sandbox;
let server: { port: number; child: ChildProcess; output: () => string };
let chap: string[];
let published: readonly Published[];
const validators = new Map<string, ValidateFunction>();

before(async () => {
  box = await Sandbox.make(INITIATOR);
  chap = ['--chap-user', 'username', '--chap-secret-file', await box.secretFile('secret', 'canary-for-testing\n')];
  const disk = `${join(box.folder, 'disk.img')}=96M`;
  server = await box.serve(disk, 'ramdisk:8M', '--target', TARGET, '--allow', INITIATOR, ...chap, '--json');
  published = (JSON.parse((await box.ok('schema', '--json')).stdout) as { schemas: Published[] }).schemas;
  const ajv = new Ajv({ strict: true, allErrors: true });
  ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);
  for (const { id, jsonSchema } of published) validators.set(id, ajv.compile(jsonSchema));
});
after(() => box.stop());

/** `value` carries the id of the schema called `name`, and is as that says. */
function check(value: unknown, name: string): Json {
  const id = published.find((schema) => schema.name === name)?.id ?? '';
  assert.equal((value as Json).schema, id);
  const validate = validators.get(id);
  assert.ok(validate !== undefined, name);
  assert.ok(validate(value), `${name}: ${JSON.stringify(validate.errors)}\n${JSON.stringify(value, null, 2)}`);
  // The schema is strict: one word too many, and it is another document.
  assert.ok(!validate({ ...(value as Json), more: 1 }), `${name} takes what it does not name`);
  return value as Json;
}

/** Runs a command with --json; its output is the whole of standard output. */
async function output(name: string, code: number, ...args: string[]): Promise<Json> {
  const run = await box.run(...args, '--json');
  assert.equal(run.code, code, `lunctl ${args.join(' ')}\n${run.stdout}${run.stderr}`);
  return check(JSON.parse(run.stdout), name);
}

describe('lunctl schema', () => {
  it('lists a schema for every command with --json, and no others', async () => {
    const { commands } = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as Interfaces.Manifest;
    const withJson = Object.values(commands).filter(({ flags }) => 'json' in flags);
    const names = withJson.map(({ id }) => id.replaceAll(':', ' '));
    assert.deepEqual(published.map(({ name }) => name).sort(), [...names, ...NO_COMMAND].sort());
    assert.deepEqual((await box.ok('schema')).stdout.trimEnd().split('\n').sort(), [...names, ...NO_COMMAND].sort());
  });
  it('prints the one of a command, by its name, an alias, or the id in an output', async () => {
    for (const { name, id, jsonSchema } of published) {
      assert.deepEqual(JSON.parse((await box.ok('schema', ...name.split(' '))).stdout), jsonSchema, name);
      assert.equal(id, `lunctl.${name.replaceAll(' ', '-')}/1`);
    }
    for (const args of [['login'], ['lunctl.node-login/1']]) {
      assert.equal((JSON.parse((await box.ok('schema', ...args)).stdout) as Json).title, 'node login');
    }
    const one = await output('schema', 0, 'schema', 'session', 'list');
    assert.deepEqual(
      (one.schemas as Published[]).map(({ name }) => name),
      ['session show'],
    );
  });
  it('of an unknown name: 7, and the nearest', async () => {
    const { error } = await output('error', 7, 'schema', 'sesion', 'show');
    assert.match(String((error as Json).hint), /did you mean "lunctl schema session show"\?/);
    await output('error', 7, 'schema', '../../package');
  });
  it('every schema names itself and leaves nothing open', () => {
    for (const { id, jsonSchema } of published) {
      const { properties, required } = jsonSchema as { properties: Record<string, Json>; required: string[] };
      assert.equal(properties.schema?.const, id);
      assert.ok(required.includes('schema'), id);
      eachObject(jsonSchema, (schema) => assert.equal(schema.additionalProperties, false, JSON.stringify(schema)));
    }
  });
  it('says of every size that it is an integer in bytes', () => {
    let sizes = 0;
    for (const { jsonSchema } of published) {
      eachObject(jsonSchema, ({ properties }) => {
        for (const [name, schema] of Object.entries(properties as Record<string, Json>)) {
          if (!/Bytes$|Length$|blockSize$/.test(name)) continue;
          const [plain = schema] = (schema.anyOf as Json[] | undefined) ?? [];
          assert.equal(plain.type, 'integer', name);
          assert.match(String(plain.description), / Bytes\.$/, name);
          sizes++;
        }
      });
    }
    assert.ok(sizes > 20);
  });
});

/** The first half of a login, RFC 7143 §11.12: with C=1 the target asks for the rest. */
function beginningOfLogin(): Buffer {
  const text = Buffer.from(`InitiatorName=${INITIATOR}\0`);
  const pdu = Buffer.alloc(48 + Math.ceil(text.length / 4) * 4);
  pdu.writeUInt16BE(0x4340, 0);
  pdu.writeUInt32BE(text.length, 4);
  pdu[8] = 0x80;
  text.copy(pdu, 48);
  return pdu;
}

async function untilPrinted(pattern: RegExp): Promise<void> {
  for (const end = performance.now() + 60_000; !pattern.test(server.output()); await sleep(20)) {
    assert.ok(performance.now() < end, server.output());
  }
}

/** Every part of a JSON Schema that describes an object by its properties. */
function eachObject(schema: unknown, look: (schema: Json) => void): void {
  if (typeof schema !== 'object' || schema === null) return;
  if ((schema as Json).type === 'object' && 'properties' in schema) look(schema as Json);
  for (const part of Object.values(schema)) eachObject(part, look);
}

describe('what commands print', () => {
  const at = () => `127.0.0.1:${server.port}`;

  it('when there is nothing, or nothing of that name', async () => {
    await output('disk list', 0, 'disk', 'list');
    await output('error', 21, 'session', 'show');
    await output('error', 21, 'node', 'list');
    await output('error', 21, 'discovery', 'list');
    await output('config shim', 0, 'config', 'shim');
    await output('config shim', 0, 'config', 'shim', '--install', box.folder);
    await output('error', 7, 'node', 'lgin');
    await output('error', 7, 'node', 'login', '--nosuch');
    await output('error', 11, 'discovery', 'sendtargets', '-p', '127.0.0.1:1');
  });
  it('discovery and records', async () => {
    const sent = await output('discovery sendtargets', 0, 'discover', at(), ...chap, '--save');
    const portal = { address: '127.0.0.1', port: server.port };
    const way = { targetName: TARGET, portal: { ...portal, tpgt: 1 } };
    assert.deepEqual(sent, {
      schema: 'lunctl.discovery-sendtargets/1',
      portal,
      targets: [way],
      changes: [{ what: 'new', ...way, iface: 'default' }],
    });
    const listed = await output('discovery list', 0, 'discovery', 'list');
    assert.deepEqual(listed.discoveries, [{ type: 'sendtargets', portal, nodes: [{ ...way, iface: 'default' }] }]);
    const { nodes } = await output('node list', 0, 'node', 'list');
    assert.deepEqual(nodes, [{ ...way, iface: 'default', startup: 'manual' }]);
    await output('node show', 0, 'node', 'show', TARGET);
  });
  it('credentials', async () => {
    const { records } = await output('chap show', 0, 'chap', 'show');
    assert.deepEqual(
      (records as Json[]).map(({ type, from }) => [type, from]),
      [
        ['node', null],
        ['discovery', 'record'],
      ],
    );
    const refused = await output('chap test', 21, 'chap', 'test', TARGET);
    assert.equal((refused.error as Json).code, 'ERR_NOT_FOUND');
    const stored = await output('chap setup', 0, 'chap', 'setup', TARGET, ...chap);
    const accepted = { accepted: true, algorithm: 'SHA3-256', mutual: false };
    const { trials } = await output('chap test', 0, 'chap', 'test', TARGET);
    assert.deepEqual([trials, stored.trials], [stored.trials, [{ ...(trials as Json[])[0], ...accepted }]]);
    await output('chap clear', 0, 'chap', 'clear', TARGET);
  });
  it('the tree of a target', async () => {
    const tpg = `/iscsi/${TARGET}/tpg1`;
    // No serve runs there: it is the saved file that is changed.
    const elsewhere = ['--run-dir', join(box.folder, 'elsewhere')];
    const { lines } = await output(
      'target create',
      0,
      'target',
      'create',
      '/backstores/ramdisk',
      'rd0',
      '8M',
      ...elsewhere,
    );
    assert.deepEqual(lines, ['Created ramdisk rd0 with size 8M.']);
    await output('target create', 0, 'target', 'create', '/iscsi', TARGET, ...elsewhere);
    await output('target create', 0, 'target', 'create', `${tpg}/luns`, '/backstores/ramdisk/rd0', ...elsewhere);
    await output('target set', 0, 'target', 'set', tpg, 'attribute', 'authentication=1', ...elsewhere);
    const { groups } = await output('target get', 0, 'target', 'get', tpg, 'attribute', 'authentication', ...elsewhere);
    assert.equal((groups as { parameters: Json[] }[])[0]?.parameters[0]?.value, '1');
    await output('target get', 0, 'target', 'get', tpg, ...elsewhere);
    await output('target info', 0, 'target', 'info', '/backstores/ramdisk/rd0', ...elsewhere);
    const { nodes } = await output('target ls', 0, 'target', 'ls', ...elsewhere);
    assert.ok((nodes as Json[]).some(({ path, kind }) => path === `${tpg}/luns/lun0` && kind === 'lun'));
    const explained = await output('target explain-auth', 0, 'target', 'explain-auth', INITIATOR, ...elsewhere);
    assert.equal((explained.groups as Json[])[0]?.status, 0x0202);
    await output('error', 21, 'target', 'explain-auth', INITIATOR, '-T', 'iqn.2022-08.com.test:none', ...elsewhere);
    const { path } = await output('target saveconfig', 0, 'target', 'saveconfig', ...elsewhere);
    await output('error', 28, 'target', 'restoreconfig', String(path), ...elsewhere);
    await output('target restoreconfig', 0, 'target', 'restoreconfig', String(path), '--clear-existing', ...elsewhere);
    await output('target delete', 0, 'target', 'delete', '/iscsi', TARGET, ...elsewhere);
    await output('error', 21, 'target', 'delete', '/iscsi', TARGET, ...elsewhere);
    await output('error', 40, 'target', 'clearconfig', ...elsewhere);
    await output('target clearconfig', 0, 'target', 'clearconfig', '--confirm', ...elsewhere);
    await output('error', 32, 'target', 'sessions', ...elsewhere);
  });
  it('a target that runs', async () => {
    await output('target sessions', 0, 'target', 'sessions');
    await output('target metrics', 0, 'target', 'metrics');
    const { sizeBytes } = await output('target grow', 0, 'target', 'grow', '/backstores/ramdisk/ramdisk1');
    assert.equal(sizeBytes, 8 * 2 ** 20);
    const { where, groups } = await output('target explain-auth', 0, 'target', 'explain-auth', INITIATOR);
    const [group] = groups as Json[];
    assert.deepEqual([where, group?.allowed, group?.chap, group?.chapUser], ['running', true, 'one-way', 'username']);
  });
  it('records that are changed', async () => {
    const other = 'iqn.2022-08.com.test:other';
    await output('iface new', 0, 'iface', 'new', 'if1', '--dry-run');
    await output('iface new', 0, 'iface', 'new', 'if1', 'iface.net_ifacename=lo');
    await output('iface list', 0, 'iface', 'list');
    await output('iface show', 0, 'iface', 'show', 'if1');
    const made = await output('node new', 0, 'node', 'new', other, '-p', '10.0.0.1:3260,1', '-I', 'if1');
    assert.equal((made.node as Json).iface, 'if1');
    await output('iface set', 0, 'iface', 'set', 'if1', 'iface.net_ifacename=');
    const set = await output('node set', 0, 'node', 'set', other, 'node.startup=onboot');
    assert.deepEqual((set.records as Json[])[0]?.changed, [{ key: 'node.startup', from: 'manual', to: 'onboot' }]);
    await output('node delete', 0, 'node', 'delete', other, '--dry-run');
    await output('iface delete', 0, 'iface', 'delete', 'if1');
    await output('node new', 0, 'node', 'new', other, '-p', '10.0.0.1:3260');
    await output('node delete', 0, 'node', 'delete', other);
    await output('node prune', 0, 'node', 'prune');
    await output('discovery show', 0, 'discovery', 'show', at());
    await output('discovery set', 0, 'discovery', 'set', at(), 'discovery.sendtargets.reopen_max=4');
    await output('discovery delete', 0, 'discovery', 'delete', at(), '--dry-run');
    await output('config show', 0, 'config', 'show');
    const { ok } = await output('config check', 0, 'config', 'check');
    assert.equal(ok, true);
  });
  it('a session, from login to logout', async () => {
    const { sessions } = await output('node login', 0, 'login', TARGET, '--attach', 'none', ...chap);
    const again = await output('node login', 15, 'login', TARGET, '--attach', 'none', ...chap);
    assert.deepEqual([(again.failed as Json[]).length, (again.error as Json).exit], [1, 15]);
    await output('session stats', 0, 'session', 'stats');
    const shown = await output('session show', 0, 'session', 'show');
    const [{ ageSeconds, ...session } = { ageSeconds: -1 }] = shown.sessions as Record<string, unknown>[];
    assert.ok(Number(ageSeconds) >= 0);
    assert.deepEqual([session], sessions);
    await output('disk list', 0, 'disk', 'list');
    await output('error', 2, 'session', 'show', '-r', '99');
    const { targetName, portal } = session as { targetName?: string; portal?: Json };
    const out = await output('node logout', 0, 'logout', '--all');
    assert.deepEqual(out.sessions, [{ sid: 1, targetName, portal }]);
  });
  it('the LUNs of a session', async () => {
    await box.ok('login', TARGET, '--attach', 'none', ...chap);
    const { luns } = (await output('lun list', 0, 'lun', 'list')) as unknown as { luns: { lun: number }[] };
    assert.deepEqual(
      luns.map(({ lun }) => lun),
      [0, 1],
    );
    const lun = `${TARGET}/1`;
    await output('lun show', 0, 'lun', 'show');
    await output('lun reservations', 0, 'lun', 'reservations', lun);
    await output('lun register', 0, 'lun', 'register', lun, '--key', '1');
    await output('lun reserve', 0, 'lun', 'reserve', lun, '--key', '1', '--type', 'write-exclusive');
    const reserved = await output('lun show', 0, 'lun', 'show', lun);
    assert.match(JSON.stringify(reserved), /"reservation":\{"key":"0x0000000000000001","type":"write-exclusive"\}/);
    await output('lun reservations', 0, 'lun', 'reservations', lun);
    await output('lun release', 0, 'lun', 'release', lun, '--key', '1');
    await output('error', 43, 'lun', 'preempt', lun, '--key', '1', '--victim-key', '2');
    await output('lun clear', 0, 'lun', 'clear', lun, '--key', '1');
    await output('lun map', 0, 'lun', 'map', lun, '--blocks', '7');
    const [zeros, ones] = [
      await box.secretFile('zeros', '\0'.repeat(512)),
      await box.secretFile('ones', '1'.repeat(512)),
    ];
    const swap = ['lun', 'compare-and-write', lun, '--lba', '3', '--compare', zeros, '--write', ones];
    await output('lun compare-and-write', 0, ...swap);
    await output('error', 42, ...swap);
    await output('error', 21, 'lun', 'show', '7');
    if (whyNoLoopDisks() === null) {
      assert.equal((await output('lun attach', 0, 'lun', 'attach', lun, '--attach', 'fuse')).changed, true);
    }
    await output('lun detach', 0, 'lun', 'detach', lun);
    assert.equal((await output('lun detach', 0, 'lun', 'detach', lun)).changed, false);
    await box.ok('logout', '--all');
  });
  it('a session in the foreground', async () => {
    const args = ['login', TARGET, '--attach', 'none', '--foreground', '--json', ...chap];
    const child = spawn(process.execPath, [join(root, 'bin/run.js'), ...args], { env: box.env });
    let printed = '';
    for await (const chunk of child.stdout) {
      printed += chunk;
      if (printed.endsWith('\n}\n')) break;
    }
    check(JSON.parse(printed), 'node login');
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  it('serve: one object a line', async () => {
    const stranger = ['discover', at(), '--no-save', '--config-dir', join(box.folder, 'stranger')];
    assert.notEqual((await box.run(...stranger, ...chap)).code, 0);
    const socket = connect(server.port, '127.0.0.1');
    socket.write(beginningOfLogin());
    await once(socket, 'data');
    socket.destroy();
    await untilPrinted(/"kind":"fault"/);
    const [first, ...events] = server.output().trimEnd().split('\n');
    check(JSON.parse(first ?? ''), 'serve');
    const kinds = events.map((line) => (check(JSON.parse(line), 'serve event').event as Json).kind);
    assert.deepEqual([...new Set(kinds)].sort(), ['end', 'fault', 'login', 'refuse']);
  });
  it('the demo', async () => {
    const { steps } = await output('demo', 0, 'demo');
    assert.ok((steps as { seconds: number }[]).every((step) => step.seconds >= 0 && step.seconds < 60));
  });
});

describe('what disk commands print', { skip: whyNoLoopDisks() ?? false }, () => {
  it('from label to unmount, dry and for real', async () => {
    await box.ok('login', TARGET, '--attach', 'fuse', ...chap);
    const disk = `${TARGET}/0`;
    const where = join(box.folder, 'mnt');
    box.env.LIBMOUNT_FSTAB = join(box.folder, 'fstab');
    const provision = ['disk', 'provision', disk, where, '--type', 'ext4', '--attach', 'fuse', '--fstab'];
    const round: [string, string[]][] = [
      ['disk label', ['disk', 'label', disk]],
      ['disk partition', ['disk', 'partition', disk, '--size', '50%']],
      ['disk format', ['disk', 'format', `${disk}p1`, '--type', 'ext4', '--label', 'data']],
      ['disk grow', ['disk', 'grow', disk]],
      ['disk mount', ['disk', 'mount', `${disk}p1`, where, '--mkdir', '--fstab']],
      ['disk unmount', ['disk', 'unmount', where, '--fstab']],
      ['disk wipe', ['disk', 'wipe', `${disk}p1`, '--confirm', disk]],
      ['disk provision', provision],
    ];
    for (const [name, args] of round) {
      assert.equal((await output(name, 0, ...args, '--dry-run')).dryRun, true);
      const done = await output(name, 0, ...args);
      assert.ok((done.plan as string[]).length > 0);
      if (name !== 'disk mount') continue;
      const { disks } = (await output('disk list', 0, 'disk', 'list')) as unknown as { disks: Listed[] };
      assert.equal(disks[0]?.partitions[0]?.mounts[0]?.target, where);
      const busy = await output('node logout', 28, 'logout', '--all');
      assert.deepEqual([(busy.failed as Json[]).length, (busy.error as Json).exit], [1, 28]);
    }
    const again = await output('disk provision', 0, ...provision);
    assert.deepEqual([again.changed, again.plan, (again.fstab as Json).changed], [false, [], false]);
    await box.ok('disk', 'unmount', where, '--fstab');
    const { sessions } = (await output('session show', 0, 'session', 'show')) as unknown as { sessions: Shown[] };
    const [partition] = sessions[0]?.devices[0]?.partitions ?? [];
    assert.match(partition?.partitionType ?? '', /^0fc63daf-8483-4772-8e79-3d69d8477de4$/);
    await output('error', 40, 'disk', 'label', disk);
    const lost = await output('disk label', 0, 'disk', 'label', disk, '--dry-run', '--confirm', disk);
    assert.match(String(lost.loss), /holds gpt/);
    await output('session logout', 0, 'session', 'logout', '--all');
  });
});
interface Listed {
  readonly partitions: readonly { readonly mounts: readonly { readonly target: string }[] }[];
}
interface Shown {
  readonly devices: readonly { readonly partitions: readonly { readonly partitionType: string }[] }[];
}
