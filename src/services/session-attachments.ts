// Device nodes made of a session's LUNs, and the rule that a LUN has one writer (SBC has no lock that would help).
import { AppError, messageOf } from '../util/errors.js';
import { attachDevice } from './attach.js';
import type { Attachment } from './attachment.js';
import type { ExportServer } from './export-server.js';
import { attachedElsewhere, otherPath, type Surroundings, unknownRival } from './second-path.js';
import type { SessionClients } from './session-clients.js';
import type { ExportedLun, SessionExports } from './session-exports.js';
import type { SessionFolder } from './session-folder.js';
import { dropLinks, type LinkOwner, putLinks } from './session-links.js';
import type { SessionLog } from './session-log.js';

export interface SessionAttachmentsOptions {
  readonly sid: number;
  readonly folder: SessionFolder;
  readonly runDir: string;
  /** Under whose name the devices are linked. */
  readonly owner: LinkOwner;
  readonly exports: SessionExports;
  readonly log: SessionLog;
  readonly readOnly: boolean;
  /** NBD connections of a kernel device. */
  readonly connections: number;
  readonly shared: boolean;
  readonly clients: SessionClients;
  /** The socket for attach helpers, made when it is first needed. */
  attachServer(): Promise<ExportServer>;
}

export class SessionAttachments {
  readonly #options: SessionAttachmentsOptions;
  readonly #attached = new Map<ExportedLun, Attachment>();

  constructor(options: SessionAttachmentsOptions) {
    this.#options = options;
  }

