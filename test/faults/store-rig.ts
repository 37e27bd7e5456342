// Storage objects served by our target and one initiator that asks for them command by command; and the servers and file
// systems in user space that fail when a test wants them to.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SaveConfig, StorageObject, UserObject } from '../../src/saveconfig/model.js';
import { parseSense } from '../../src/scsi/sense.js';
import { startConfigured } from '../../src/services/serve/serve.js';
import { connect, type Initiator } from './initiator.js';

export const STORE_TARGET = 'iqn.2022-08.com.test:stores';
const PLAIN = { attributes: {}, alua_tpgs: [] };

export function fileioObject(name: string, dev: string, size: number, write_back = true): StorageObject {
  return { ...PLAIN, plugin: 'fileio', name, dev, size, write_back };
}
export function ramdiskObject(name: string, size: number): StorageObject {
  return { ...PLAIN, plugin: 'ramdisk', name, size };
}
export function nbdObject(name: string, socket: string): UserObject {
  return { ...PLAIN, plugin: 'user', name, size: 0, config: `nbd/nbd+unix:///?socket=${socket}` };
}

/** One target, the objects as LUN 0, 1 …, open to everybody. */
export function storeConfig(objects: readonly StorageObject[]): SaveConfig {
  const luns = objects.map(({ plugin, name }, index) => ({ index, storage_object: `/backstores/${plugin}/${name}` }));
  const group = {
    tag: 1,
    enable: true,
    luns,
    portals: [{ ip_address: '127.0.0.1', port: 0 }],
    node_acls: [],
    attributes: { authentication: 0, generate_node_acls: 1, cache_dynamic_acls: 1, demo_mode_write_protect: 0 },
    parameters: {},
  };
  return {
    storage_objects: objects,
    fabric_modules: [],
    targets: [{ fabric: 'iscsi', wwn: STORE_TARGET, tpgs: [group] }],
  };
}

export interface ScsiAnswer {
  readonly status: number;
  /** key/asc/ascq in hex; '' without sense. */
  readonly sense: string;
  readonly information: number | undefined;
  readonly data: Buffer;
}

export interface StoreRig {
  readonly initiator: Initiator;
  /** One command, its CDB in hex padded with zeros. */
  scsi(lun: number, cdb: string, data?: { out?: Buffer; in?: number }): Promise<ScsiAnswer>;
  close(): Promise<void>;
}

export async function serveStores(objects: readonly StorageObject[]): Promise<StoreRig> {
  const server = await startConfigured(storeConfig(objects), { lenient: false });
  const initiator = await connect(server.portals[0]?.port ?? 0, { targetName: STORE_TARGET });
  return {
    initiator,
    scsi: asker(initiator),
    async close() {
      await initiator.close();
      // A disk that cannot be flushed is what some tests are about.
      await server.close().catch(() => {});
    },
  };
}

/** Commands of `initiator`; see StoreRig. */
export function asker(initiator: Initiator): StoreRig['scsi'] {
  return (lun, cdb, data = {}) => ask(initiator, lun, cdb, data);
}
async function ask(
  initiator: Initiator,
  lun: number,
  cdb: string,
  data: { out?: Buffer; in?: number },
): Promise<ScsiAnswer> {
  const bytes = Buffer.alloc(16);
  Buffer.from(cdb.replaceAll(' ', ''), 'hex').copy(bytes);
  const { address } = initiator.luns[lun] ?? assert.fail(`no LUN ${lun}`);
  const answer = await initiator.open.session.execute({
    lun: address,
    cdb: bytes,
    timeoutMs: 60_000,
    ...(data.out && { dataOut: data.out }),
    ...(data.in && { dataInLength: data.in }),
  });
  const sense = answer.sense === null ? null : parseSense(answer.sense);
  const hex = sense ? [sense.key, sense.asc, sense.ascq].map((n) => n.toString(16).padStart(2, '0')).join('/') : '';
  return { status: answer.status, sense: hex, information: sense?.information, data: answer.data };
}

const hex = (n: number, digits: number) => n.toString(16).padStart(digits, '0');
/** READ(10) and WRITE(10) of `blocks` blocks from `lba`. */
export const read10 = (lba: number, blocks: number) => `28 00 ${hex(lba, 8)} 00 ${hex(blocks, 4)} 00`;
export const write10 = (lba: number, blocks: number, fua = false) =>
  `2a ${fua ? '08' : '00'} ${hex(lba, 8)} 00 ${hex(blocks, 4)} 00`;
export const SYNCHRONIZE_CACHE = '35';
/** UNMAP of one range: the CDB and its parameter list. */
export function unmap(lba: number, blocks: number): [cdb: string, data: { out: Buffer }] {
  const out = Buffer.alloc(24);
  out.writeUInt16BE(22, 0);
  out.writeUInt16BE(16, 2);
  out.writeBigUInt64BE(BigInt(lba), 8);
  out.writeUInt32BE(blocks, 16);
  return ['42 00 00000000 00 0018 00', { out }];
}

/** What is not installed or not allowed here, as the reason of a skip; false: everything is there. */
export function missing(...programs: string[]): string | false {
  for (const program of programs) {
    if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) return `${program} is not installed`;
  }
  if (programs.includes('nbdfuse') && !existsSync('/dev/fuse')) return 'there is no /dev/fuse';
  return false;
}

async function until(condition: () => boolean, child: ChildProcess, what: string): Promise<void> {
  for (const end = Date.now() + 60_000; !condition(); ) {
    assert.ok(Date.now() < end, `waited in vain: ${what}`);
    assert.equal(child.exitCode, null, `${what}: the program has ended`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
function gone(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('close', () => resolve());
    child.kill(signal);
  });
}

/** A folder of a test's own with an nbdkit in it, and its export as a file where that is wanted. */
export class FaultyDisk {
  readonly folder = mkdtempSync(join(tmpdir(), 'lunctl-faulty-'));
  readonly socket = join(this.folder, 's');
  readonly #mount = join(this.folder, 'fuse');
  #server: ChildProcess | null = null;
  #fuse: ChildProcess | null = null;

  async start(...args: string[]): Promise<this> {
    // It is written once connections are taken, which is later than the socket is there.
    const ready = join(this.folder, 'pid');
    rmSync(this.socket, { force: true });
    rmSync(ready, { force: true });
    const server = spawn('nbdkit', ['-f', '-P', ready, '-U', this.socket, ...args], { stdio: 'ignore' });
    this.#server = server;
    await until(() => existsSync(ready), server, `nbdkit ${args.join(' ')}`);
    return this;
  }
  /** The export as a file by FUSE: what it says of a write, a read, a flush is what the server says. */
  async file(): Promise<string> {
    mkdirSync(this.#mount, { recursive: true });
    const path = join(this.#mount, 'disk');
    const fuse = spawn('nbdfuse', [path, '--unix', this.socket], { stdio: 'ignore' });
    this.#fuse = fuse;
    await until(() => existsSync(path), fuse, 'nbdfuse');
    return path;
  }
  /** The power goes: the server is not asked. */
  async cut(): Promise<void> {
    if (this.#server) await gone(this.#server, 'SIGKILL');
    this.#server = null;
  }
  async unmount(): Promise<void> {
    if (this.#fuse === null) return;
    spawnSync('fusermount3', ['-u', '-z', this.#mount]);
    await gone(this.#fuse, 'SIGTERM');
    this.#fuse = null;
  }
  async remove(): Promise<void> {
    await this.unmount();
    await this.cut();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
