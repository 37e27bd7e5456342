// A session without iSCSI: a control socket that answers as a worker does, nbdkit as its NBD server, an image file as the
// LUN. Disk commands find it like a real one, and a test can compare the image byte for byte.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_PARAMS } from '../../src/iscsi/params.js';
import { attachDevice } from '../../src/services/attach/attach.js';
import type { Attachment } from '../../src/services/attach/attachment.js';
import type { Paths } from '../../src/services/paths.js';
import type { HeadRange } from '../../src/services/session/control.js';
import type { DeviceInfo, SessionInfo } from '../../src/services/session/info.js';
import { serveControl } from '../../src/transport/control.js';

export const TARGET = 'iqn.2022-08.com.test:dlp.target01';
export const SERIAL = '0123456789abcdef';

export function device(values: Partial<DeviceInfo>): DeviceInfo {
  return {
    lun: 0,
    exportName: `lun${values.lun ?? 0}`,
    nbd: '',
    path: null,
    attach: 'none',
    sizeBytes: 0,
    blockSize: 512,
    optimalIoSize: 0,
    vendor: 'LUNCTL',
    product: 'disk01',
    revision: '1',
    serial: SERIAL,
    designator: '',
    readOnly: false,
    writeCache: true,
    partitions: [],
    note: null,
    ...values,
  };
}

export function session(values: Partial<SessionInfo>): SessionInfo {
  return {
    sid: 1,
    pid: process.pid,
    state: 'LOGGED_IN',
    recovery: 'none',
    lostSince: null,
    lastError: null,
    targetName: TARGET,
    portal: { address: '127.0.0.1', port: 3260, tpgt: 1 },
    iface: 'default',
    index: 0,
    localAddress: '127.0.0.1',
    initiatorName: 'iqn.2022-08.com.test:node01.initiator01',
    isid: '800000000000',
    tsih: 1,
    authMethod: 'None',
    chapUser: null,
    mutualUser: null,
    readOnly: false,
    params: DEFAULT_PARAMS,
    loggedInAt: '2026-11-21T00:00:00Z',
    socket: '',
    readBytes: 0,
    writtenBytes: 0,
    devices: [],
    ...values,
  };
}

export interface FakeSession {
  readonly paths: Pick<Paths, 'runDir' | 'configDir' | 'dbDir'>;
  /** `s/1` */
  readonly folder: string;
  readonly image: string;
  readonly disk: DeviceInfo;
  readonly attachment: Attachment | null;
  /** The LUN has another size from now on; its device keeps the one it has. */
  resize(sizeBytes: number): void;
  /** Makes the device anew, with the size of now. */
  attachAgain(): Promise<void>;
  /** SHA-256 of the whole image. */
  checksum(): string;
  close(): Promise<void>;
}

/** A session with one LUN on a blank image of `sizeBytes`, attached by FUSE unless told otherwise. */
export async function startFakeSession(options: {
  readonly sizeBytes: number;
  readonly blockSize?: number;
  readonly attach?: 'fuse' | 'none';
  readonly readOnly?: boolean;
  readonly optimalIoSize?: number;
}): Promise<FakeSession> {
  const { sizeBytes, blockSize = 512, attach = 'fuse', readOnly = false, optimalIoSize = 0 } = options;
  const runDir = mkdtempSync(`${tmpdir()}/lunctl-fake-`);
  const folder = `${runDir}/s/1`;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const image = `${runDir}/image`;
  writeFileSync(image, '');
  truncateSync(image, sizeBytes);
  const socket = `${folder}/nbd.sock`;
  const nbdkit = await startNbdkit(socket, image);
  const attachNow = (bytes: number) =>
    attach === 'none'
      ? null
      : attachDevice({
          mode: attach,
          socketPath: socket,
          exportName: 'lun0',
          sizeBytes: bytes,
          blockSize,
          readOnly,
          runDir: folder,
        });
  let attachment = await attachNow(sizeBytes);
  const disk = device({ path: attachment?.path ?? null, attach, sizeBytes, blockSize, readOnly, optimalIoSize });
  const info = session({ socket, devices: [disk] });
  const control = await serveControl(`${folder}/control.sock`, {
    info: () => info,
    rescan: () => ({ changes: [], devices: [disk] }),
    'rescan-partitions': () => disk,
    'read-heads': ({ ranges }) => ({
      heads: (ranges as HeadRange[]).map(({ offset, length }) => bytesOf(image, offset, length).toString('base64')),
    }),
    'disk-users': () => ({ writers: 0, commands: false }),
    'helper-socket': () => ({ path: socket, hold: 1 }),
    'helper-done': () => ({}),
    'verify-block': ({ offset, length, sha256 }) => ({
      same: hashOf(image, Number(offset), Number(length)) === sha256,
    }),
  });
  return {
    paths: { runDir, configDir: `${runDir}/etc`, dbDir: `${runDir}/db` },
    folder,
    image,
    disk,
    get attachment() {
      return attachment;
    },
    resize(bytes) {
      truncateSync(image, bytes);
      disk.sizeBytes = bytes;
    },
    async attachAgain() {
      await attachment?.detach();
      attachment = await attachNow(disk.sizeBytes);
      disk.path = attachment?.path ?? null;
    },
    checksum: () => createHash('sha256').update(readFileSync(image)).digest('hex'),
    async close() {
      await attachment?.detach({ force: true });
      await control.close();
      nbdkit.kill();
      await once(nbdkit, 'exit');
      rmSync(runDir, { recursive: true });
    },
  };
}

async function startNbdkit(socket: string, image: string): Promise<ChildProcess> {
  const child = spawn('nbdkit', ['-f', '-U', socket, 'file', image], { stdio: 'ignore' });
  while (!existsSync(socket)) {
    if (child.exitCode !== null) throw new Error(`nbdkit ended with ${child.exitCode}`);
    await sleep(10);
  }
  return child;
}

function hashOf(path: string, offset: number, length: number): string {
  return createHash('sha256')
    .update(bytesOf(path, offset, length))
    .digest('hex');
}

function bytesOf(path: string, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const file = openSync(path, 'r');
  readSync(file, bytes, 0, length, offset);
  closeSync(file);
  return bytes;
}
