// The `pscsi` backstore: a SCSI device of this host, whose own answers initiators get.
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { PscsiObject } from '../../../saveconfig/model.js';
import { parseReadCapacity10, parseReadCapacity16 } from '../../../scsi/capacity.js';
import { ScsiStatus } from '../../../scsi/status.js';
import type { PassThrough } from '../../../target/pass-through.js';
import { AppError, messageOf } from '../../../util/errors.js';
import type { Backstore, OpenOptions } from './backstore.js';
import { pathSerial } from './file.js';
import { refuseKernelTarget } from './in-use.js';
import { PassedDevice } from './passed-device.js';
import { ScsiGeneric, type SgLibrary, sgLibrary } from './scsi-generic.js';

/** @throws AppError ERR_DRIVER_MISSING without koffi, ERR_USAGE for what is no SCSI disk, ERR_BUSY, ERR_NOT_FOUND, ERR_ACCESS */
export async function openPscsi(object: PscsiObject, options: OpenOptions): Promise<Backstore> {
  const sg = await sgLibrary();
  if (sg === null) {
    throw new AppError(
      'ERR_DRIVER_MISSING',
      `${object.dev} cannot be passed through without the optional package koffi`,
      {
        hint: 'npm install koffi, or serve the disk as block',
      },
    );
  }
  const node = await deviceNode(object.dev);
  await refuseKernelTarget(node, options.kernelTarget);
  const handle = await openExclusively(node, options.readOnly === true);
  try {
    return await opened(object, node, handle, sg, options);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function opened(
  object: PscsiObject,
  node: string,
  handle: FileHandle,
  sg: SgLibrary,
  options: OpenOptions,
): Promise<Backstore> {
  const device = new ScsiGeneric(sg, handle.fd);
  if (!device.takesCommands)
    throw new AppError('ERR_USAGE', `${node} is no SCSI device`, { hint: 'serve it as block' });
  const readOnly = options.readOnly ?? false;
  const end = async () => {
    await device.drained();
    await handle.close();
  };
  const disk = new PassedDevice(device, await capacityOf(device, node), readOnly, end);
  const refreshSize = async () => disk.grow(await capacityOf(device, node));
  return {
    object,
    name: object.name,
    path: node,
    serial: object.wwn ?? pathSerial(`pscsi/${object.name}`, node),
    device: disk,
    passThrough: device,
    created: false,
    refreshSize,
    grow: async (sizeBytes) => {
      const present = await refreshSize();
      if (sizeBytes === present) return present;
      throw new AppError('ERR_NOT_SUPPORTED', `${node} has ${present} bytes, which is its own affair`);
    },
    close: () => disk.close(),
  };
}

/** The disk itself if there is one, so that a mount of it is noticed; else its generic device. */
async function deviceNode(dev: string): Promise<string> {
  const folder = /^\d+:\d+:\d+:\d+$/.test(dev) ? `/sys/class/scsi_device/${dev}/device` : await genericFolder(dev);
  if (folder === null) {
    return await realpath(dev).catch((cause: unknown) => {
      throw notFound(dev, cause);
    });
  }
  const disks = await readdir(join(folder, 'block')).catch(() => []);
  const generics = await readdir(join(folder, 'scsi_generic')).catch(() => []);
  const [name] = [...disks, ...generics];
  if (name === undefined) throw notFound(dev);
  return `/dev/${name}`;
}
/** Of /dev/sgN. */
async function genericFolder(dev: string): Promise<string | null> {
  const path = await realpath(dev).catch(() => dev);
  return /^\/dev\/sg\d+$/.test(path) ? `/sys/class/scsi_generic/${basename(path)}/device` : null;
}
function notFound(dev: string, cause?: unknown): AppError {
  const hint = 'name it as /dev/sdX, /dev/sgN or HOST:CHANNEL:TARGET:LUN (lsscsi lists them)';
  return new AppError('ERR_NOT_FOUND', `there is no SCSI device ${dev}`, { cause, hint });
}

async function openExclusively(node: string, readOnly: boolean): Promise<FileHandle> {
  const info = await stat(node).catch((cause: unknown) => {
    throw notFound(node, cause);
  });
  if (!info.isBlockDevice() && !info.isCharacterDevice()) throw new AppError('ERR_USAGE', `${node} is no SCSI device`);
  try {
    return await open(
      node,
      (readOnly ? constants.O_RDONLY : constants.O_RDWR) | constants.O_EXCL | constants.O_NONBLOCK,
    );
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : '';
    const busy = code === 'EBUSY' || code === 'EAGAIN';
    const error = busy ? 'ERR_BUSY' : code === 'EACCES' || code === 'EPERM' ? 'ERR_ACCESS' : 'ERR_UNKNOWN';
    const reason = busy ? 'it is mounted or held by another program' : messageOf(cause);
    throw new AppError(error, `cannot open ${node}: ${reason}`, { cause });
  }
}

/** A freshly opened unit may have something to say first (SAM-5 §5.14). */
const TRIES = 5;

async function capacityOf(device: PassThrough, node: string): Promise<{ blocks: number; blockSize: number }> {
  for (let i = 0; i < TRIES; i++) {
    const cdb = Buffer.alloc(16);
    cdb.writeUInt8(0x9e, 0);
    cdb.writeUInt8(0x10, 1);
    cdb.writeUInt8(32, 13);
    const long = await device.execute({ cdb, dataOut: null, dataInLength: 32 });
    if (long.status === ScsiStatus.Good && long.data.length >= 12) return parseReadCapacity16(long.data);
    const short = await device.execute({
      cdb: Buffer.from('25000000000000000000', 'hex'),
      dataOut: null,
      dataInLength: 8,
    });
    const capacity =
      short.status === ScsiStatus.Good && short.data.length === 8 ? parseReadCapacity10(short.data) : null;
    if (capacity !== null) return capacity;
  }
  throw new AppError('ERR_USAGE', `${node} is no disk that is ready`);
}
