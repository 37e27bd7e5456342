// The disks of a session as NBD exports: `lunN` for each LUN, `lunNpM` for each partition, and who may write to them.
import type { BlockDevice } from '../../block/block-device.js';
import { readPartitionTable } from '../../block/partition/read-partitions.js';
import { SliceDevice } from '../../block/slice-device.js';
import type { Lun } from '../../initiator/lun.js';
import type { ExportRegistry, NbdExport } from '../../nbd/exports.js';
import { messageOf } from '../../util/errors.js';
import type { DeviceInfo, PartitionInfo } from './info.js';
import type { SessionLog } from './log.js';

/** A LUN that is exported, its partitions as last read, and how it is attached. */
export interface ExportedLun {
  readonly lun: Lun;
  readonly name: string;
  partitions: readonly ExportedPartition[];
  attach: DeviceInfo['attach'];
  path: string | null;
  /** The device takes no writes, whether or not the LUN would. */
  readOnlyDevice: boolean;
  /** Why nobody writes here, in one line: the same disk is written to by another path now. Null where it is not. */
  readonly secondPath: string | null;
  note: string | null;
  /** The size that was told last, bytes: what a later one is a change of. */
  toldBytes: number;
}

export interface ExportedPartition {
  readonly info: Omit<PartitionInfo, 'nbd'>;
  readonly device: BlockDevice;
}

export interface SessionExportsOptions {
  /** Told to clients in the descriptions of the exports. */
  readonly targetName: string;
  /** Other clients may write beside an attached device. */
  readonly shared: boolean;
  /** Whether a disk command works on blocks of that export. */
  readonly isHeld: (exportName: string) => boolean;
  /** What makes a LUN a second path at this moment, or null. */
  readonly secondPath: (lun: Lun) => string | null;
  readonly log: SessionLog;
}

/**
 * The exports of one session. `open` is for any client: while a kernel or FUSE device is made of a LUN its exports are
 * read-only there, because two writers that do not know of each other destroy a file system; so they are while a disk
 * command works on them without a device. `forAttach` is for the helper of that device or command.
 */
export class SessionExports {
  readonly open: ExportRegistry;
  readonly forAttach: ExportRegistry;
  readonly #luns = new Map<number, ExportedLun>();
  readonly #options: SessionExportsOptions;

  constructor(options: SessionExportsOptions) {
    this.#options = options;
    this.open = this.#registry((entry, name) =>
      entry.attach !== 'none' || entry.secondPath !== null ? !options.shared : options.isHeld(name),
    );
    this.forAttach = this.#registry(() => false);
  }

  get luns(): readonly ExportedLun[] {
    return [...this.#luns.values()].sort((a, b) => a.lun.info.lun - b.lun.info.lun);
  }

  find(lun: number): ExportedLun | undefined {
    return this.#luns.get(lun);
  }

  /** Adds a LUN and reads its partition table. `name`: of its export; those of its partitions follow from it. */
  async add(lun: Lun, name = `lun${lun.info.lun}`): Promise<ExportedLun> {
    const { secondPath } = this.#options;
    const entry: ExportedLun = {
      ...{ lun, name, partitions: [], attach: 'none', path: null, readOnlyDevice: false, note: null },
      toldBytes: lun.sizeBytes,
      get secondPath() {
        return secondPath(lun);
      },
    };
    this.#luns.set(lun.info.lun, entry);
    await this.rescan(entry);
    return entry;
  }

  /** Takes a LUN and its partitions out of the exports. */
  remove(entry: ExportedLun): void {
    if (this.#luns.get(entry.lun.info.lun) === entry) this.#luns.delete(entry.lun.info.lun);
  }

  /** Makes the partitions' exports those of the table as it is now. A table that cannot be read leaves none. */
  async rescan(entry: ExportedLun): Promise<void> {
    entry.partitions = await this.#readPartitions(entry).catch((error: unknown) => {
      this.#options.log.warn(`${entry.name}: partition table not read: ${messageOf(error)}`);
      return [];
    });
  }

  async #readPartitions({ lun, name }: ExportedLun): Promise<ExportedPartition[]> {
    const table = await readPartitionTable(lun);
    if (table.reason !== null) this.#options.log.info(`${name}: partition table: ${table.reason}`);
    return table.partitions.flatMap(({ number, start, length, type, uuid, name: label }) => {
      // A partition that is not a whole number of blocks cannot be served as a disk of its own.
      if (start % lun.blockSize !== 0 || length % lun.blockSize !== 0 || length === 0) return [];
      const exportName = `${name}p${number}`;
      const of = { partitionType: type, partitionUuid: uuid, partitionName: label };
      const info = { number, exportName, startBytes: start, sizeBytes: length, ...of };
      return [{ info, device: new SliceDevice(lun, { start, length }) }];
    });
  }

  #registry(isLocked: (entry: ExportedLun, exportName: string) => boolean): ExportRegistry {
    const { targetName } = this.#options;
    const list = (): NbdExport[] =>
      this.luns.flatMap((entry) => exportsOf(entry, targetName, (name) => isLocked(entry, name)));
    return {
      list,
      find: (name) => {
        const all = list();
        return name === '' ? all[0] : all.find((entry) => entry.name === name);
      },
    };
  }
}

function exportsOf(entry: ExportedLun, targetName: string, isLocked: (exportName: string) => boolean): NbdExport[] {
  const { lun, name, partitions } = entry;
  const readOnly = (exportName: string) => lun.readOnly || isLocked(exportName);
  const { vendor, product, serial } = lun.info;
  const words = [vendor, product, serial === '' ? '' : `serial ${serial}`].filter((word) => word !== '').join(' ');
  const unit = `${targetName} LUN ${lun.info.lun}`;
  return [
    { name, description: words === '' ? unit : `${unit}: ${words}`, device: lun, readOnly: readOnly(name) },
    ...partitions.map(({ info, device }) => ({
      name: info.exportName,
      description: `${unit}, partition ${info.number}`,
      device,
      readOnly: readOnly(info.exportName),
    })),
  ];
}

/** The NBD URI of an export, as qemu, libnbd and nbd-client take it. */
export function nbdUri(socket: string, exportName: string): string {
  return `nbd+unix:///${exportName}?socket=${socket.split('/').map(encodeURIComponent).join('/')}`;
}

/** A LUN as `session show` and `disk list` describe it. */
export function deviceInfo(entry: ExportedLun, socket: string): DeviceInfo {
  const { lun, name, attach, path, readOnlyDevice, note, secondPath } = entry;
  const { vendor, product, revision, serial, designator } = lun.info;
  return {
    lun: lun.info.lun,
    exportName: name,
    nbd: nbdUri(socket, name),
    path,
    attach,
    sizeBytes: lun.sizeBytes,
    blockSize: lun.blockSize,
    optimalIoSize: lun.optimalIoSize,
    vendor,
    product,
    revision,
    serial,
    designator,
    readOnly: lun.readOnly || secondPath !== null || readOnlyDevice,
    writeCache: lun.writeCache,
    partitions: entry.partitions.map(({ info }) => ({ ...info, nbd: nbdUri(socket, info.exportName) })),
    note: lun.problem === null ? (secondPath ?? note) : `the unit ${lun.problem}`,
  };
}