  /** Attaches every LUN, one after another so that device names follow LUN numbers; a second path to a disk is left out. */
  async attachAll(
    mode: 'nbd' | 'fuse',
    { signal, onProgress }: { readonly signal: AbortSignal; onProgress(line: string): void },
  ): Promise<void> {
    const surroundings = await attachedElsewhere(this.#options.runDir, this.#options.sid);
    for (const entry of this.#options.exports.luns) {
      const rival = this.#rival(entry, surroundings);
      if (rival !== undefined) {
        entry.note = rival;
        entry.secondPath = true;
        continue;
      }
      onProgress(`attaching ${entry.name}`);
      await this.#attach(entry, mode, signal);
    }
  }

  /**
   * Makes a device node. Throws ERR_BUSY if there is one, also by another path to the disk, or if NBD clients use the LUN,
   * unless sharing is allowed.
   */
  async attach(entry: ExportedLun, mode: 'nbd' | 'fuse', signal?: AbortSignal): Promise<void> {
    const rival = this.#rival(entry, await attachedElsewhere(this.#options.runDir, this.#options.sid));
    if (rival !== undefined) throw new AppError('ERR_BUSY', `${entry.name} is not attached: ${rival}`);
    entry.secondPath = false;
    await this.#attach(entry, mode, signal);
  }

  /** Why the LUN may be one disk with another device. */
  #rival({ lun, name }: ExportedLun, { disks, silent }: Surroundings): string | undefined {
    const { sid, owner, shared } = this.#options;
    if (shared) return undefined;
    const { targetName } = owner;
    const own = [...this.#attached].flatMap(([entry, { path }]) => {
      const { info } = entry.lun;
      return entry.name === name ? [] : [{ targetName, lun: info.lun, designator: info.designator, path }];
    });
    const other = otherPath({ targetName, info: lun.info }, [...own, ...disks]);
    if (other !== undefined) return `second path to a disk that is attached as ${other}`;
    const unknown = unknownRival({ targetName, sid }, silent);
    if (unknown === undefined) return undefined;
    return `session ${unknown.sid} to the same target does not answer and may have attached the disk`;
  }

  async #attach(entry: ExportedLun, mode: 'nbd' | 'fuse', signal?: AbortSignal): Promise<void> {
    const { folder, readOnly, connections, log } = this.#options;
    if (entry.attach !== 'none') throw new AppError('ERR_BUSY', `${entry.name} is attached as ${entry.path}`);
    await this.#refuseOtherClients(entry);
    // From here on other clients are read-only.
    entry.attach = mode;
    try {
      const server = await this.#options.attachServer();
      const attachment = await attachDevice({
        mode,
        socketPath: server.path,
        exportName: entry.name,
        sizeBytes: entry.lun.sizeBytes,
        blockSize: entry.lun.blockSize,
        readOnly: readOnly || entry.lun.readOnly,
        runDir: folder.path,
        connections,
        ...(signal === undefined ? {} : { signal }),
      });
      entry.path = attachment.path;
      this.#attached.set(entry, attachment);
      await this.#link(entry, attachment.path, await attachment.partitions());
      log.info(`${entry.name} attached as ${attachment.path}`);
      void attachment.lost.then((reason) => this.#lost(entry, attachment, reason));
    } catch (error) {
      entry.attach = 'none';
      throw error;
    }
  }

  /** Takes the device node away; throws ERR_BUSY while it is used. Nothing happens where there is none. */
  async detach(entry: ExportedLun, options: { readonly force?: boolean } = {}): Promise<void> {
    const attachment = this.#attached.get(entry);
    if (attachment === undefined) return;
    await attachment.detach(options);
    await this.#forget(entry);
    this.#options.log.info(`${entry.name} detached from ${attachment.path}`);
  }

  /** Makes the kernel read the partition table again. */
  async rescan(entry: ExportedLun): Promise<void> {
    const attachment = this.#attached.get(entry);
    if (attachment !== undefined) await this.#link(entry, attachment.path, await attachment.rescan());
  }

  /** Path of the socket for helpers, which listens when this resolves. */
  async helperSocket(): Promise<string> {
    return (await this.#options.attachServer()).path;
  }

  /** Throws ERR_BUSY if any device or partition is mounted or held. */
  async refuseIfUsed(): Promise<void> {
    for (const attachment of this.#attached.values()) {
      const use = await attachment.inUse();
      if (use !== null) {
        throw new AppError('ERR_BUSY', `cannot log out: ${use}`, { hint: 'unmount it first: lunctl disk unmount' });
      }
    }
  }

  /** Takes every device away, whoever uses it. Failures are logged. */
  async detachAll(): Promise<void> {
    const work = [...this.#attached.keys()].map(async (entry) => {
      await this.detach(entry, { force: true }).catch((error: unknown) => {
        this.#options.log.error(`${entry.name} not detached: ${messageOf(error)}`);
      });
    });
    await Promise.all(work);
  }

  async #refuseOtherClients({ name }: ExportedLun): Promise<void> {
    const { clients, shared } = this.#options;
    await clients.refuseHelpers(name);
    const users = shared ? 0 : clients.writers(name);
    if (users > 0) throw new AppError('ERR_BUSY', `${name} is in use by ${users} NBD clients`);
  }

  #lost(entry: ExportedLun, attachment: Attachment, reason: AppError): void {
    if (this.#attached.get(entry) !== attachment) return;
    void this.#forget(entry);
    entry.note = reason.message;
    this.#options.log.error(`${entry.name}: ${reason.message}`);
  }

  async #forget(entry: ExportedLun): Promise<void> {
    this.#attached.delete(entry);
    entry.attach = 'none';
    entry.path = null;
    const { runDir, owner, log } = this.#options;
    await dropLinks(runDir, owner, entry.lun.info.lun).catch((error: unknown) =>
      log.warn(`links: ${messageOf(error)}`),
    );
  }

  /** A device without its link is still a device. */
  async #link(entry: ExportedLun, device: string, partitions: readonly string[]): Promise<void> {
    const { runDir, owner, log } = this.#options;
    await putLinks(runDir, owner, entry.lun.info.lun, { device, partitions }).catch((error: unknown) => {
      log.warn(`links of ${entry.name}: ${messageOf(error)}`);
    });
  }
}
